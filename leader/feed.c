/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/feed.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/api.h"
#include "leader/leader.h"
#include "leader/login.h"
#include "leader/members.h"
#include "leader/state_log.h"
#include "leader/strangers.h"
#include "leader/waiting.h"

#define POLL_MAGIC MAGIC('P', 'O', 'L', 'L')
#define WAIT_MAX   60000
#define BUILD_MS   60000 /* beyond what was asked to wait */
#define LINES_TYPE "application/x-ndjson"

struct poll {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct feed *feed;
	struct http_request *request;
	struct poll *next, *prev;
	struct loop_timer timer;
	struct state_question question;
	uint64_t wait;
	struct state_want want;
	struct build *build; /* that it waits for, or NULL */
	bool gzip;
	struct login_who who;
};

/* One encoding under way. */
struct build {
	struct feed *feed;
	struct build *next;
	struct state_want want;
	struct state_answer *answer;
};

struct feed {
	struct leader *leader;
	struct poll *polls;
	struct build *builds;
	uint64_t parked;
	struct loop_timer tell; /* those whose report is wanted, and who were told just now */
	bool closed;
	atomic_bool posted, posted_wanted;
};

struct feed *feed_new(struct leader *leader)
{
	struct feed *feed = xnew(struct feed);

	feed->leader = leader;
	return feed;
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	CHECK(!feed->polls && !feed->builds);
	loop_timer_stop(feed->leader->loop, &feed->tell);
	free(feed);
}

uint64_t feed_parked(const struct feed *feed)
{
	loop_assert(feed->leader->loop);
	return feed->parked;
}

/* The end of a poll. */

static void poll_free(struct poll *poll)
{
	struct feed *feed = poll->feed;

	loop_timer_stop(feed->leader->loop, &poll->timer);
	if (poll->prev)
		poll->prev->next = poll->next;
	else
		feed->polls = poll->next;
	if (poll->next)
		poll->next->prev = poll->prev;
	feed->parked--;
	poll->magic = 0;
	free(poll);
}

static void on_gone(struct waiting *waiting)
{
	struct poll *poll = OBJ_CAST(poll, POLL_MAGIC, (void *)waiting);

	loop_assert(poll->feed->leader->loop);
	poll_free(poll);
}

static void poll_reply(struct poll *poll, struct http_response *response)
{
	struct http_request *request = poll->request;

	http_request_set_context(request, NULL);
	poll_free(poll);
	http_request_reply(request, response);
}

/* Whose history it is of, and where in it the question stands. */
static void answer_head(const struct poll *poll, struct http_response *response)
{
	strangers_head(poll->feed->leader, poll->question.since, poll->question.digest, response);
}

/* What it has is what there is. */
static struct http_response *unchanged(const struct poll *poll)
{
	struct http_response *response = http_response_empty(304);

	http_response_headerf(response, "Zot-State-Revision", "%" PRIu64, poll->question.since);
	http_response_header(response, "Cache-Control", "no-store");
	answer_head(poll, response);
	return response;
}

static void reply_wanted(struct poll *poll)
{
	struct http_response *response = unchanged(poll);

	http_response_header(response, "Zot-Report", "now");
	counter_add(&poll->feed->leader->counters.reports_wanted_total, 1);
	poll_reply(poll, response);
}

static void release_answer(void *arg)
{
	state_answer_free(arg);
}

static void reply_answer(struct poll *poll, struct state_answer *answer)
{
	struct leader_counters *counters = &poll->feed->leader->counters;
	bool gzip = poll->gzip && answer->gzip.len;
	struct str body = gzip ? answer->gzip : answer->plain;
	struct http_response *response =
		http_response_shared(200, body, release_answer, state_answer_ref(answer));

	http_response_header(response, "Content-Type", poll->question.lines ? LINES_TYPE : STATE_MEDIA_TYPE);
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	http_response_headerf(response, "Zot-State-Revision", "%" PRIu64, answer->revision);
	http_response_header(response, "Zot-State-Kind", answer->full ? "full" : "delta");
	http_response_header(response, "Zot-State-Digest", answer->digest);
	http_response_header(response, "Zot-State-Result", answer->result);
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "Vary", "Accept, Accept-Encoding");
	answer_head(poll, response);
	if (gzip)
		http_response_header(response, "Content-Encoding", "gzip");
	counter_add(answer->full ? &counters->state_full_total : &counters->state_delta_total, 1);
	counter_add(&counters->state_sent_bytes_total, body.len);
	poll_reply(poll, response);
}

/* The credential was revoked while it waited. */
static bool end_if_revoked(struct poll *poll)
{
	AUTO(state) *state = NULL;

	state = leader_state(poll->feed->leader);
	if (login_still(state, &poll->who))
		return false;
	poll_reply(poll, api_error(401, "unauthorized", "this credential was revoked, or lost its role"));
	return true;
}

/* Encoding. */

static void poll_build(struct poll *poll);

