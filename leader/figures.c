/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/loop.h"
#include "common/map.h"
#include "leader/members.h"
#include "leader/nearest.h"

#define DIGITS 3

enum figure {
	RATE,
	ERRORS,
	BYTES_IN,
	BYTES_OUT,
	P50,
	P99,
	OPEN,
	OWN_FIGURES,
	ACTIVE = OWN_FIGURES,
	LOST,
	P99_MEAN,
	UPLOADS,
	SPOOL,
	RSS,
	CPU,
	STORAGE,
	REPOSITORIES,
	BLOBS,
	MANIFESTS,
	TAGS,
	QUOTA_MOST,
	FIGURES
};
static const char *const names[FIGURES] = { [RATE] = "rate",
	[ERRORS] = "errors",
	[BYTES_IN] = "bytesIn",
	[BYTES_OUT] = "bytesOut",
	[P50] = "p50",
	[P99] = "p99",
	[OPEN] = "open",
	[ACTIVE] = "active",
	[LOST] = "lost",
	[P99_MEAN] = "p99Mean",
	[UPLOADS] = "uploads",
	[SPOOL] = "spool",
	[RSS] = "rss",
	[CPU] = "cpu",
	[STORAGE] = "storage",
	[REPOSITORIES] = "repositories",
	[BLOBS] = "blobs",
	[MANIFESTS] = "manifests",
	[TAGS] = "tags",
	[QUOTA_MOST] = "quotaMost" };

/* The mean of what is known; NAN: nothing is. */
struct mean {
	double sum;
	unsigned len;
};

/* The last points of a member: those of the cluster's last ones. */
struct own {
	char *process;
	struct usage_stats told;       /* its newest beat */
	double rates[P50], cpu;        /* RATE to BYTES_OUT; NAN before its second beat */
	double storage, repositories;  /* NAN: it has not said it */
	double blobs, manifests, tags; /* the same */
	struct mean means[OWN_FIGURES];
	float points[OWN_FIGURES][FIGURES_OWN];
	uint64_t sampled; /* the number of the last sample that it was in */
};

struct figures {
	struct members *members;
	struct nearest *nearest;
	struct loop *loop;
	struct loop_timer timer;
	struct lock lock; /* guards all below */
	struct map *own;  /* name -> struct own */
	uint64_t samples, points;
	int64_t bucket; /* that is being filled: its time by FIGURES_EVERY_S; 0: none yet */
	double now[FIGURES];
	int64_t now_wall_s;
	struct mean means[FIGURES];
	float sums[FIGURES][FIGURES_POINTS];
	int64_t times[FIGURES_POINTS];
};

struct figures *figures_new(struct members *members, struct nearest *nearest)
{
	struct figures *figures = xnew(struct figures);

	figures->members = members;
	figures->nearest = nearest;
	lock_init(&figures->lock);
	figures->own = map_new();
	for (unsigned i = 0; i < FIGURES; i++)
		figures->now[i] = NAN;
	return figures;
}

static void own_free(struct own *own)
{
	free(own->process);
	free(own);
}

void figures_free(struct figures *figures)
{
	void *own;

	if (!figures)
		return;
	for (size_t at = 0; map_next(figures->own, &at, NULL, &own);)
		own_free(own);
	map_free(figures->own);
	lock_fini(&figures->lock);
	free(figures);
}

/* Points. */

static void mean_add(struct mean *mean, double value)
{
	if (isnan(value))
		return;
	mean->sum += value;
	mean->len++;
}

static float mean_take(struct mean *mean)
{
	float value = mean->len ? (float)(mean->sum / mean->len) : NAN;

	*mean = (struct mean){ 0 };
	return value;
}

static void end_bucket(struct figures *figures)
{
	uint64_t at = figures->points++;
	void *each;

	lock_assert(&figures->lock);
	figures->times[at % FIGURES_POINTS] = figures->bucket * FIGURES_EVERY_S;
	for (unsigned i = 0; i < FIGURES; i++)
		figures->sums[i][at % FIGURES_POINTS] = mean_take(&figures->means[i]);
	for (size_t place = 0; map_next(figures->own, &place, NULL, &each);) {
		struct own *own = each;
		for (unsigned i = 0; i < OWN_FIGURES; i++)
			own->points[i][at % FIGURES_OWN] = mean_take(&own->means[i]);
	}
}

/* Samples. */

static struct own *own_of(struct figures *figures, const char *name)
{
	struct own *own = map_find(figures->own, str_of(name));

	if (own)
		return own;
	own = xnew(struct own);
	for (unsigned i = 0; i < OWN_FIGURES; i++)
		for (unsigned k = 0; k < FIGURES_OWN; k++)
			own->points[i][k] = NAN;
	own->process = check_strdup("");
	own->storage = own->repositories = own->blobs = own->manifests = own->tags = NAN;
	(void)map_put(figures->own, str_of(name), own);
	return own;
}

