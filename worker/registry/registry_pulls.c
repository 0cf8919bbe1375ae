/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_pulls - pulls that were counted become records of their indexes.
 *
 *     due --wave--> [a change for each of PULLS_AT_ONCE repositories, by the pool's committers] --all done--> what became of each
 *
 * A record whose answer was lost is sent again, as it was, under its id, so that it counts once (INDEX_PULLED).
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "common/lock.h"
#include "common/log.h"
#include "worker/registry/pull_counts.h"
#include "worker/registry/registry.h"
#include "worker/registry/registry_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define PULLS_AT_ONCE 16u
#define NAMES_AT_ONCE 1024u
#define TICK_MS       1000 /* of who asks what is due */

struct wave {
	struct registry *registry;
	struct lock lock;
	pthread_cond_t ended;
	unsigned under_way;
	struct one {
		struct index_change change; /* first */
		struct wave *wave;
		struct pull_batch *batch;
	} at[PULLS_AT_ONCE];
	unsigned len;
	struct error err; /* of the first that failed */
	bool ok;
};

void registry_pulled(struct registry *registry, struct str name, const struct digest *digest, const char *tag)
{
	if (registry->pulls)
		pull_counts_add(registry->pulls, name, digest, tag, store_clock_ms(registry->store, name));
}

static void on_done(struct index_change *change)
{
	struct wave *wave = ((struct one *)change)->wave;

	lock_take(&wave->lock);
	if (--wave->under_way == 0)
		CHECK(pthread_cond_signal(&wave->ended) == 0);
	lock_drop(&wave->lock);
}

/* ---- what became of one ---- */

static enum pull_outcome outcome_of(const struct index_change *change)
{
	if (change->ok)
		return PULLS_WRITTEN;
	switch (change->err.kind) {
	case ERROR_UNKNOWN:
		return PULLS_GONE;
	case ERROR_CONFLICT:
	case ERROR_TOO_LARGE:
		return PULLS_LOST;
	default:
		return PULLS_KEEP;
	}
}

static void tell_lost(const struct pull_batch *batch, const char *why)
{
	log_warn("pulls.lost", "repository=%s pulls=%" PRIu64 " error=%s", batch->name, batch->pulls_sum,
		log_quote(str_of(why)));
}

static void end_one(struct wave *wave, struct one *one)
{
	enum pull_outcome outcome = outcome_of(&one->change);

	if (outcome == PULLS_LOST)
		tell_lost(one->batch, one->change.err.text);
	if (outcome == PULLS_KEEP && wave->ok) {
		wave->err = one->change.err;
		(void)error_add(&wave->err, "repository %s", one->batch->name);
		wave->ok = false;
	}
	pull_counts_end(wave->registry->pulls, one->batch, outcome);
}

/* ---- a wave ---- */

/* It has gone to another member, which has its own copy: what came here since is nobody's. */
static bool is_away(struct registry *registry, const char *name)
{
	return registry->is_away && registry->is_away(registry->away_arg, str_of(name));
}

static void add(struct wave *wave, struct str name)
{
	struct pull_batch *batch = pull_counts_take(wave->registry->pulls, name);
	struct one *one = &wave->at[wave->len];

	if (!batch)
		return;
	if (is_away(wave->registry, batch->name)) {
		tell_lost(batch, "another member has the repository by now");
		pull_counts_end(wave->registry->pulls, batch, PULLS_LOST);
		return;
	}
	*one = (struct one){ .change = { .op = INDEX_PULLED,
				     .name = batch->name,
				     .id = batch->id,
				     .is_call = true,
				     .sent_ms = batch->sent_ms,
				     .pulls = batch->pulls,
				     .pulls_len = batch->pulls_len,
				     .done = on_done },
		.wave = wave,
		.batch = batch };
	if (!batch->sent_ms)
		batch->sent_ms = clock_wall_ms();
	wave->len++;
}

static void wave_init(struct wave *wave, struct registry *registry)
{
	wave->registry = registry;
	lock_init(&wave->lock);
	CHECK(pthread_cond_init(&wave->ended, NULL) == 0);
	wave->len = wave->under_way = 0;
	wave->ok = true;
}

/* The last is committed here: who waits for the pool alone might wait for himself. */
static void run(struct wave *wave)
{
	struct indexes *indexes = wave->registry->indexes;

	wave->under_way = wave->len;
	for (unsigned i = 0; i + 1 < wave->len; i++)
		indexes_change(indexes, &wave->at[i].change);
	if (wave->len)
		indexes_change_here(indexes, &wave->at[wave->len - 1].change);
	lock_take(&wave->lock);
	while (wave->under_way)
		lock_wait(&wave->lock, &wave->ended);
	lock_drop(&wave->lock);
	for (unsigned i = 0; i < wave->len; i++)
		end_one(wave, &wave->at[i]);
}

static bool wave_end(struct wave *wave, struct error *err)
{
	(void)pthread_cond_destroy(&wave->ended);
	lock_fini(&wave->lock);
	if (!wave->ok && err)
		*err = wave->err;
	return wave->ok;
}

static bool write_these(struct registry *registry, char *const *names, size_t len, struct error *err)
{
	struct wave *wave = xnew(struct wave);
	bool ok;

	wave_init(wave, registry);
	for (size_t i = 0; i < len; i++)
		add(wave, str_of(names[i]));
	run(wave);
	ok = wave_end(wave, err);
	free(wave);
	return ok;
}

/* One that cannot be written keeps no other from it. The first failure is told. */
static bool write_due(
	struct registry *registry, int64_t age_ms, const struct pace *pace, int64_t end_ms, struct error *err)
{
	char **names = xnew_array(char *, NAMES_AT_ONCE);
	size_t len = pull_counts_due(registry->pulls, age_ms, names, NAMES_AT_ONCE);
	struct error cause;
	bool ok = true;

	for (size_t at = 0; at < len && clock_ms() < end_ms && pace_go_on(pace); at += PULLS_AT_ONCE) {
		if (write_these(registry, names + at, least(len - at, PULLS_AT_ONCE), &cause) || !ok)
			continue;
		ok = false;
		*err = cause;
	}
	for (size_t i = 0; i < len; i++)
		free(names[i]);
	free(names);
	return ok;
}

/* ---- who asks for it ---- */

bool registry_write_pulls(struct registry *registry, const struct pace *pace, struct error *err)
{
	int64_t age_ms = registry->pulls_every_ms - TICK_MS;

	return !registry->pulls || write_due(registry, age_ms, pace, INT64_MAX, err);
}

bool registry_write_pulls_of(struct registry *registry, struct str name, struct error *err)
{
	AUTO_STR *text = NULL;

	if (!registry->pulls)
		return true;
	if (!pull_counts_wait(registry->pulls, name, REGISTRY_PULLS_WAIT_MS))
		return error_set(err, ERROR_BUSY, NULL, "they are just being written");
	text = str_dup(name);
	return write_these(registry, &text, 1, err);
}

static uint64_t written(const struct registry *registry)
{
	return pull_counts_stats(registry->pulls).written;
}

void registry_end_pulls(struct registry *registry)
{
	int64_t end_ms = clock_ms() + PULLS_END_MS;
	struct error err = { .text = "there was no time" };
	struct pull_counts_stats left;
	uint64_t before;

	if (!registry->pulls)
		return;
	do {
		before = written(registry);
		(void)!write_due(registry, 0, NULL, end_ms, &err);
	} while (written(registry) > before && clock_ms() < end_ms);
	left = pull_counts_stats(registry->pulls);
	if (left.rows)
		log_warn("pulls.lost", "rows=%" PRIu64 " error=%s what=\"pulls that were counted last\"",
			left.rows, log_quote(str_of(err.text)));
}
