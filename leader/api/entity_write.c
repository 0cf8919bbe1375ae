/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/entity_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "leader/api.h"
#include "leader/api/entity_edit.h"
#include "leader/api/told.h"
#include "leader/first_start.h"
#include "leader/peer_secret.h"
#include "leader/rights.h"
#include "proto/apikey.h"

/* Conditions. */

bool entity_tag_matches(struct str tags, const struct entity *entity)
{
	char tag[32];
	struct str item;

	(void)snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", entity_revision(entity));
	while (str_next(&tags, ',', &item)) {
		(void)str_skip(&item, "W/");
		if (str_is(item, "*") || str_is(item, tag))
			return true;
	}
	return false;
}

bool entity_tag_allows(const struct api_job *job, const struct entity *entity)
{
	const char *match = http_headers_find(job->http->headers, "If-Match");
	const char *none_match = http_headers_find(job->http->headers, "If-None-Match");

	if (match && (!entity || !entity_tag_matches(str_of(match), entity)))
		return false;
	return !none_match || !entity || !entity_tag_matches(str_of(none_match), entity);
}

static bool is_conditional(const struct api_job *job)
{
	return http_headers_find(job->http->headers, "If-Match") ||
	       http_headers_find(job->http->headers, "If-None-Match");
}

struct entity *entity_find_seen(const struct api_job *job, const struct state *state, struct str id)
{
	struct entity *entity = state_find(state, job->kind, id);

	return entity && rights_see(state, &job->who, entity) ? entity : NULL;
}

bool entity_is_last_admin(const struct state *state, const struct entity *user)
{
	return first_start_is_admin(entity_user(user)) && state_admins(state) == 1;
}

/* Answers. */

struct http_response *entity_response(unsigned status, const struct entity *entity)
{
	struct buf body = buf_limit(4 * (size_t)ENTITY_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;

	entity_to_json(entity, &w);
	response = api_json(status, &body);
	http_response_headerf(response, "ETag", "\"%" PRIu64 "\"", entity_revision(entity));
	return response;
}

struct http_response *entity_absent(const struct api_job *job)
{
	return api_error(404, "unknown", "there is no %s of this id", entity_kind_name(job->kind));
}

struct http_response *entity_stale(const struct entity *entity)
{
	if (!entity)
		return api_error(412, "stale", "it is not there; read again");
	return api_error(412, "stale",
		"it is at revision %" PRIu64 " now; read it again and repeat the change",
		entity_revision(entity));
}

static void put_location(struct http_response *response, const struct entity *entity)
{
	AUTO_FINI(buf) path = buf_limit(2048);

	buf_format(&path, "/api/%s/", entity_kind_name(entity_kind(entity)));
	buf_url(&path, entity_id(entity), "");
	if (!path.failed)
		http_response_header(response, "Location", buf_text(&path));
}

void entity_put_secret(struct json_writer *w, const struct entity *entity, const char *secret)
{
	char key[sizeof(APIKEY_PREFIX) + 2 * ENTITY_SECRET_BYTES + 1];

	json_put_str(w, "clientId", entity_id(entity));
	json_put_text(w, "clientSecret", secret);
	if (entity_kind(entity) != ENTITY_APIKEY)
		return;
	(void)snprintf(key, sizeof(key), APIKEY_PREFIX "%s", secret);
	json_put_text(w, "apiKey", key);
	explicit_bzero(key, sizeof(key));
}

struct http_response *entity_secret_response(unsigned status, const struct entity *entity, const char *secret)
{
	struct buf body = buf_limit(4 * (size_t)ENTITY_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;

	json_open_object(&w);
	entity_put_secret(&w, entity, secret);
	json_key(&w, STR("entity"));
	entity_to_json(entity, &w);
	json_close_object(&w);
	response = api_json(status, &body);
	http_response_headerf(response, "ETag", "\"%" PRIu64 "\"", entity_revision(entity));
	return response;
}

static struct http_response *written_response(const struct edit *edit)
{
	struct http_response *response;

	if (*edit->secret)
		response = entity_secret_response(201, edit->made, edit->secret);
	else
		response = entity_response(edit->base ? 200 : 201, edit->made);
	if (!edit->base)
		put_location(response, edit->made);
	return response;
}

/* Writing. */

static const char *how_of(const struct edit *edit)
{
	if (!edit->base)
		return "created";
	return edit->job->http->method == HTTP_PATCH ? "patched" : "replaced";
}

static enum ledger_result write_locked(struct edit *edit, uint64_t *ret_revision, struct error *err)
{
	AUTO(state) *state = leader_state(edit->job->leader);
	const struct ledger_audit audit = told_audit(edit->job, how_of(edit));
	struct ledger_change changes[2] = { { .entity = edit->made,
		.check = true,
		.expected = edit->base ? entity_revision(edit->base) : 0,
		.audit = &audit } };
	enum ledger_result result;
	size_t len = 1, at;

