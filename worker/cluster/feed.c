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
#include "common/gzip.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/data_file.h"
#include "worker/cluster/leader_call.h"
#include "worker/cluster/leaders.h"
#include "worker/cluster/report.h"
#include "worker/cluster/state_file.h"

#define LONG_POLL_DEFAULT_MS 25000
#define TOUCH_EVERY_MS       30000
/* Of what a leader provokes: lines of the log in a minute; answers in ten seconds that follow each other at
 * once. */
#define SAY_MOST       10
#define SAY_SPAN_MS    60000
#define ANSWER_MOST    200
#define ANSWER_SPAN_MS 10000
#define ANSWER_REST_MS 100

struct feed {
	struct cluster *cluster;
	struct loop *loop;
	struct pool *pool;
	struct leaders leaders;
	struct loop_timer timer;
	struct http_call *call; /* the question under way */
	struct feed_apply *applying;
	char *path;          /* of the state on disk */
	struct state *saved; /* newest that was written, or is being written */
	bool saving, whole;  /* whole: ask for the whole state */
	bool waits;          /* the leader holds questions until there is something new */
	int64_t touched_ms;  /* when the file was last written or touched */
	bool said_down, stopping;
	struct few said_lost, said_refused, said_replaced, answers;
};

/* An answer on its way through the pool. */
struct feed_apply {
	struct feed *feed;
	struct buf body;
	bool gzip;
	int64_t begun_ms;
	char digest[80];
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
	leaders_failed(&feed->leaders, clock_ms());
	ask_soon(feed, 0);
}

static void worked(struct feed *feed)
{
	leaders_worked(&feed->leaders);
	if (feed->said_down && few_take(&feed->said_lost, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_info("leader.back", "url=%s", leader_url(feed));
	feed->said_down = false;
}

/* Apply. */

static void apply_free(struct feed_apply *apply)
{
	buf_fini(&apply->body);
	snapshot_free(apply->old);
	snapshot_free(apply->made);
	free(apply);
}

static bool check_digest(struct str bytes, const char *wanted, struct error *err)
{
	struct str text = str_of(wanted);
	uint8_t raw[HASH_MAX];
	char hex[65];

	hash_bytes(HASH_SHA256, bytes.at, bytes.len, raw);
	str_hex(raw, 32, hex);
	if (!str_skip(&text, "sha256:") || !str_is(text, hex))
		return error_set(err, ERROR_INVALID, NULL, "the state's digest is not what the leader said");
	return true;
}

static bool apply_now(struct feed_apply *apply, struct error *err)
{
	struct cluster *cluster = apply->feed->cluster;
	size_t most = (size_t)cluster->settings.state_limit;
	AUTO_FINI(buf) expanded = buf_limit(most);
	AUTO(state) *state = NULL;
	struct str bytes = buf_str(&apply->body);
	struct snapshot_rules rules = cluster_rules(apply->feed->cluster, &apply->rules_version);

	if (apply->gzip) {
		if (!gzip_expand(bytes, &expanded, err))
			return false;
		bytes = buf_str(&expanded);
	}
	return check_digest(bytes, apply->digest, err) &&
	       state_apply_within(most, bytes, apply->old->state, &state, err) &&
	       snapshot_new_state(&apply->made, state, cluster->self, apply->old, &rules, err);
}

static void apply_run(void *arg)
{
	struct feed_apply *apply = arg;

	apply->ok = apply_now(apply, &apply->err);
}

/* Save: the newest state, one write at a time. */

static void save_run(void *arg)
{
	struct feed *feed = arg;
	struct error err;

	if (!state_file_save(feed->path, feed->saved, &err))
		log_warn("state.save", "error=%s ignoring", log_quote(str_of(err.text)));
}

static void save(struct feed *feed);

static void touch_run(void *arg)
{
	const struct feed *feed = arg;
	struct error err;

	if (!state_file_touch(feed->path, &err))
		log_warn("state.touch", "error=%s ignoring", log_quote(str_of(err.text)));
}

static void save_done(void *arg)
{
	struct feed *feed = arg;

	loop_assert(feed->loop);
	feed->saving = false;
	save(feed);
}

static void save(struct feed *feed)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);

	if (feed->saving || feed->stopping || (feed->saved && state_same(feed->saved, snapshot->state)))
		return;
	state_free(feed->saved);
	feed->saved = state_ref(snapshot->state);
	feed->touched_ms = clock_ms();
	feed->saving = pool_submit_then(feed->pool, save_run, feed->loop, save_done, feed);
}

/* The leader says that nothing changed: what is on disk is as new as that. */
static void touch(struct feed *feed)
{
	if (feed->saving || feed->stopping || !feed->saved || clock_ms() - feed->touched_ms < TOUCH_EVERY_MS)
		return;
	feed->touched_ms = clock_ms();
	feed->saving = pool_submit_then(feed->pool, touch_run, feed->loop, save_done, feed);
}

