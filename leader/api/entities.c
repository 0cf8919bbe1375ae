/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entities - reading and deleting users, API keys, policies, settings, workers' credentials and the ring;
 * writing is api/entity_write.c's.
 *
 *     GET    /api/{kind}              api/entity_list.c
 *     GET    /api/{kind}/{id}         ETag: "<revision>"
 *     DELETE /api/{kind}/{id}         If-Match
 *     POST   /api/apikey/{id}/rotate  api/key_rotate.c
 *
 * An id may have slashes: it is all of the path after the kind, percent-decoded.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/entity_list.h"
#include "leader/api/entity_write.h"
#include "leader/api/key_rotate.h"
#include "leader/api/told.h"
#include "leader/lane.h"
#include "leader/large_write.h"
#include "leader/peer_secret.h"
#include "leader/rights.h"

/* One. */

static struct http_response *read_one(struct api_job *job)
{
	AUTO(state) *state = leader_state(job->leader);
	struct entity *entity = state_find(state, job->kind, job->rest);
	const char *known = http_headers_find(job->http->headers, "If-None-Match");
	struct http_response *response;

	if (!entity || !rights_see(state, &job->who, entity))
		return entity_absent(job);
	if (!known || !entity_tag_matches(str_of(known), entity))
		return entity_response(200, entity);
	response = http_response_empty(304);
	http_response_headerf(response, "ETag", "\"%" PRIu64 "\"", entity_revision(entity));
	return response;
}

/* Delete: a user's keys go with the user, as the same write; with a worker's credential the peers' secret
 * changes. A user may have very many: they are looked for without the lock, and written as large writes are. */

struct deletion {
	struct api_job *job;
	struct ledger_audit audit;
	struct state *state;   /* that it was decided on */
	struct entity *entity; /* the state's */
	struct ledger_change *changes;
	size_t len;
	uint64_t revision;
};

static void deletion_fini(struct deletion *deletion)
{
	ledger_changes_free(TAKE(deletion->changes), deletion->len);
	deletion->len = 0;
	state_free(TAKE(deletion->state));
}

static void gather_deletes(struct deletion *deletion)
{
	const struct state *state = deletion->state;
	const struct api_job *job = deletion->job;
	struct str id = entity_id(deletion->entity);
	size_t keys = job->kind == ENTITY_USER ? state_count(state, ENTITY_APIKEY) : 0, len = 0;
	struct ledger_change *changes = xnew_array(struct ledger_change, keys + 2);

	changes[len++] = (struct ledger_change){ .entity = entity_new_deleted(job->kind, id, 0),
		.check = true,
		.expected = entity_revision(deletion->entity),
		.audit = &deletion->audit };
	for (size_t i = 0; i < keys; i++) {
		const struct entity *key = state_at(state, ENTITY_APIKEY, i);
		if (str_is(id, entity_apikey(key)->owner))
			changes[len++] = (struct ledger_change){ .entity = entity_new_deleted(
									 ENTITY_APIKEY, entity_id(key), 0),
				.audit = &deletion->audit };
	}
	if (job->kind == ENTITY_WORKER)
		len += peer_secret_change(state, &changes[len]);
	deletion->changes = changes;
	deletion->len = len;
}

/* On the newest state. NULL: it may be written. */
static struct http_response *decide(struct deletion *deletion)
{
	const struct api_job *job = deletion->job;
	struct state *state = leader_state(job->leader);
	struct entity *entity = entity_find_seen(job, state, job->rest);
	struct error err;

	deletion_fini(deletion);
	deletion->state = state;
	deletion->entity = entity;
	if (!entity_tag_allows(job, entity))
		return entity_stale(entity);
	if (!entity)
		return entity_absent(job);
	if (!rights_check(state, &job->who, entity, NULL, &err))
		return api_error_of(&err);
	if (job->kind == ENTITY_USER && entity_is_last_admin(state, entity))
		return api_error(409, "conflict", "this is the last enabled admin; make another one first");
	gather_deletes(deletion);
	return NULL;
}

/* NULL: another leader was faster, decide anew. */
static struct http_response *answer(
	const struct deletion *deletion, enum ledger_result result, const struct error *err)
{
	const struct api_job *job = deletion->job;

	if (result == LEDGER_BEHIND)
		return NULL;
	if (result == LEDGER_FAILED)
		return api_error_of(err);
	if (result == LEDGER_STALE)
		return entity_stale(deletion->entity);
	log_info("entity.deleted", "kind=%s id=%s revision=%" PRIu64 " entities=%zu%s",
		entity_kind_name(job->kind), log_quote(job->rest), deletion->revision, deletion->len,
		told_by(job));
	return http_response_empty(204);
}

static bool is_newest(const struct deletion *deletion)
{
	AUTO(state) *now = leader_state(deletion->job->leader);

	return now == deletion->state;
}

/* Where something was written since it was decided it is decided again, with the lock. */
static struct http_response *write_few_locked(struct deletion *deletion)
{
	struct leader *leader = deletion->job->leader;
	struct http_response *response = NULL;
	enum ledger_result result;
	struct error err;
	size_t at;

	leader_assert_locked(leader);
	while (!response) {
		if (!is_newest(deletion) && (response = decide(deletion)))
			break;
		result = leader_write_locked(
			leader, deletion->changes, deletion->len, &deletion->revision, &at, &err);
		response = answer(deletion, result, &err);
	}
	return response;
}

