/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_crc32c - published sums, both ways alike at every length and place, and sums that go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/crc32c.h"

#define MOST 20000

static uint8_t bytes[MOST + 16];

static void expect(const void *at, size_t len, uint32_t wanted)
{
	assert_int_equal(crc32c_add(0, at, len), wanted);
	assert_int_equal(crc32c_add_by_tables(0, at, len), wanted);
}

/* RFC 3720, appendix B.4; the last is the check value of catalogues of CRCs. */
static void test_published(void **state)
{
	(void)state;
	expect("", 0, 0);
	memset(bytes, 0, 32);
	expect(bytes, 32, 0x8a9136aa);
	memset(bytes, 0xff, 32);
	expect(bytes, 32, 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	expect(bytes, 32, 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = 31 - i;
	expect(bytes, 32, 0x113fdb5c);
	expect("123456789", 9, 0xe3069283);
}

static void fill(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof bytes; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(x >> 24);
	}
}

static void test_ways_agree(void **state)
{
	(void)state;
	fill();
	for (size_t len = 0; len < MOST; len += len < 100 ? 1 : 997)
		for (size_t at = 0; at < 9; at++)
			assert_int_equal(
				crc32c_add(0, bytes + at, len), crc32c_add_by_tables(0, bytes + at, len));
}

static void test_goes_on(void **state)
{
	uint32_t whole;

	(void)state;
	fill();
	whole = crc32c_add(0, bytes, MOST);
	for (size_t cut = 0; cut <= MOST; cut += 331)
		assert_int_equal(crc32c_add(crc32c_add(0, bytes, cut), bytes + cut, MOST - cut), whole);
}

/* What it is for: one bit more or less is another sum. */
static void test_every_bit_counts(void **state)
{
	uint32_t whole;

	(void)state;
	fill();
	whole = crc32c_add(0, bytes, MOST);
	for (size_t at = 0; at < MOST; at += 613) {
		bytes[at] ^= (uint8_t)(1u << at % 8);
		assert_int_not_equal(crc32c_add(0, bytes, MOST), whole);
		bytes[at] ^= (uint8_t)(1u << at % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_ways_agree),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_every_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
