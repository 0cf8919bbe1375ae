/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pull_counts - what was counted comes out once, in batches, whoever counts meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/check.h"
#include "common/crypto.h"
#include "worker/registry/pull_counts.h"

static struct digest digest_at(unsigned n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "manifest %u", n);
	return digest_of(HASH_SHA256, str_of(text));
}

static void add(struct pull_counts *counts, const char *name, unsigned n, const char *tag, int64_t ms)
{
	struct digest digest = digest_at(n);

	pull_counts_add(counts, str_of(name), &digest, tag, ms);
}

static void assert_pull(const struct pull_batch *batch, const char *key, uint64_t count, int64_t ms)
{
	for (size_t i = 0; i < batch->pulls_len; i++) {
		if (!str_is(batch->pulls[i].key, key))
			continue;
		assert_int_equal(batch->pulls[i].count, count);
		assert_int_equal(batch->pulls[i].last_ms, ms);
		return;
	}
	fail_msg("%s is not in the batch", key);
}

static size_t due(struct pull_counts *counts, int64_t age_ms)
{
	char *names[64];
	size_t len = pull_counts_due(counts, age_ms, names, 64);

	for (size_t i = 0; i < len; i++)
		free(names[i]);
	return len;
}

static void they_add_up_by_digest_and_tag(void **state)
{
	AUTO(pull_counts) *counts = pull_counts_new(100);
	struct digest one = digest_at(1), wide = digest_of(HASH_SHA512, STR("wide"));
	char text[DIGEST_TEXT_SIZE];
	struct pull_batch *batch;

	(void)state;
	assert_null(pull_counts_take(counts, STR("a/b")));
	add(counts, "a/b", 1, "v1", 5);
	add(counts, "a/b", 1, "v1", 9);
	add(counts, "a/b", 1, "v2", 7);
	add(counts, "a/b", 1, NULL, 8);
	add(counts, "a", 1, "v1", 5);
	pull_counts_add(counts, STR("a/b"), &wide, NULL, 3);
	batch = pull_counts_take(counts, STR("a/b"));
	assert_string_equal(batch->name, "a/b");
	assert_int_equal(batch->pulls_len, 4);
	assert_int_equal(batch->pulls_sum, 5);
	digest_format(&one, text);
	assert_pull(batch, text, 4, 9);
	assert_pull(batch, "v1", 2, 9);
	assert_pull(batch, "v2", 1, 7);
	digest_format(&wide, text);
	assert_pull(batch, text, 1, 3);
	pull_counts_end(counts, batch, PULLS_WRITTEN);
	assert_null(pull_counts_take(counts, STR("a/b")));
	assert_int_equal(pull_counts_stats(counts).written, 5);
	assert_int_equal(pull_counts_stats(counts).rows, 2);
}

static void a_batch_that_failed_comes_again_as_it_was(void **state)
{
	AUTO(pull_counts) *counts = pull_counts_new(100);
	struct pull_batch *batch, *again;
	struct change_id id;

	(void)state;
	add(counts, "r", 1, "v1", 5);
	batch = pull_counts_take(counts, STR("r"));
	id = batch->id;
	batch->sent_ms = 77;
	add(counts, "r", 1, "v1", 6);
	assert_null(pull_counts_take(counts, STR("r")));
	assert_false(pull_counts_wait(counts, STR("r"), 1));
	assert_int_equal(due(counts, 0), 0);
	pull_counts_end(counts, batch, PULLS_KEEP);
	assert_true(pull_counts_wait(counts, STR("r"), 1));
	assert_int_equal(due(counts, 0), 1);
	assert_int_equal(due(counts, 60000), 0);
	again = pull_counts_take(counts, STR("r"));
	assert_memory_equal(&again->id, &id, sizeof(id));
	assert_int_equal(again->sent_ms, 77);
	assert_pull(again, "v1", 1, 5);
	pull_counts_end(counts, again, PULLS_LOST);
	assert_int_equal(pull_counts_stats(counts).lost, 1);
	again = pull_counts_take(counts, STR("r"));
	assert_memory_not_equal(&again->id, &id, sizeof(id));
	assert_pull(again, "v1", 1, 6);
	pull_counts_end(counts, again, PULLS_GONE);
	assert_int_equal(due(counts, 0), 0);
	assert_int_equal(pull_counts_stats(counts).rows, 0);
	assert_int_equal(pull_counts_stats(counts).lost, 1);
	/* One that nobody took again is freed with the counts. */
	add(counts, "r", 1, "v1", 6);
	pull_counts_end(counts, pull_counts_take(counts, STR("r")), PULLS_KEEP);
	add(counts, "r", 2, "v1", 6);
}

