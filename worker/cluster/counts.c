/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/counts.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/cluster/ceiling_writer.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/data_file.h"
#include "worker/cluster/journal.h"
#include "worker/cluster/report_call.h"
#include "worker/cluster/usage_priv.h"

/* After a failure, at the longest. */
#define RETRY_MS 500
/* Told to leave, we try so often before the journal has to do. */
#define LEAVE_TRIES 3

struct counts {
	struct report_self *self;
	struct usage *usage;
	struct loop *loop;
	struct pool *pool;
	struct report_call call;
	struct counts_queue queue;
	const struct usage_report *sending; /* the queue's */
	struct loop_timer tick, retry;
	unsigned collecting; /* loops that have not handed over yet */
	bool stopping;

	bool leaving, finished; /* told to; the last word is in the queue */
	unsigned failures;
	atomic_bool over;

	char *journal_path, *refused_path, *ceilings_path;
	struct buf text;      /* what is being written */
	bool saving, dirty;   /* now; what is on disk is not what there is */
	bool was_empty;       /* what is on disk */
	bool saving_finished; /* the last word is in what is being written */
	bool hurry;           /* what is sent meanwhile does not put off the next write */
};

static void step(void *arg);

static const char *boot_of(const struct counts *counts)
{
	return counts->self->cluster->process;
}

/* ---- journal ---- */

static void end_if_due(struct counts *counts)
{
	int64_t wait;
	bool done = !counts_queue_next(&counts->queue, clock_ms(), &wait);

	if (counts->finished && !counts->saving && !counts->dirty && !counts->call.call &&
		(done || counts->failures >= LEAVE_TRIES))
		atomic_store(&counts->over, true);
}

static void journal_done(void *arg)
{
	struct counts *counts = arg;

	loop_assert(counts->loop);
	counts->saving = false;
	counts_queue_was_written(&counts->queue);
	step(counts);
}

/* The last word has what the ceilings are for, so they go: not before it is on disk. */
static void journal_run(void *arg)
{
	struct counts *counts = arg;
	struct error err;
	bool ok = journal_save(counts->journal_path, buf_str(&counts->text), &err);

	if (!ok)
		log_warn("journal.save", "error=%s ignoring", log_quote(str_of(err.text)));
	else if (counts->saving_finished)
		ceiling_writer_close(counts->usage->writer);
	loop_post(counts->loop, journal_done, counts);
}

static void compose_journal(struct counts *counts)
{
	if (!counts_queue_lines(&counts->queue, &counts->text))
		log_error("journal.full",
			"path=%s most=%u bytes; what has no room is lost if this process is killed",
			log_quote(str_of(counts->journal_path)), JOURNAL_MAX);
	counts->dirty = counts->hurry = false;
	counts->saving_finished = counts->finished;
}

static void write_journal(struct counts *counts)
{
	bool empty = counts_queue_is_empty(&counts->queue);

	if (counts->saving || !counts->dirty)
		return;
	if (empty && counts->was_empty && !counts->finished) {
		counts->dirty = false;
		return;
	}
	compose_journal(counts);
	counts->was_empty = empty;
	counts->saving = true;
	pool_push(counts->pool, journal_run, counts);
}

/* ---- refused ---- */

struct refused {
	const char *path;
	struct buf line;
};

static void refused_run(void *arg)
{
	struct refused *refused = arg;
	struct error err;

	if (!journal_refuse(refused->path, buf_str(&refused->line), &err))
		log_error("usage.refused_lost", "error=%s", log_quote(str_of(err.text)));
	buf_fini(&refused->line);
	free(refused);
}

