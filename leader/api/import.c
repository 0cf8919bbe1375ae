/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/told.h"
#include "leader/large_write.h"
#include "leader/peer_secret.h"
#include "leader/rights.h"
#include "proto/apikey.h"

#define LINE_MAX      (8 * (size_t)ENTITY_BYTES_MAX)
#define FIRST_ROOM    1024
#define PASSWORDS_MAX 100

struct import {
	struct api_job *job;
	bool replace, dry;
	struct entity **at; /* as given; a reference each */
	size_t *lines;      /* the numbers of their lines */
	size_t len, room, passwords;
	struct map *places[ENTITY_KINDS]; /* id -> &at[i] */
	/* What becomes of a state. */
	struct ledger_change *changes;
	size_t changes_len;
	size_t created, changed, deleted, unchanged;
	bool locks_out;
	uint64_t revision;
	struct ledger_audit created_audit, replaced_audit, deleted_audit;
};

static void free_changes(struct import *import)
{
	ledger_changes_free(TAKE(import->changes), import->changes_len);
	import->changes_len = import->created = import->changed = import->deleted = import->unchanged = 0;
	import->locks_out = false;
}

static void import_fini(struct import *import)
{
	free_changes(import);
	for (size_t i = 0; i < import->len; i++)
		entity_free(import->at[i]);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		map_free(import->places[kind]);
	free(import->at);
	free(import->lines);
}

bool import_takes(enum entity_kind kind)
{
	return entity_kind_flags(kind) & (ENTITY_MAY_CREATE | ENTITY_MAY_REPLACE);
}

/* What is asked. */

static bool read_mode(struct import *import, struct error *err)
{
	AUTO_FINI(buf) mode = buf_limit(16);
	bool given;

	if (!api_parameter(import->job, "mode", &mode, &given) || !given ||
		!(str_is(buf_str(&mode), "merge") || str_is(buf_str(&mode), "replace")))
		return error_set(err, ERROR_INVALID, NULL, "mode: needed, merge or replace");
	import->replace = str_is(buf_str(&mode), "replace");
	return true;
}

static bool read_dry(struct import *import, struct error *err)
{
	AUTO_FINI(buf) dry = buf_limit(16);
	bool given;

	if (!api_parameter(import->job, "dryRun", &dry, &given) ||
		(given && !(str_is(buf_str(&dry), "true") || str_is(buf_str(&dry), "false"))))
		return error_set(err, ERROR_INVALID, NULL, "dryRun: is true or false");
	import->dry = given && str_is(buf_str(&dry), "true");
	return true;
}

/* Lines. */

static bool read_head(const struct json *head, struct error *err)
{
	int64_t format;

	if (!json_get_int(json_find(head, "export"), &format))
		return error_set(err, ERROR_INVALID, NULL, "must be the head of an export: {\"export\":%d}",
			IMPORT_FORMAT);
	return format == IMPORT_FORMAT ||
	       error_set(err, ERROR_INVALID, NULL, "an export of format %" PRId64 ", this program knows %d",
		       format, IMPORT_FORMAT);
}

static bool read_kind(const struct json *line, enum entity_kind *ret, struct error *err)
{
	struct str name = json_str(json_find(line, "kind"));

	if (!entity_kind_parse(name, ret))
		return error_set(err, ERROR_INVALID, NULL, "kind: \"%.*s\" is none",
			(int)(name.len < 60 ? name.len : 60), name.len ? name.at : "");
	return import_takes(*ret) ||
	       error_set(err, ERROR_INVALID, NULL, "kind: %.*s is the leaders' own, and is not imported",
		       STR_ARGS(name));
}

static bool count_password(struct import *import, const struct json *line, struct error *err)
{
	if (!json_find(line, "password") || ++import->passwords <= PASSWORDS_MAX)
		return true;
	return error_set(err, ERROR_TOO_LARGE, NULL,
		"password: at most %d of one import are hashed here; give passwordHash", PASSWORDS_MAX);
}

