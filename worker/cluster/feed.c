/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/feed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/few.h"
#include "common/gentle.h"
#include "common/gzip.h"
#include "common/http_client.h"
#include "common/least.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/cluster/backup_read.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/leader_call.h"
#include "worker/cluster/leaders.h"
#include "worker/cluster/report.h"
#include "worker/cluster/state_keep.h"

#define LONG_POLL_DEFAULT_MS 25000
/* Of what a leader provokes: lines of the log in a minute; answers in ten seconds that follow each other at
 * once. */
#define SAY_MOST       10
#define SAY_SPAN_MS    60000
#define ANSWER_MOST    200
#define ANSWER_SPAN_MS 10000
#define ANSWER_REST_MS 10

struct feed {
	struct cluster *cluster;
	struct loop *loop;
	struct pool *pool;
	struct leaders leaders;
	struct loop_timer timer;
	struct http_call *call; /* the question under way */
	struct feed_apply *applying;
	struct state_keep *keep; /* on disk */
	bool *estranged; /* of each leader: what it said last is of a history that does not follow ours */
	bool whole;      /* ask for the whole state */
	bool waits;      /* the leader holds questions until there is something new */
	bool said_down, stopping;
	struct backup_read *backup; /* or NULL */
	struct snapshot *old;       /* the one that a whole state took the place of, until nobody has it */
	struct loop_timer old_timer;
	struct few said_lost, said_refused, answers;
};

/* An answer on its way through the pool. */
struct feed_apply {
	struct feed *feed;
	struct buf body, expanded;
	bool gzip;
	size_t bytes;     /* as they came */
	struct str delta; /* the document, where it is one: in one of the two */
	int64_t begun_ms;
	char digest[80];
	struct history history; /* as the head of the answer says */
	struct snapshot *old, *made;
	unsigned rules_version;
	bool ok;
	struct error err;
};

static void ask(void *arg);

static void ask_in(struct feed *feed, int64_t ms)
{
	if (feed->stopping)
		return;
	loop_timer_start(feed->loop, &feed->timer, ms, ask, feed);
}

/* The next question comes at once, but a leader that always has an answer does not keep this worker busy with
 * it. */
static void ask_soon(struct feed *feed, int64_t busy_ms)
{
	int64_t rest = few_take(&feed->answers, ANSWER_MOST, ANSWER_SPAN_MS, clock_ms()) ? 0 : ANSWER_REST_MS;

	ask_in(feed, busy_ms > ANSWER_REST_MS ? busy_ms : rest);
}

/* Leaders. */

static const char *leader_url(const struct feed *feed)
{
	return feed->leaders.urls->at[feed->leaders.now];
}