static void put_aside(struct counts *counts, const struct usage_report *report, const char *why)
{
	struct refused *refused = xnew(struct refused);

	log_error("usage.refused", "boot=%s seq=%" PRIu64 " rows=%zu path=%s error=%s", report->boot,
		report->seq, report->rows_len + report->repositories_len + report->demands_len,
		log_quote(str_of(counts->refused_path)), log_quote(str_of(why)));
	counter_add(counts->self->cluster->run.refused, 1);
	refused->path = counts->refused_path;
	refused->line = buf_limit(USAGE_BYTES_MAX);
	usage_report_encode(report, &refused->line);
	buf_putc(&refused->line, '\n');
	pool_push(counts->pool, refused_run, refused);
}

/* ---- sending ---- */

static void note_wait(struct counts *counts, bool begins_anew)
{
	int64_t *since = &counts->usage->waits_since_ms;

	if (counts_queue_is_empty(&counts->queue))
		__atomic_store_n(since, 0, __ATOMIC_RELAXED);
	else if (begins_anew || !__atomic_load_n(since, __ATOMIC_RELAXED))
		__atomic_store_n(since, clock_ms(), __ATOMIC_RELAXED);
}

static void drop(struct counts *counts, const struct usage_report *report)
{
	counts_queue_drop(&counts->queue, report);
	note_wait(counts, true);
	counts->dirty = true;
	counts->failures = 0;
}

/* This folder is a copy of another's that lives, or was until just now. */
static void wait_a_lease(struct counts *counts, const struct usage_report *report, const char *why)
{
	log_debug("usage.waits", "boot=%s error=%s", report->boot, log_quote(str_of(why)));
	counts_queue_postpone(&counts->queue, report, clock_ms() + counts->self->lease_ms);
}

static void retry_in(struct counts *counts, int64_t ms)
{
	if (!counts->stopping)
		loop_timer_start(counts->loop, &counts->retry, ms < RETRY_MS ? ms : RETRY_MS, step, counts);
}

static void on_done(void *arg, const struct report_result *result)
{
	struct counts *counts = arg;
	const struct usage_report *report = TAKE(counts->sending);

	loop_assert(counts->loop);
	switch (result->end) {
	case REPORT_TAKEN:
		drop(counts, report);
		break;
	case REPORT_REFUSED:
		put_aside(counts, report, result->why);
		drop(counts, report);
		break;
	case REPORT_CONFLICT:
		wait_a_lease(counts, report, result->why);
		break;
	case REPORT_FAILED:
	case REPORT_ESTRANGED:
		counts->failures++;
		end_if_due(counts);
		retry_in(counts, counts->self->every_ms);
		return;
	}
	step(counts);
}

static void send_report(struct counts *counts, const struct usage_report *report)
{
	int64_t wait_ms;

	if (report->final && report->all && !strcmp(report->boot, boot_of(counts)))
		counts->self->state = "left";
	if (report_call_send(&counts->call, report, &wait_ms)) {
		counts->sending = report;
		return;
	}
	counts->failures++;
	end_if_due(counts);
	retry_in(counts, wait_ms);
}

static void send_next(struct counts *counts)
{
	int64_t wait_ms;
	const struct usage_report *report = counts_queue_next(&counts->queue, clock_ms(), &wait_ms);

	if (report && counts_queue_is_written(&counts->queue, report))
		send_report(counts, report);
	else if (report)
		counts->dirty = true;
	else if (wait_ms != INT64_MAX)
		retry_in(counts, wait_ms);
}

static void step(void *arg)
{
	struct counts *counts = arg;

	loop_assert(counts->loop);
	if (counts->stopping || atomic_load(&counts->over))
		return;
	note_wait(counts, false);
	if (!counts_queue_has_own(&counts->queue) && !usage_batch_is_empty(&counts->queue.pending))
		counts_queue_freeze(&counts->queue);
	if (!counts->call.call)
		send_next(counts);
	/* While chunks are going through, what is on disk has them all: it is written anew at the end. */
	if (!counts->call.call || counts->hurry || !usage_batch_is_empty(&counts->queue.pending))
		write_journal(counts);
	end_if_due(counts);
}

/* ---- collecting ---- */

struct handover {
	struct counts *counts;
	struct usage_batch batch;
};

static void finish(struct counts *counts);

