/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_page - what users do for themselves: GET, POST, DELETE /zot/auth/apikey, GET /zot/auth/usage.
 *
 * With leaders it is theirs to answer (worker/cluster/self_call.h); what they refuse is said in the registry's form. Without, keys are
 * this worker's own (worker/accounts/own_keys.h), where http.auth.apikey says so, and usage is not counted.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "proto/own_key.h"
#include "worker/accounts/own_keys.h"
#include "worker/auth/auth.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/self_call.h"
#include "worker/front/front_step.h"
#include "worker/front/pages.h"
#include "worker/front/self_ask.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

#define PATH_MAX_BYTES 8192
#define TYPE           "application/json"

/* Who may. */

bool pages_by_user(const void *arg)
{
	const struct oci_call *call = arg;
	const struct identity *identity = call->ask.identity;

	return !identity->anonymous && !identity->peer && !identity->key;
}

bool pages_by_login(const void *arg)
{
	const struct oci_call *call = arg;

	return !call->ask.identity->anonymous && !call->ask.identity->peer;
}

/* With leaders. */

static void reply_as_it_came(struct front_call *call, unsigned status, struct str body)
{
	struct http_response *response = http_response_copy(status, body);

	if (body.len)
		http_response_header(response, "Content-Type", TYPE);
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	http_request_reply(call->oci.request, response);
}

static void on_answer(struct front_call *call, unsigned status, struct str body)
{
	if (status == 200 || status == 201)
		reply_as_it_came(call, status, body);
	else
		self_reply_refused(call, status, body);
}

static void ask_leaders(struct front_call *call, const char *path)
{
	self_ask_leaders(call,
		&(struct self_question){
			.method = call->oci.ask.method == HTTP_HEAD ? HTTP_GET : call->oci.ask.method,
			.path = path,
			.body = call->oci.ask.body },
		on_answer);
}

static void put_parameter(struct buf *into, const char *name, struct str value)
{
	if (!value.len)
		return;
	buf_format(into, "&%s=", name);
	buf_url(into, value, "");
}

static void put_user(const struct front_call *call, struct buf *into)
{
	buf_puts(into, "?user=");
	buf_url(into, str_of(call->oci.ask.identity->user), "");
}

/* False: it was refused. */
static bool take_id(struct front_call *call, struct buf *into)
{
	if (http_query_get(call->oci.ask.query, "id", into) <= 1 && !into->failed)
		return true;
	self_reply_error(call, 400, ERROR_INVALID, "id: is there twice, or too long");
	return false;
}

static struct str agent_of(const struct front_call *call)
{
	struct str agent = str_of(http_request_header(call->oci.request, "User-Agent"));

	return agent.len > 1024 ? str_from(agent.at, 1024) : agent;
}

static void ask_keys(struct front_call *call, struct str id)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);

	buf_puts(&path, "/api/cluster/self/apikey");
	put_user(call, &path);
	put_parameter(&path, "id", id);
	if (call->oci.ask.method == HTTP_POST)
		put_parameter(&path, "agent", agent_of(call));
	if (path.failed)
		self_reply_error(call, 400, ERROR_INVALID, "the name, the id or the User-Agent is too long");
	else
		ask_leaders(call, buf_text(&path));
}

/* This worker's own keys. */

struct own_job {
	struct http_ticket *ticket;
	struct own_keys *keys;
	enum http_method method;
	char *user, *id, *agent;
	struct str body; /* a copy */
	char *bytes;
};

static void own_job_free(struct own_job *job)
{
	free(job->user);
	free(job->id);
	free(job->agent);
	free(job->bytes);
	free(job);
}

static struct http_response *json_of(unsigned status, struct buf *body)
{
	struct http_response *response = oci_reply_json(status, TYPE, body);

	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static struct http_response *refusal(const struct error *err)
{
	return err->kind == ERROR_CONFLICT ? oci_reply_status(409, err) : oci_reply_error(err);
}

static struct http_response *own_list(const struct own_job *job)
{
	struct buf body = buf_limit(SELF_ANSWER_MAX);

	own_keys_list(job->keys, str_of(job->user), clock_wall_s(), &body);
	return json_of(200, &body);
}

static struct http_response *own_made(const struct entity *key, const char *secret)
{
	struct buf body = buf_limit(SELF_ANSWER_MAX);
	struct json_writer w = json_writer(&body);