static void widen(struct import *import)
{
	size_t room = import->room ? 2 * import->room : FIRST_ROOM;
	struct entity **at = xnew_array(struct entity *, room);
	size_t *lines = xnew_array(size_t, room);

	for (size_t i = 0; i < import->len; i++) {
		at[i] = import->at[i];
		lines[i] = import->lines[i];
	}
	free(import->at);
	free(import->lines);
	import->at = at;
	import->lines = lines;
	import->room = room;
}

/* Values of a map are places, from 1: they stay right when the list grows. */
static void *place_of(size_t at)
{
	return (void *)(uintptr_t)(at + 1);
}

static size_t at_of(const void *place)
{
	return (size_t)(uintptr_t)place - 1;
}

static bool add(struct import *import, struct entity *entity, size_t number, struct error *err)
{
	struct map **places = &import->places[entity_kind(entity)];
	void *other;

	if (import->len == import->room)
		widen(import);
	import->at[import->len] = entity;
	import->lines[import->len] = number;
	if (!*places)
		*places = map_new();
	other = map_put(*places, entity_id(entity), place_of(import->len++));
	return !other || error_set(err, ERROR_INVALID, NULL, "%s \"%.100s\" is on line %zu too",
				 entity_kind_name(entity_kind(entity)), entity_id(entity).at,
				 import->lines[at_of(other)]);
}

static bool read_entity(struct import *import, const struct json *line, size_t number, struct error *err)
{
	struct entity *entity;
	enum entity_kind kind;
	struct str id = json_str(json_find(line, "id"));

	if (import->len == STATE_ENTITIES_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "at most %u entities are taken", STATE_ENTITIES_MAX);
	return read_kind(line, &kind, err) && count_password(import, line, err) &&
	       entity_from_json(kind, id, line, NULL, &entity, err) && add(import, entity, number, err);
}

static bool read_line(struct import *import, struct str text, size_t number, bool *head, struct error *err)
{
	AUTO(json_doc) *doc = NULL;

	if (!str_trim(text).len)
		return true;
	if (text.len > LINE_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "%zu bytes; at most %zu are allowed", text.len, LINE_MAX);
	if (!json_parse(text, &doc, err))
		return false;
	if (*head) {
		*head = false;
		return read_head(json_root(doc), err);
	}
	return read_entity(import, json_root(doc), number, err);
}

static bool read_lines(struct import *import, struct error *err)
{
	struct str rest = import->job->http->body, text;
	size_t number = 0;
	bool head = true;

	while (str_next(&rest, '\n', &text))
		if (!read_line(import, text, ++number, &head, err))
			return error_add(err, "line %zu", number);
	return !head ||
	       error_set(err, ERROR_INVALID, NULL, "the body is empty: lines of GET /api/export are wanted");
}

/* What becomes of the state. */

static void add_change(struct import *import, struct entity *entity, const struct ledger_audit *audit)
{
	import->changes[import->changes_len++] = (struct ledger_change){ .entity = entity, .audit = audit };
}

static bool same_body(const struct entity *given, struct entity *there)
{
	AUTO(entity) *as_there = entity_with_revision(given, entity_revision(there));
	struct entity_hash a = entity_hash(as_there), b = entity_hash(there);

	return !memcmp(&a, &b, sizeof(a));
}

/* A worker who knew the old secret, or was enabled, is out. */
static bool revokes(const struct entity *old, const struct entity *made)
{
	const struct worker_key *before, *after;

	if (entity_kind(old) != ENTITY_WORKER)
		return false;
	if (entity_is_deleted(made))
		return true;
	before = entity_worker(old);
	after = entity_worker(made);
	return (before->enabled && !after->enabled) || strcmp(before->secret_hash, after->secret_hash) != 0;
}

static void put(struct import *import, const struct state *state, struct entity *given)
{
	struct entity *there = state_find(state, entity_kind(given), entity_id(given));

	if (there && same_body(given, there)) {
		import->unchanged++;
		return;
	}
	import->locks_out |= there && revokes(there, given);
	*(there ? &import->changed : &import->created) += 1;
	add_change(import, entity_ref(given), there ? &import->replaced_audit : &import->created_audit);
}