static void collected(void *arg)
{
	struct handover *handover = arg;
	struct counts *counts = handover->counts;

	loop_assert(counts->loop);
	counts->dirty |= !usage_batch_is_empty(&handover->batch);
	usage_batch_merge(&counts->queue.pending, &handover->batch);
	usage_batch_fini(&handover->batch);
	free(handover);
	if (--counts->collecting || counts->stopping)
		return;
	if (counts->leaving)
		finish(counts);
	step(counts);
}

struct collect {
	struct counts *counts;
	struct usage_loop *from;
};

static void collect_run(void *arg)
{
	struct collect *collect = arg;
	struct handover *handover = xnew(struct handover);

	loop_assert(collect->from->loop);
	handover->counts = collect->counts;
	usage_batch_move(&handover->batch, &collect->from->batch);
	loop_post(collect->counts->loop, collected, handover);
	free(collect);
}

static void collect_all(struct counts *counts)
{
	if (counts->collecting)
		return;
	counts->collecting = counts->usage->loops_len;
	for (unsigned i = 0; i < counts->usage->loops_len; i++) {
		struct collect *collect = xnew(struct collect);

		*collect = (struct collect){ .counts = counts, .from = &counts->usage->loops[i] };
		loop_post(collect->from->loop, collect_run, collect);
	}
}

static void on_tick(void *arg)
{
	struct counts *counts = arg;

	loop_assert(counts->loop);
	if (counts->stopping || counts->leaving)
		return;
	collect_all(counts);
	loop_timer_start(counts->loop, &counts->tick, counts->self->every_ms, on_tick, counts);
}

/* ---- the end of a boot ---- */

static void final_begin(const struct counts *counts, const char *boot, struct usage_report *report)
{
	*report = (struct usage_report){ .worker = check_strdup(counts->self->cluster->self),
		.process = check_strdup(counts->self->cluster->process),
		.boot = check_strdup(boot),
		.final = true };
}

static void finish(struct counts *counts)
{
	size_t at = 0;
	bool more = true;

	if (counts->finished)
		return;
	counts_queue_freeze(&counts->queue);
	while (more) {
		struct usage_report report;

		final_begin(counts, boot_of(counts), &report);
		more = quotas_used(counts->usage->quotas, &at, &report);
		report.all = !more;
		counts_queue_add(&counts->queue, &report);
	}
	counts->finished = true;
	counts->dirty = counts->hurry = true;
	counts->failures = 0;
}

/* What one collection that is under way does not have, the one after it has. */
void counts_finish(struct counts *counts)
{
	loop_assert(counts->loop);
	quotas_close(counts->usage->quotas);
	counts->leaving = true;
	collect_all(counts);
}

bool counts_is_over(const struct counts *counts)
{
	return atomic_load(&counts->over);
}

/* ---- an earlier boot ---- */

static bool has_last_word(const struct counts_queue *queue, const char *boot)
{
	for (size_t i = 0; i < queue->len; i++) {
		const struct usage_report *report = &queue->items[i]->report;

		if (report->final && report->all && !strcmp(report->boot, boot))
			return true;
	}
	return false;
}

/* It was killed: it is closed where its ceilings are. */
static void close_boot(struct counts *counts, const char *boot, struct ceiling *list, size_t len)
{
	for (size_t at = 0; at < len;) {
		struct usage_report report;
		size_t bytes = 0;

		final_begin(counts, boot, &report);
		report.demands = xnew_array(struct usage_demand, USAGE_CHUNK_ROWS);
		for (; at < len && report.demands_len < USAGE_CHUNK_ROWS; at++) {
			struct usage_demand *demand = &report.demands[report.demands_len];

			bytes += strlen(list[at].apikey);
			if (bytes > USAGE_CHUNK_BYTES)
				break;
			demand->apikey = TAKE(list[at].apikey);
			memcpy(demand->day, list[at].day, sizeof(demand->day));
			demand->granted = demand->used = list[at].used;
			report.demands_len++;
		}
		report.all = at == len;
		counts_queue_add(&counts->queue, &report);
	}
	log_info("ceilings.closed", "boot=%s rows=%zu", log_quote(str_of(boot)), len);
}