	own_key_write(&w, key, secret, clock_wall_s());
	return json_of(201, &body);
}

static struct http_response *own_make(const struct own_job *job)
{
	const struct own_key_maker maker = {
		.owner = job->user, .agent = job->agent, .now_s = clock_wall_s()
	};
	AUTO(entity) *key = NULL;
	char secret[OWN_KEY_SECRET_SIZE];
	struct http_response *response;
	struct error err;

	if (!own_key_make(job->body, &maker, &key, secret, &err))
		return refusal(&err);
	if (own_keys_add(job->keys, key, &err)) {
		log_info("apikey.made", "id=%s by=%s", log_quote(entity_id(key)),
			log_quote(str_of(job->user)));
		response = own_made(key, secret);
	} else {
		response = refusal(&err);
	}
	explicit_bzero(secret, sizeof(secret));
	return response;
}

static struct http_response *own_end(const struct own_job *job)
{
	struct error err;
	bool removed;

	if (!own_keys_remove(job->keys, str_of(job->user), str_of(job->id), &removed, &err))
		return refusal(&err);
	if (removed)
		log_info("apikey.ended", "id=%s by=%s", log_quote(str_of(job->id)),
			log_quote(str_of(job->user)));
	return http_response_empty(200);
}

static void own_run(void *arg)
{
	struct own_job *job = arg;
	struct http_response *response = job->method == HTTP_POST     ? own_make(job)
					 : job->method == HTTP_DELETE ? own_end(job)
								      : own_list(job);

	http_ticket_reply(job->ticket, response);
	own_job_free(job);
}

static void start_own(struct front_call *call, struct str id)
{
	struct own_job *job = xnew(struct own_job);
	struct str body = call->oci.ask.body;
	struct error err;

	*job = (struct own_job){ .ticket = http_ticket_new(call->oci.request),
		.keys = call->loop->front->own_keys,
		.method = call->oci.ask.method,
		.user = check_strdup(call->oci.ask.identity->user),
		.id = str_dup(id),
		.agent = str_dup(agent_of(call)),
		.bytes = str_dup(body) };
	job->body = str_from(job->bytes, body.len);
	if (pool_submit(call->loop->front->registry->pool, own_run, job))
		return;
	(void)error_set(&err, ERROR_BUSY, NULL, "too many requests wait for a thread");
	http_ticket_reply(job->ticket, oci_reply_later(1, &err));
	own_job_free(job);
}

static bool is_too_often(const struct front_call *call)
{
	bool changes = call->oci.ask.method == HTTP_POST || call->oci.ask.method == HTTP_DELETE;

	return changes && !own_keys_may_change(call->loop->front->own_keys,
				  str_of(call->oci.ask.identity->user), clock_ms());
}

static void serve_own(struct front_call *call, struct str id)
{
	if (!call->loop->front->own_keys)
		self_reply_error(
			call, 404, ERROR_UNKNOWN, "API keys are not switched on here: http.auth.apikey");
	else if (!auth_has_password(call->loop->front->auth, str_of(call->oci.ask.identity->user)))
		self_reply_error(
			call, 403, ERROR_DENIED, "only users of the htpasswd file have API keys here");
	else if (is_too_often(call))
		self_reply_often(call, "API keys were changed too often in the last minute");
	else
		start_own(call, id);
}

void pages_apikey(void *arg)
{
	struct front_call *call = arg;
	AUTO_FINI(buf) id = buf_limit(1024);

	if (!take_id(call, &id))
		return;
	if (call->oci.ask.method == HTTP_POST && !call->oci.ask.body.len)
		self_reply_error(call, 400, ERROR_INVALID, "the body must be a JSON object");
	else if (call->oci.ask.method == HTTP_DELETE && !id.len)
		self_reply_error(call, 400, ERROR_INVALID, "id: needed, the uuid of the key");
	else if (cluster_is_led(call->loop->front->cluster))
		ask_keys(call, buf_str(&id));
	else
		serve_own(call, buf_str(&id));
}

/* Who shows a key sees that key alone. */
void pages_usage(void *arg)
{
	struct front_call *call = arg;
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);

	if (!cluster_is_led(call->loop->front->cluster)) {
		self_reply_error(
			call, 404, ERROR_UNKNOWN, "usage is counted by leaders, and this worker has none");
		return;
	}
	buf_puts(&path, "/api/cluster/self/usage");
	put_user(call, &path);
	put_parameter(&path, "id", str_of(call->oci.ask.identity->apikey));
	ask_leaders(call, buf_text(&path));
}
