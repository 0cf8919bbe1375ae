/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/entity_bulk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"
#include "common/map.h"
#include "leader/api.h"
#include "leader/api/describe.h"
#include "leader/api/entity_edit.h"
#include "leader/api/entity_write.h"
#include "leader/api/told.h"
#include "leader/large_write.h"
#include "leader/peer_secret.h"
#include "leader/rights.h"

#define ANSWER_MAX (8 * 1024 * 1024)
/* The code of an error that is a 412. */
#define STALE "stale"

struct line {
	struct str text;
	size_t number; /* from 1, empty ones count */
	bool prepared;
	struct edit edit;
};

struct bulk {
	struct api_job *job;
	struct line *lines;
	size_t len, passwords;
	struct map *ids;                     /* -> struct line */
	struct ledger_audit created, others; /* lines that create, and all others */
	struct ledger_change *changes;
	size_t changes_len;
	uint64_t revision;
};

static void free_changes(struct bulk *bulk)
{
	ledger_changes_free(TAKE(bulk->changes), bulk->changes_len);
	bulk->changes_len = 0;
}

static void bulk_fini(struct bulk *bulk)
{
	for (size_t i = 0; i < bulk->len; i++)
		edit_fini(&bulk->lines[i].edit);
	free(bulk->lines);
	map_free(bulk->ids);
	free_changes(bulk);
}

static bool is_delete(const struct bulk *bulk)
{
	return bulk->job->http->method == HTTP_DELETE;
}

/* Lines. */

static bool take_line(struct bulk *bulk, struct str text, size_t number, struct error *err)
{
	if (!str_trim(text).len)
		return true;
	if (bulk->len == BULK_LINES)
		return error_set(err, ERROR_TOO_LARGE, NULL, "line %zu: at most %d lines are taken at once",
			number, BULK_LINES);
	bulk->lines[bulk->len++] =
		(struct line){ .text = text, .number = number, .edit = { .job = bulk->job } };
	return true;
}

static bool split(struct bulk *bulk, struct error *err)
{
	struct str rest = bulk->job->http->body, text;
	size_t number = 0;

	bulk->lines = xnew_array(struct line, BULK_LINES);
	while (str_next(&rest, '\n', &text))
		if (!take_line(bulk, text, ++number, err))
			return false;
	return bulk->len || error_set(err, ERROR_INVALID, NULL,
				    "the body has no lines: one JSON object on each is wanted");
}

/* Conditions. */

static bool matches(const struct json *given, const struct entity *base)
{
	const struct json *match = json_find(given, "ifMatch");
	int64_t revision;

	if (!match)
		return true;
	if (json_get_int(match, &revision))
		return base && (int64_t)entity_revision(base) == revision;
	return base && entity_tag_matches(json_str(match), base);
}

static bool check_condition(const struct json *given, struct entity *base, struct error *err)
{
	if (matches(given, base))
		return true;
	if (!base)
		return error_set(err, ERROR_CONFLICT, STALE, "ifMatch: it is not there");
	return error_set(err, ERROR_CONFLICT, STALE, "ifMatch: it is at revision %" PRIu64 " now",
		entity_revision(base));
}

static bool check_there(const struct bulk *bulk, const struct edit *edit, struct error *err)
{
	enum http_method method = bulk->job->http->method;

	if (method == HTTP_POST && edit->base)
		return error_set(
			err, ERROR_CONFLICT, NULL, "\"%.100s\" exists already; use PUT or PATCH", edit->id);
	if ((method == HTTP_PATCH || method == HTTP_DELETE) && !edit->base)
		return error_set(err, ERROR_UNKNOWN, NULL, "there is no %s \"%.100s\"",
			entity_kind_name(bulk->job->kind), edit->id);
	return true;
}

/* One line. */

static bool only_names(const struct json *given, struct error *err)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(given, &it, &key, &value);)
		if (!str_is(key, "id") && !str_is(key, "ifMatch"))
			return error_set(err, ERROR_INVALID, NULL,
				"unknown member \"%.*s\"; a deletion has id and ifMatch",
				(int)(key.len < 60 ? key.len : 60), key.at);
	return true;
}

