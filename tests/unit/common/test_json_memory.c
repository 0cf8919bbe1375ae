/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json_memory - what one document may take, and what all large ones may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_memory.h"

#define STEP ((size_t)1000)

/* Until it is refused; how many. */
static size_t take_all(struct json_memory *memory)
{
	size_t n = 0;
	char *at;

	while ((at = json_memory_take(memory, STEP))) {
		assert_int_equal((uintptr_t)at % sizeof(long double), 0);
		memset(at, 'x', STEP);
		n++;
	}
	return n;
}

static void test_is_bounded_and_nearly_all_of_it_is_used(void **state)
{
	static const size_t maxes[] = { 4096, 100000, JSON_MEMORY_SMALL, 5 * JSON_MEMORY_SMALL + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(maxes) / sizeof(maxes[0]); i++) {
		AUTO(json_memory) *memory = json_memory_new(1024, maxes[i]);
		size_t n = take_all(memory);
		struct error err;

		assert_true(json_memory_used(memory) <= maxes[i]);
		assert_true(n * STEP <= maxes[i] && n * STEP + 2 * STEP + maxes[i] / 10 > maxes[i] / 2);
		assert_false(json_memory_refusal(memory, &err));
		assert_int_equal(err.kind, ERROR_TOO_LARGE);
		assert_null(json_memory_take(memory, SIZE_MAX));
	}
	assert_int_equal(json_memory_reserved(), 0);
}

static void test_what_was_taken_last_comes_back(void **state)
{
	AUTO(json_memory) *memory = json_memory_new(4096, 1 << 20);
	char *first = json_memory_take(memory, 10), *second = json_memory_take(memory, 10);

	(void)state;
	json_memory_return(memory, first);
	assert_ptr_not_equal(json_memory_take(memory, 10), first);
	second = json_memory_take(memory, 10);
	json_memory_return(memory, second);
	json_memory_return(memory, second);
	json_memory_return(memory, NULL);
	assert_ptr_equal(json_memory_take(memory, 10), second);
	assert_true(json_memory_refusal(memory, NULL));
}

static void test_small_ones_reserve_nothing(void **state)
{
	AUTO(json_memory) *memory = json_memory_new(1024, JSON_MEMORY_BUDGET);
	AUTO(json_memory) *own = json_memory_new_own(1024, 3 * JSON_MEMORY_SMALL);

	(void)state;
	for (size_t i = 0; i < 100; i++)
		assert_non_null(json_memory_take(memory, STEP));
	(void)take_all(own);
	assert_int_equal(json_memory_reserved(), 0);
	(void)take_all(memory);
	assert_int_equal(json_memory_reserved(), JSON_MEMORY_BUDGET);
}

struct late {
	struct json_memory *memory;
	pthread_barrier_t begun;
	size_t taken;
};

static void *take_late(void *arg)
{
	struct late *late = arg;

	(void)pthread_barrier_wait(&late->begun);
	late->taken = take_all(late->memory);
	return NULL;
}

/* However the two threads meet, the second has its memory only when the first one's is free. */
static void test_who_finds_it_taken_waits(void **state)
{
	struct json_memory *first = json_memory_new(1024, JSON_MEMORY_BUDGET * 3);
	struct late late = { .memory = json_memory_new(1024, 2 * JSON_MEMORY_SMALL) };
	pthread_t thread;

	(void)state;
	assert_non_null(json_memory_take(first, JSON_MEMORY_SMALL));
	assert_int_equal(json_memory_reserved(), JSON_MEMORY_BUDGET * 3);
	assert_int_equal(pthread_barrier_init(&late.begun, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_late, &late), 0);
	(void)pthread_barrier_wait(&late.begun);
	json_memory_free(first);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(late.taken * STEP > JSON_MEMORY_SMALL);
	assert_int_equal(json_memory_reserved(), 2 * JSON_MEMORY_SMALL);
	json_memory_free(late.memory);
	assert_int_equal(json_memory_reserved(), 0);
	(void)pthread_barrier_destroy(&late.begun);
}

static void test_who_waits_too_long_is_told(void **state)
{
	struct json_memory *first = json_memory_new(1024, JSON_MEMORY_BUDGET);
	AUTO(json_memory) *second = json_memory_new(1024, 2 * JSON_MEMORY_SMALL);
	struct error err;

	(void)state;
	assert_non_null(json_memory_take(first, JSON_MEMORY_SMALL));
	assert_true(take_all(second) * STEP < JSON_MEMORY_SMALL);
	assert_false(json_memory_refusal(second, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	json_memory_free(first);
	assert_int_equal(json_memory_reserved(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_bounded_and_nearly_all_of_it_is_used),
		cmocka_unit_test(test_what_was_taken_last_comes_back),
		cmocka_unit_test(test_small_ones_reserve_nothing),
		cmocka_unit_test(test_who_finds_it_taken_waits),
		cmocka_unit_test(test_who_waits_too_long_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
