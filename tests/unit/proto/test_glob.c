/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_glob - what doublestar's Match has, and that no pattern is slow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/glob.h"

struct match_case {
	const char *pattern, *text;
	bool match;
};

static void check(const struct match_case *cases, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		assert_true(glob_check(str_of(cases[i].pattern), NULL));
		if (glob_match(str_of(cases[i].pattern), str_of(cases[i].text)) != cases[i].match)
			fail_msg("%s and %s", cases[i].pattern, cases[i].text);
	}
}
#define CHECK_CASES(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static void inside_a_component(void **state)
{
	static const struct match_case cases[] = {
		{ "abc", "abc", true },
		{ "abc", "abcd", false },
		{ "abcd", "abc", false },
		{ "*", "abc", true },
		{ "*", "", true },
		{ "*c", "abc", true },
		{ "a*", "a", true },
		{ "a*", "abc", true },
		{ "a*", "ab/c", false },
		{ "a*/b", "abc/b", true },
		{ "a*/b", "a/c/b", false },
		{ "a*b*c*d*e*/f", "axbxcxdxe/f", true },
		{ "a*b*c*d*e*/f", "axbxcxdxexxx/f", true },
		{ "a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false },
		{ "a*b*c*d*e*/f", "axbxcxdxexxx/fff", false },
		{ "a*b?c*x", "abxbbxdbxebxczzx", true },
		{ "a*b?c*x", "abxbbxdbxebxczzy", false },
		{ "a?b", "a/b", false },
		{ "a?b", "axb", true },
		{ "a?", "a", false },
		{ "a*b", "a/b", false },
		{ "*x", "xxx", true },
		{ "a\\*b", "ab", false },
		{ "a\\*b", "a*b", true },
		{ "a\\b", "ab", true },
		{ "*/*", "a/b", true },
		{ "*/*", "a", false },
		{ "*/*", "a/b/c", false },
		{ "team-*/app", "team-x/app", true },
		{ "team-*/app", "team-x/y/app", false },
	};

	(void)state;
	CHECK_CASES(cases);
	assert_false(glob_match(STR(""), STR("")));
}

static void classes(void **state)
{
	static const struct match_case cases[] = {
		{ "ab[c]", "abc", true },
		{ "ab[b-d]", "abc", true },
		{ "ab[e-g]", "abc", false },
		{ "ab[^c]", "abc", false },
		{ "ab[!c]", "abc", false },
		{ "ab[^b-d]", "abc", false },
		{ "ab[^e-g]", "abc", true },
		{ "[\\]a]", "]", true },
		{ "[\\-]", "-", true },
		{ "[x\\-]", "x", true },
		{ "[x\\-]", "-", true },
		{ "[x\\-]", "z", false },
		{ "[\\-x]", "x", true },
		{ "[\\-x]", "a", false },
		{ "[-]", "-", true },
		{ "[x-]", "x", true },
		{ "[x-]", "-", true },
		{ "[x-]", "z", false },
		{ "[-x]", "-", true },
		{ "[-x]", "a", false },
		{ "[a-cx-z]", "b", true },
		{ "[a-cx-z]", "y", true },
		{ "[a-cx-z]", "m", false },
		{ "v[0-9].[0-9]*", "v1.25", true },
		{ "[^a]*", "bc", true },
		{ "a[^x]b", "a/b", true },
		{ "[{,}]", "{", true },
		{ "[*]", "a", false },
		{ "[a]", "", false },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void double_stars(void **state)
{
	static const struct match_case cases[] = {
		{ "**", "", true },
		{ "**", "a", true },
		{ "**", "a/b/c", true },
		{ "a/**", "a", true },
		{ "a/**", "a/b", true },
		{ "a/**", "a/b/c", true },
		{ "a/**", "ab", false },
		{ "a/**", "b/a", false },
		{ "a/**", "ab/c", false },
		{ "**/c", "c", true },
		{ "**/c", "b/c", true },
		{ "**/c", "a/b/c", true },
		{ "**/c", "a/b", false },
		{ "**/c", "abcd", false },
		{ "**/c", "a/abc", false },
		{ "**/c", "c/d", false },
		{ "a/**/b", "a/b", true },
		{ "a/**/b", "a/x/b", true },
		{ "a/**/b", "a/x/y/b", true },
		{ "a/**/b", "a/xb", false },
		{ "a/**/b", "ab", false },
		{ "a/**/b/**/c", "a/b/c", true },
		{ "a/**/b/**/c", "a/x/b/y/z/c", true },
		{ "a/**/b/**/c", "a/c/b", false },
		{ "**/**", "a/b", true },
		{ "a/**/**", "a", true },
		{ "a/\\**", "a/b/c", false },
		{ "abc**", "abc", true },
		{ "abc**", "abcd", true },
		{ "abc**", "abc/d", false },
		{ "**abc", "abc", true },
		{ "**abc", "xabc", true },
		{ "**abc", "x/abc", false },
		{ "a**b", "axyb", true },
		{ "a**b", "a/b", false },
		{ "a/**b", "a/xb", true },
		{ "a/**b", "a/x/b", false },
		{ "**/*", "a", true },
		{ "**/*", "a/b", true },
		{ "a/**/*", "a", false },
		{ "a/**/*", "a/b", true },
		{ "a/***", "a/b", true },
		{ "a/***", "a/b/c", false },
		{ "a/*", "a", false },
		{ "**/a*", "x/y/abc", true },
		{ "**/a*", "x/y/abc/d", false },
		{ "*/**", "a", true },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void alternatives(void **state)
{
	static const struct match_case cases[] = {
		{ "ab{c,d}", "abc", true },
		{ "ab{c,d}", "abd", true },
		{ "ab{c,d}", "abe", false },
		{ "ab{c,d,*}", "abcde", true },
		{ "ab{c,d}*", "abcx", true },
		{ "{a,b}/{c,d}", "b/c", true },
		{ "{a,b}/{c,d}", "c/b", false },
		{ "a{,b}", "a", true },
		{ "a{,b}", "ab", true },
		{ "a{,b}", "abb", false },
		{ "{a,{b,c{d,e}}}f", "cef", true },
		{ "{a,{b,c{d,e}}}f", "bf", true },
		{ "{a,{b,c{d,e}}}f", "cf", false },
		{ "{a,b/**}", "b/x/y", true },
		{ "{a,b/**}", "a/x", false },
		{ "{a,b}/**", "b", true },
		{ "{a,b}/**/z", "b/z", true },
		{ "{**/,}x", "a/b/x", true },
		{ "{a/,}**", "b/c", true },
		{ "{x,**}", "a/b", true },
		{ "a{/**,}", "a", true },
		{ "a{/**,}", "a/b/c", true },
		{ "a{x,**}", "ab/c", false },
		{ "{a\\,b,c}", "a,b", true },
		{ "{a\\}b,c}", "a}b", true },
		{ "{[,],x}", ",", true },
		{ "{}", "", true },
		{ "a,b", "a,b", true },
		{ "a{b}c", "abc", true },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void refuses(void **state)
{
	static const char *const patterns[] = {
		"",
		"[",
		"[]",
		"[^",
		"[^]",
		"[^bc",
		"[]a]",
		"a[",
		"ab{c,d}[",
		"\\",
		"a\\",
		"[a\\",
		"[a\\]",
		"{",
		"}",
		"a}",
		"{a",
		"{a,b",
		"{{a}",
		"{a}}",
		"{[}",
	};
	char large[GLOB_MAX + 1];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (glob_check(str_of(patterns[i]), &err))
			fail_msg("%s is no pattern", patterns[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_false(glob_match(str_of(patterns[i]), str_of(patterns[i])));
	}
	memset(large, 'a', sizeof(large));
	assert_true(glob_check(str_from(large, GLOB_MAX), NULL));
	assert_true(glob_match(str_from(large, GLOB_MAX), str_from(large, GLOB_MAX)));
	assert_false(glob_check(str_from(large, GLOB_MAX + 1), NULL));
	assert_false(glob_match(str_from(large, GLOB_MAX + 1), str_from(large, GLOB_MAX + 1)));
}

/* Each of these costs a backtracking matcher longer than anyone waits. */
static void nothing_is_slow(void **state)
{
	static const char *const units[] = { "*a", "**/", "{a,a}", "{a,{a,a}}", "{*,**}", "a*/**/" };
	char pattern[GLOB_MAX + 1];
	char text[256];

	(void)state;
	memset(text, 'a', 255);
	for (size_t i = 20; i < 255; i += 20)
		text[i] = '/';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t unit = strlen(units[i]);
		size_t len = 0;

		for (; len + unit < GLOB_MAX; len += unit)
			memcpy(pattern + len, units[i], unit);
		pattern[len++] = 'b';
		for (unsigned round = 0; round < 20; round++)
			assert_false(glob_match(str_from(pattern, len), str_from(text, 255)));
	}
	memset(pattern, '{', 127);
	memset(pattern + 127, '}', 127);
	assert_true(glob_check(str_from(pattern, 254), NULL));
	assert_true(glob_match(str_from(pattern, 254), STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inside_a_component),
		cmocka_unit_test(classes),
		cmocka_unit_test(double_stars),
		cmocka_unit_test(alternatives),
		cmocka_unit_test(refuses),
		cmocka_unit_test(nothing_is_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