static bool is_given(const struct import *import, const struct entity *entity)
{
	const struct map *places = import->places[entity_kind(entity)];

	return places && map_find(places, entity_id(entity));
}

static void delete_rest(struct import *import, const struct state *state, enum entity_kind kind)
{
	for (size_t i = 0; i < state_count(state, kind); i++) {
		struct entity *entity = state_at(state, kind, i);

		if (is_given(import, entity))
			continue;
		import->locks_out |= kind == ENTITY_WORKER;
		import->deleted++;
		add_change(import, entity_new_deleted(kind, entity_id(entity), 0), &import->deleted_audit);
	}
}

static bool is_deletable(enum entity_kind kind)
{
	return import_takes(kind) && (entity_kind_flags(kind) & ENTITY_MAY_DELETE);
}

static void decide(struct import *import, const struct state *state)
{
	free_changes(import);
	import->changes = xnew_array(struct ledger_change, import->len + state_entities(state) + 1);
	for (size_t i = 0; i < import->len; i++)
		put(import, state, import->at[i]);
	for (unsigned kind = 0; import->replace && kind < ENTITY_KINDS; kind++)
		if (is_deletable((enum entity_kind)kind))
			delete_rest(import, state, (enum entity_kind)kind);
	if (import->locks_out)
		import->changes_len += peer_secret_change(state, &import->changes[import->changes_len]);
}

/* Is that a state? */

static bool check_owners(const struct import *import, const struct state *then, struct error *err)
{
	for (size_t i = 0; i < import->len; i++) {
		const struct entity *key = import->at[i];

		if (entity_kind(key) != ENTITY_APIKEY ||
			state_find(then, ENTITY_USER, str_of(entity_apikey(key)->owner)))
			continue;
		return error_set(err, ERROR_INVALID, NULL,
			"line %zu: apikey \"%.100s\": owner: there would be no user \"%.60s\"",
			import->lines[i], entity_id(key).at, entity_apikey(key)->owner);
	}
	return true;
}

static bool is_admin(const struct entity *user)
{
	return entity_user(user)->enabled && texts_have(&entity_user(user)->roles, STR("admin"));
}

static bool admin_has_password(const struct state *then)
{
	for (size_t i = 0; i < state_count(then, ENTITY_USER); i++) {
		const struct entity *user = state_at(then, ENTITY_USER, i);
		if (is_admin(user) && *entity_user(user)->password_hash)
			return true;
	}
	return false;
}

static bool admin_has_key(const struct state *then)
{
	struct entity *owner;

	for (size_t i = 0; i < state_count(then, ENTITY_APIKEY); i++) {
		const struct entity *key = state_at(then, ENTITY_APIKEY, i);
		if (!entity_apikey(key)->scopes.len &&
			apikey_standing(then, key, clock_wall_s(), &owner) == APIKEY_GOOD && is_admin(owner))
			return true;
	}
	return false;
}

static bool check_then(const struct import *import, const struct state *then, struct error *err)
{
	if (!check_owners(import, then, err))
		return false;
	return admin_has_password(then) || admin_has_key(then) ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "no admin who can log in would be left: give a user with \"roles\":[\"admin\"] and a "
		       "passwordHash");
}

static bool check(const struct import *import, const struct state *state, struct error *err)
{
	struct entity **changed = xnew_array(struct entity *, import->changes_len + 1);
	AUTO(state) *then = NULL;

	for (size_t i = 0; i < import->changes_len; i++)
		changed[i] = import->changes[i].entity;
	then = state_change(state, changed, import->changes_len, state_revision(state) + 1);
	free(changed);
	return check_then(import, then, err);
}

/* Writing. */

static enum ledger_result write_locked(struct import *import, struct error *err)
{
	AUTO(state) *state = leader_state(import->job->leader);
	size_t at;

