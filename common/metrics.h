/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - counters as data: one .def table gives the struct, /metrics and its HELP lines.
 *
 * A table is an X-macro of COUNTER(name, type, "labels or empty", "help for the operator"), see
 * worker/worker_counters.def. Each loop has its own plain struct; scraping reads them without a
 * lock (64 bit loads) and sums. What pool threads count goes through counter_add() (atomic).
 *
 * Histograms have fixed buckets of latency in microseconds, each a power of two from 64 us to
 * 67 s: enough to tell p50 from p99, and mergeable between workers by adding.
 *
 * Thread  counters: their loop's, or counter_add() from any; writing out: any.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"

typedef uint64_t counter;
static inline void counter_add(counter *c, uint64_t n) { (void)__atomic_fetch_add(c, n, __ATOMIC_RELAXED); }
static inline uint64_t counter_get(const counter *c) { return __atomic_load_n(c, __ATOMIC_RELAXED); }

#define HISTOGRAM_BUCKETS 21
struct histogram {
	counter buckets[HISTOGRAM_BUCKETS]; /* bucket i: <= 64us * 2^i; the last one: the rest */
	counter sum_us, count;
};
void     histogram_add(struct histogram *h, uint64_t us);        /* one writer at a time */
void     histogram_add_shared(struct histogram *h, uint64_t us); /* any */
void     histogram_merge(struct histogram *into, const struct histogram *from);
uint64_t histogram_quantile(const struct histogram *h, double q); /* upper bound of the bucket, us */

/* Prometheus text format 0.0.4. type: "counter" or "gauge". help NULL: HELP and TYPE were written. Names, units (seconds, bytes)
 * and labels are what `promtool check metrics` wants; those that zot has given keep their own. */
void metrics_put(struct buf *into, const char *name, const char *type, const char *help, const char *labels, uint64_t value);
/* A time: given in microseconds, told in seconds with six digits behind the point. */
void metrics_put_seconds(struct buf *into, const char *name, const char *type, const char *help, const char *labels, uint64_t us);
void metrics_put_histogram(struct buf *into, const char *name, const char *help, const char *labels, const struct histogram *h);
/* One with bounds of its own: each bucket counts those above the bound before it; the last is "+Inf". */
struct metrics_bucket { const char *le; uint64_t count; };
struct metrics_buckets { const struct metrics_bucket *at; unsigned len; uint64_t sum_us; };
void metrics_put_buckets(struct buf *into, const char *name, const char *help, const char *labels, const struct metrics_buckets *buckets);

/* This process: rss bytes, cpu seconds (as ms), open fds and their limit. */
struct process_stats { uint64_t rss, cpu_ms, fds, fds_max; };
struct process_stats process_stats(void);
/* The same under the names that Prometheus' own libraries give them: process_*. started_ms: by clock_ms(). */
void metrics_put_process(struct buf *into, int64_t started_ms);
