/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/pull_counts.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/least.h"
#include "common/lock.h"
#include "common/map.h"
#include "proto/reference.h"

#define SHARDS 16u
#define NEAR   64u
/* name, NUL, tag, NUL, algorithm, digest */
#define KEY_MAX (NAME_MAX_LEN + 1 + TAG_MAX_LEN + 1 + 1 + HASH_MAX)

/* As a thread counts it. */
struct row {
	uint64_t count;
	int64_t last_ms;
	size_t len;
	char key[];
};

struct shard {
	alignas(64) struct lock lock;
	struct map *rows;       /* struct row */
	struct row *near[NEAR]; /* of them, by the digest: found without a hash */
};

/* Of a repository, by the text that its index knows it by. */
struct sum {
	uint64_t count;
	int64_t last_ms;
};

struct repository {
	struct map *sums;        /* struct sum */
	int64_t since_ms;        /* the first of them was gathered, or its batch was tried */
	struct pull_batch *kept; /* or NULL */
	bool out;
	char name[];
};

struct pull_counts {
	struct shard shards[SHARDS];
	size_t rows_max;
	atomic_size_t rows;
	_Atomic uint64_t written, lost;
	struct lock lock;    /* guards what follows */
	pthread_cond_t back; /* a batch has come back */
	struct map *repositories;
};

/* ---- counting ---- */

/* Threads that count, one after the other; loops begin early and stay, so each has a shard of its own. */
static struct shard *shard_of_thread(struct pull_counts *counts)
{
	static atomic_uint threads;
	static _Thread_local unsigned mine; /* and 1 */

	if (!mine)
		mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS + 1;
	return &counts->shards[mine - 1];
}

static size_t put_text(char *into, struct str text, size_t most)
{
	size_t len = text.len < most ? text.len : most;

	if (len)
		memcpy(into, text.at, len);
	into[len] = '\0';
	return len + 1;
}

static size_t key_of(char into[KEY_MAX], struct str name, const struct digest *digest, const char *tag)
{
	size_t len = put_text(into, name, NAME_MAX_LEN);

	len += put_text(into + len, str_of(tag), TAG_MAX_LEN);
	into[len++] = (char)digest->alg;
	memcpy(into + len, digest->raw, hash_size(digest->alg));
	return len + hash_size(digest->alg);
}

/* NULL: there is no room. */
static struct row *row_locked(struct pull_counts *counts, struct shard *shard, struct str key)
{
	struct row *row = map_find(shard->rows, key);

	lock_assert(&shard->lock);
	if (row)
		return row;
	if (atomic_load_explicit(&counts->rows, memory_order_relaxed) >= counts->rows_max)
		return NULL;
	row = check_alloc(1, sizeof(*row) + key.len);
	row->len = key.len;
	memcpy(row->key, key.at, key.len);
	(void)map_put(shard->rows, key, row);
	atomic_fetch_add_explicit(&counts->rows, 1, memory_order_relaxed);
	return row;
}

/* What is pulled again and again costs a comparison. */
static struct row *near_row_locked(
	struct pull_counts *counts, struct shard *shard, const struct digest *digest, struct str key)
{
	struct row **near = &shard->near[digest->raw[0] % NEAR];

	lock_assert(&shard->lock);
	if (!*near || (*near)->len != key.len || memcmp((*near)->key, key.at, key.len) != 0)
		*near = row_locked(counts, shard, key);
	return *near;
}

void pull_counts_add(struct pull_counts *counts, struct str name, const struct digest *digest,
	const char *tag, int64_t pulled_ms)
{
	struct shard *shard = shard_of_thread(counts);
	char key[KEY_MAX];
	size_t len = key_of(key, name, digest, tag);
	struct row *row;

	lock_take(&shard->lock);
	row = near_row_locked(counts, shard, digest, str_from(key, len));
	if (row) {
		row->count++;
		row->last_ms = pulled_ms > row->last_ms ? pulled_ms : row->last_ms;
	}
	lock_drop(&shard->lock);
	if (!row)
		atomic_fetch_add_explicit(&counts->lost, 1, memory_order_relaxed);
}

/* ---- gathering ---- */

static struct repository *repository_locked(struct pull_counts *counts, struct str name)
{
	struct repository *repository = map_find(counts->repositories, name);

	lock_assert(&counts->lock);
	if (repository)
		return repository;
	repository = check_alloc(1, sizeof(*repository) + name.len + 1);
	memcpy(repository->name, name.at, name.len);
	repository->sums = map_new();
	(void)map_put(counts->repositories, name, repository);
	return repository;
}

