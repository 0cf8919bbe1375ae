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
 * changes. */

static size_t gather_deletes(struct api_job *job, const struct state *state, const struct entity *entity,
	const struct ledger_audit *audit, struct ledger_change **ret)
{
	size_t keys = job->kind == ENTITY_USER ? state_count(state, ENTITY_APIKEY) : 0, len = 0;
	struct ledger_change *changes = xnew_array(struct ledger_change, keys + 2);

	changes[len++] =
		(struct ledger_change){ .entity = entity_new_deleted(job->kind, entity_id(entity), 0),
			.check = true,
			.expected = entity_revision(entity),
			.audit = audit };
	for (size_t i = 0; i < keys; i++) {
		const struct entity *key = state_at(state, ENTITY_APIKEY, i);
		if (str_is(entity_id(entity), entity_apikey(key)->owner))
			changes[len++] = (struct ledger_change){
				.entity = entity_new_deleted(ENTITY_APIKEY, entity_id(key), 0), .audit = audit
			};
	}
	if (job->kind == ENTITY_WORKER)
		len += peer_secret_change(state, &changes[len]);
	*ret = changes;
	return len;
}

/* NULL: another leader was faster, decide anew. */
static struct http_response *delete_locked(struct api_job *job)
{
	AUTO(state) *state = leader_state(job->leader);
	struct entity *entity = entity_find_seen(job, state, job->rest);
	const struct ledger_audit audit = told_audit(job, "deleted");
	struct ledger_change *changes;
	enum ledger_result result;
	uint64_t revision;
	struct error err;
	size_t len, at;

	leader_assert_locked(job->leader);
	if (!entity_tag_allows(job, entity))
		return entity_stale(entity);
	if (!entity)
		return entity_absent(job);
	if (!rights_check(state, &job->who, entity, NULL, &err))
		return api_error_of(&err);
	if (job->kind == ENTITY_USER && entity_is_last_admin(state, entity))
		return api_error(409, "conflict", "this is the last enabled admin; make another one first");
	len = gather_deletes(job, state, entity, &audit, &changes);
	result = leader_write_locked(job->leader, changes, len, &revision, &at, &err);
	for (size_t i = 0; i < len; i++)
		entity_free(changes[i].entity);
	free(changes);
	if (result == LEDGER_BEHIND)
		return NULL;
	if (result == LEDGER_FAILED)
		return api_error_of(&err);
	if (result == LEDGER_STALE)
		return entity_stale(entity);
	log_info("entity.deleted", "kind=%s id=%s revision=%" PRIu64 " entities=%zu%s",
		entity_kind_name(job->kind), log_quote(job->rest), revision, len, told_by(job));
	return http_response_empty(204);
}

static struct http_response *delete_one(struct api_job *job)
{
	struct http_response *response;

	leader_lock(job->leader);
	do
		response = delete_locked(job);
	while (!response);
	leader_unlock(job->leader);
	return response;
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
