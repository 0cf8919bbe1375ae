/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - histograms, the Prometheus text format, and numbers of this process.
 */
#include "common/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"

#define BUCKET_FIRST_US UINT64_C(64)

/* ---- histograms ---- */

static uint64_t bucket_bound(unsigned i)
{
	return BUCKET_FIRST_US << i;
}

/* The owner is the only writer but for merges, and scrapes read without a lock: single 64 bit stores. */
static void bump(counter *c, uint64_t n)
{
	__atomic_store_n(c, counter_get(c) + n, __ATOMIC_RELAXED);
}

static unsigned bucket_of(uint64_t us)
{
	unsigned i = 0;

	while (i < HISTOGRAM_BUCKETS - 1 && us > bucket_bound(i))
		i++;
	return i;
}

void histogram_add(struct histogram *h, uint64_t us)
{
	bump(&h->buckets[bucket_of(us)], 1);
	bump(&h->sum_us, us);
	bump(&h->count, 1);
}

void histogram_add_shared(struct histogram *h, uint64_t us)
{
	counter_add(&h->buckets[bucket_of(us)], 1);
	counter_add(&h->sum_us, us);
	counter_add(&h->count, 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		bump(&into->buckets[i], counter_get(&from->buckets[i]));
	bump(&into->sum_us, counter_get(&from->sum_us));
	bump(&into->count, counter_get(&from->count));
}

/* The buckets are summed here: `count` may be an event ahead of or behind them while they change. */
static uint64_t bucket_total(const struct histogram *h)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counter_get(&h->buckets[i]);
	return total;
}

/* What is over the last bound is told as twice that bound. */
uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t total = bucket_total(h), below = 0;
	double wanted = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)total;

	if (total == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		below += counter_get(&h->buckets[i]);
		if (below > 0 && (double)below >= wanted)
			return bucket_bound(i);
	}
	return bucket_bound(HISTOGRAM_BUCKETS - 1);
}

/* ---- Prometheus text ---- */

/* HELP escapes backslashes and line ends. */
static void put_head(struct buf *into, const char *name, const char *type, const char *help)
{
	if (!help)
		return;
	buf_format(into, "# HELP %s ", name);
	for (; *help; help++) {
		if (*help == '\n')
			buf_puts(into, "\\n");
		else if (*help == '\\')
			buf_puts(into, "\\\\");
		else
			buf_putc(into, *help);
	}
	buf_format(into, "\n# TYPE %s %s\n", name, type);
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

void metrics_put(struct buf *into, const char *name, const char *type, const char *help, const char *labels,
	uint64_t value)
{
	put_head(into, name, type, help);
	if (is_empty(labels))
		buf_format(into, "%s %" PRIu64 "\n", name, value);
	else
		buf_format(into, "%s{%s} %" PRIu64 "\n", name, labels, value);
}

/* "0.000064": microseconds as seconds, exactly. */
static void format_seconds(char into[32], uint64_t us)
{
	(void)snprintf(into, 32, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

void metrics_put_seconds(struct buf *into, const char *name, const char *type, const char *help,
	const char *labels, uint64_t us)
{
	char text[32];

	put_head(into, name, type, help);
	format_seconds(text, us);
	if (is_empty(labels))
		buf_format(into, "%s %s\n", name, text);
	else
		buf_format(into, "%s{%s} %s\n", name, labels, text);
}

static void put_bucket(
	struct buf *into, const char *name, const char *labels, const char *bound, uint64_t value)
{
	buf_format(into, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, is_empty(labels) ? "" : labels,
		is_empty(labels) ? "" : ",", bound, value);
}

static void put_tail(
	struct buf *into, const char *name, const char *what, const char *labels, const char *value)
{
	if (is_empty(labels))
		buf_format(into, "%s_%s %s\n", name, what, value);
	else
		buf_format(into, "%s_%s{%s} %s\n", name, what, labels, value);
}

void metrics_put_buckets(struct buf *into, const char *name, const char *help, const char *labels,
	const struct metrics_buckets *buckets)
{
	uint64_t below = 0;
	char text[32];

	put_head(into, name, "histogram", help);
	for (unsigned i = 0; i < buckets->len; i++) {
		below += buckets->at[i].count;
		put_bucket(into, name, labels, buckets->at[i].le, below);
	}
	format_seconds(text, buckets->sum_us);
	put_tail(into, name, "sum", labels, text);
	(void)snprintf(text, sizeof(text), "%" PRIu64, below);
	put_tail(into, name, "count", labels, text);
}

void metrics_put_histogram(
	struct buf *into, const char *name, const char *help, const char *labels, const struct histogram *h)
{
	struct metrics_bucket at[HISTOGRAM_BUCKETS];
	char bounds[HISTOGRAM_BUCKETS - 1][32];

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		format_seconds(bounds[i], bucket_bound(i));
		at[i] = (struct metrics_bucket){ bounds[i], counter_get(&h->buckets[i]) };
	}
	at[HISTOGRAM_BUCKETS - 1] =
		(struct metrics_bucket){ "+Inf", counter_get(&h->buckets[HISTOGRAM_BUCKETS - 1]) };
	metrics_put_buckets(into, name, help, labels,
		&(struct metrics_buckets){ at, HISTOGRAM_BUCKETS, counter_get(&h->sum_us) });
}

/* ---- this process ---- */

/* The second number of /proc/self/statm: resident pages. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128] = "";
	struct str s, size;
	uint64_t pages = 0;

	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	(void)fclose(file);
	s = str_of(line);
	if (!str_until(&s, ' ', &size) || !str_number(&s, UINT64_MAX / 65536, &pages))
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ms_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

/* The folder's own descriptor does not count. */
static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n ? n - 1 : 0;
}

struct process_stats process_stats(void)
{
	struct process_stats stats = { .rss = resident_bytes(), .fds = open_fds() };
	struct rlimit files;
	struct rusage usage;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		stats.fds_max = files.rlim_cur;
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		stats.cpu_ms = ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
	return stats;
}

void metrics_put_process(struct buf *into, int64_t started_ms)
{
	struct process_stats process = process_stats();

	metrics_put(into, "process_resident_memory_bytes", "gauge", "Memory that the process has resident.",
		"", process.rss);
	metrics_put(into, "process_open_fds", "gauge", "Open file descriptors.", "", process.fds);
	metrics_put(into, "process_max_fds", "gauge", "Limit of open file descriptors.", "", process.fds_max);
	metrics_put(into, "process_start_time_seconds", "gauge",
		"When the process started, by the wall clock.", "",
		(uint64_t)(clock_wall_s() - (clock_ms() - started_ms) / 1000));
	metrics_put_seconds(into, "process_cpu_seconds_total", "counter",
		"Processor time that the process has used.", "", process.cpu_ms * 1000);
}
