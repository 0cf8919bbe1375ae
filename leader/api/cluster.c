/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster - PUT /api/cluster/quotas, and the members: GET /api/cluster/members, DELETE
 * /api/cluster/members/{name}.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/lane.h"
#include "leader/members.h"
#include "leader/push.h"
#include "leader/ring_write.h"

#define MEMBERS_BYTES_MAX (16 * 1024 * 1024)

#define SAY_MOST    10
#define SAY_SPAN_MS 60000

/* A worker that is refused goes on trying; it waits for nobody. */
static void say_refused(struct leader *leader, const struct usage_push *push, const char *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool say;

	pthread_mutex_lock(&lock);
	say = few_take(&leader->pushes_refused, SAY_MOST, SAY_SPAN_MS, clock_ms());
	pthread_mutex_unlock(&lock);
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

static struct http_response *merge(struct leader *leader, const struct usage_push *push)
{
	struct buf body = buf_limit(2 * (size_t)USAGE_BYTES_MAX);
	struct usage_answer answer;
	struct error err;

	if (!push_merge(leader, push, &answer, &err)) {
		if (err.kind == ERROR_CONFLICT)
			say_refused(leader, push, err.text);
		return api_error_of(&err);
	}
	usage_answer_encode(&answer, &body);
	usage_answer_fini(&answer);
	return api_json(200, &body);
}

/* One that waits for the disk. */
struct pushing {
	struct lane_place place;
	struct leader *leader;
	struct usage_push push;
	struct endpoint_call *http;
};

static void pushing_free(struct pushing *pushing)
{
	lane_leave(&pushing->place);
	usage_push_fini(&pushing->push);
	free(pushing);
}

static void run_pushing(void *arg)
{
	struct pushing *pushing = arg;

	endpoint_reply(pushing->http, merge(pushing->leader, &pushing->push));
	pushing_free(pushing);
}

/* Takes what *push has. */
static struct http_response *start_pushing(struct api_call *call, struct lane *lane, struct usage_push *push)
{
	struct pushing *pushing = xnew(struct pushing);
	struct error err;

	*pushing = (struct pushing){ .leader = call->leader, .push = *push, .http = call->http };
	*push = (struct usage_push){ 0 };
	if (lane_take(lane, str_of(pushing->push.worker), LANE_SHORT, &pushing->place)) {
		lane_do(&pushing->place, run_pushing, pushing);
		return NULL;
	}
	pushing_free(pushing);
	(void)error_set(&err, ERROR_BUSY, NULL, "too many pushes of this worker, or of all, are waiting");
	return api_error_of(&err);
}

static bool changes_member(struct leader *leader, const struct usage_push *push)
{
	struct members_staged staged;
	bool changes;

	if (!members_stage(leader->members, push, clock_ms(), leader_cluster(leader).lease_ms, &staged, NULL))
		return false;
	changes = staged.needs_store || staged.left;
	members_staged_fini(&staged);
	return changes;
}

/* The lane of those that wait for the disk as this one; NULL: it does not, as a beat. */
static struct lane *lane_of(struct leader *leader, const struct usage_push *push)
{
	if (push->rows_len || push->repositories_len)
		return leader->counts;
	if (push->demands_len || push->final || changes_member(leader, push))
		return leader->demands;
	return NULL;
}

static struct http_response *go_on(struct api_call *call, struct usage_push *push)
{
	struct http_response *refused = refuse_other(call, push);
	struct lane *lane = refused || call->in_lane ? NULL : lane_of(call->leader, push);

	if (refused)
		return refused;
	return lane ? start_pushing(call, lane, push) : merge(call->leader, push);
}

/*
 *     a short body --> parsed -- a beat -------------------------------------> merged, answered
 *                        `------ counts, demands, a member that changes --> lane --^
 *     a long one ---> lane --> parsed ---------------------------------------------^
 */
struct http_response *cluster_push(struct api_call *call)
{
	struct http_response *response = refuse_revoked(call);
	struct usage_push push = { 0 };
	struct error err;

	if (response)
		return response;
	if (!usage_push_parse(call->http->body, &push, &err))
		return api_error_of(&err);
	response = go_on(call, &push);
	usage_push_fini(&push);
	return response;
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
