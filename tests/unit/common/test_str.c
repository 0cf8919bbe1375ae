/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_str - questions, cursor verbs, distances, hex.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <stdlib.h>

#include "common/str.h"

static void test_questions(void **state)
{
	(void)state;
	assert_true(str_is(STR("ab"), "ab") && !str_is(STR("ab"), "a") && !str_is(STR("a"), "ab"));
	assert_true(str_is(STR_NONE, "") && str_equal(STR_NONE, STR("")));
	assert_true(str_is_nocase(STR("Ab"), "aB") && !str_is_nocase(STR("Ab"), "ac"));
	assert_true(str_starts(STR("abc"), "ab") && !str_starts(STR("a"), "ab") && str_starts(STR_NONE, ""));
	assert_true(str_ends(STR("abc"), "bc") && !str_ends(STR("c"), "bc") && str_ends(STR_NONE, ""));
	assert_true(str_compare(STR("a"), STR("b")) < 0 && str_compare(STR("b"), STR("a")) > 0);
	assert_true(str_compare(STR("a"), STR("aa")) < 0 && str_compare(STR("aa"), STR("a")) > 0);
	assert_true(str_compare(STR("\xff"), STR("a")) > 0 && str_compare(STR_NONE, STR("")) == 0);
	assert_null(str_of(NULL).at);
}

static void test_cursor(void **state)
{
	struct str s = STR("key=value"), part = STR("untouched");

	(void)state;
	assert_false(str_skip(&s, "kez"));
	assert_false(str_until(&s, ';', &part));
	assert_true(str_is(s, "key=value") && str_is(part, "untouched"));
	assert_true(str_until(&s, '=', &part) && str_is(part, "key") && str_is(s, "value"));
	assert_true(str_skip(&s, "val") && str_is(s, "ue"));
	s = STR("=");
	assert_true(str_until(&s, '=', &part) && part.len == 0 && s.len == 0);
	s = STR_NONE;
	assert_false(str_until(&s, '=', &part));
	assert_true(str_skip(&s, ""));
}

static void test_next(void **state)
{
	struct str s = STR(" a ,,b\t,"), item;

	(void)state;
	assert_true(str_next(&s, ',', &item) && str_is(item, "a"));
	assert_true(str_next(&s, ',', &item) && str_is(item, ""));
	assert_true(str_next(&s, ',', &item) && str_is(item, "b"));
	assert_false(str_next(&s, ',', &item));
	s = STR_NONE;
	assert_false(str_next(&s, ',', &item));
}

