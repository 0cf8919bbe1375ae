/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/report_call.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/release.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/leader_call.h"
#include "worker/cluster/usage_clock.h"

#define WHY_MAX 4096u /* of an answer that is none */
/* What a leader may say, as its settings are bounded (proto/entity_fields.def). */
#define LEASE_MOST_MS  600000
#define EVERY_LEAST_MS 100
#define EVERY_MOST_MS  60000
#define GRANT_MOST_MS  600000
/* Of what it provokes: lines of the log in a minute. */
#define SAY_MOST    10
#define SAY_SPAN_MS 60000
#define RATE_MS     1000

void report_self_init(struct report_self *self, struct cluster *cluster)
{
	*self = (struct report_self){ .cluster = cluster,
		.state = "joining",
		.every_ms = cluster->settings.push_every_ms,
		.lease_ms = cluster->settings.push_every_ms };
}

/* ---- the head ---- */

static void measure_rate(struct report_self *self, uint64_t requests, int64_t now)
{
	if (self->rate_ms && now - self->rate_ms < RATE_MS)
		return;
	if (self->rate_ms)
		self->rate =
			(double)(requests - self->rate_requests) * 1000.0 / (double)(now - self->rate_ms);
	self->rate_requests = requests;
	self->rate_ms = now;
}

static void fill_stats(struct report_self *self, struct usage_stats *stats)
{
	const struct cluster_run *run = &self->cluster->run;

	run->stats(run->arg, stats);
	measure_rate(self, stats->requests, clock_ms());
	stats->rate = self->rate;
}

static char *complaints_text(struct complaints *complaints)
{
	AUTO_FINI(buf) text = buf_limit(COMPLAINTS_BYTES);

	(void)complaints_write(complaints, &text);
	return check_strdup(buf_text(&text));
}

/* What is ours in every report. What it says of counts, demands and leaders is its owner's. */
static void head_init(struct report_self *self, struct usage_report *report)
{
	struct cluster *cluster = self->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);
	char digest[STATE_DIGEST_TEXT];

	state_digest_hex(snapshot->state, digest);
	report->worker = check_strdup(cluster->self);
	report->process = check_strdup(cluster->process);
	report->number = ++self->number;
	report->url = check_strdup(cluster->url);
	report->zone = check_strdup(cluster->settings.zone);
	report->tenants = check_strdup(cluster->settings.tenants);
	report->version = check_strdup(ZOT_VERSION);
	report->state = check_strdup(self->state);
	report->revision = state_revision(snapshot->state);
	report->state_digest = check_strdup(report->revision ? digest : "");
	report->cluster = check_strdup(state_history(snapshot->state)->cluster);
	report->generation = state_history(snapshot->state)->generation;
	report->state_age_ms = cluster_state_age_ms(cluster);
	report->secret = cluster->secret_mark;
	report->complaints = complaints_text(cluster->complaints);
	report->stats = (struct usage_stats){ 0 };
	fill_stats(self, &report->stats);
}

static void head_fini(struct usage_report *report)
{
	free(report->worker);
	free(report->process);
	free(report->url);
	free(report->zone);
	free(report->tenants);
	free(report->version);
	free(report->state);
	free(report->state_digest);
	free(report->cluster);
	free(report->complaints);
}

/* ---- the answer ---- */