static void add_sum_locked(
	struct pull_counts *counts, struct repository *repository, struct str key, const struct row *row)
{
	struct sum *sum = map_find(repository->sums, key);

	lock_assert(&counts->lock);
	if (!map_len(repository->sums) && !repository->kept)
		repository->since_ms = clock_ms();
	if (!sum) {
		sum = xnew(struct sum);
		(void)map_put(repository->sums, key, sum);
		atomic_fetch_add_explicit(&counts->rows, 1, memory_order_relaxed);
	}
	sum->count += row->count;
	sum->last_ms = row->last_ms > sum->last_ms ? row->last_ms : sum->last_ms;
}

static void merge_locked(struct pull_counts *counts, struct str key, const struct row *row)
{
	struct str rest = key, name = STR_NONE, tag = STR_NONE;
	struct digest digest = { .alg = HASH_SHA256 };
	struct repository *repository;
	char text[DIGEST_TEXT_SIZE];

	lock_assert(&counts->lock);
	CHECK(str_until(&rest, '\0', &name) && str_until(&rest, '\0', &tag) && rest.len > 1);
	digest.alg = (enum hash_kind)rest.at[0];
	memcpy(digest.raw, rest.at + 1, hash_size(digest.alg));
	digest_format(&digest, text);
	repository = repository_locked(counts, name);
	add_sum_locked(counts, repository, str_of(text), row);
	if (tag.len)
		add_sum_locked(counts, repository, tag, row);
}

/* What the threads have counted; they count on in new rows. */
static struct map *empty_shard(struct shard *shard)
{
	struct map *rows = NULL, *fresh;
	bool any;

	lock_take(&shard->lock);
	any = map_len(shard->rows) > 0;
	lock_drop(&shard->lock);
	if (!any)
		return NULL;
	fresh = map_new();
	lock_take(&shard->lock);
	rows = shard->rows;
	shard->rows = fresh;
	memset(shard->near, 0, sizeof(shard->near));
	lock_drop(&shard->lock);
	return rows;
}

static void gather_locked(struct pull_counts *counts)
{
	lock_assert(&counts->lock);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct map *rows = empty_shard(&counts->shards[i]);
		struct str key;
		void *row;

		if (!rows)
			continue;
		for (size_t at = 0; map_next(rows, &at, &key, &row);) {
			merge_locked(counts, key, row);
			free(row);
		}
		atomic_fetch_sub_explicit(&counts->rows, map_len(rows), memory_order_relaxed);
		map_free(rows);
	}
}

/* ---- batches ---- */

static bool run_out(struct pull_counts *counts)
{
	return atomic_load_explicit(&counts->rows, memory_order_relaxed) >= counts->rows_max / 4 * 3;
}

size_t pull_counts_due(struct pull_counts *counts, int64_t age_ms, char **ret_names, size_t most)
{
	size_t len = 0;
	int64_t now_ms;
	void *item;

	lock_take(&counts->lock);
	gather_locked(counts);
	now_ms = clock_ms(); /* not before: what was gathered is due at once where age_ms is 0 */
	for (size_t at = 0; len < most && map_next(counts->repositories, &at, NULL, &item);) {
		const struct repository *repository = item;

		if (!repository->out && (now_ms - repository->since_ms >= age_ms || run_out(counts)))
			ret_names[len++] = check_strdup(repository->name);
	}
	lock_drop(&counts->lock);
	return len;
}

static bool is_digest(struct str key)
{
	return memchr(key.at, ':', key.len);
}

/* The rows become the batch's; those that it has no room for stay. */
static struct pull_batch *batch_locked(struct pull_counts *counts, struct repository *repository)
{
	size_t len = least(map_len(repository->sums), INDEX_PULLS_AT_ONCE);
	struct pull_batch *batch = check_alloc(1, sizeof(*batch) + len * sizeof(*batch->pulls));
	struct str key;
	void *item;

	lock_assert(&counts->lock);
	batch->name = check_strdup(repository->name);
	random_bytes(batch->id.raw, sizeof(batch->id.raw));
	for (size_t at = 0; batch->pulls_len < len && map_next(repository->sums, &at, &key, &item);) {
		struct sum *sum = item;
		struct str text = str_of(str_dup(key));

		batch->pulls[batch->pulls_len++] =
			(struct index_pull){ .key = text, .count = sum->count, .last_ms = sum->last_ms };
		batch->pulls_sum += is_digest(text) ? sum->count : 0;
		free(map_delete(repository->sums, text));
	}
	return batch;
}

