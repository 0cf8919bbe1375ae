/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/push.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/few.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/journal.h"
#include "worker/cluster/leader_call.h"
#include "worker/cluster/leaders.h"
#include "worker/cluster/usage_priv.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define ANSWER_MAX (8u * 1024 * 1024)
/* What a leader may say, as its settings are bounded (proto/entity_fields.def). */
#define LEASE_MOST_MS  600000
#define EVERY_LEAST_MS 100
#define EVERY_MOST_MS  60000
/* Of what it provokes: lines of the log in a minute, pushes that follow each other at once in ten seconds. */
#define SAY_MOST     10
#define SAY_SPAN_MS  60000
#define SOON_MOST    200
#define SOON_SPAN_MS 10000
#define SOON_REST_MS 100
/* Told to leave, we try so often before the journal has to do. */
#define LEAVE_TRIES 3

struct push {
	struct cluster *cluster;
	struct worker *worker;
	struct usage *usage;
	struct loop *loop;
	struct leaders leaders;
	struct loop_timer timer;
	char boot[33];
	uint64_t seq;      /* of the newest frozen push */
	const char *state; /* "active" "draining" "left" */

	struct usage_push *old; /* of earlier boots, oldest first */
	size_t old_at, old_len;
	struct usage_push frozen; /* of this boot, not acknowledged */
	bool has_frozen;
	struct usage_batch pending; /* counted, not frozen */

	unsigned collecting; /* loops that have not handed over yet */
	struct http_call *call;
	int64_t sent_ms, sent_wall_ms;
	struct few said, soon;
	bool again; /* a push is wanted as soon as this one is over */
	bool stopping;
	atomic_bool kicked;
	atomic_bool over;
	unsigned leave_failures;

	char *journal_path;
	struct buf journal_text;
	bool journal_saving, journal_dirty, journal_empty;

	uint64_t last_requests; /* for the rate */
	int64_t last_ms;
};

static void cycle(void *arg);
static void send_next(struct push *push);

static void cycle_in(struct push *push, int64_t ms)
{
	if (!push->stopping)
		loop_timer_start(push->loop, &push->timer, ms, cycle, push);
}

/* Journal. */

static void journal_write(struct push *push);

static bool is_leaving(const struct push *push)
{
	return !strcmp(push->state, "left");
}

/* No leader takes the last push: the journal has it, and the next start sends it. */
static void give_up_if_due(struct push *push)
{
	if (is_leaving(push) && push->leave_failures >= LEAVE_TRIES && !push->journal_saving)
		atomic_store(&push->over, true);
}

static void journal_done(void *arg)
{
	struct push *push = arg;

	push->journal_saving = false;
	if (push->journal_dirty)
		journal_write(push);
	give_up_if_due(push);
}

static void journal_run(void *arg)
{
	struct push *push = arg;
	struct error err;

	if (!journal_save(push->journal_path, buf_str(&push->journal_text), &err))
		log_warn("journal.save", "error=%s ignoring", log_quote(str_of(err.text)));
	loop_post(push->loop, journal_done, push);
}

static void journal_line(struct push *push, const struct usage_push *item)
{
	usage_push_encode(item, &push->journal_text);
	buf_putc(&push->journal_text, '\n');
}

/* What was counted and not frozen stands in the journal under the seq that it would get. */
static void journal_pending(struct push *push)
{
	struct usage_push item = { .after = push->seq, .seq = push->seq + 1, .final = is_leaving(push) };

	item.worker = check_strdup(push->cluster->self);
	item.process = check_strdup(push->cluster->process);
	item.boot = check_strdup(push->boot);
	usage_batch_copy(&push->pending, &item);
	quotas_used(push->usage->quotas, &item);
	journal_line(push, &item);
	usage_push_fini(&item);
}

static bool has_counts(const struct push *push)
{
	return push->old_at < push->old_len || (is_leaving(push) && push->has_frozen) ||
	       (push->has_frozen && (push->frozen.rows_len || push->frozen.repositories_len)) ||
	       !usage_batch_is_empty(&push->pending);
}

static void journal_write(struct push *push)
{
	bool empty = !has_counts(push);

	if (push->journal_saving) {
		push->journal_dirty = true;
		return;
	}
	push->journal_dirty = false;
	if (empty && push->journal_empty)
		return;
	buf_clear(&push->journal_text);
	for (size_t i = push->old_at; i < push->old_len; i++)
		journal_line(push, &push->old[i]);
	if (push->has_frozen && !empty)
		journal_line(push, &push->frozen);
	if (!empty)
		journal_pending(push);
	push->journal_empty = empty;
	push->journal_saving = true;
	pool_push(push->worker->pool, journal_run, push);
}