static double rate_of(uint64_t before, uint64_t now, uint64_t ms)
{
	return now > before ? (double)(now - before) * 1000 / (double)ms : 0;
}

static void set_rates(struct own *own, const struct usage_stats *told)
{
	const struct usage_stats *before = &own->told;
	uint64_t ms = told->uptime_ms - before->uptime_ms;

	own->rates[RATE] = rate_of(before->requests, told->requests, ms);
	own->rates[ERRORS] = rate_of(before->errors, told->errors, ms);
	own->rates[BYTES_IN] = rate_of(before->bytes_in, told->bytes_in, ms);
	own->rates[BYTES_OUT] = rate_of(before->bytes_out, told->bytes_out, ms);
	own->cpu = rate_of(before->cpu_ms, told->cpu_ms, ms) / 1000;
}

static void begin_process(struct own *own, const char *process)
{
	free(own->process);
	own->process = check_strdup(process);
	for (unsigned i = 0; i < P50; i++)
		own->rates[i] = NAN;
	own->cpu = NAN;
}

static void hear(struct own *own, const struct ledger_member *member)
{
	const struct usage_stats *told = &member->stats;

	if (strcmp(own->process, member->process) != 0)
		begin_process(own, member->process);
	else if (told->uptime_ms > own->told.uptime_ms)
		set_rates(own, told);
	own->told = *told;
	if (told->weighed) {
		own->storage = (double)told->storage_bytes;
		own->repositories = (double)told->storage_repositories;
	}
	if (told->counted) {
		own->blobs = (double)told->storage_blobs;
		own->manifests = (double)told->storage_manifests;
		own->tags = (double)told->storage_tags;
	}
}

static void tell_own(struct own *own)
{
	for (unsigned i = 0; i < P50; i++)
		mean_add(&own->means[i], own->rates[i]);
	mean_add(&own->means[P50], (double)own->told.p50_us);
	mean_add(&own->means[P99], (double)own->told.p99_us);
	mean_add(&own->means[OPEN], (double)own->told.open_requests);
}

/* What is under way of a sample. */
struct sampling {
	struct figures *figures;
	double weight, p50, p99; /* of the weighted ones */
	unsigned weighed;        /* members whose storage is known */
	unsigned counted;        /* and what is in it */
};

static void add(double *sum, double value)
{
	if (!isnan(value))
		*sum += value;
}

static void add_weighted(struct sampling *sampling, const struct own *own)
{
	double rate = own->rates[RATE];

	if (!(rate > 0))
		return;
	sampling->weight += rate;
	sampling->p50 += rate * (double)own->told.p50_us;
	sampling->p99 += rate * (double)own->told.p99_us;
}

static void add_live(struct sampling *sampling, const struct own *own)
{
	const struct usage_stats *told = &own->told;
	double *now = sampling->figures->now;

	for (unsigned i = 0; i < P50; i++)
		add(&now[i], own->rates[i]);
	add(&now[CPU], own->cpu);
	add(&now[STORAGE], own->storage);
	add(&now[REPOSITORIES], own->repositories);
	sampling->weighed += !isnan(own->storage);
	add(&now[BLOBS], own->blobs);
	add(&now[MANIFESTS], own->manifests);
	add(&now[TAGS], own->tags);
	sampling->counted += !isnan(own->blobs);
	now[OPEN] += (double)told->open_requests;
	now[UPLOADS] += (double)told->uploads;
	now[SPOOL] += (double)told->spool_bytes;
	now[RSS] += (double)told->rss;
	now[ACTIVE] += 1;
	if (now[P99] < (double)told->p99_us)
		now[P99] = (double)told->p99_us;
	add_weighted(sampling, own);
}

static void look(void *arg, const struct ledger_member *member, bool fit)
{
	struct sampling *sampling = arg;
	struct figures *figures = sampling->figures;
	struct own *own = own_of(figures, member->name);

	lock_assert(&figures->lock);
	(void)fit;
	own->sampled = figures->samples;
	if (member->lost_wall_s)
		figures->now[LOST] += 1;
	if (member->lost_wall_s || !strcmp(member->state, "left"))
		return;
	hear(own, member);
	tell_own(own);
	add_live(sampling, own);
}

static void forget_absent(struct figures *figures)
{
	struct str name;
	void *each;

	for (size_t at = 0; map_next(figures->own, &at, &name, &each);) {
		struct own *own = each;
		if (own->sampled == figures->samples)
			continue;
		(void)map_delete(figures->own, name);
		own_free(own);
	}
}

