/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cache_queue - what is read once passes through, what is read again stays, and the counts are right whatever happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "worker/storage/cache_queue.h"

#define MOST  100
#define ITEMS 400

static struct cache_item items[ITEMS];
static bool is_in[ITEMS];

static uint64_t used(const struct cache_queue *queue)
{
	return queue->small_bytes + queue->main_bytes;
}

/* As a cache does: room first. */
static void add(struct cache_queue *queue, size_t i, uint64_t size)
{
	struct cache_item *victim;

	while (used(queue) + size > queue->most) {
		victim = cache_queue_victim(queue);
		assert_non_null(victim);
		assert_false(list_has(&victim->in_queue));
		is_in[victim - items] = false;
	}
	items[i] = (struct cache_item){ .size = size, .hash = i + 1 };
	is_in[i] = true;
	cache_queue_add(queue, &items[i]);
}

static void ask(struct cache_queue *queue, size_t i)
{
	if (is_in[i])
		cache_queue_use(&items[i]);
	else
		add(queue, i, 1);
}

static int set_up(void **state)
{
	struct cache_queue *queue = xnew(struct cache_queue);

	cache_queue_init(queue, MOST);
	memset(is_in, 0, sizeof(is_in));
	memset(items, 0, sizeof(items));
	*state = queue;
	return 0;
}

static int tear_down(void **state)
{
	cache_queue_fini(*state);
	free(*state);
	return 0;
}

static void a_scan_pushes_nothing_out(void **state)
{
	struct cache_queue *queue = *state;

	for (size_t turn = 0; turn < 4; turn++)
		for (size_t i = 0; i < 80; i++)
			ask(queue, i);
	for (size_t i = 100; i < ITEMS; i++)
		ask(queue, i);
	for (size_t i = 0; i < 80; i++)
		assert_true(is_in[i]);
	assert_true(used(queue) <= MOST);
}

static void what_nobody_asks_for_goes_first(void **state)
{
	struct cache_queue *queue = *state;

	for (size_t i = 0; i < MOST; i++)
		ask(queue, i);
	ask(queue, 200);
	assert_false(is_in[0]);
	for (size_t i = 1; i < MOST; i++)
		assert_true(is_in[i]);
}

/* It was pushed out too early: it comes to those that stay. */
static void a_ghost_comes_to_main(void **state)
{
	struct cache_queue *queue = *state;

	for (size_t i = 0; i <= MOST; i++)
		ask(queue, i);
	assert_false(is_in[0]);
	ask(queue, 0);
	assert_true(items[0].is_main);
	assert_false(items[MOST].is_main);
}

static void nobody_is_taken_from_an_empty_one(void **state)
{
	assert_null(cache_queue_victim(*state));
}

/* Sizes and uses at random: sums hold, and there is always a victim while somebody is there. */
static void sums_hold(void **state)
{
	struct cache_queue *queue = *state;
	uint32_t seed = 7;

	for (size_t turn = 0; turn < 20000; turn++) {
		seed = seed * 1664525u + 1013904223u;
		size_t i = (seed >> 8) % ITEMS;
		if (is_in[i] && (seed & 64)) {
			cache_queue_drop(queue, &items[i]);
			is_in[i] = false;
		} else if (is_in[i]) {
			cache_queue_use(&items[i]);
		} else {
			add(queue, i, (seed >> 20) % (MOST / 2));
		}
		uint64_t bytes = 0, len = 0;
		for (size_t k = 0; k < ITEMS; k++) {
			bytes += is_in[k] ? items[k].size : 0;
			len += is_in[k];
			assert_int_equal(is_in[k], list_has(&items[k].in_queue));
		}
		assert_int_equal(bytes, used(queue));
		assert_int_equal(len, queue->small_len + queue->main_len);
		assert_true(bytes <= MOST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_scan_pushes_nothing_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_nobody_asks_for_goes_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_ghost_comes_to_main, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_taken_from_an_empty_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sums_hold, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