static void build_run(void *arg)
{
	struct build *build = arg;
	struct state_log *log = build->feed->leader->log;

	build->answer =
		build->want.lines ? state_log_lines(log, &build->want) : state_log_answer(log, &build->want);
}

static void build_unlink(struct build *build)
{
	struct build **at = &build->feed->builds;

	while (*at != build)
		at = &(*at)->next;
	*at = build->next;
}

static bool is_enough(const struct state_answer *answer, const struct state_want *want)
{
	return !want->full || answer->revision >= want->since;
}

static void build_done(void *arg)
{
	struct build *build = arg;
	struct feed *feed = build->feed;
	struct poll *next;

	loop_assert(feed->leader->loop);
	build_unlink(build);
	for (struct poll *poll = feed->polls; poll; poll = next) {
		next = poll->next;
		if (poll->build != build)
			continue;
		poll->build = NULL;
		if (end_if_revoked(poll))
			continue;
		if (is_enough(build->answer, &poll->want))
			reply_answer(poll, build->answer);
		else
			poll_build(poll);
	}
	state_answer_free(build->answer);
	free(build);
}

/* Of full states one is made at a time: whoever needs a newer one than that is going to be asks again then.
 */
static struct build *build_find(const struct feed *feed, const struct state_want *want)
{
	for (struct build *build = feed->builds; build; build = build->next) {
		bool same = build->want.full == want->full && build->want.lines == want->lines;

		if (same && (want->full || build->want.since == want->since))
			return build;
	}
	return NULL;
}

static struct build *build_start(struct feed *feed, const struct state_want *want)
{
	struct build *build = xnew(struct build);

	*build = (struct build){ .feed = feed, .next = feed->builds, .want = *want };
	if (want->full)
		build->want.since = state_log_revision(feed->leader->log);
	feed->builds = build;
	if (pool_submit_then(feed->leader->pool, build_run, feed->leader->loop, build_done, build))
		return build;
	build_unlink(build);
	free(build);
	return NULL;
}

static void reply_busy(struct poll *poll)
{
	struct http_response *response = api_error(503, "busy", "too many requests are waiting");

	http_response_header(response, "Retry-After", "1");
	poll_reply(poll, response);
}

static void poll_build(struct poll *poll)
{
	struct feed *feed = poll->feed;
	const struct state_want *want = &poll->want;
	AUTO(state_answer) *found = want->lines ? NULL : state_log_find(feed->leader->log, want);

	if (found) {
		reply_answer(poll, found);
		return;
	}
	poll->build = build_find(feed, want);
	if (!poll->build)
		poll->build = build_start(feed, want);
	if (!poll->build)
		reply_busy(poll);
}

/* Workers whose report is wanted. */

static void tell_wanted(void *arg);

/* Who it is: a credential of its own says it, whatever the headers do. */
static const char *name_of(const struct poll *poll)
{
	return *poll->who.worker ? poll->who.worker : http_request_header(poll->request, "Zot-Worker-Name");
}

static bool is_wanted(const struct poll *poll)
{
	const struct leader *leader = poll->feed->leader;
	const char *name = name_of(poll), *process = http_request_header(poll->request, "Zot-Worker-Id");
	int64_t wait_ms;
	bool is;

	if (poll->who.role != LOGIN_WORKER || !name || !process)
		return false;
	is = members_take_wanted(leader->members, name, process, clock_ms(), &wait_ms);
	if (wait_ms)
		loop_timer_start(leader->loop, &poll->feed->tell, wait_ms, tell_wanted, poll->feed);
	return is;
}

static void tell_wanted(void *arg)
{
	struct feed *feed = arg;
	struct poll *next;

	loop_assert(feed->leader->loop);
	atomic_store(&feed->posted_wanted, false);
	for (struct poll *poll = feed->polls; poll; poll = next) {
		next = poll->next;
		if (!poll->build && is_wanted(poll))
			reply_wanted(poll);
	}
}

/* Waiting. */

static void poll_try(struct poll *poll);

static void on_time(void *arg)
{
	struct poll *poll = OBJ_CAST(poll, POLL_MAGIC, arg);

	loop_assert(poll->feed->leader->loop);
	poll->wait = 0;
	if (!poll->build)
		poll_try(poll);
}

/* Replies, starts what it needs, or leaves the poll parked. */
static void poll_try(struct poll *poll)
{
	struct feed *feed = poll->feed;

	if (end_if_revoked(poll))
		return;
	if (state_log_want(feed->leader->log, &poll->question, &poll->want))
		poll_build(poll);
	else if (!poll->wait || feed->closed)
		poll_reply(poll, unchanged(poll));
	else if (is_wanted(poll))
		reply_wanted(poll);
	else if (!poll->timer.fn)
		loop_timer_start(feed->leader->loop, &poll->timer, (int64_t)poll->wait, on_time, poll);
}

static void wake(void *arg)
{
	struct feed *feed = arg;
	struct poll *next;

	loop_assert(feed->leader->loop);
	atomic_store(&feed->posted, false);
	for (struct poll *poll = feed->polls; poll; poll = next) {
		next = poll->next;
		if (!poll->build)
			poll_try(poll);
	}
}