static void keep_ceilings(const struct counts *counts, const struct error *why)
{
	data_file_keep(counts->self->cluster, counts->ceilings_path, why,
		"what the last process was granted stays reserved until its day is over");
	(void)unlink(counts->ceilings_path);
}

static void load_ceilings(struct counts *counts)
{
	char boot[CEILINGS_BOOT_SIZE];
	struct ceiling *list = NULL;
	size_t len = 0;
	struct error err;

	if (!ceilings_load(counts->ceilings_path, boot, &list, &len, &err))
		keep_ceilings(counts, &err);
	else if (len && !has_last_word(&counts->queue, boot))
		close_boot(counts, boot, list, len);
	ceiling_list_free(list, len);
}

/* What could be read of it is written anew, under its name, before anything else is. */
static bool load_journal(struct counts *counts)
{
	struct error err;

	if (journal_load(counts->journal_path, &counts->queue, &err))
		return true;
	data_file_keep(counts->self->cluster, counts->journal_path, &err,
		"usage that was counted before the last stop and is in no line that can be read is not sent");
	return false;
}

static void save_loaded(struct counts *counts)
{
	struct error err;

	compose_journal(counts);
	if (!journal_save(counts->journal_path, buf_str(&counts->text), &err))
		log_warn("journal.save", "error=%s ignoring", log_quote(str_of(err.text)));
	counts_queue_was_written(&counts->queue);
}

static void load(struct counts *counts)
{
	bool whole = load_journal(counts);

	load_ceilings(counts);
	if (counts->queue.len)
		log_info("journal.loaded", "reports=%zu", counts->queue.len);
	counts->was_empty = !counts->queue.len;
	if (!counts->was_empty || !whole)
		save_loaded(counts);
}

/* ---- life ---- */

static char *path_of(const struct counts *counts, const char *name)
{
	AUTO_FINI(buf) path = buf_limit(4096);

	buf_format(&path, "%s/%s", counts->self->cluster->settings.data, name);
	return check_strdup(buf_text(&path));
}

struct counts *counts_start(struct report_self *self)
{
	const struct cluster_run *run = &self->cluster->run;
	struct counts *counts = xnew(struct counts);

	loop_assert(run->loop);
	counts->self = self;
	counts->usage = run->usage;
	counts->loop = run->loop;
	counts->pool = run->pool;
	report_call_init(&counts->call, self, on_done, counts);
	counts_queue_init(&counts->queue, self->cluster->self, self->cluster->process);
	counts->text = buf_limit(JOURNAL_MAX);
	counts->journal_path = path_of(counts, "usage.journal");
	counts->refused_path = path_of(counts, "usage.refused");
	counts->ceilings_path = path_of(counts, "usage.ceilings");
	load(counts);
	counts->usage->writer = ceiling_writer_new(
		counts->usage->quotas, counts->pool, counts->ceilings_path, self->cluster->process);
	loop_post(counts->loop, step, counts);
	loop_timer_start(counts->loop, &counts->tick, self->every_ms, on_tick, counts);
	return counts;
}

void counts_stop(struct counts *counts)
{
	loop_assert(counts->loop);
	counts->stopping = true;
	loop_timer_stop(counts->loop, &counts->tick);
	loop_timer_stop(counts->loop, &counts->retry);
	report_call_cancel(&counts->call);
}

void counts_free(struct counts *counts)
{
	if (!counts)
		return;
	ceiling_writer_free(TAKE(counts->usage->writer));
	counts_queue_fini(&counts->queue);
	report_call_fini(&counts->call);
	buf_fini(&counts->text);
	free(counts->journal_path);
	free(counts->refused_path);
	free(counts->ceilings_path);
	free(counts);
}
