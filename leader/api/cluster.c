/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster - GET /api/cluster/state, PUT /api/cluster/quotas, and the members: GET /api/cluster/members, DELETE
 * /api/cluster/members/{name}.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/told.h"
#include "leader/feed.h"
#include "leader/figures.h"
#include "leader/fellows.h"
#include "leader/lane.h"
#include "leader/live.h"
#include "leader/members.h"
#include "leader/report.h"
#include "leader/rescue.h"
#include "leader/ring_write.h"
#include "leader/shares.h"
#include "leader/strangers.h"

#define FIGURES_BYTES_MAX (32 * 1024 * 1024)
#define MEMBERS_BYTES_MAX (64 * 1024 * 1024)

#define SAY_MOST    10
#define SAY_SPAN_MS 60000

void cluster_state(void *arg)
{
	const struct api_call *call = arg;

	loop_assert(call->leader->loop);
	feed_serve(call->leader->feed, call->request, &call->who);
}

void cluster_live(void *arg)
{
	const struct api_call *call = arg;

	loop_assert(call->leader->loop);
	live_serve(call->leader->live, call->request, &call->who);
}

/* Whoever it is about goes on trying; it waits for nobody. */
static bool is_time_to_say(struct few *said)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool say;

	pthread_mutex_lock(&lock);
	say = few_take(said, SAY_MOST, SAY_SPAN_MS, clock_ms());
	pthread_mutex_unlock(&lock);
	return say;
}

static void say_refused(struct leader *leader, const struct usage_report *report, const char *why)
{
	if (is_time_to_say(&leader->reports_refused))
		log_warn("report.refused", "name=%s process=%s error=%s", log_quote(str_of(report->worker)),
			log_quote(str_of(report->process)), log_quote(str_of(why)));
}

static void say_other_secret(struct leader *leader, const struct usage_report *report)
{
	if (is_time_to_say(&leader->secrets_differ))
		log_warn("member.secret",
			"name=%s url=%s what=\"it signs calls with another secret than most workers, so it "
			"is in no "
			"ring: "
			"ZOT_CLUSTER_SECRET must be the same on all, or on none\"",
			log_quote(str_of(report->worker)), log_quote(str_of(report->url)));
}

/* The body may have been long on its way. */
static struct http_response *refuse_revoked(const struct api_job *job)
{
	AUTO(state) *state = leader_state(job->leader);

	return login_still(state, &job->who) ? NULL
					     : api_error(401, "unauthorized", "this credential was revoked");
}

/* A worker's own credential is good for its own name. */
static struct http_response *refuse_other(const struct api_job *job, const struct usage_report *report)
{
	const char *name = job->who.worker;

	if (!*name || !strcmp(name, report->worker))
		return NULL;
	say_refused(job->leader, report, "the credential is another worker's");
	return api_error(403, "denied",
		"this credential is for the worker \"%s\", the report is for \"%s\": each worker has its own",
		name, report->worker);
}

/* What belongs to another history does not come into this store. A worker of before there were any does not
 * say. */
static struct http_response *refuse_stranger(const struct api_job *job, const struct usage_report *report)
{
	struct stranger who = { .name = report->worker,
		.process = report->process,
		.url = report->url,
		.revision = report->revision,
		.digest = report->state_digest };
	AUTO_FINI(buf) why = buf_limit(HISTORY_TEXT_MAX);
	struct http_response *response;

	if (!*report->cluster)
		return NULL;
	(void)!history_set(&who.history, str_of(report->cluster), report->generation);
	if (strangers_admit(job->leader, &who, &why))
		return NULL;
	response = api_error(409, "history", "%s", buf_text(&why));
	strangers_head(job->leader, report->revision, report->state_digest, response);
	return response;
}

static struct http_response *merge(struct leader *leader, const struct usage_report *report)
{
	struct buf body = buf_limit(2 * (size_t)USAGE_BYTES_MAX);
	struct usage_answer answer;
	struct error err;

	if (!report_merge(leader, report, &answer, &err)) {
		if (err.kind == ERROR_CONFLICT)
			say_refused(leader, report, err.text);
		return api_error_of(&err);
	}
	if (answer.other_secret)
		say_other_secret(leader, report);
	usage_answer_encode(&answer, &body);
	usage_answer_fini(&answer);
	return api_json(200, &body);
}

/* One that waits for the disk. */
struct reporting {
	struct lane_place place;
	struct leader *leader;
	struct usage_report report;
	struct endpoint_call *http;
};

static void reporting_free(struct reporting *reporting)
{
	lane_leave(&reporting->place);
	usage_report_fini(&reporting->report);
	free(reporting);
}

static void run_reporting(void *arg)
{
	struct reporting *reporting = arg;

	endpoint_reply(reporting->http, merge(reporting->leader, &reporting->report));
	reporting_free(reporting);
}

/* Takes what *report has. */
static struct http_response *start_reporting(
	struct api_job *job, struct lane *lane, struct usage_report *report)
{
	struct reporting *reporting = xnew(struct reporting);
	struct error err;