static void lost(struct feed *feed, const char *why)
{
	if (!feed->said_down && few_take(&feed->said_lost, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_warn("leader.lost", "url=%s error=%s serving the last state", leader_url(feed),
			log_quote(str_of(why)));
	feed->said_down = true;
	/* Until the first state nobody is served, and it is said whose fault it may be. */
	if (!cluster_has_state(feed->cluster)) {
		complaint_say(feed->cluster->complaints, COMPLAINT_STATE, "none yet: the leader %s: %s",
			leader_url(feed), why);
		backup_read_missed(feed->backup);
	}
	leaders_failed(&feed->leaders, clock_ms());
	ask_soon(feed, 0);
}

/* The complaint lasts as long as one of the leaders has such a history. */
static void reconciled(struct feed *feed)
{
	feed->estranged[feed->leaders.now] = false;
	for (size_t i = 0; i < feed->leaders.urls->len; i++)
		if (feed->estranged[i])
			return;
	complaint_end(feed->cluster->complaints, COMPLAINT_HISTORY);
}

static void worked(struct feed *feed)
{
	leaders_worked(&feed->leaders);
	reconciled(feed);
	if (feed->said_down && few_take(&feed->said_lost, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_info("leader.back", "url=%s", leader_url(feed));
	feed->said_down = false;
}

/* What a whole state took the place of: its end costs as much as its beginning, so it comes on the pool, once requests have let go of it. */

#define OLD_LOOK_MS 1000

static void free_old(void *snapshot)
{
	gentle_begin();
	snapshot_free(snapshot);
	gentle_end();
}

static void look_at_old(void *arg)
{
	struct feed *feed = arg;

	loop_assert(feed->loop);
	if (snapshot_is_shared(feed->old))
		loop_timer_start(feed->loop, &feed->old_timer, OLD_LOOK_MS, look_at_old, feed);
	else
		pool_push(feed->pool, free_old, TAKE(feed->old));
}

/* One at a time, so that states that follow each other quickly don't lie here. */
static void replaced(struct feed *feed, struct snapshot *old)
{
	if (feed->old)
		pool_push(feed->pool, free_old, feed->old);
	feed->old = old;
	loop_timer_start(feed->loop, &feed->old_timer, OLD_LOOK_MS, look_at_old, feed);
}

/* Apply. */

static void apply_free(struct feed_apply *apply)
{
	buf_fini(&apply->body);
	buf_fini(&apply->expanded);
	snapshot_free(apply->old);
	snapshot_free(apply->made);
	free(apply);
}

static bool check_digest(struct str bytes, const char *wanted, struct error *err)
{
	struct str text = str_of(wanted);
	char hex[65];

	hash_sha256_hex(bytes, hex);
	if (!str_skip(&text, "sha256:") || !str_is(text, hex))
		return error_set(err, ERROR_INVALID, NULL, "the state's digest is not what the leader said");
	return true;
}

/* By the head it was judged. */
static bool check_history(const struct state *state, const struct history *said, struct error *err)
{
	return history_same(state_history(state), said) ||
	       error_set(err, ERROR_INVALID, NULL,
		       "the state is of another cluster or generation than its head says");
}

static bool apply_now(struct feed_apply *apply, struct error *err)
{
	struct cluster *cluster = apply->feed->cluster;
	size_t most = (size_t)cluster->settings.state_limit;
	AUTO(state) *state = NULL;
	struct str bytes = buf_str(&apply->body);
	struct snapshot_rules rules = cluster_rules(cluster);
	bool full;

	apply->rules_version = rules.version;
	if (apply->gzip) {
		apply->expanded = buf_limit(most);
		if (!gzip_expand(bytes, &apply->expanded, err))
			return false;
		bytes = buf_str(&apply->expanded);
	}
	if (!check_digest(bytes, apply->digest, err) ||
		!state_apply_within(most, bytes, apply->old->state, &state, &full, err) ||
		!check_history(state, &apply->history, err) ||
		!snapshot_new_state(&apply->made, state, cluster->self, apply->old, &rules, err))
		return false;
	apply->delta = full ? STR_NONE : bytes;
	return true;
}

/* The first state is waited for. While one is there it is served by, and what comes takes its time beside: a small change ends before its first
 * rest. What is large is freed here, too. */
static void apply_run(void *arg)
{
	struct feed_apply *apply = arg;
	bool gentle = state_revision(apply->old->state) > 0;

	if (gentle)
		gentle_begin();
	apply->ok = apply_now(apply, &apply->err);
	if (!apply->delta.len) {
		buf_fini(&apply->body);
		buf_fini(&apply->expanded);
	}
	if (gentle)
		gentle_end();
}

/* The settings file was read again while the state was being built. */
static void refresh_rules(struct cluster *cluster, unsigned built_with)
{
	struct error err;

	if (cluster_rules(cluster).version != built_with && !cluster_refresh(cluster, &err))
		log_warn("access.refresh", "error=%s", log_quote(str_of(err.text)));
}

static void now_fresh(struct cluster *cluster)
{
	atomic_store(&cluster->state_fresh_ms, clock_ms());
	atomic_store(&cluster->of_backup, false);
}

/* A delta that does not fit is no fault: the full state does. A full state that is wrong is the leader's. */
static void refused(struct feed *feed, const struct error *err, int64_t busy_ms)
{
	if (few_take(&feed->said_refused, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_warn("state.refused", "url=%s error=%s serving the last state%s", leader_url(feed),
			log_quote(str_of(err->text)), feed->whole ? "" : ", asking for the whole");
	if (feed->whole)
		lost(feed, err->text);
	else
		ask_soon(feed, busy_ms);
	feed->whole = true;
}

static void apply_done(void *arg)
{
	struct feed_apply *apply = arg;
	struct feed *feed = apply->feed;
	int64_t busy_ms = clock_ms() - apply->begun_ms;

	loop_assert(feed->loop);
	feed->applying = NULL;
	if (apply->ok) {
		worked(feed);
		log_info("state.applied", "revision=%" PRIu64 " bytes=%zu",
			state_revision(apply->made->state), apply->bytes);
		now_fresh(feed->cluster);
		cluster_publish(feed->cluster, snapshot_ref(apply->made));
		complaint_end(feed->cluster->complaints, COMPLAINT_STATE);
		refresh_rules(feed->cluster, apply->rules_version);
		feed->whole = false;
		state_keep_newest(feed->keep, apply->old->state, apply->made->state, apply->delta);
		if (!apply->delta.len)
			replaced(feed, TAKE(apply->old));
		ask_soon(feed, busy_ms);
	} else {
		refused(feed, &apply->err, busy_ms);
	}
	apply_free(apply);
}

static void start_apply(struct feed *feed, struct http_call *call, const struct history *history)
{
	struct feed_apply *apply = xnew(struct feed_apply);
	const struct http_headers *headers = http_call_headers(call);
	const char *digest = http_headers_find(headers, "Zot-State-Digest");
	const char *encoding = http_headers_find(headers, "Content-Encoding");

	apply->feed = feed;
	apply->begun_ms = clock_ms();
	apply->history = *history;
	http_call_give_body(call, &apply->body);
	apply->bytes = apply->body.len;
	apply->gzip = encoding && !strcmp(encoding, "gzip");
	apply->old = cluster_snapshot(feed->cluster);
	if (!str_copy(str_of(digest), apply->digest, sizeof(apply->digest)))
		apply->digest[0] = '\0';
	feed->applying = apply;
	if (!pool_submit_then(feed->pool, apply_run, feed->loop, apply_done, apply)) {
		feed->applying = NULL;
		apply_free(apply);
		ask_in(feed, feed->cluster->settings.retry_delay_ms);
	}
}

/* Whose history is it? */

static struct history_claim claim_of(struct http_call *call)
{
	const struct http_headers *headers = http_call_headers(call);
	const char *cluster = http_headers_find(headers, HISTORY_CLUSTER_HEADER);
	const char *generation = http_headers_find(headers, HISTORY_GENERATION_HEADER);
	const char *replaces = http_headers_find(headers, HISTORY_REPLACES_HEADER);
	struct history_claim claim = { .position = HISTORY_UNKNOWN };
	uint64_t number = 0;

	if (generation)
		(void)!str_to_number(str_of(generation), INT64_MAX, &number);
	(void)!history_set(&claim.history, str_of(cluster), number);
	(void)!history_position_parse(http_headers_find(headers, HISTORY_POSITION_HEADER), &claim.position);
	if (!str_copy(str_of(replaces), claim.replaces, sizeof(claim.replaces)))
		claim.replaces[0] = '\0';
	return claim;
}

/* It was asked with the state that is served now: whoever else publishes one asks anew. */
static enum history_verdict judge(const struct feed *feed, const struct history_claim *claim)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);

	return history_judge(state_history(snapshot->state), state_revision(snapshot->state), claim);
}

static bool may_follow(const struct feed *feed, struct http_call *call)
{
	const struct history_claim claim = claim_of(call);

	return judge(feed, &claim) == HISTORY_FOLLOW;
}

static uint64_t revision_of(struct http_call *call)
{
	const char *text = http_headers_find(http_call_headers(call), "Zot-State-Revision");
	uint64_t revision = 0;

	if (text)
		(void)!str_to_number(str_of(text), INT64_MAX, &revision);
	return revision;
}

static void put_advice(enum history_verdict verdict, const struct history *own, struct buf *into)
{
	if (verdict == HISTORY_SILENT) {
		buf_puts(into, "start a leader of the newer version again");
		return;
	}
	buf_puts(into, "at the leader: zot-leader restore BACKUP, or restore --from-worker WORKER");
	if (verdict == HISTORY_FOREIGN && *own->cluster)
		buf_format(into, ", or for a new beginning ZOT_CLUSTER_REPLACES=%s", own->cluster);
}

/* What is here is served on, and kept. */
static void complain(
	struct feed *feed, const struct state *has, enum history_verdict verdict, const char *why)
{
	AUTO_FINI(buf) advice = buf_limit(256);

	put_advice(verdict, state_history(has), &advice);
	complaint_say(feed->cluster->complaints, COMPLAINT_HISTORY,
		"%s: %s. Refused, what is here is served on; %s", leader_url(feed), why, buf_text(&advice));
}

static void estranged(struct feed *feed, struct http_call *call, const struct history_claim *claim)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);
	const struct history *own = state_history(snapshot->state);
	uint64_t revision = state_revision(snapshot->state);
	enum history_verdict verdict = history_judge(own, revision, claim);
	AUTO_FINI(buf) why = buf_limit(HISTORY_TEXT_MAX);

	history_explain(verdict, own, revision, claim, revision_of(call), &why);
	if (revision)
		complain(feed, snapshot->state, verdict, buf_text(&why));
	feed->estranged[feed->leaders.now] = true;
	lost(feed, buf_text(&why));
}

/* Ask. */

static void on_head(void *arg, struct http_call *call)
{
	const struct feed *feed = arg;

	loop_assert(feed->loop);
	if (http_call_status(call) == 200 && may_follow(feed, call))
		http_call_collect(call, (size_t)feed->cluster->settings.state_limit);
}

static bool is_state(struct http_call *call)
{
	struct str rest = str_of(http_headers_find(http_call_headers(call), "Content-Type")), type = rest;

	(void)str_until(&rest, ';', &type);
	return str_is_nocase(str_trim(type), STATE_MEDIA_TYPE);
}

/* A leader that is asked to wait and does not is not asked again and again at once. */
static void unchanged(struct feed *feed)
{
	const struct cluster *cluster = feed->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);

	now_fresh(feed->cluster);
	/* What came of a backup is the leaders' from now on. */
	state_keep_newest(feed->keep, snapshot->state, snapshot->state, STR_NONE);
	state_keep_touch(feed->keep);
	if (feed->waits)
		ask_soon(feed, 0);
	else
		ask_in(feed, cluster->settings.poll_every_ms);
}

static bool wants_report(struct http_call *call)
{
	const char *report = http_headers_find(http_call_headers(call), "Zot-Report");

	return report && str_is(str_of(report), "now");
}

/* The same state, of a history that we have not noted yet: the whole says it. */
static bool is_noted(const struct feed *feed, const struct history_claim *claim)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);

	return history_same(state_history(snapshot->state), &claim->history);
}