void report_self_say_refused(struct report_self *self, const char *why)
{
	if (few_take(&self->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error("report.refused", "name=%s %s", log_quote(str_of(self->cluster->self)), why);
}

static void say_wrong(struct report_self *self, const struct error *err)
{
	if (few_take(&self->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_warn("report.answer", "error=%s ignoring", log_quote(str_of(err->text)));
}

/* Refused for what we are, not for now. */
static void say_why(struct report_self *self, unsigned status)
{
	if (status == 401)
		report_self_say_refused(
			self, "the leader does not know CLUSTER_LEADER_CLIENT_ID and _SECRET, or no longer");
	else if (status == 403)
		report_self_say_refused(self,
			"the credential is another worker's: CLUSTER_LEADER_CLIENT_ID must be "
			"CLUSTER_WORKER_NAME");
}

static bool check_most(const char *what, int64_t value, int64_t most, struct error *err)
{
	if (value <= most)
		return true;
	return error_set(err, ERROR_INVALID, NULL, "%s: %" PRId64 "; at most %" PRId64 " are allowed", what,
		value, most);
}

static bool check_answer(const struct report_call *call, const struct usage_answer *answer, struct error *err)
{
	if (!check_most("lease_ms", answer->lease_ms, LEASE_MOST_MS, err) ||
		!check_most("push_every_ms", answer->push_every_ms, EVERY_MOST_MS, err) ||
		!check_most("grant_ms", answer->grant_ms, GRANT_MOST_MS, err) ||
		!check_most("hold_ms", answer->hold_ms, GRANT_MOST_MS, err) ||
		!check_most("now_ms", answer->now_ms, USAGE_CLOCK_MOST_MS, err))
		return false;
	if (answer->seq != call->seq || (answer->number && answer->number != call->number))
		return error_set(err, ERROR_INVALID, NULL, "it is that to another report");
	return true;
}

static void learn(struct report_self *self, const struct usage_answer *answer)
{
	self->every_ms = answer->push_every_ms;
	if (answer->push_every_ms <= 0)
		self->every_ms = self->cluster->settings.push_every_ms;
	else if (answer->push_every_ms < EVERY_LEAST_MS)
		self->every_ms = EVERY_LEAST_MS;
	if (answer->lease_ms > 0)
		self->lease_ms = answer->lease_ms;
}

/* Leaders before 0.2 do not say what they are. */
static void compare_versions(const struct report_self *self, const struct usage_answer *answer)
{
	struct complaints *complaints = self->cluster->complaints;
	struct release ours, theirs;

	if (!release_parse(STR(ZOT_VERSION), &ours) || !release_parse(str_of(answer->version), &theirs) ||
		release_works_with(&ours, &theirs))
		complaint_end(complaints, COMPLAINT_VERSION);
	else
		complaint_say(complaints, COMPLAINT_VERSION,
			"this worker is of version " ZOT_VERSION
			" and its leader of %s; only versions that are one minor "
			"version apart are tried together: upgrade the older one, step by step",
			answer->version);
}

static void taken(struct report_call *call, struct http_call *http, struct report_result *result)
{
	const char *date = http_headers_find(http_call_headers(http), "Date");

	leaders_worked(&call->leaders);
	learn(call->self, result->answer);
	compare_versions(call->self, result->answer);
	result->end = REPORT_TAKEN;
	result->trust = (struct trust_answer){ .asked_ms = call->sent_ms,
		.asked_wall_ms = call->sent_wall_ms,
		.answered_ms = clock_ms(),
		.leader = call->leaders.now,
		.lease_ms = result->answer->lease_ms };
	if (!date || !http_date_parse(str_of(date), &result->trust.date_s))
		result->trust.date_s = -1;
}

static void read_answer(struct report_call *call, struct http_call *http, struct report_result *result)
{
	struct usage_answer answer = { 0 };
	struct error err;

	if (usage_answer_parse(http_call_body(http), &answer, &err) && check_answer(call, &answer, &err)) {
		result->answer = &answer;
		taken(call, http, result);
		call->done(call->arg, result);
	} else {
		say_wrong(call->self, &err);
		leaders_failed(&call->leaders, clock_ms());
		result->why = err.text;
		call->done(call->arg, result);
	}
	usage_answer_fini(&answer);
}

/* What the leader said of its history does not go with our state: the feed says why (feed.h). */
static bool is_of_another_history(struct http_call *http)
{
	return http_headers_find(http_call_headers(http), HISTORY_POSITION_HEADER) != NULL;
}

/* What a leader says of a name that is another's; NULL: it says something else. */
static const struct json *find_taken(const struct json *root)
{
	const struct json *error = json_find(root, "error");

	return str_is(json_str(json_find(error, "code")), "name_taken") ? json_find(error, "message") : NULL;
}

static void read_refusal(struct report_call *call, struct http_call *http, struct report_result *result)
{
	unsigned status = http_call_status(http);
	AUTO_FINI(buf) why = buf_limit(WHY_MAX + 64);
	AUTO(json_doc) *doc = NULL;

	if (status == 409 && is_of_another_history(http))
		result->end = REPORT_ESTRANGED;
	else if (status == 409)
		result->end = REPORT_CONFLICT;
	else if (status == 400 || status == 413)
		result->end = REPORT_REFUSED;
	if (result->end == REPORT_FAILED || result->end == REPORT_ESTRANGED)
		leaders_failed(&call->leaders, clock_ms());
	say_why(call->self, status);
	buf_format(&why, "the leader answered %u %.*s", status, STR_ARGS(http_call_body(http)));
	result->why = buf_text(&why);
	if (status == 409 && json_parse(http_call_body(http), &doc, NULL))
		result->taken = json_str(find_taken(json_root(doc)));
	log_debug("report.failed", "error=%s", log_quote(str_of(result->why)));
	call->done(call->arg, result);
}

static void on_head(void *arg, struct http_call *http)
{
	const struct report_call *call = arg;
	unsigned status = http_call_status(http);

	loop_assert(call->self->cluster->run.loop);
	if (status == 200)
		http_call_collect(http, USAGE_BYTES_MAX);
	else if (http_call_length(http) >= 0 && http_call_length(http) <= WHY_MAX)
		http_call_collect(http, WHY_MAX);
}

static void on_done(void *arg, struct http_call *http, const struct error *err)
{
	struct report_call *call = arg;
	struct report_result result = { .end = REPORT_FAILED, .number = call->number, .reached = !err };

	loop_assert(call->self->cluster->run.loop);
	call->call = NULL;
	if (err) {
		log_debug("report.failed", "error=%s", log_quote(str_of(err->text)));
		if (err->kind == ERROR_TOO_LARGE)
			say_wrong(call->self, err);
		leaders_failed(&call->leaders, clock_ms());
		result.why = err->text;
		call->done(call->arg, &result);
	} else if (http_call_status(http) == 200) {
		read_answer(call, http, &result);
	} else {
		read_refusal(call, http, &result);
	}
}

/* ---- sending ---- */

void report_call_init(struct report_call *call, struct report_self *self, report_done_f *done, void *arg)
{
	*call = (struct report_call){ .self = self, .done = done, .arg = arg };
	leaders_init(&call->leaders, &self->cluster->settings, self->cluster->settings.push_every_ms);
}

void report_call_cancel(struct report_call *call)
{
	loop_assert(call->self->cluster->run.loop);
	if (call->call)
		http_call_cancel(TAKE(call->call));
}

void report_call_fini(struct report_call *call)
{
	leaders_fini(&call->leaders);
}

bool report_call_send(struct report_call *call, const struct usage_report *report, int64_t *ret_wait_ms)
{
	struct report_self *self = call->self;
	AUTO_FINI(buf) body = buf_limit(USAGE_BYTES_MAX * 2);
	struct usage_report item = *report;
	const char *url = leaders_next(&call->leaders, clock_ms(), ret_wait_ms);

	loop_assert(self->cluster->run.loop);
	if (!url)
		return false;
	head_init(self, &item);
	usage_report_encode(&item, &body);
	head_fini(&item);
	struct leader_call to = { .cluster = self->cluster,
		.leader = url,
		.method = "PUT",
		.path = "/api/cluster/quotas",
		.body = buf_str(&body),
		.total_ms = (unsigned)self->cluster->settings.push_timeout_ms };
	call->number = item.number;
	call->seq = item.seq;
	call->sent_ms = clock_ms();
	call->sent_wall_ms = clock_wall_ms();
	call->call = leader_call_start(
		&to, (struct http_call_events){ .arg = call, .on_head = on_head, .on_done = on_done });
	return true;
}