/* Of many rows each batch takes some, and what is left is due as it was. */
static void a_batch_is_bounded(void **state)
{
	AUTO(pull_counts) *counts = pull_counts_new(10000);
	uint64_t sum = 0, batches = 0;
	struct pull_batch *batch;

	(void)state;
	for (unsigned n = 0; n < 2500; n++)
		add(counts, "r", n, NULL, 5);
	assert_int_equal(due(counts, 0), 1);
	while ((batch = pull_counts_take(counts, STR("r")))) {
		assert_true(batch->pulls_len <= INDEX_PULLS_AT_ONCE);
		sum += batch->pulls_sum;
		batches++;
		pull_counts_end(counts, batch, PULLS_WRITTEN);
	}
	assert_int_equal(sum, 2500);
	assert_int_equal(batches, 3);
	assert_int_equal(pull_counts_stats(counts).rows, 0);
}

static void rows_are_bounded(void **state)
{
	AUTO(pull_counts) *counts = pull_counts_new(100);
	struct pull_batch *batch;

	(void)state;
	for (unsigned n = 0; n < 74; n++)
		add(counts, "r", n, NULL, 5);
	assert_int_equal(due(counts, 60000), 0);
	add(counts, "r", 74, NULL, 5);
	assert_int_equal(due(counts, 60000), 1);
	for (unsigned n = 75; n < 130; n++)
		add(counts, "s", n, NULL, 5);
	/* What has a row is counted all the same. */
	add(counts, "s", 75, NULL, 5);
	assert_int_equal(pull_counts_stats(counts).rows, 100);
	assert_int_equal(pull_counts_stats(counts).lost, 30);
	batch = pull_counts_take(counts, STR("s"));
	assert_int_equal(batch->pulls_sum, 26);
	pull_counts_end(counts, batch, PULLS_WRITTEN);
	add(counts, "s", 200, NULL, 5);
	assert_int_equal(pull_counts_stats(counts).lost, 30);
}

#define THREADS 8
#define PULLS   20000u

struct world {
	struct pull_counts *counts;
	atomic_uint threads;
};

static void *count_on(void *arg)
{
	struct world *world = arg;
	unsigned mine = atomic_fetch_add(&world->threads, 1);

	for (unsigned n = 0; n < PULLS; n++)
		add(world->counts, n % 3 ? "hot" : "cold", n % 50, n % 2 ? "v1" : NULL, mine);
	(void)atomic_fetch_add(&world->threads, 1);
	return NULL;
}

static uint64_t take_all(struct pull_counts *counts)
{
	static const char *const names[] = { "hot", "cold" };
	uint64_t sum = 0;

	for (size_t i = 0; i < 2; i++) {
		struct pull_batch *batch = pull_counts_take(counts, str_of(names[i]));
		enum pull_outcome outcome = batch && batch->sent_ms ? PULLS_WRITTEN : PULLS_KEEP;

		if (!batch)
			continue;
		sum += outcome == PULLS_WRITTEN ? batch->pulls_sum : 0;
		batch->sent_ms = 1;
		pull_counts_end(counts, batch, outcome);
	}
	return sum;
}

/* Each batch fails once. */
static void none_is_lost_and_none_comes_twice(void **state)
{
	struct world world = { .counts = pull_counts_new(100000) };
	pthread_t threads[THREADS];
	uint64_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_on, &world), 0);
	while (atomic_load(&world.threads) < 2 * THREADS)
		sum += take_all(world.counts);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (pull_counts_stats(world.counts).rows)
		sum += take_all(world.counts);
	assert_int_equal(sum, THREADS * PULLS);
	assert_int_equal(pull_counts_stats(world.counts).written, sum);
	assert_int_equal(pull_counts_stats(world.counts).lost, 0);
	pull_counts_free(world.counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_add_up_by_digest_and_tag),
		cmocka_unit_test(a_batch_that_failed_comes_again_as_it_was),
		cmocka_unit_test(a_batch_is_bounded),
		cmocka_unit_test(rows_are_bounded),
		cmocka_unit_test(none_is_lost_and_none_comes_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