static bool count_password(struct bulk *bulk, const struct json *given, struct error *err)
{
	if (!json_find(given, "password") || ++bulk->passwords <= BULK_PASSWORDS)
		return true;
	return error_set(err, ERROR_TOO_LARGE, NULL,
		"password: at most %d of one bulk are hashed here; give passwordHash", BULK_PASSWORDS);
}

static bool make_line(struct bulk *bulk, struct edit *edit, struct error *err)
{
	if (is_delete(bulk)) {
		if (!only_names(edit->asked, err))
			return false;
		edit->made = entity_new_deleted(bulk->job->kind, str_of(edit->id), 0);
		return true;
	}
	return count_password(bulk, edit->asked, err) &&
	       (!json_find(edit->asked, "ifMatch") || edit_leave_out(edit, "ifMatch", err)) &&
	       edit_make(edit, err);
}

static bool take_id(struct bulk *bulk, struct line *line, struct error *err)
{
	const struct line *other;

	if (line->prepared || *line->edit.id)
		return true;
	if (!edit_take_id(&line->edit, STR_NONE, err))
		return false;
	other = map_put(bulk->ids, str_of(line->edit.id), line);
	return !other || error_set(err, ERROR_INVALID, NULL, "\"%.100s\" is on line %zu too", line->edit.id,
				 other->number);
}

static bool make_of(struct bulk *bulk, struct line *line, const struct state *state, struct error *err)
{
	struct edit *edit = &line->edit;

	if (json_kind(edit->given) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "must be a JSON object");
	if (!take_id(bulk, line, err))
		return false;
	edit->base = entity_ref(state_find(state, bulk->job->kind, str_of(edit->id)));
	return check_condition(edit->asked, edit->base, err) && check_there(bulk, edit, err) &&
	       make_line(bulk, edit, err);
}

/* What was parsed goes with the end of it. */
static bool prepare_line(struct bulk *bulk, struct line *line, const struct state *state, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct edit *edit = &line->edit;
	bool ok;

	if (!json_parse(line->text, &doc, err))
		return false;
	edit->asked = edit->given = json_root(doc);
	ok = make_of(bulk, line, state, err);
	json_doc_free(TAKE(edit->completed));
	edit->asked = edit->given = NULL;
	line->prepared = ok;
	return ok;
}

static bool is_newest(const struct bulk *bulk, const struct line *line, const struct state *state)
{
	return line->prepared && state_find(state, bulk->job->kind, str_of(line->edit.id)) == line->edit.base;
}

static void forget_made(struct line *line)
{
	entity_free(TAKE(line->edit.base));
	entity_free(TAKE(line->edit.made));
	line->prepared = false;
}

static bool of_line(const struct line *line, struct error *err)
{
	return error_add(err, "line %zu", line->number);
}

/* Lines whose entity somebody changed since are made again. */
static bool prepare(struct bulk *bulk, const struct state *state, struct error *err)
{
	bulk->passwords = 0;
	for (size_t i = 0; i < bulk->len; i++) {
		struct line *line = &bulk->lines[i];

		if (is_newest(bulk, line, state))
			continue;
		forget_made(line);
		if (!prepare_line(bulk, line, state, err))
			return of_line(line, err);
	}
	return true;
}

/* Writing. */

static bool is_admin(const struct entity *user)
{
	return user && !entity_is_deleted(user) && entity_user(user)->enabled &&
	       texts_have(&entity_user(user)->roles, STR("admin"));
}

static bool leaves_admin(const struct bulk *bulk, const struct state *state, struct error *err)
{
	size_t admins = state_admins(state), left = admins;

	for (size_t i = 0; bulk->job->kind == ENTITY_USER && i < bulk->len; i++)
		left = left + is_admin(bulk->lines[i].edit.made) - is_admin(bulk->lines[i].edit.base);
	return left || !admins ||
	       error_set(err, ERROR_CONFLICT, NULL, "no enabled admin would be left; make another one first");
}