static void sample_locked(struct figures *figures, int64_t now_wall_s)
{
	struct sampling sampling = { .figures = figures };
	int64_t bucket = now_wall_s / FIGURES_EVERY_S;

	lock_assert(&figures->lock);
	if (figures->bucket && bucket != figures->bucket)
		end_bucket(figures);
	figures->bucket = bucket;
	figures->samples++;
	figures->now_wall_s = now_wall_s;
	memset(figures->now, 0, sizeof(figures->now));
	members_each(figures->members, look, &sampling);
	forget_absent(figures);
	figures->now[P50] = sampling.weight > 0 ? sampling.p50 / sampling.weight : NAN;
	figures->now[P99_MEAN] = sampling.weight > 0 ? sampling.p99 / sampling.weight : NAN;
	if (!sampling.weighed)
		figures->now[STORAGE] = figures->now[REPOSITORIES] = NAN;
	if (!sampling.counted)
		figures->now[BLOBS] = figures->now[MANIFESTS] = figures->now[TAGS] = NAN;
	figures->now[QUOTA_MOST] = nearest_most(figures->nearest);
	for (unsigned i = 0; i < FIGURES; i++)
		mean_add(&figures->means[i], figures->now[i]);
}

void figures_sample(struct figures *figures, int64_t now_wall_s)
{
	lock_take(&figures->lock);
	sample_locked(figures, now_wall_s);
	lock_drop(&figures->lock);
}

static void on_time(void *arg)
{
	struct figures *figures = arg;

	loop_assert(figures->loop);
	figures_sample(figures, clock_wall_s());
	loop_timer_start(figures->loop, &figures->timer, FIGURES_SAMPLE_MS, on_time, figures);
}

void figures_start(struct figures *figures, struct loop *loop)
{
	loop_assert(loop);
	figures->loop = loop;
	on_time(figures);
}

void figures_stop(struct figures *figures)
{
	loop_assert(figures->loop);
	loop_timer_stop(figures->loop, &figures->timer);
}

/* Looking. */

static void put_times(const struct figures *figures, uint64_t len, struct json_writer *w)
{
	json_key(w, STR("t"));
	json_open_array(w);
	for (uint64_t at = figures->points - len; at < figures->points; at++)
		json_value_int(w, figures->times[at % FIGURES_POINTS]);
	json_close_array(w);
}

static void put_series(const char *name, const float *points, unsigned room, uint64_t begin, uint64_t end,
	struct json_writer *w)
{
	json_key(w, str_of(name));
	json_open_array(w);
	for (uint64_t at = begin; at < end; at++)
		json_value_decimal(w, (double)points[at % room], DIGITS);
	json_close_array(w);
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void put_sums(const struct figures *figures, struct json_writer *w)
{
	uint64_t len = least_of(figures->points, FIGURES_POINTS);

	json_key(w, STR("sums"));
	json_open_object(w);
	put_times(figures, len, w);
	for (unsigned i = 0; i < FIGURES; i++)
		put_series(names[i], figures->sums[i], FIGURES_POINTS, figures->points - len, figures->points,
			w);
	json_close_object(w);
}

static void put_own(
	const struct figures *figures, struct str name, const struct own *own, struct json_writer *w)
{
	uint64_t len = least_of(figures->points, FIGURES_OWN);

	json_key(w, name);
	json_open_object(w);
	put_times(figures, len, w);
	for (unsigned i = 0; i < OWN_FIGURES; i++)
		put_series(names[i], own->points[i], FIGURES_OWN, figures->points - len, figures->points, w);
	json_close_object(w);
}

static void put_members(const struct figures *figures, const char *member, struct json_writer *w)
{
	struct str name;
	void *own;

	json_key(w, STR("members"));
	json_open_object(w);
	for (size_t at = 0; map_next(figures->own, &at, &name, &own);)
		if (!member || str_is(name, member))
			put_own(figures, name, own, w);
	json_close_object(w);
}

void figures_write(
	struct figures *figures, const struct state *state, const char *member, struct json_writer *w)
{
	lock_take(&figures->lock);
	json_open_object(w);
	json_put_int(w, "everySeconds", FIGURES_EVERY_S);
	json_key(w, STR("quotas"));
	nearest_write(figures->nearest, state, w);
	put_sums(figures, w);
	put_members(figures, member, w);
	json_close_object(w);
	lock_drop(&figures->lock);
}

void figures_write_now(struct figures *figures, struct json_writer *w)
{
	lock_take(&figures->lock);
	json_open_object(w);
	json_put_int(w, "t", figures->now_wall_s);
	for (unsigned i = 0; i < FIGURES; i++) {
		json_key(w, str_of(names[i]));
		json_value_decimal(w, figures->now[i], DIGITS);
	}
	json_close_object(w);
	lock_drop(&figures->lock);
}
