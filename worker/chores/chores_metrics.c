/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "common/metrics.h"
#include "worker/chores/chores.h"

struct rows {
	struct chore_stats at[CHORES_MAX];
	size_t len;
};

/* zot's, as it writes them. */
static const struct {
	const char *text;
	uint64_t us;
} bounds[CHORE_BUCKETS - 1] = { { "0.05", 50000 }, { "0.5", 500000 }, { "1", 1000000 }, { "5", 5000000 },
	{ "30", 30000000 }, { "60", 60000000 }, { "600", 600000000 } };

unsigned chore_bucket(uint64_t us)
{
	unsigned i = 0;

	while (i < CHORE_BUCKETS - 1 && us > bounds[i].us)
		i++;
	return i;
}

/* zot's tasks are pieces of work: a look whether it is time is none. */
static void put_times(const struct rows *rows, struct buf *into)
{
	const char *help = "How long runs of each chore that worked took, with what they waited for others.";

	for (size_t i = 0; i < rows->len; i++) {
		const struct chore_times *times = &rows->at[i].times;
		struct metrics_bucket buckets[CHORE_BUCKETS];
		char labels[64];

		for (unsigned j = 0; j < CHORE_BUCKETS; j++)
			buckets[j] = (struct metrics_bucket){ j < CHORE_BUCKETS - 1 ? bounds[j].text : "+Inf",
				times->buckets[j] };
		(void)snprintf(labels, sizeof(labels), "name=\"%s\"", rows->at[i].name);
		metrics_put_buckets(into, "zot_scheduler_workers_tasks_duration_seconds", i ? NULL : help,
			labels, &(struct metrics_buckets){ buckets, CHORE_BUCKETS, times->sum_us });
	}
}

typedef uint64_t figure_f(const struct chore_stats *stats);

static uint64_t runs_of(const struct chore_stats *stats)
{
	return stats->runs;
}

static uint64_t failures_of(const struct chore_stats *stats)
{
	return stats->failures;
}

static uint64_t worked_us_of(const struct chore_stats *stats)
{
	return stats->worked_us;
}

static uint64_t end_of(const struct chore_stats *stats)
{
	return (uint64_t)stats->ended_s;
}

static uint64_t is_running(const struct chore_stats *stats)
{
	return stats->state == CHORE_RUNNING;
}

typedef void put_f(struct buf *into, const char *name, const char *type, const char *help, const char *labels,
	uint64_t value);

/* One family: each chore's figure. */
static void put_family(const struct rows *rows, struct buf *into, const char *name, const char *type,
	const char *help, figure_f *figure, put_f *put_one)
{
	char labels[64];

	for (size_t i = 0; i < rows->len; i++) {
		(void)snprintf(labels, sizeof(labels), "chore=\"%s\"", rows->at[i].name);
		put_one(into, name, type, i ? NULL : help, labels, figure(&rows->at[i]));
	}
}

static void put(const struct rows *rows, struct buf *into, const char *name, const char *type,
	const char *help, figure_f *figure)
{
	put_family(rows, into, name, type, help, figure, metrics_put);
}

/* zot's words: ready to make tasks, waiting for its time, done for good. */
static void put_generators(const struct rows *rows, struct buf *into)
{
	uint64_t by_state[] = {
		[CHORE_WAITING] = 0, [CHORE_READY] = 0, [CHORE_RUNNING] = 0, [CHORE_OVER] = 0
	};

	for (size_t i = 0; i < rows->len; i++)
		by_state[rows->at[i].state]++;
	metrics_put(
		into, "zot_scheduler_generators_total", "counter", "Chores of this worker.", "", rows->len);
	metrics_put(into, "zot_scheduler_generators_status", "gauge",
		"Chores by state: ready (due, or running), waiting for their time, done (those that run "
		"once).",
		"priority=\"low\",state=\"ready\"", by_state[CHORE_READY] + by_state[CHORE_RUNNING]);
	metrics_put(into, "zot_scheduler_generators_status", "gauge", NULL,
		"priority=\"low\",state=\"waiting\"", by_state[CHORE_WAITING]);
	metrics_put(into, "zot_scheduler_generators_status", "gauge", NULL, "priority=\"low\",state=\"done\"",
		by_state[CHORE_OVER]);
}

void chores_metrics(struct chores *chores, struct buf *into)
{
	struct rows rows;

	rows.len = chores_stats(chores, rows.at);
	put_generators(&rows, into);
	put_times(&rows, into);
	put(&rows, into, "zot_chore_runs_total", "counter", "Runs of each chore that have ended.", runs_of);
	put(&rows, into, "zot_chore_failures_total", "counter", "Runs of each chore that failed.",
		failures_of);
	put_family(&rows, into, "zot_chore_seconds_total", "counter",
		"Time that the runs of each chore took, with what they waited for others.", worked_us_of,
		metrics_put_seconds);
	put(&rows, into, "zot_chore_running", "gauge", "1: the chore runs.", is_running);
	put(&rows, into, "zot_chore_last_end_seconds", "gauge",
		"When the last run ended, by the wall clock; 0: none has.", end_of);
}