/* The settings file was read again while the state was being built. */
static void refresh_rules(struct cluster *cluster, unsigned built_with)
{
	unsigned now;
	struct error err;

	(void)cluster_rules(cluster, &now);
	if (now != built_with && !cluster_refresh(cluster, &err))
		log_warn("access.refresh", "error=%s", log_quote(str_of(err.text)));
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

/* What the leader has now is the truth, though it is older, or another one of the same revision: it has lost
 * what we had. */
static void tell_replaced(struct feed *feed, const struct state *had, const struct state *has)
{
	uint64_t before = state_revision(had), now = state_revision(has);

	if (now > before || state_same(had, has) ||
		!few_take(&feed->said_replaced, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		return;
	log_warn("state.replaced",
		"url=%s had=%" PRIu64 " revision=%" PRIu64
		" what=\"the leader has lost the state that this worker had, which follows it\"",
		leader_url(feed), before, now);
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
		tell_replaced(feed, apply->old->state, apply->made->state);
		log_info("state.applied", "revision=%" PRIu64 " bytes=%zu",
			state_revision(apply->made->state), apply->body.len);
		atomic_store(&feed->cluster->state_fresh_ms, clock_ms());
		cluster_publish(feed->cluster, TAKE(apply->made));
		refresh_rules(feed->cluster, apply->rules_version);
		feed->whole = false;
		save(feed);
		ask_soon(feed, busy_ms);
	} else {
		refused(feed, &apply->err, busy_ms);
	}
	apply_free(apply);
}

static void start_apply(struct feed *feed, struct http_call *call)
{
	struct feed_apply *apply = xnew(struct feed_apply);
	const struct http_headers *headers = http_call_headers(call);
	const char *digest = http_headers_find(headers, "Zot-State-Digest");
	const char *encoding = http_headers_find(headers, "Content-Encoding");
	struct str body = http_call_body(call);

	apply->feed = feed;
	apply->begun_ms = clock_ms();
	apply->body = buf_limit((size_t)feed->cluster->settings.state_limit);
	buf_add(&apply->body, body);
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

/* Ask. */

static void on_head(void *arg, struct http_call *call)
{
	const struct feed *feed = arg;

	loop_assert(feed->loop);
	if (http_call_status(call) == 200)
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

	atomic_store(&feed->cluster->state_fresh_ms, clock_ms());
	touch(feed);
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

static void on_answer(struct feed *feed, struct http_call *call)
{
	unsigned status = http_call_status(call);
	char why[64];

	if (status == 304) {
		worked(feed);
		if (wants_report(call))
			report_now(feed->cluster->report);
		unchanged(feed);
	} else if (status != 200) {
		(void)snprintf(why, sizeof(why), "the leader answered %u", status);
		lost(feed, why);
	} else if (!is_state(call)) {
		lost(feed, "the leader's answer is of another Content-Type than " STATE_MEDIA_TYPE);
	} else {
		start_apply(feed, call);
	}
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct feed *feed = arg;

	loop_assert(feed->loop);
	feed->call = NULL;
	if (err)
		lost(feed, err->text);
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

static void question(const struct feed *feed, const struct state *has, int64_t wait, struct buf *into)
{
	char digest[STATE_DIGEST_TEXT];

	buf_format(into, "/api/cluster/state?since=%" PRIu64, state_revision(has));
	state_digest_hex(has, digest);
	if (state_revision(has))
		buf_format(into, "&digest=%s", digest);
	buf_format(into, "%s&wait=%" PRId64, feed->whole ? "&whole=1" : "", wait);
}

static void ask(void *arg)
{
	struct feed *feed = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(feed->cluster);
	AUTO_FINI(buf) path = buf_limit(256);
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
	call.revision = revision;
	call.total_ms = (unsigned)(poll + feed->cluster->settings.poll_timeout_ms);
	call.accept_gzip = true;
	feed->call = leader_call_start(
		&call, (struct http_call_events){ .arg = feed, .on_head = on_head, .on_done = on_done });
}

/* Life. */

static void keep_unread(const struct feed *feed, const struct error *why)
{
	data_file_keep(feed->cluster, feed->path, why,
		"this worker has no state until a leader answers, which tells it the whole");
	(void)unlink(feed->path);
}

static void load(struct feed *feed)
{
	struct cluster *cluster = feed->cluster;
	AUTO(state) *state = NULL;
	struct snapshot *snapshot;
	struct error err;
	int64_t age, fresh;

	if (!state_file_load(feed->path, &state, &age, &err)) {
		if (err.kind != ERROR_UNKNOWN)
			keep_unread(feed, &err);
		return;
	}
	if (!snapshot_new_state(&snapshot, state, cluster->self, NULL, &cluster->rules, &err)) {
		log_warn("state.load", "error=%s ignoring", log_quote(str_of(err.text)));
		return;
	}
	log_info("state.loaded", "revision=%" PRIu64 " age_ms=%" PRId64 " path=%s", state_revision(state),
		age, log_quote(str_of(feed->path)));
	fresh = clock_ms() - age;
	atomic_store(&cluster->state_fresh_ms, fresh ? fresh : -1);
	feed->saved = TAKE(state);
	cluster_publish(cluster, snapshot);
}

struct feed *feed_start(struct cluster *cluster)
{
	struct feed *feed = xnew(struct feed);
	AUTO_FINI(buf) path = buf_limit(4096);

	loop_assert(cluster->run.loop);
	feed->cluster = cluster;
	feed->loop = cluster->run.loop;
	feed->pool = cluster->run.pool;
	leaders_init(&feed->leaders, &cluster->settings, cluster->settings.poll_every_ms);
	if (cluster->settings.state_file)
		buf_puts(&path, cluster->settings.state_file);
	else
		buf_format(&path, "%s/state.bin", cluster->settings.data);
	feed->path = check_strdup(buf_text(&path));
	load(feed);
	loop_post(feed->loop, ask, feed);
	return feed;
}

void feed_stop(struct feed *feed)
{
	if (!feed)
		return;
	loop_assert(feed->loop);
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
	state_free(feed->saved);
	free(feed->path);
	free(feed);
}