struct pull_batch *pull_counts_take(struct pull_counts *counts, struct str name)
{
	struct pull_batch *batch = NULL;
	struct repository *repository;

	lock_take(&counts->lock);
	gather_locked(counts);
	repository = map_find(counts->repositories, name);
	if (repository && !repository->out) {
		repository->out = true;
		batch = repository->kept ? TAKE(repository->kept) : batch_locked(counts, repository);
	}
	lock_drop(&counts->lock);
	return batch;
}

static void batch_free(struct pull_batch *batch)
{
	for (size_t i = 0; i < batch->pulls_len; i++)
		free((void *)(uintptr_t)batch->pulls[i].key.at);
	free(batch->name);
	free(batch);
}

static void repository_free(struct repository *repository)
{
	void *sum;

	for (size_t at = 0; map_next(repository->sums, &at, NULL, &sum);)
		free(sum);
	map_free(repository->sums);
	if (repository->kept)
		batch_free(repository->kept);
	free(repository);
}

void pull_counts_end(struct pull_counts *counts, struct pull_batch *batch, enum pull_outcome outcome)
{
	struct repository *repository;

	lock_take(&counts->lock);
	repository = map_find(counts->repositories, str_of(batch->name));
	CHECK(repository && repository->out);
	repository->out = false;
	if (outcome == PULLS_WRITTEN)
		atomic_fetch_add_explicit(&counts->written, batch->pulls_sum, memory_order_relaxed);
	if (outcome == PULLS_LOST)
		atomic_fetch_add_explicit(&counts->lost, batch->pulls_sum, memory_order_relaxed);
	if (outcome == PULLS_KEEP) {
		repository->kept = batch;
		repository->since_ms = clock_ms();
	} else {
		atomic_fetch_sub_explicit(&counts->rows, batch->pulls_len, memory_order_relaxed);
		batch_free(batch);
	}
	if (!repository->kept && !map_len(repository->sums)) {
		(void)map_delete(counts->repositories, str_of(repository->name));
		repository_free(repository);
	}
	CHECK(pthread_cond_broadcast(&counts->back) == 0);
	lock_drop(&counts->lock);
}

bool pull_counts_wait(struct pull_counts *counts, struct str name, int64_t ms)
{
	int64_t end_ms = clock_wall_ms() + ms;
	const struct timespec end = { .tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000 };
	const struct repository *repository;
	bool in_time = true;

	lock_take(&counts->lock);
	while ((repository = map_find(counts->repositories, name)) && repository->out && in_time)
		in_time = lock_wait_until(&counts->lock, &counts->back, &end);
	repository = map_find(counts->repositories, name);
	in_time = !repository || !repository->out;
	lock_drop(&counts->lock);
	return in_time;
}

struct pull_counts_stats pull_counts_stats(struct pull_counts *counts)
{
	return (struct pull_counts_stats){ .rows = atomic_load(&counts->rows),
		.written = atomic_load(&counts->written),
		.lost = atomic_load(&counts->lost) };
}

/* ---- life ---- */

struct pull_counts *pull_counts_new(size_t rows_max)
{
	struct pull_counts *counts = check_aligned(64, sizeof(struct pull_counts));

	memset(counts, 0, sizeof(*counts));
	counts->rows_max = rows_max;
	counts->repositories = map_new();
	lock_init(&counts->lock);
	CHECK(pthread_cond_init(&counts->back, NULL) == 0);
	for (unsigned i = 0; i < SHARDS; i++) {
		lock_init(&counts->shards[i].lock);
		counts->shards[i].rows = map_new();
	}
	return counts;
}

void pull_counts_free(struct pull_counts *counts)
{
	void *item;

	if (!counts)
		return;
	lock_take(&counts->lock);
	gather_locked(counts);
	lock_drop(&counts->lock);
	for (size_t at = 0; map_next(counts->repositories, &at, NULL, &item);)
		repository_free(item);
	map_free(counts->repositories);
	for (unsigned i = 0; i < SHARDS; i++) {
		map_free(counts->shards[i].rows);
		lock_fini(&counts->shards[i].lock);
	}
	(void)pthread_cond_destroy(&counts->back);
	lock_fini(&counts->lock);
	free(counts);
}
