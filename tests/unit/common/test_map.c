/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_map - against a plain array as the model, with much deleting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/map.h"

#define KEYS 2000

static int values[KEYS];

static struct str key_of(int i, char text[16])
{
	(void)snprintf(text, 16, "k%d", i);
	return str_of(text);
}

static void test_put_find_delete(void **state)
{
	AUTO(map) *map = map_new();
	int a, b;

	(void)state;
	assert_null(map_find(map, STR("x")));
	assert_null(map_delete(map, STR("x")));
	assert_null(map_put(map, STR("x"), &a));
	assert_ptr_equal(map_put(map, STR("x"), &b), &a);
	assert_ptr_equal(map_find(map, STR("x")), &b);
	assert_null(map_put(map, STR(""), &a));
	assert_null(map_put(map, STR("x\0y"), &a));
	assert_ptr_equal(map_find(map, STR_NONE), &a);
	assert_int_equal(map_len(map), 3);
	assert_ptr_equal(map_delete(map, STR("x")), &b);
	assert_null(map_find(map, STR("x")));
	assert_ptr_equal(map_find(map, STR("x\0y")), &a);
	assert_int_equal(map_len(map), 2);
	map_free(NULL);
}

static void test_against_a_model(void **state)
{
	AUTO(map) *map = map_new();
	bool there[KEYS] = { false };
	size_t len = 0;
	unsigned random = 12345;
	char text[16];

	(void)state;
	for (int turn = 0; turn < 60000; turn++) {
		int i;

		random = random * 1103515245u + 12345u;
		i = (int)(random >> 16) % KEYS;
		if ((random >> 8 & 3) < (turn / 10000 % 2 ? 1u : 3u)) {
			assert_ptr_equal(
				map_put(map, key_of(i, text), &values[i]), there[i] ? &values[i] : NULL);
			len += !there[i];
			there[i] = true;
		} else {
			assert_ptr_equal(map_delete(map, key_of(i, text)), there[i] ? &values[i] : NULL);
			len -= there[i];
			there[i] = false;
		}
		assert_int_equal(map_len(map), len);
	}
	for (int i = 0; i < KEYS; i++)
		assert_ptr_equal(map_find(map, key_of(i, text)), there[i] ? &values[i] : NULL);
}

static void test_walk_and_delete(void **state)
{
	AUTO(map) *map = map_new();
	unsigned seen[KEYS] = { 0 };
	struct str key;
	void *value;
	char text[16];
	size_t at;

	(void)state;
	for (int i = 0; i < KEYS; i++)
		map_put(map, key_of(i, text), &values[i]);
	for (at = 0; map_next(map, &at, &key, &value);) {
		int i = (int)((int *)value - values);

		assert_true(str_equal(key, key_of(i, text)));
		seen[i]++;
		if (i % 3)
			assert_ptr_equal(map_delete(map, key), value);
	}
	for (int i = 0; i < KEYS; i++) {
		assert_int_equal(seen[i], 1);
		assert_int_equal(map_find(map, key_of(i, text)) != NULL, i % 3 == 0);
	}
	for (at = 0; map_next(map, &at, &key, &value);)
		map_delete(map, key);
	assert_int_equal(map_len(map), 0);
	assert_null(map_put(map, STR("again"), &values[0]));
	assert_ptr_equal(map_find(map, STR("again")), &values[0]);
}

static void test_hash(void **state)
{
	uint8_t bytes[32] = { 0 };
	unsigned bits = 0;

	(void)state;
	assert_true(map_hash("abc", 3) == map_hash("abc", 3));
	assert_true(map_hash(NULL, 0) == map_hash("", 0));
	for (size_t len = 1; len <= sizeof(bytes); len++) {
		uint64_t before = map_hash(bytes, len);

		assert_true(before != map_hash(bytes, len - 1));
		bytes[len - 1] ^= 1;
		bits += (unsigned)__builtin_popcountll(before ^ map_hash(bytes, len));
		bytes[len - 1] ^= 1;
	}
	/* One bit of the key changes about half of the hash: 1024 of 2048 here, give or take 23. */
	assert_in_range(bits, 850, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_find_delete),
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_walk_and_delete),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