	leader_assert_locked(edit->job->leader);
	if (!rights_check(state, &edit->job->who, edit->base, edit->made, err) ||
		!edit_check(edit, state, err))
		return LEDGER_FAILED;
	if (edit_revokes(edit))
		len += peer_secret_change(state, &changes[1]);
	result = leader_write_locked(edit->job->leader, changes, len, ret_revision, &at, err);
	entity_free(changes[1].entity);
	return result;
}

/* The names of what was given: the body was taken, so they are known ones. */
static void put_members(const struct json *asked, struct buf *into)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(asked, &it, &key, &value);)
		buf_format(into, "%s%.*s", into->len ? "," : "", STR_ARGS(key));
}

static void tell_written(const struct edit *edit, uint64_t revision)
{
	AUTO_FINI(buf) members = buf_limit(1024);

	put_members(edit->asked, &members);
	log_info("entity.written", "how=%s kind=%s id=%s members=%s revision=%" PRIu64 "%s", how_of(edit),
		entity_kind_name(edit->job->kind), log_quote(str_of(edit->id)), log_quote(buf_str(&members)),
		revision, told_by(edit->job));
}

static enum ledger_result write_made(struct edit *edit, struct error *err)
{
	struct leader *leader = edit->job->leader;
	enum ledger_result result;
	struct entity *stamped;
	uint64_t revision;

	leader_lock(leader);
	do
		result = write_locked(edit, &revision, err);
	while (result == LEDGER_BEHIND);
	leader_unlock(leader);
	if (result != LEDGER_WRITTEN)
		return result;
	stamped = entity_with_revision(edit->made, revision);
	entity_free(edit->made);
	edit->made = stamped;
	tell_written(edit, revision);
	return LEDGER_WRITTEN;
}

/* NULL: somebody was faster, try again. */
static struct http_response *write_once(struct edit *edit)
{
	AUTO(state) *state = leader_state(edit->job->leader);
	enum http_method method = edit->job->http->method;
	struct error err;

	edit->base = entity_ref(state_find(state, edit->job->kind, str_of(edit->id)));
	if (edit->base && !rights_see(state, &edit->job->who, edit->base))
		return method == HTTP_PATCH ? entity_absent(edit->job)
					    : api_error(403, "denied", "this id is of somebody else's");
	if (!entity_tag_allows(edit->job, edit->base))
		return entity_stale(edit->base);
	if (method == HTTP_PATCH && !edit->base)
		return entity_absent(edit->job);
	if (method == HTTP_POST && edit->base)
		return api_error(409, "conflict", "it exists already; use PUT or PATCH");
	if (!edit_make(edit, &err))
		return api_error_of(&err);
	switch (write_made(edit, &err)) {
	case LEDGER_WRITTEN:
		return written_response(edit);
	case LEDGER_FAILED:
		return api_error_of(&err);
	case LEDGER_STALE:
	case LEDGER_BEHIND:
		break;
	}
	return is_conditional(edit->job) ? api_error(412, "stale", "it has changed meanwhile; read it again")
					 : NULL;
}

static struct http_response *write_body(struct api_job *job, const struct json *given)
{
	struct http_response *response = NULL;
	char id[ENTITY_ID_MAX + 1] = "";
	struct error err;

	/* One without a condition that somebody else outran is made again on what they left. */
	for (unsigned i = 0; i < LEADER_WRITE_TRIES && !response; i++) {
		__attribute__((cleanup(
			edit_fini))) struct edit edit = { .job = job, .asked = given, .given = given };
		if (*id)
			memcpy(edit.id, id, sizeof(id));
		else if (!edit_take_id(&edit, job->rest, &err))
			return api_error_of(&err);
		memcpy(id, edit.id, sizeof(id));
		response = write_once(&edit);
	}
	return response ? response : api_error(503, "busy", "others change it all the time; try again");
}

struct http_response *entity_write(struct api_job *job)
{
	AUTO(json_doc) *doc = NULL;
	struct error err;

	if (!json_parse(job->http->body, &doc, &err))
		return api_error_of(&err);
	if (json_kind(json_root(doc)) != JSON_OBJECT)
		return api_error(400, "invalid", "the body must be a JSON object");
	return write_body(job, json_root(doc));
}