static void on_unchanged(struct feed *feed, struct http_call *call, const struct history_claim *claim)
{
	worked(feed);
	if (!is_noted(feed, claim)) {
		feed->whole = true;
		ask_soon(feed, 0);
		return;
	}
	if (wants_report(call))
		report_now(feed->cluster->report);
	unchanged(feed);
}

static void on_state(struct feed *feed, struct http_call *call, const struct history_claim *claim)
{
	if (is_state(call))
		start_apply(feed, call, &claim->history);
	else
		lost(feed, "the leader's answer is of another Content-Type than " STATE_MEDIA_TYPE);
}

/* A 409 whose head says how the leader stands to our state; without one it is somebody else's. */
static bool is_about_history(unsigned status, const struct history_claim *claim)
{
	return status == 200 || status == 304 || (status == 409 && *claim->history.cluster);
}

static void refused_by(struct feed *feed, unsigned status)
{
	char why[160];

	(void)snprintf(why, sizeof(why), "it answered %u%s", status,
		status == 401 || status == 403
			? ": CLUSTER_LEADER_CLIENT_ID and CLUSTER_LEADER_CLIENT_SECRET "
			  "must be those that the leader knows"
			: "");
	lost(feed, why);
}

static void on_answer(struct feed *feed, struct http_call *call)
{
	const struct history_claim claim = claim_of(call);
	unsigned status = http_call_status(call);

	if (!is_about_history(status, &claim))
		refused_by(feed, status);
	else if (status == 409 || judge(feed, &claim) != HISTORY_FOLLOW)
		estranged(feed, call, &claim);
	else if (status == 304)
		on_unchanged(feed, call, &claim);
	else
		on_state(feed, call, &claim);
}

