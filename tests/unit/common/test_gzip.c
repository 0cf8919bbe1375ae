/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gzip - there and back, bombs, and what is broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/gzip.h"

static void fill(struct buf *b, size_t len, bool random)
{
	unsigned n = 1;

	for (size_t i = 0; i < len; i++) {
		n = n * 1103515245u + 12345u;
		buf_putc(b, random ? (char)(n >> 16) : 'a');
	}
}

static void expect_round_trip(struct str plain, int level)
{
	AUTO_FINI(buf) packed = buf_limit(1 << 20), back = buf_limit(plain.len);

	assert_true(gzip_compress(plain, level, &packed, NULL));
	assert_memory_equal(packed.at, "\x1f\x8b", 2);
	assert_true(gzip_expand(buf_str(&packed), &back, NULL));
	assert_true(str_equal(buf_str(&back), plain));
}

static void test_round_trips(void **state)
{
	AUTO_FINI(buf) plain = buf_limit(1 << 20);

	(void)state;
	for (int level = 0; level <= 9; level += 3)
		expect_round_trip(STR("hello"), level);
	expect_round_trip(STR_NONE, 6);
	fill(&plain, 200000, true);
	expect_round_trip(buf_str(&plain), 6);
	buf_clear(&plain);
	fill(&plain, 32768 * 3, false);
	expect_round_trip(buf_str(&plain), 1);
}

static void test_limits_are_exact(void **state)
{
	AUTO_FINI(buf) plain = buf_limit(1 << 20), packed = buf_limit(1 << 20), small = buf_limit(99999);
	struct error err;

	(void)state;
	fill(&plain, 100000, false);
	assert_true(gzip_compress(buf_str(&plain), 9, &packed, &err));
	assert_true(packed.len < 1000);
	assert_false(gzip_expand(buf_str(&packed), &small, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	assert_int_equal(small.len, 0);
	AUTO_FINI(buf) tight = buf_limit(packed.len), tighter = buf_limit(packed.len - 1);

	assert_true(gzip_compress(buf_str(&plain), 9, &tight, &err));
	assert_false(gzip_compress(buf_str(&plain), 9, &tighter, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

static void test_members_in_a_row(void **state)
{
	AUTO_FINI(buf) packed = buf_limit(1000), back = buf_limit(1000);

	(void)state;
	assert_true(gzip_compress(STR("one "), 6, &packed, NULL));
	assert_true(gzip_compress(STR("two"), 6, &packed, NULL));
	buf_puts(&back, "zero ");
	assert_true(gzip_expand(buf_str(&packed), &back, NULL));
	assert_string_equal(buf_text(&back), "zero one two");
}

static void test_refuses(void **state)
{
	AUTO_FINI(buf) packed = buf_limit(1000), back = buf_limit(1000);
	struct error err;

	(void)state;
	assert_true(gzip_compress(STR("hello hello hello"), 6, &packed, NULL));
	for (size_t len = 0; len < packed.len; len++) {
		assert_false(gzip_expand(str_from(packed.at, len), &back, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_int_equal(back.len, 0);
	}
	packed.at[packed.len - 5] ^= 1;
	assert_false(gzip_expand(buf_str(&packed), &back, &err));
	packed.at[packed.len - 5] ^= 1;
	buf_puts(&packed, "tail");
	assert_false(gzip_expand(buf_str(&packed), &back, &err));
	assert_false(gzip_expand(STR("not gzip at all"), &back, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_int_equal(back.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_limits_are_exact),
		cmocka_unit_test(test_members_in_a_row),
		cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