static struct http_response *write_few(struct deletion *deletion)
{
	struct leader *leader = deletion->job->leader;
	struct http_response *response;

	leader_lock(leader);
	response = write_few_locked(deletion);
	leader_unlock(leader);
	return response;
}

static bool may_still(void *arg, const struct state *now, struct error *err)
{
	const struct deletion *deletion = arg;

	return rights_check(now, &deletion->job->who, deletion->entity, NULL, err);
}

/* NULL: it was decided on what is not so any more. */
static struct http_response *write_many(struct deletion *deletion)
{
	const struct large_write write = { .on = deletion->state,
		.changes = deletion->changes,
		.len = deletion->len,
		.may = may_still,
		.arg = deletion };
	struct error err;
	enum ledger_result result = large_write(deletion->job->leader, &write, &deletion->revision, &err);

	return answer(deletion, result == LEDGER_STALE ? LEDGER_BEHIND : result, &err);
}

/* Its turn has come. */
static struct http_response *delete_large(struct api_job *job)
{
	AUTO_FINI(deletion) deletion = { .job = job, .audit = told_audit(job, "deleted") };
	struct http_response *response;
	struct error err;

	for (unsigned i = 0; i < LARGE_WRITE_TRIES; i++) {
		response = decide(&deletion);
		if (!response)
			response = write_many(&deletion);
		if (response)
			return response;
	}
	(void)error_set(&err, ERROR_BUSY, NULL, "others change these all the time; try again");
	return api_error_of(&err);
}

/* One that may wait for another large write. */
struct deleting {
	struct lane_place place;
	struct api_job *job; /* there until it is answered */
};

static void deleting_free(struct deleting *deleting)
{
	lane_leave(&deleting->place);
	free(deleting);
}

static void run_deleting(void *arg)
{
	struct deleting *deleting = arg;
	struct endpoint_call *http = deleting->job->http;
	struct http_response *response = delete_large(deleting->job);

	deleting_free(deleting);
	endpoint_reply(http, response);
}

static struct http_response *start_deleting(struct api_job *job)
{
	struct deleting *deleting = xnew(struct deleting);
	struct error err;

	deleting->job = job;
	if (lane_take(job->leader->bulks, str_of(job->who.user), LANE_SHORT, &deleting->place)) {
		lane_do(&deleting->place, run_deleting, deleting);
		return NULL;
	}
	deleting_free(deleting);
	(void)error_set(
		&err, ERROR_BUSY, NULL, "too many large changes of this user, or of all, are waiting");
	return api_error_of(&err);
}

static struct http_response *delete_one(struct api_job *job)
{
	AUTO_FINI(deletion) deletion = { .job = job, .audit = told_audit(job, "deleted") };
	struct http_response *response = decide(&deletion);

	if (response)
		return response;
	return deletion.len > LARGE_WRITE_FROM ? start_deleting(job) : write_few(&deletion);
}

/* A body with the defaults, to begin with. */

const struct route_about about_template[] = {
	{ .method = HTTP_GET, .summary = "A body with the defaults.", .gives = "Object" },
	{ 0 },
};

struct http_response *entity_template(void *arg)
{
	const struct api_job *job = arg;
	struct buf body = buf_limit(ENTITY_BYTES_MAX);
	struct json_writer w = json_writer(&body);

	entity_template_to_json(job->kind, &w);
	return api_json(200, &body);
}

const struct route_about about_entities[] = {
	{ .method = HTTP_GET, .summary = "A page of them.", .query = true, .gives = "%List" },
	{ .method = HTTP_POST,
		.needs = ENTITY_MAY_CREATE,
		.summary = "One more.",
		.takes = "%Body",
		.gives = "%Made",
		.status = 201 },
	{ .method = HTTP_GET,
		.below = "/{id}",
		.summary = "One of them.",
		.gives = "%",
		.condition = "If-None-Match" },
	{ .method = HTTP_PUT,
		.below = "/{id}",
		.needs = ENTITY_MAY_REPLACE,
		.summary = "It becomes this; 201 where it is new.",
		.takes = "%Body",
		.gives = "%Made",
		.other = 201,
		.condition = "If-Match" },
	{ .method = HTTP_PATCH,
		.below = "/{id}",
		.needs = ENTITY_MAY_REPLACE,
		.summary = "A JSON merge patch.",
		.takes = "%Patch",
		.gives = "%",
		.condition = "If-Match" },
	{ .method = HTTP_DELETE,
		.below = "/{id}",
		.needs = ENTITY_MAY_DELETE,
		.summary = "It is deleted; a user's keys with it.",
		.status = 204,
		.condition = "If-Match" },
	{ .method = HTTP_POST,
		.below = "/{id}/rotate",
		.kind = "apikey",
		.summary = "Another secret; the one before opens for a while.",
		.takes = "Rotate",
		.gives = "NewSecret",
		.condition = "If-Match" },
	{ 0 },
};

struct http_response *entities_serve(void *arg)
{
	struct api_job *job = arg;

	if (job->kind == ENTITY_APIKEY && key_rotate_is_asked(job->rest))
		return key_rotate(job);
	if (api_is_read(job))
		return job->rest.len ? read_one(job) : entity_list(job);
	return job->http->method == HTTP_DELETE ? delete_one(job) : entity_write(job);
}