static bool check_all(const struct bulk *bulk, const struct state *state, struct error *err)
{
	for (size_t i = 0; i < bulk->len; i++) {
		const struct edit *edit = &bulk->lines[i].edit;

		if (!rights_check(state, &bulk->job->who, edit->base, edit->made, err) ||
			(bulk->job->kind == ENTITY_APIKEY && !is_delete(bulk) &&
				!edit_check(edit, state, err)))
			return of_line(&bulk->lines[i], err);
	}
	return leaves_admin(bulk, state, err);
}

static void add_change(struct bulk *bulk, struct entity *entity, const struct entity *base)
{
	bulk->changes[bulk->changes_len++] = (struct ledger_change){ .entity = entity,
		.check = true,
		.expected = base ? entity_revision(base) : 0,
		.audit = base ? &bulk->others : &bulk->created };
}

/* Their keys go with users. */
static void add_keys(struct bulk *bulk, const struct state *state)
{
	for (size_t i = 0; i < state_count(state, ENTITY_APIKEY); i++) {
		struct entity *key = state_at(state, ENTITY_APIKEY, i);

		if (map_find(bulk->ids, str_of(entity_apikey(key)->owner)))
			add_change(bulk, entity_new_deleted(ENTITY_APIKEY, entity_id(key), 0), key);
	}
}

static bool locks_out(const struct bulk *bulk)
{
	for (size_t i = 0; i < bulk->len && bulk->job->kind == ENTITY_WORKER; i++)
		if (is_delete(bulk) || edit_revokes(&bulk->lines[i].edit))
			return true;
	return false;
}

static void gather(struct bulk *bulk, const struct state *state)
{
	bool users_go = is_delete(bulk) && bulk->job->kind == ENTITY_USER;
	size_t keys = users_go ? state_count(state, ENTITY_APIKEY) : 0;

	bulk->changes = xnew_array(struct ledger_change, bulk->len + keys + 1);
	for (size_t i = 0; i < bulk->len; i++)
		add_change(bulk, entity_ref(bulk->lines[i].edit.made), bulk->lines[i].edit.base);
	if (users_go)
		add_keys(bulk, state);
	if (locks_out(bulk))
		bulk->changes_len += peer_secret_change(state, &bulk->changes[bulk->changes_len]);
}

static bool all_newest(const struct bulk *bulk, const struct state *state)
{
	for (size_t i = 0; i < bulk->len; i++)
		if (!is_newest(bulk, &bulk->lines[i], state))
			return false;
	return true;
}

static bool on_may(void *arg, const struct state *now, struct error *err)
{
	const struct bulk *bulk = arg;

	for (size_t i = 0; i < bulk->len; i++)
		if (!rights_check(
			    now, &bulk->job->who, bulk->lines[i].edit.base, bulk->lines[i].edit.made, err))
			return of_line(&bulk->lines[i], err);
	return true;
}

static enum ledger_result write_many(struct bulk *bulk, const struct state *state, struct error *err)
{
	const struct large_write write = {
		.on = state, .changes = bulk->changes, .len = bulk->changes_len, .may = on_may, .arg = bulk
	};

	if (!check_all(bulk, state, err))
		return LEDGER_FAILED;
	return large_write(bulk->job->leader, &write, &bulk->revision, err);
}

static enum ledger_result write_locked(struct bulk *bulk, struct error *err)
{
	AUTO(state) *state = leader_state(bulk->job->leader);
	size_t at;

	leader_assert_locked(bulk->job->leader);
	if (!all_newest(bulk, state))
		return LEDGER_STALE;
	if (!check_all(bulk, state, err))
		return LEDGER_FAILED;
	free_changes(bulk);
	gather(bulk, state);
	return leader_write_locked(
		bulk->job->leader, bulk->changes, bulk->changes_len, &bulk->revision, &at, err);
}

static enum ledger_result write_once(struct bulk *bulk, struct error *err)
{
	AUTO(state) *state = leader_state(bulk->job->leader);
	enum ledger_result result;