static void unreachable(struct feed *feed, const struct error *err)
{
	AUTO_FINI(buf) why = buf_limit(2 * ERROR_TEXT_MAX);

	buf_format(&why, "%s; CLUSTER_LEADER_URL must name a leader that runs", err->text);
	lost(feed, buf_text(&why));
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct feed *feed = arg;

	loop_assert(feed->loop);
	feed->call = NULL;
	if (err)
		unreachable(feed, err);
	else
		on_answer(feed, call);
}

static int64_t poll_wait_ms(const struct feed *feed, const struct snapshot *snapshot)
{
	const struct entity *settings = state_find(snapshot->state, ENTITY_SETTINGS, STR("cluster"));

	if (!feed->cluster->settings.long_poll)
		return 0;
	return settings ? entity_settings(settings)->poll_wait_ms : LONG_POLL_DEFAULT_MS;
}

static void put_history(const struct history *history, struct buf *into)
{
	if (*history->cluster)
		buf_format(into, "&cluster=%s&generation=%" PRIu64, history->cluster, history->generation);
}

static void question(const struct feed *feed, const struct state *has, int64_t wait, struct buf *into)
{
	char digest[STATE_DIGEST_TEXT];

	buf_format(into, "/api/cluster/state?since=%" PRIu64, state_revision(has));
	state_digest_hex(has, digest);
	if (state_revision(has))
		buf_format(into, "&digest=%s", digest);
	put_history(state_history(has), into);
	buf_format(into, "%s&wait=%" PRId64, feed->whole ? "&whole=1" : "", wait);
}