	leader_assert_locked(import->job->leader);
	decide(import, state);
	import->revision = state_revision(state);
	if (!rights_check(state, &import->job->who, NULL, NULL, err) || !check(import, state, err))
		return LEDGER_FAILED;
	if (!import->changes_len)
		return LEDGER_WRITTEN;
	return leader_write_locked(
		import->job->leader, import->changes, import->changes_len, &import->revision, &at, err);
}

/* Few are decided with the lock, so nobody is faster. */
static enum ledger_result write_few(struct import *import, struct error *err)
{
	enum ledger_result result;

	leader_lock(import->job->leader);
	result = write_locked(import, err);
	leader_unlock(import->job->leader);
	return result;
}

static bool on_check(void *arg, const struct state *then, struct error *err)
{
	return check_then(arg, then, err);
}

static bool on_may(void *arg, const struct state *now, struct error *err)
{
	const struct import *import = arg;

	return rights_check(now, &import->job->who, NULL, NULL, err);
}

static enum ledger_result write_many(struct import *import, struct error *err)
{
	AUTO(state) *state = leader_state(import->job->leader);
	struct large_write write = { .on = state, .check = on_check, .may = on_may, .arg = import };

	decide(import, state);
	import->revision = state_revision(state);
	if (!import->changes_len)
		return on_may(import, state, err) && check_then(import, state, err) ? LEDGER_WRITTEN
										    : LEDGER_FAILED;
	write.changes = import->changes;
	write.len = import->changes_len;
	return large_write(import->job->leader, &write, &import->revision, err);
}

/* What is replaced may be much more than what is given. */
static bool is_large(const struct import *import)
{
	AUTO(state) *state = leader_state(import->job->leader);

	return import->len + (import->replace ? state_entities(state) : 0) > LARGE_WRITE_FROM;
}

static bool write_all(struct import *import, struct error *err)
{
	enum ledger_result result = LEDGER_BEHIND;

	for (unsigned i = 0; i < LARGE_WRITE_TRIES && (result == LEDGER_BEHIND || result == LEDGER_STALE);
		i++)
		result = is_large(import) ? write_many(import, err) : write_few(import, err);
	return result == LEDGER_WRITTEN ||
	       (result != LEDGER_FAILED &&
		       error_set(err, ERROR_BUSY, NULL, "others change these all the time; try again"));
}

static bool try_all(struct import *import, struct error *err)
{
	AUTO(state) *state = leader_state(import->job->leader);

	decide(import, state);
	import->revision = state_revision(state);
	return check(import, state, err);
}

static struct http_response *answer(const struct import *import)
{
	struct buf body = buf_limit(1024);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_bool(&w, "dryRun", import->dry);
	json_put_uint(&w, "revision", import->revision);
	json_put_uint(&w, "created", import->created);
	json_put_uint(&w, "changed", import->changed);
	json_put_uint(&w, "deleted", import->deleted);
	json_put_uint(&w, "unchanged", import->unchanged);
	json_close_object(&w);
	return api_json(200, &body);
}

const struct route_about about_import[] = {
	{ .method = HTTP_POST,
		.summary = "Lines of an export, as one write.",
		.query = true,
		.takes = "Lines",
		.takes_type = "application/x-ndjson",
		.gives = "Import" },
	{ 0 },
};

struct http_response *import_serve(void *arg)
{
	struct api_job *job = arg;
	__attribute__((cleanup(import_fini))) struct import import = { .job = job,
		.created_audit = told_audit(job, "created"),
		.replaced_audit = told_audit(job, "replaced"),
		.deleted_audit = told_audit(job, "deleted") };
	struct error err;

	if (!read_mode(&import, &err) || !read_dry(&import, &err) || !read_lines(&import, &err) ||
		!(import.dry ? try_all(&import, &err) : write_all(&import, &err)))
		return api_error_of(&err);
	if (!import.dry)
		log_info("state.imported",
			"mode=%s created=%zu changed=%zu deleted=%zu unchanged=%zu revision=%" PRIu64 "%s",
			import.replace ? "replace" : "merge", import.created, import.changed, import.deleted,
			import.unchanged, import.revision, told_by(job));
	return answer(&import);
}