static void test_numbers(void **state)
{
	struct str s = STR("12a");
	uint64_t n = 7;

	(void)state;
	assert_true(str_number(&s, 12, &n) && n == 12 && str_is(s, "a"));
	assert_false(str_number(&s, 12, &n));
	s = STR("13");
	assert_false(str_number(&s, 12, &n));
	assert_true(n == 12 && str_is(s, "13"));
	assert_true(str_to_number(STR("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
	assert_false(str_to_number(STR("18446744073709551616"), UINT64_MAX, &n));
	assert_false(str_to_number(STR("99999999999999999999999"), UINT64_MAX, &n));
	assert_true(str_to_number(STR("0"), 0, &n) && n == 0);
	assert_false(str_to_number(STR("1"), 0, &n) || str_to_number(STR("1 "), 9, &n) ||
		     str_to_number(STR("-1"), 9, &n));
	assert_false(str_to_number(STR(""), 9, &n) || str_to_number(STR_NONE, 9, &n));
}

static void test_split_and_trim(void **state)
{
	struct str head, tail, s = STR("a:b:c");

	(void)state;
	assert_true(str_split_last(s, ':', &head, &tail) && str_is(head, "a:b") && str_is(tail, "c"));
	assert_true(str_split_last(s, ':', &s, &tail) && str_is(s, "a:b"));
	assert_false(str_split_last(STR("a"), ':', &head, &tail));
	assert_true(str_is(str_trim(STR(" \t a b\r\n")), "a b"));
	assert_int_equal(str_trim(STR("  ")).len, 0);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} of[] = {
		{ "", 0 },
		{ "ab", 1 },
		{ "\xc2\x80", 2 },
		{ "\xc3\xa9x", 2 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xe2\x82\xac", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 },
		{ "\xc1\xbf", 0 },
		{ "\xc3", 0 },
		{ "\xc3\x28", 0 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xed\xa0\x80", 0 },
		{ "\xe2\x82", 0 },
		{ "\xe2\x82\x28", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
	};

	(void)state;
	assert_int_equal(str_utf8_len(STR("\0")), 1);
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		assert_int_equal(str_utf8_len(str_of(of[i].text)), of[i].len);
	assert_true(str_is_utf8(STR_NONE) && str_is_utf8(STR("a\xc3\xa9\xe2\x82\xac\xf0\x90\x80\x80z")));
	assert_false(str_is_utf8(STR("a\xc3\xa9\xe2\x82")) || str_is_utf8(STR("\xed\xa0\x80")));
}

static void test_copies(void **state)
{
	char small[3] = "zz";
	AUTO_STR *dup = str_dup(STR("ab"));

	(void)state;
	assert_string_equal(dup, "ab");
	assert_true(str_copy(STR("ab"), small, sizeof(small)));
	assert_string_equal(small, "ab");
	assert_false(str_copy(STR("abc"), small, sizeof(small)));
	assert_string_equal(small, "ab");
	assert_true(str_copy(STR_NONE, small, 1));
	assert_false(str_copy(STR_NONE, small, 0));
}

static void test_distance(void **state)
{
	static const char *const names[] = { "http.port", "http.address", "log.level" };
	char longest[300];

	(void)state;
	assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 5), 3);
	assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 2), 3);
	assert_int_equal(str_distance(STR(""), STR("abc"), 3), 3);
	assert_int_equal(str_distance(STR("abc"), STR("abc"), 0), 0);
	assert_int_equal(str_distance(STR("a"), STR("b"), 0), 1);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(str_distance(str_from(longest, 300), str_from(longest, 300), 9), 10);
	assert_string_equal(str_nearest(STR("http.prot"), names, 3), "http.port");
	assert_string_equal(str_nearest(STR("log.level"), names, 3), "log.level");
	assert_null(str_nearest(STR("something"), names, 3));
	assert_null(str_nearest(str_from(longest, 300), names, 3));
	assert_null(str_nearest(STR("x"), names, 0));
}

static void test_hex(void **state)
{
	uint8_t bytes[3] = { 0x00, 0xab, 0xff }, back[3];
	char text[7];

	(void)state;
	str_hex(bytes, 3, text);
	assert_string_equal(text, "00abff");
	assert_true(str_unhex(STR("00abff"), back, 3));
	assert_memory_equal(bytes, back, 3);
	back[0] = 7;
	assert_false(str_unhex(STR("00abfF"), back, 3) || str_unhex(STR("00abf"), back, 2) ||
		     str_unhex(STR("00abffa"), back, 3) || str_unhex(STR("00ab"), back, 3) ||
		     str_unhex(STR("00abfg"), back, 3));
	assert_int_equal(back[0], 7);
	assert_true(str_unhex(STR(""), back, 0));
	for (unsigned c = 0; c < 256; c++) {
		const char pair[] = { '0', (char)c };
		const char *at = c ? strchr("0123456789abcdef", (int)c) : NULL;

		assert_int_equal(str_unhex(str_from(pair, 2), back, 1), at != NULL);
		assert_true(!at || back[0] == strtol((const char[]){ (char)c, '\0' }, NULL, 16));
	}
}

static void test_decimal(void **state)
{
	const uint64_t numbers[] = { 0, 7, 10, 4294967296, UINT64_MAX };
	const char *const texts[] = { "0", "7", "10", "4294967296", "18446744073709551615" };
	char text[STR_DECIMAL];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_true(str_is(str_decimal(numbers[i], text), texts[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_split_and_trim),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