/* Heartbeat. */

static void fill_stats(struct push *push, struct usage_stats *stats)
{
	struct worker *worker = push->worker;
	struct process_stats process = process_stats();
	struct histogram latency = { 0 };
	int64_t now = clock_ms();

	for (unsigned i = 0; i < worker->loops_len; i++) {
		const struct worker_counters *counters = &worker->loops[i].counters;
		stats->requests += counter_get(&counters->http_ended_total);
		stats->bytes_in += counter_get(&counters->received_bytes_total);
		stats->bytes_out += counter_get(&counters->sent_bytes_total);
		stats->proxied += counter_get(&counters->proxied_total);
		traffic_latency(&worker->loops[i].traffic, &latency);
	}
	stats->open_requests = worker_open_requests(worker);
	stats->rss = process.rss;
	stats->cpu_ms = process.cpu_ms;
	stats->uptime_ms = (uint64_t)(now - worker->started_ms);
	stats->p50_us = histogram_quantile(&latency, 0.5);
	stats->p99_us = histogram_quantile(&latency, 0.99);
	stats->s3_requests = store_requests(worker->store);
	stats->spool_bytes = spool_used(worker->spool);
	if (push->last_ms && now > push->last_ms)
		stats->rate = (double)(stats->requests - push->last_requests) * 1000.0 /
			      (double)(now - push->last_ms);
	push->last_requests = stats->requests;
	push->last_ms = now;
}

static void set_text(char **at, const char *text)
{
	free(*at);
	*at = check_strdup(text);
}

static void fill_heartbeat(struct push *push, struct usage_push *item)
{
	struct cluster *cluster = push->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);

	set_text(&item->worker, cluster->self);
	set_text(&item->process, cluster->process);
	set_text(&item->url, cluster->url);
	set_text(&item->zone, cluster->settings->zone);
	set_text(&item->version, ZOT_VERSION);
	set_text(&item->state, push->state);
	item->revision = state_revision(snapshot->state);
	item->state_age_ms = cluster_state_age_ms(cluster);
	item->stats = (struct usage_stats){ 0 };
	fill_stats(push, &item->stats);
}

/* Answers. */

static struct usage_push *current(struct push *push)
{
	return push->old_at < push->old_len ? &push->old[push->old_at] : &push->frozen;
}

static void renew(struct push *push, struct http_call *call, int64_t lease_ms)
{
	const char *date = http_headers_find(http_call_headers(call), "Date");
	struct trust_answer answer = { .asked_ms = push->sent_ms,
		.asked_wall_ms = push->sent_wall_ms,
		.answered_ms = clock_ms(),
		.leader = push->leaders.now,
		.lease_ms = lease_ms };

	if (!date || !http_date_parse(str_of(date), &answer.date_s))
		answer.date_s = -1;
	cluster_renew(push->cluster, &answer);
}

static void acknowledged(struct push *push, struct http_call *call, const struct usage_answer *answer)
{
	renew(push, call, answer->lease_ms);
	if (push->old_at < push->old_len) {
		usage_push_fini(&push->old[push->old_at++]);
		push->again = true;
	} else {
		if (push->frozen.final)
			atomic_store(&push->over, true);
		usage_push_fini(&push->frozen);
		push->has_frozen = false;
	}
	push->again |= quotas_answer(push->usage->quotas, answer);
}

static void failed(struct push *push, const char *why)
{
	log_debug("push.failed", "error=%s", log_quote(str_of(why)));
	leaders_failed(&push->leaders, clock_ms());
	if (is_leaving(push))
		push->leave_failures++;
}