	*reporting = (struct reporting){ .leader = job->leader, .report = *report, .http = job->http };
	*report = (struct usage_report){ 0 };
	if (lane_take(lane, str_of(reporting->report.worker), LANE_SHORT, &reporting->place)) {
		lane_do(&reporting->place, run_reporting, reporting);
		return NULL;
	}
	reporting_free(reporting);
	(void)error_set(&err, ERROR_BUSY, NULL, "too many reports of this worker, or of all, are waiting");
	return api_error_of(&err);
}

static bool changes_member(struct leader *leader, const struct usage_report *report)
{
	struct members_staged staged;
	bool changes;

	if (!members_stage(
		    leader->members, report, clock_ms(), leader_cluster(leader).lease_ms, &staged, NULL))
		return false;
	changes = staged.needs_store || staged.left;
	members_staged_fini(&staged);
	return changes;
}

/* The lane of those that wait for the disk as this one; NULL: it does not, as a beat. */
static struct lane *lane_of(struct leader *leader, const struct usage_report *report)
{
	if (report->rows_len || report->repositories_len)
		return leader->counts;
	if (report->demands_len || report->final || changes_member(leader, report))
		return leader->demands;
	return NULL;
}

static struct http_response *go_on(struct api_job *job, struct usage_report *report)
{
	struct http_response *refused = refuse_other(job, report);
	struct lane *lane;

	if (!refused)
		refused = refuse_stranger(job, report);
	if (refused)
		return refused;
	lane = job->in_lane ? NULL : lane_of(job->leader, report);
	return lane ? start_reporting(job, lane, report) : merge(job->leader, report);
}

/*
 *     a short body --> parsed -- a beat -------------------------------------> merged, answered
 *                        `------ counts, demands, a member that changes --> lane --^
 *     a long one ---> lane --> parsed ---------------------------------------------^
 */
struct http_response *cluster_report(void *arg)
{
	struct api_job *job = arg;
	struct http_response *response = refuse_revoked(job);
	struct usage_report report = { 0 };
	struct error err;

	if (response)
		return response;
	if (!usage_report_parse(job->http->body, &report, &err))
		return api_error_of(&err);
	response = go_on(job, &report);
	usage_report_fini(&report);
	return response;
}

/* All, or one by its name. */
struct wanted {
	struct str name; /* empty: all */
	bool found;
};

static bool is_wanted(void *arg, const char *name, uint64_t stamp)
{
	struct wanted *wanted = arg;
	bool is_it = !wanted->name.len || str_is(wanted->name, name);

	(void)stamp;
	wanted->found = wanted->found || is_it;
	return is_it;
}

static struct http_response *list_members(struct api_job *job)
{
	struct wanted wanted = { .name = job->rest };
	struct leader *leader = job->leader;
	struct cluster_settings cluster = leader_cluster(leader);
	struct buf body = buf_limit(MEMBERS_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	AUTO(state) *state = leader_state(leader);

	json_open_object(&w);
	json_put_text(&w, "leader", leader->settings->name);
	json_put_text(&w, "cluster", state_history(state)->cluster);
	json_put_uint(&w, "generation", state_history(state)->generation);
	json_put_int(&w, "revision", (int64_t)state_revision(state));
	json_put_int(&w, "ringEpoch", (int64_t)leader_ring_epoch(state));
	json_put_int(&w, "leaseMs", cluster.lease_ms);
	json_key(&w, STR("members"));
	members_write(leader->members,
		&(struct members_rows){ .now_ms = clock_ms(),
			.lease_ms = cluster.lease_ms,
			.state = state,
			.chores = true,
			.wants = is_wanted,
			.arg = &wanted },
		&w);
	if (leader->fellows) {
		json_key(&w, STR("leaders"));
		json_open_array(&w);
		fellows_write(leader->fellows, &w);
		json_close_array(&w);
	}
	json_key(&w, STR("estranged"));
	strangers_write(leader->strangers, &w);
	json_close_object(&w);
	if (wanted.name.len && !wanted.found) {
		buf_fini(&body);
		return api_error(404, "unknown", "there is no member of this name");
	}
	return api_json(200, &body);
}

static bool forget_locked(const struct api_job *job, const char *name, struct error *err)
{
	struct ledger_audit audit = told_audit(job, "forgotten");

	audit.kind = "member";
	audit.id = name;
	return leader_forget_locked(job->leader, name, &audit, err);
}

static struct http_response *forget_member(struct api_job *job)
{
	struct leader *leader = job->leader;
	AUTO_FINI(buf) name = buf_limit(1024);
	enum members_forgot forgot;
	struct error err;
	bool stored = true;