void feed_changed(struct feed *feed)
{
	if (!atomic_exchange(&feed->posted, true))
		loop_post(feed->leader->loop, wake, feed);
}

void feed_reports_wanted(struct feed *feed)
{
	if (!atomic_exchange(&feed->posted_wanted, true))
		loop_post(feed->leader->loop, tell_wanted, feed);
}

void feed_close(struct feed *feed)
{
	loop_assert(feed->leader->loop);
	feed->closed = true;
	wake(feed);
}

/* The question. */

static bool read_number(struct str query, const char *name, uint64_t max, uint64_t *ret)
{
	AUTO_FINI(buf) text = buf_limit(64);
	unsigned count = http_query_get(query, name, &text);

	if (!count)
		return true;
	return count == 1 && !text.failed && str_to_number(buf_str(&text), max, ret);
}

static struct poll *poll_new(struct feed *feed, struct http_request *request, const struct login_who *who)
{
	struct poll *poll = xnew(struct poll);

	poll->waiting.on_gone = on_gone;
	poll->magic = POLL_MAGIC;
	poll->feed = feed;
	poll->request = request;
	poll->gzip = http_accepts(http_request_header(request, "Accept-Encoding"), "gzip");
	poll->who = *who;
	poll->question.lines =
		who->role != LOGIN_WORKER || http_accepts(http_request_header(request, "Accept"), LINES_TYPE);
	poll->next = feed->polls;
	if (poll->next)
		poll->next->prev = poll;
	feed->polls = poll;
	feed->parked++;
	http_request_set_context(request, poll);
	return poll;
}

static bool read_digest(struct str query, char into[STATE_DIGEST_TEXT])
{
	AUTO_FINI(buf) text = buf_limit(STATE_DIGEST_TEXT);
	unsigned count = http_query_get(query, "digest", &text);
	uint8_t raw[STATE_DIGEST_BYTES];

	if (!count)
		return true;
	if (count != 1 || text.failed || !str_unhex(buf_str(&text), raw, sizeof(raw)))
		return false;
	str_hex(raw, sizeof(raw), into);
	return true;
}

/* Both or neither. */
static bool read_history(struct str query, struct history *history)
{
	AUTO_FINI(buf) cluster = buf_limit(HISTORY_CLUSTER_SIZE);
	unsigned count = http_query_get(query, "cluster", &cluster);
	uint64_t generation = 0;

	if (!read_number(query, "generation", INT64_MAX, &generation) || count > 1)
		return false;
	if (!count)
		return !generation;
	return !cluster.failed && history_set(history, buf_str(&cluster), generation);
}

static bool read_question(struct str query, struct state_question *question, uint64_t *wait)
{
	uint64_t whole = 0;
	bool good = read_number(query, "since", INT64_MAX, &question->since) &&
		    read_number(query, "wait", WAIT_MAX, wait) && read_number(query, "whole", 1, &whole) &&
		    read_digest(query, question->digest);

	question->whole = whole;
	return good;
}

/* A state that is not of our history: what we have is none that follows it. */
static bool refuse_stranger(struct poll *poll, const struct history *history)
{
	struct leader *leader = poll->feed->leader;
	const struct state_question *question = &poll->question;
	const struct stranger who = { .name = name_of(poll),
		.process = http_request_header(poll->request, "Zot-Worker-Id"),
		.url = http_request_header(poll->request, "Zot-Worker-Url"),
		.history = *history,
		.revision = question->since,
		.digest = question->digest };
	AUTO_FINI(buf) why = buf_limit(HISTORY_TEXT_MAX);
	struct http_response *response;

	if (question->lines || strangers_admit(leader, &who, &why))
		return false;
	counter_add(&leader->counters.states_unknown_total, 1);
	response = api_error(409, "history", "%s", buf_text(&why));
	answer_head(poll, response);
	http_response_headerf(response, "Zot-State-Revision", "%" PRIu64, state_log_revision(leader->log));
	poll_reply(poll, response);
	return true;
}

void feed_serve(struct feed *feed, struct http_request *request, const struct login_who *who)
{
	struct state_question question = { 0 };
	struct history history = { 0 };
	struct poll *poll;
	uint64_t wait = 0;

	loop_assert(feed->leader->loop);
	counter_add(&feed->leader->counters.polls_total, 1);
	if (!read_question(http_request_query(request), &question, &wait) ||
		!read_history(http_request_query(request), &history)) {
		http_request_reply(request,
			api_error(400, "invalid",
				"since is a revision, digest is 64 hex digits, cluster is 32 hex digits and "
				"goes with generation, a number above 0, whole is 0 or 1, and wait is 0 to "
				"%d milliseconds",
				WAIT_MAX));
		return;
	}
	poll = poll_new(feed, request, who);
	question.lines = poll->question.lines;
	poll->question = question;
	poll->wait = wait;
	http_request_wait_limit(request, (unsigned)wait + BUILD_MS);
	if (!refuse_stranger(poll, &history))
		poll_try(poll);
}
