/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster - PUT /api/cluster/quotas, and the members: GET /api/cluster/members, DELETE
 * /api/cluster/members/{name}.
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/members.h"
#include "leader/push.h"
#include "leader/ring_write.h"

#define MEMBERS_BYTES_MAX (16 * 1024 * 1024)

#define SAY_MOST    10
#define SAY_SPAN_MS 60000

/* A worker that is refused goes on trying. */
static void say_refused(struct leader *leader, const struct usage_push *push, const char *why)
{
	bool say;

	leader_lock(leader);
	say = few_take(&leader->pushes_refused, SAY_MOST, SAY_SPAN_MS, clock_ms());
	leader_unlock(leader);
	if (say)
		log_warn("push.refused", "name=%s process=%s error=%s", log_quote(str_of(push->worker)),
			log_quote(str_of(push->process)), log_quote(str_of(why)));
}

/* The body may have been long on its way. */
static struct http_response *refuse_revoked(const struct api_call *call)
{
	AUTO(state) *state = leader_state(call->leader);

	return login_still(state, &call->who) ? NULL
					      : api_error(401, "unauthorized", "this credential was revoked");
}

/* A worker's own credential is good for its own name. */
static struct http_response *refuse_other(const struct api_call *call, const struct usage_push *push)
{
	const char *name = call->who.worker;

	if (!*name || !strcmp(name, push->worker))
		return NULL;
	say_refused(call->leader, push, "the credential is another worker's");
	return api_error(403, "denied",
		"this credential is for the worker \"%s\", the push is for \"%s\": each worker has its own",
		name, push->worker);
}

struct http_response *cluster_push(struct api_call *call)
{
	struct buf body = buf_limit(2 * (size_t)USAGE_BYTES_MAX);
	struct usage_push push = { 0 };
	struct usage_answer answer;
	struct http_response *refused;
	struct error err;
	bool ok;

	refused = refuse_revoked(call);
	if (refused)
		return refused;
	if (!usage_push_parse(call->http->body, &push, &err))
		return api_error_of(&err);
	refused = refuse_other(call, &push);
	if (refused) {
		usage_push_fini(&push);
		return refused;
	}
	ok = push_merge(call->leader, &push, &answer, &err);
	if (!ok && err.kind == ERROR_CONFLICT)
		say_refused(call->leader, &push, err.text);
	usage_push_fini(&push);
	if (!ok)
		return api_error_of(&err);
	usage_answer_encode(&answer, &body);
	usage_answer_fini(&answer);
	return api_json(200, &body);
}

static struct http_response *list_members(struct api_call *call)
{
	struct leader *leader = call->leader;
	struct cluster_settings cluster = leader_cluster(leader);
	struct buf body = buf_limit(MEMBERS_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	AUTO(state) *state = leader_state(leader);

	json_open_object(&w);
	json_put_text(&w, "leader", leader->settings->name);
	json_put_int(&w, "revision", (int64_t)state_revision(state));
	json_put_int(&w, "ringEpoch", (int64_t)leader_ring_epoch(state));
	json_put_int(&w, "leaseMs", cluster.lease_ms);
	json_key(&w, STR("members"));
	members_write(leader->members, clock_ms(), cluster.lease_ms, &w);
	json_close_object(&w);
	return api_json(200, &body);
}

static struct http_response *forget_member(struct api_call *call)
{
	struct leader *leader = call->leader;
	AUTO_FINI(buf) name = buf_limit(1024);
	enum members_forgot forgot;
	struct error err;
	bool stored = true;

	buf_add(&name, call->rest);
	leader_lock(leader);
	forgot = members_may_forget(leader->members, call->rest);
	if (forgot == MEMBERS_FORGOT)
		stored = store_delete_member(leader->store, buf_text(&name), &err);
	if (forgot == MEMBERS_FORGOT && stored) {
		members_erase(leader->members, call->rest);
		ring_write_now_locked(leader->ring);
	}
	leader_unlock(leader);
	if (forgot == MEMBERS_UNKNOWN)
		return api_error(404, "unknown", "there is no member of this name");
	if (forgot == MEMBERS_LIVE)
		return api_error(409, "conflict", "the member is alive; stop it, or wait until it is lost");
	if (!stored)
		return api_error_of(&err);
	log_info("member.forgotten", "name=%s by=%s", log_quote(call->rest),
		log_quote(str_of(call->who.user)));
	return http_response_empty(204);
}

struct http_response *cluster_members(struct api_call *call)
{
	if (!call->rest.len)
		return api_is_read(call) ? list_members(call) : api_method_not_allowed("GET, HEAD");
	return api_is_read(call) ? api_method_not_allowed("DELETE") : forget_member(call);
}