static void ask(void *arg)
{
	struct feed *feed = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);
	AUTO_FINI(buf) path = buf_limit(512);
	int64_t wait = 0, poll = poll_wait_ms(feed, snapshot);
	const char *url = leaders_next(&feed->leaders, clock_ms(), &wait);
	uint64_t revision = state_revision(snapshot->state);
	struct leader_call call = { .cluster = feed->cluster, .leader = url, .method = "GET" };

	loop_assert(feed->loop);
	if (feed->stopping)
		return;
	if (!url) {
		ask_in(feed, wait);
		return;
	}
	/* A first answer must not wait for a change. */
	feed->waits = poll > 0;
	if (!revision || feed->whole)
		poll = 0;
	question(feed, snapshot->state, poll, &path);
	call.path = buf_text(&path);
	call.total_ms = (unsigned)(poll + feed->cluster->settings.poll_timeout_ms);
	call.accept_gzip = true;
	feed->call = leader_call_start(
		&call, (struct http_call_events){ .arg = feed, .on_head = on_head, .on_done = on_done });
}

/* Life. */

static void load(struct feed *feed)
{
	struct cluster *cluster = feed->cluster;
	struct snapshot *snapshot;
	struct state_kept kept;
	struct error err;
	int64_t fresh;

	if (!state_keep_load(feed->keep, &kept))
		return;
	fresh = clock_ms() - kept.age_ms;
	if (snapshot_new_state(&snapshot, kept.state, cluster->self, NULL, &cluster->rules, &err)) {
		log_info("state.loaded",
			"revision=%" PRIu64 " cluster=%s generation=%" PRIu64 " age_ms=%" PRId64
			" path=%s place=%u",
			state_revision(kept.state), state_history(kept.state)->cluster,
			state_history(kept.state)->generation, kept.age_ms,
			log_quote(str_of(state_keep_path(feed->keep))), kept.place);
		atomic_store(&cluster->state_fresh_ms, fresh ? fresh : -1);
		cluster_publish(cluster, snapshot);
	} else {
		log_warn("state.load", "error=%s ignoring", log_quote(str_of(err.text)));
	}
	state_free(kept.state);
}

/* The question under way was asked with nothing. */
static void on_backup(void *arg, const struct backup_taken *taken)
{
	struct feed *feed = arg;
	struct cluster *cluster = feed->cluster;
	int64_t fresh = clock_ms() - taken->age_ms;

	loop_assert(feed->loop);
	if (feed->stopping || feed->applying || cluster_has_state(cluster)) {
		snapshot_free(taken->snapshot);
		return;
	}
	atomic_store(&cluster->state_fresh_ms, fresh ? fresh : -1);
	atomic_store(&cluster->of_backup, true);
	cluster_publish(cluster, taken->snapshot);
	complaint_end(cluster->complaints, COMPLAINT_STATE);
	refresh_rules(cluster, taken->rules_version);
	if (feed->call) {
		http_call_cancel(TAKE(feed->call));
		ask_soon(feed, 0);
	}
}

struct feed *feed_start(struct cluster *cluster)
{
	struct feed *feed = xnew(struct feed);

	loop_assert(cluster->run.loop);
	feed->cluster = cluster;
	feed->loop = cluster->run.loop;
	feed->pool = cluster->run.pool;
	leaders_init(&feed->leaders, &cluster->settings, cluster->settings.poll_every_ms);
	feed->estranged = xnew_array(bool, feed->leaders.urls->len);
	feed->keep = state_keep_new(cluster);
	feed->backup = backup_read_new(cluster, on_backup, feed);
	load(feed);
	loop_post(feed->loop, ask, feed);
	return feed;
}

void feed_stop(struct feed *feed)
{
	if (!feed)
		return;
	loop_assert(feed->loop);
	state_keep_stop(feed->keep);
	loop_timer_stop(feed->loop, &feed->old_timer);
	feed->stopping = true;
	if (feed->call)
		http_call_cancel(TAKE(feed->call));
	loop_timer_stop(feed->loop, &feed->timer);
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	CHECK(feed->stopping && !feed->applying);
	leaders_fini(&feed->leaders);
	backup_read_free(feed->backup);
	state_keep_free(feed->keep);
	snapshot_free(feed->old);
	free(feed->estranged);
	free(feed);
}
