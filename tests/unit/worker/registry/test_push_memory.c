/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_push_memory - never more than there is, from many threads at once, and all of it again when it was given back.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "worker/registry/push_memory.h"

#define MIB     (1024 * 1024)
#define THREADS 4
#define ROUNDS  2000
#define EACH    (300u * 1024)

static void test_bound(void **state)
{
	struct push_memory *memory = push_memory_new(4 * MIB);
	char *most = push_memory_take(memory, 3 * MIB), *rest;

	(void)state;
	assert_non_null(most);
	memset(most, 1, 3 * MIB);
	assert_null(push_memory_take(memory, MIB + 1));
	assert_null(push_memory_take(memory, UINT64_MAX));
	assert_null(push_memory_take(memory, 0));
	assert_int_equal(push_memory_used(memory), 3 * MIB);
	rest = push_memory_take(memory, 100);
	assert_non_null(rest);
	rest[99] = 1;
	push_memory_give(memory, most, 3 * MIB);
	push_memory_give(memory, NULL, MIB);
	assert_int_equal(push_memory_used(memory), 100);
	push_memory_give(memory, rest, 100);
	push_memory_free(memory);
}

static void test_none(void **state)
{
	struct push_memory *memory = push_memory_new(0);

	(void)state;
	assert_null(push_memory_take(memory, 1));
	push_memory_free(memory);
	push_memory_free(NULL);
}

/* What was given back is there for the next, and makes room for others. */
static void test_kept(void **state)
{
	struct push_memory *memory = push_memory_new(8 * MIB);
	char *first = push_memory_take(memory, 4 * MIB), *second = push_memory_take(memory, 4 * MIB), *other;

	(void)state;
	assert_non_null(first);
	assert_non_null(second);
	push_memory_give(memory, first, 4 * MIB);
	push_memory_give(memory, second, 4 * MIB);
	other = push_memory_take(memory, 4 * MIB);
	assert_ptr_equal(other, second);
	memset(other, 1, 4 * MIB);
	push_memory_give(memory, other, 4 * MIB);
	/* Larger than what is left beside what is kept. */
	other = push_memory_take(memory, 7 * MIB);
	assert_non_null(other);
	memset(other, 1, 7 * MIB);
	assert_null(push_memory_take(memory, 4 * MIB));
	push_memory_give(memory, other, 7 * MIB);
	assert_int_equal(push_memory_used(memory), 0);
	push_memory_free(memory);
}

static void *take_and_give(void *arg)
{
	struct push_memory *memory = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t bytes = i % 3 ? EACH : 1 + (i * 37u) % 3000;
		char *at = push_memory_take(memory, bytes);

		if (at)
			at[0] = 1;
		if (push_memory_used(memory) > 2 * EACH)
			return memory;
		push_memory_give(memory, at, bytes);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct push_memory *memory = push_memory_new(2 * EACH);
	pthread_t threads[THREADS];
	void *wrong;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, memory), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(push_memory_used(memory), 0);
	push_memory_free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
