/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entities - reading and deleting users, API keys, policies, settings, workers' credentials and the ring;
 * writing is api/entity_write.c's.
 *
 *     GET    /api/{kind}?n=&last=     {"items":[...],"total":N}, in the order of ids; Link: <...>; rel="next"
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
#include "leader/api/entity_write.h"
#include "leader/api/key_rotate.h"
#include "leader/api/told.h"
#include "leader/peer_secret.h"
#include "leader/rights.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define BODY_MAX     (PAGE_MAX * (size_t)ENTITY_BYTES_MAX)

/* Lists. */

static bool read_page(struct api_job *job, uint64_t *ret_n, struct buf *last)
{
	AUTO_FINI(buf) n = buf_limit(32);
	bool given;

	*ret_n = PAGE_DEFAULT;
	if (!api_parameter(job, "n", &n, &given))
		return false;
	if (given && (!str_to_number(buf_str(&n), PAGE_MAX, ret_n) || !*ret_n))
		return false;
	return api_parameter(job, "last", last, &given);
}

static void put_link(struct http_response *response, const struct api_job *job, uint64_t n, struct str last)
{
	AUTO_FINI(buf) link = buf_limit(2048);

	buf_format(&link, "</api/%s?n=%" PRIu64 "&last=", entity_kind_name(job->kind), n);
	buf_url(&link, last, "");
	buf_puts(&link, ">; rel=\"next\"");
	if (!link.failed)
		http_response_header(response, "Link", buf_text(&link));
}

/* Of those that exist for whoever asks. */
static size_t next_seen(const struct api_job *job, const struct state *state, size_t at)
{
	while (state_at(state, job->kind, at) &&
		!rights_see(state, &job->who, state_at(state, job->kind, at)))
		at++;
	return at;
}

static size_t count_seen(const struct api_job *job, const struct state *state)
{
	size_t count = 0;

	if (job->who.role != LOGIN_KEY_MANAGER)
		return state_count(state, job->kind);
	for (size_t at = next_seen(job, state, 0); state_at(state, job->kind, at);
		at = next_seen(job, state, at + 1))
		count++;
	return count;
}

static struct http_response *list(struct api_job *job)
{
	AUTO(state) *state = leader_state(job->leader);
	AUTO_FINI(buf) last = buf_limit(1024);
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;
	struct entity *entity = NULL;
	uint64_t n, put = 0;

	if (!read_page(job, &n, &last))
		return api_error(400, "invalid", "n is 1 to %d, and last an id", PAGE_MAX);
	size_t at = last.len ? state_after(state, job->kind, buf_str(&last)) : 0;
	json_open_object(&w);
	json_put_int(&w, "total", (int64_t)count_seen(job, state));
	json_put_int(&w, "revision", (int64_t)state_revision(state));
	json_key(&w, STR("items"));
	json_open_array(&w);
	for (at = next_seen(job, state, at); put < n && state_at(state, job->kind, at);
		at = next_seen(job, state, at + 1), put++) {
		entity = state_at(state, job->kind, at);
		entity_to_json(entity, &w);
	}
	json_close_array(&w);
	json_close_object(&w);
	response = api_json(200, &body);
	if (entity && state_at(state, job->kind, at))
		put_link(response, job, n, entity_id(entity));
	return response;
}

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

/* Which methods a kind has. */

static unsigned methods_of(const struct api_job *job)
{
	unsigned flags = entity_kind_flags(job->kind), methods = ROUTE_READS;

	if (!job->rest.len)
		return flags & ENTITY_MAY_CREATE ? methods | ROUTE_M(POST) : methods;
	if (flags & ENTITY_MAY_REPLACE)
		methods |= ROUTE_M(PUT) | ROUTE_M(PATCH);
	if (flags & ENTITY_MAY_DELETE)
		methods |= ROUTE_M(DELETE);
	return methods;
}

struct http_response *entities_serve(void *arg)
{
	struct api_job *job = arg;
	unsigned methods = methods_of(job);

	if (job->kind == ENTITY_APIKEY && key_rotate_is_asked(job->rest))
		return key_rotate(job);
	if (!(methods & 1u << job->http->method))
		return api_method_not_allowed(methods);
	if (api_is_read(job))
		return job->rest.len ? read_one(job) : list(job);
	return job->http->method == HTTP_DELETE ? delete_one(job) : entity_write(job);
}