	buf_add(&name, job->rest);
	leader_lock(leader);
	forgot = members_may_forget(leader->members, job->rest);
	if (forgot == MEMBERS_FORGOT)
		stored = forget_locked(job, buf_text(&name), &err);
	if (forgot == MEMBERS_FORGOT && stored)
		ring_write_now_locked(leader->ring);
	leader_unlock(leader);
	if (forgot == MEMBERS_UNKNOWN)
		return api_error(404, "unknown", "there is no member of this name");
	if (forgot == MEMBERS_LIVE)
		return api_error(409, "conflict", "the member is alive; stop it, or wait until it is lost");
	if (!stored)
		return api_error_of(&err);
	log_info("member.forgotten", "name=%s%s", log_quote(job->rest), told_by(job));
	return http_response_empty(204);
}

struct http_response *cluster_ring(void *arg)
{
	struct api_job *job = arg;
	AUTO(state) *state = leader_state(job->leader);
	struct buf body = buf_limit(MEMBERS_BYTES_MAX);
	struct json_writer w = json_writer(&body);

	shares_write(job->leader->shares, state, &w);
	return api_json(200, &body);
}

struct http_response *cluster_figures(void *arg)
{
	struct api_job *job = arg;
	AUTO(state) *state = leader_state(job->leader);
	AUTO_FINI(buf) member = buf_limit(ENTITY_ID_MAX + 1);
	struct buf body = buf_limit(FIGURES_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	bool given;

	if (!api_parameter(job, "member", &member, &given))
		return api_bad_query();
	figures_write(job->leader->figures, state, given ? buf_text(&member) : NULL, &w);
	return api_json(200, &body);
}

const struct route_about about_rescue[] = {
	{ .method = HTTP_POST,
		.summary = "A store that lost what this leader has is made again from its memory; the leader "
			   "starts anew.",
		.query = true,
		.gives = "Rescued" },
	{ 0 },
};

struct http_response *cluster_rescue(void *arg)
{
	struct api_job *job = arg;
	AUTO(state) *state = leader_state(job->leader);
	AUTO_FINI(buf) cluster = buf_limit(HISTORY_TEXT_MAX);
	struct buf body = buf_limit(1024);
	struct json_writer w = json_writer(&body);
	struct history history;
	struct error err;
	bool given;

	if (!api_parameter(job, "cluster", &cluster, &given) || !given ||
		!str_is(buf_str(&cluster), state_history(state)->cluster))
		return api_error(400, "invalid",
			"cluster: needed, the id of this cluster (GET /api/cluster/members), so that it is "
			"done "
			"on purpose");
	if (!rescue_store(job->leader, &history, &err))
		return api_error_of(&err);
	log_warn("store.rescued", "cluster=%s generation=%" PRIu64 "%s", history.cluster, history.generation,
		told_by(job));
	json_open_object(&w);
	json_put_text(&w, "cluster", history.cluster);
	json_put_uint(&w, "generation", history.generation);
	json_close_object(&w);
	return api_json(200, &body);
}

const struct route_about about_ring[] = {
	{ .method = HTTP_GET,
		.summary = "The ring, and which share of it each member has.",
		.gives = "Ring" },
	{ 0 },
};

const struct route_about about_figures[] = {
	{ .method = HTTP_GET, .summary = "Figures of the last hour.", .query = true, .gives = "Figures" },
	{ 0 },
};

const struct route_about about_live[] = {
	{ .method = HTTP_GET,
		.summary = "Members, sums and changes as they come, as server-sent events.",
		.query = true,
		.gives = "Text",
		.gives_type = "text/event-stream" },
	{ 0 },
};

const struct route_about about_state[] = {
	{ .method = HTTP_GET,
		.summary = "The state, for workers; to a reader as lines, without secrets. Waits for a "
			   "change where the query asks.",
		.gives = "Lines",
		.gives_type = "application/x-ndjson" },
	{ 0 },
};

const struct route_about about_report[] = {
	{ .method = HTTP_PUT,
		.summary = "What a worker used, and its heartbeat.",
		.takes = "Report",
		.gives = "Object" },
	{ 0 },
};

const struct route_about about_members[] = {
	{ .method = HTTP_GET, .summary = "Every member, and how it is.", .gives = "Members" },
	{ .method = HTTP_GET, .below = "/{id}", .summary = "The same of one member.", .gives = "Members" },
	{ .method = HTTP_DELETE, .below = "/{id}", .summary = "A lost member is forgotten.", .status = 204 },
	{ .method = HTTP_POST,
		.below = "/{id}/drain",
		.summary = "A member is taken out of the ring.",
		.query = true,
		.gives = "Drained" },
	{ .method = HTTP_POST,
		.below = "/{id}/undrain",
		.summary = "It is let in again.",
		.query = true,
		.gives = "Drained" },
	{ .method = HTTP_POST,
		.below = "/{id}/evacuate",
		.summary = "The same as drain; 202 until nothing of it is in use.",
		.query = true,
		.gives = "Drained",
		.other = 202 },
	{ .method = HTTP_POST,
		.below = "/{id}/chores",
		.summary = "A chore of the member begins or ends.",
		.takes = "ChoreOrder",
		.gives = "ChoreOrdered",
		.status = 202 },
	{ 0 },
};

struct http_response *cluster_members(void *arg)
{
	struct api_job *job = arg;

	if (api_is_read(job))
		return list_members(job);
	if (job->http->method != HTTP_POST)
		return forget_member(job);
	return str_ends(job->rest, "/chores") ? member_chores_serve(job) : cluster_drain(job);
}