static void say_refused(struct push *push, const char *why)
{
	if (few_take(&push->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error("push.refused", "name=%s %s", log_quote(str_of(push->cluster->self)), why);
}

static void say_wrong(struct push *push, const struct error *err)
{
	if (few_take(&push->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_warn("push.answer", "error=%s ignoring", log_quote(str_of(err->text)));
}

/* Refused for what we are, not for now. */
static void say_why(struct push *push, unsigned status)
{
	if (status == 409)
		say_refused(push, "another process of this name is alive: give each worker its own "
				  "CLUSTER_WORKER_NAME");
	else if (status == 401)
		say_refused(
			push, "the leader does not know CLUSTER_LEADER_CLIENT_ID and _SECRET, or no longer");
	else if (status == 403)
		say_refused(push, "the credential is another worker's: CLUSTER_LEADER_CLIENT_ID must be "
				  "CLUSTER_WORKER_NAME");
}

static bool check_answer(const struct usage_answer *answer, struct error *err)
{
	if (answer->lease_ms > LEASE_MOST_MS)
		return error_set(err, ERROR_INVALID, NULL,
			"a lease of %" PRId64 " ms; at most %d are allowed", answer->lease_ms, LEASE_MOST_MS);
	if (answer->push_every_ms > EVERY_MOST_MS)
		return error_set(err, ERROR_INVALID, NULL,
			"push_every_ms: %" PRId64 "; at most %d are allowed", answer->push_every_ms,
			EVERY_MOST_MS);
	return true;
}

static int64_t pause_ms(const struct push *push, const struct usage_answer *answer)
{
	if (answer->push_every_ms <= 0)
		return push->cluster->settings->push_every_ms;
	return answer->push_every_ms < EVERY_LEAST_MS ? EVERY_LEAST_MS : answer->push_every_ms;
}

static bool take_answer(struct push *push, struct http_call *call, int64_t *ret_every_ms)
{
	struct usage_answer answer = { 0 };
	struct error err;
	char why[64];

	if (http_call_status(call) != 200) {
		(void)snprintf(why, sizeof(why), "the leader answered %u", http_call_status(call));
		failed(push, why);
		say_why(push, http_call_status(call));
		return false;
	}
	if (!usage_answer_parse(http_call_body(call), &answer, &err) || !check_answer(&answer, &err)) {
		usage_answer_fini(&answer);
		failed(push, err.text);
		say_wrong(push, &err);
		return false;
	}
	leaders_worked(&push->leaders);
	if (answer.seq == current(push)->seq)
		acknowledged(push, call, &answer);
	*ret_every_ms = pause_ms(push, &answer);
	usage_answer_fini(&answer);
	return true;
}

static void on_head(void *arg, struct http_call *call)
{
	(void)arg;
	if (http_call_status(call) == 200)
		http_call_collect(call, ANSWER_MAX);
}

static int64_t soon_ms(struct push *push)
{
	return few_take(&push->soon, SOON_MOST, SOON_SPAN_MS, clock_ms()) ? 0 : SOON_REST_MS;
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct push *push = arg;
	int64_t every = push->cluster->settings->push_every_ms;
	bool again;

	push->call = NULL;
	if (err)
		failed(push, err->text);
	else if (take_answer(push, call, &every))
		push->leave_failures = 0;
	quotas_wake(push->usage->quotas);
	journal_write(push);
	give_up_if_due(push);
	again = push->again;
	push->again = false;
	if (err)
		cycle_in(push, every < 500 ? every : 500);
	else
		cycle_in(push, again ? soon_ms(push) : every);
}

static void send_item(struct push *push, struct usage_push *item)
{
	AUTO_FINI(buf) body = buf_limit(USAGE_BYTES_MAX * 2);
	int64_t wait = 0;
	const char *url = leaders_next(&push->leaders, clock_ms(), &wait);

	if (!url) {
		if (is_leaving(push))
			push->leave_failures++;
		quotas_wake(push->usage->quotas);
		journal_write(push);
		give_up_if_due(push);
		cycle_in(push, wait < 500 ? wait : 500);
		return;
	}
	fill_heartbeat(push, item);
	usage_push_encode(item, &body);
	struct leader_call call = { .cluster = push->cluster,
		.client = push->worker->loops[0].client,
		.leader = url,
		.method = "PUT",
		.path = "/api/cluster/quotas",
		.body = buf_str(&body),
		.revision = item->revision,
		.total_ms = (unsigned)push->cluster->settings->push_timeout_ms };
	push->sent_ms = clock_ms();
	push->sent_wall_ms = clock_wall_ms();
	push->call = leader_call_start(
		&call, (struct http_call_events){ .arg = push, .on_head = on_head, .on_done = on_done });
}

static void freeze(struct push *push)
{
	push->frozen =
		(struct usage_push){ .after = push->seq, .seq = push->seq + 1, .final = is_leaving(push) };
	push->seq++;
	push->frozen.boot = check_strdup(push->boot);
	usage_batch_freeze(&push->pending, &push->frozen);
	push->has_frozen = true;
}

/* Demands are absolute, so a push that is repeated may ask for what is wanted by now. */
static void renew_demands(struct push *push)
{
	for (size_t i = 0; i < push->frozen.demands_len; i++)
		free(push->frozen.demands[i].apikey);
	free(push->frozen.demands);
	push->frozen.demands = NULL;
	push->frozen.demands_len = 0;
	quotas_demand(push->usage->quotas, clock_wall_s(), push->frozen.final, &push->frozen);
}

static void send_next(struct push *push)
{
	if (push->old_at >= push->old_len && !push->has_frozen)
		freeze(push);
	if (current(push) == &push->frozen)
		renew_demands(push);
	if (!push->journal_saving && has_counts(push))
		journal_write(push);
	send_item(push, current(push));
}

/* Collect. */

struct handover {
	struct push *push;
	struct usage_batch batch;
};

static void collected(void *arg)
{
	struct handover *handover = arg;
	struct push *push = handover->push;

	usage_batch_merge(&push->pending, &handover->batch);
	usage_batch_fini(&handover->batch);
	free(handover);
	if (--push->collecting == 0 && !push->stopping)
		send_next(push);
}

struct collect {
	struct push *push;
	struct usage_loop *from;
};

static void collect_run(void *arg)
{
	struct collect *collect = arg;
	struct handover *handover = xnew(struct handover);

	handover->push = collect->push;
	handover->batch = collect->from->batch;
	usage_batch_init(&collect->from->batch);
	loop_post(collect->push->loop, collected, handover);
	free(collect);
}

static void cycle(void *arg)
{
	struct push *push = arg;

	if (push->stopping || atomic_load(&push->over))
		return;
	atomic_store(&push->kicked, false);
	if (push->collecting || push->call) {
		push->again = true;
		return;
	}
	push->collecting = push->usage->loops_len;
	for (unsigned i = 0; i < push->usage->loops_len; i++) {
		struct collect *collect = xnew(struct collect);
		*collect = (struct collect){ .push = push, .from = &push->usage->loops[i] };
		loop_post(push->worker->loops[i].loop, collect_run, collect);
	}
}

/* Thread  any. */
static void kick(void *arg)
{
	struct push *push = arg;

	if (!atomic_exchange(&push->kicked, true))
		loop_post(push->loop, cycle, push);
}

/* Life. */

static void load_journal(struct push *push)
{
	struct error err;

	if (!journal_load(push->journal_path, &push->old, &push->old_len, &err))
		log_error("journal.load", "error=%s usage counted before the last stop may be missing",
			log_quote(str_of(err.text)));
	if (push->old_len)
		log_info("journal.loaded", "pushes=%zu", push->old_len);
	push->journal_empty = !push->old_len;
}

struct push *push_start(struct cluster *cluster, struct worker *worker)
{
	struct push *push = xnew(struct push);
	AUTO_FINI(buf) path = buf_limit(4096);

	push->cluster = cluster;
	push->worker = worker;
	push->usage = worker->usage;
	push->loop = worker->loops[0].loop;
	push->state = "active";
	random_hex(push->boot, 16);
	leaders_init(&push->leaders, cluster->settings, cluster->settings->push_every_ms);
	usage_batch_init(&push->pending);
	push->journal_text = buf_limit(JOURNAL_MAX);
	buf_format(&path, "%s/usage.journal", cluster->settings->data);
	push->journal_path = check_strdup(buf_text(&path));
	load_journal(push);
	push->usage->kick = kick;
	push->usage->kick_arg = push;
	kick(push);
	return push;
}

void push_say(struct push *push, const char *state)
{
	push->state = state;
	/* A frozen push that nobody has had yet may carry the news; the final one needs its own seq. */
	push->again = push->call != NULL || push->collecting;
	if (!push->again)
		cycle(push);
}

bool push_is_over(const struct push *push)
{
	return atomic_load(&push->over);
}

void push_stop(struct push *push)
{
	if (!push)
		return;
	push->stopping = true;
	loop_timer_stop(push->loop, &push->timer);
	if (push->call)
		http_call_cancel(TAKE(push->call));
	quotas_wake(push->usage->quotas);
}

void push_free(struct push *push)
{
	if (!push)
		return;
	for (size_t i = push->old_at; i < push->old_len; i++)
		usage_push_fini(&push->old[i]);
	free(push->old);
	if (push->has_frozen)
		usage_push_fini(&push->frozen);
	usage_batch_fini(&push->pending);
	buf_fini(&push->journal_text);
	leaders_fini(&push->leaders);
	free(push->journal_path);
	free(push);
}