	if (!prepare(bulk, state, err))
		return LEDGER_FAILED;
	free_changes(bulk);
	gather(bulk, state);
	if (bulk->changes_len > LARGE_WRITE_FROM)
		return write_many(bulk, state, err);
	leader_lock(bulk->job->leader);
	result = write_locked(bulk, err);
	leader_unlock(bulk->job->leader);
	return result;
}

static bool write_all(struct bulk *bulk, struct error *err)
{
	enum ledger_result result = LEDGER_STALE;

	for (unsigned i = 0; i < LARGE_WRITE_TRIES && (result == LEDGER_STALE || result == LEDGER_BEHIND);
		i++)
		result = write_once(bulk, err);
	return result == LEDGER_WRITTEN ||
	       (result != LEDGER_FAILED &&
		       error_set(err, ERROR_BUSY, NULL, "others change these all the time; try again"));
}

/* Answers. */

static const char *how(const struct bulk *bulk, const struct edit *edit)
{
	return edit->base ? bulk->others.how : bulk->created.how;
}

static void put_item(struct json_writer *w, const struct bulk *bulk, const struct edit *edit)
{
	char tag[32];

	(void)snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", bulk->revision);
	json_open_object(w);
	json_put_text(w, "id", edit->id);
	json_put_text(w, "how", how(bulk, edit));
	if (!is_delete(bulk))
		json_put_text(w, "etag", tag);
	if (*edit->secret)
		entity_put_secret(w, edit->made, edit->secret);
	json_close_object(w);
}

static struct http_response *written(const struct bulk *bulk)
{
	struct buf body = buf_limit(ANSWER_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_uint(&w, "revision", bulk->revision);
	json_key(&w, STR("items"));
	json_open_array(&w);
	for (size_t i = 0; i < bulk->len; i++)
		put_item(&w, bulk, &bulk->lines[i].edit);
	json_close_array(&w);
	json_close_object(&w);
	return api_json(200, &body);
}

static struct http_response *refused(const struct error *err)
{
	if (err->code && !strcmp(err->code, STALE))
		return api_error(412, STALE, "%s", err->text);
	return api_error_of(err);
}

static const char *how_others(enum http_method method)
{
	if (method == HTTP_DELETE)
		return "deleted";
	return method == HTTP_PATCH ? "patched" : "replaced";
}

const struct route_about about_bulk[] = {
	{ .method = HTTP_POST,
		.needs = ENTITY_MAY_CREATE,
		.summary = "Creates many as one write; each line as the single call takes it, with its id.",
		.takes = "Lines",
		.takes_type = "application/x-ndjson",
		.gives = "Bulk" },
	{ .method = HTTP_PUT,
		.needs = ENTITY_MAY_REPLACE,
		.summary = "Replaces many as one write; each line as the single call takes it, with its id.",
		.takes = "Lines",
		.takes_type = "application/x-ndjson",
		.gives = "Bulk" },
	{ .method = HTTP_PATCH,
		.needs = ENTITY_MAY_REPLACE,
		.summary = "Patches many as one write; each line as the single call takes it, with its id.",
		.takes = "Lines",
		.takes_type = "application/x-ndjson",
		.gives = "Bulk" },
	{ .method = HTTP_DELETE,
		.needs = ENTITY_MAY_DELETE,
		.summary = "Deletes many as one write; each line as the single call takes it, with its id.",
		.takes = "Lines",
		.takes_type = "application/x-ndjson",
		.gives = "Bulk" },
	{ 0 },
};

struct http_response *entity_bulk(void *arg)
{
	struct api_job *job = arg;
	__attribute__((cleanup(bulk_fini))) struct bulk bulk = { .job = job, .ids = map_new() };
	struct error err;

	bulk.created = told_audit(job, "created");
	bulk.others = told_audit(job, how_others(job->http->method));
	if (!split(&bulk, &err) || !write_all(&bulk, &err))
		return refused(&err);
	log_info("entities.written", "how=%s kind=%s lines=%zu entities=%zu revision=%" PRIu64 "%s",
		how(&bulk, &bulk.lines[0].edit), entity_kind_name(job->kind), bulk.len, bulk.changes_len,
		bulk.revision, told_by(job));
	return written(&bulk);
}
