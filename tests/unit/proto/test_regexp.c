/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_regexp - what Go's regexp says of the same patterns and texts; what it refuses is refused; no pattern is slow or large.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "proto/regexp.h"

struct match_case {
	const char *pattern, *text;
	bool match;
};

static bool matches(const char *pattern, const char *text)
{
	AUTO(regexp) *regexp = NULL;
	struct error err;

	if (!regexp_new(&regexp, str_of(pattern), &err))
		fail_msg("%s: %s", pattern, err.text);
	return regexp_match(regexp, str_of(text));
}

static void check(const struct match_case *cases, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (matches(cases[i].pattern, cases[i].text) != cases[i].match)
			fail_msg("%s and %s", cases[i].pattern, cases[i].text);
}
#define CHECK_CASES(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static void anywhere_unless_anchored(void **state)
{
	static const struct match_case cases[] = {
		{ "", "", true },
		{ "", "a", true },
		{ "v2", "v2.0", true },
		{ "v2", "rev2", true },
		{ "^v2", "rev2", false },
		{ "v2$", "v2.0", false },
		{ "^v2$", "v2", true },
		{ "\\Av2\\z", "v2", true },
		{ "\\Av2\\z", "v2.", false },
		{ "v2.*", "v2", true },
		{ "v1.0", "v1x0", true },
		{ "v1\\.0", "v1x0", false },
		{ "\\bv1\\b", "a-v1-b", true },
		{ "\\bv1\\b", "av1", false },
		{ "\\Bv1", "av1", true },
		{ "\\B", "", true },
		{ "(?m)^b$", "a\nb\nc", true },
		{ "^b$", "a\nb\nc", false },
		{ "a.b", "a\nb", false },
		{ "(?s)a.b", "a\nb", true },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void repeats(void **state)
{
	static const struct match_case cases[] = {
		{ "^a*$", "", true },
		{ "^a*$", "aaa", true },
		{ "^a*$", "ab", false },
		{ "^a+$", "", false },
		{ "^a+$", "aa", true },
		{ "^a?b$", "b", true },
		{ "^a?b$", "ab", true },
		{ "^a?b$", "aab", false },
		{ "^a{2}$", "a", false },
		{ "^a{2}$", "aa", true },
		{ "^a{2}$", "aaa", false },
		{ "^a{2,}$", "aaaa", true },
		{ "^a{2,}$", "a", false },
		{ "^a{1,3}$", "aaa", true },
		{ "^a{1,3}$", "aaaa", false },
		{ "^a{0,2}$", "", true },
		{ "^a{0,2}b$", "aab", true },
		{ "^a{0}b$", "b", true },
		{ "^a{0}b$", "ab", false },
		{ "^(ab){2}$", "abab", true },
		{ "^(ab)*?c$", "ababc", true },
		{ "^(a|b){3}$", "aba", true },
		{ "^(a*)*$", "aaa", true },
		{ "^(a*)+b$", "aaab", true },
		{ "^(|a)+$", "aa", true },
		{ "^(){1000}$", "", true },
		{ "a{,2}", "a{,2}", true },
		{ "a{", "a{", true },
		{ "{a}", "{a}", true },
		{ "a{1", "a{1", true },
		{ "^\\Qa+\\E+$", "a++", true },
		{ "^\\Qa.c", "abc", false },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void alternatives_and_groups(void **state)
{
	static const struct match_case cases[] = {
		{ "^(dev|test|prod)-", "test-1", true },
		{ "^(dev|test|prod)-", "prod-1", true },
		{ "^(dev|test|prod)-", "qa-1", false },
		{ "^a|b$", "ac", true },
		{ "^a|b$", "cb", true },
		{ "^a|b$", "cbc", false },
		{ "^(?:a|)$", "", true },
		{ "^(?P<major>[0-9]+)\\.(?<minor>[0-9]+)$", "1.20", true },
		{ "^(?i)V1(?-i)b$", "v1b", true },
		{ "^(?i)V1(?-i)b$", "v1B", false },
		{ "^((?i)a)b$", "Ab", true },
		{ "^((?i)a)b$", "AB", false },
		{ "^(?i:rc|beta)$", "BETA", true },
		{ "^(?i)a|b$", "B", true },
		{ "(?U)a+", "aa", true },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void classes(void **state)
{
	static const struct match_case cases[] = {
		{ "^[a-c]+$", "abc", true },
		{ "^[a-c]+$", "abd", false },
		{ "^[^a-c]$", "d", true },
		{ "^[^a-c]$", "a", false },
		{ "^[]a]+$", "]a", true },
		{ "^[^]a]$", "]", false },
		{ "^[a-]+$", "a-", true },
		{ "^[-a]+$", "a-", true },
		{ "^[a\\-z]+$", "a-z", true },
		{ "^[a\\-z]+$", "b", false },
		{ "^[\\d.]+$", "1.2", true },
		{ "^[\\D]+$", "1", false },
		{ "^[^\\W]+$", "a_1", true },
		{ "^[[:alpha:]_]+$", "ab_", true },
		{ "^[[:^digit:]]$", "1", false },
		{ "^[[:xdigit:]]{40}$", "0123456789abcdef0123456789abcdef01234567", true },
		{ "^\\d+\\.\\d+\\.\\d+$", "1.22.333", true },
		{ "^\\w+$", "a-b", false },
		{ "^\\W$", "-", true },
		{ "^\\s\\S$", " a", true },
		{ "^(?i)[a-c]$", "B", true },
		{ "^(?i)[^a-c]$", "B", false },
		{ "^\\x41\\x{42}\\103$", "ABC", true },
		{ "^[\\x41-C]$", "B", true },
		{ "^[--/]+$", "-./", true },
	};

	(void)state;
	CHECK_CASES(cases);
}

static void refused(const char *pattern, const char *says)
{
	struct regexp *regexp = NULL;
	struct error err;

	if (regexp_new(&regexp, str_of(pattern), &err))
		fail_msg("%s is taken", pattern);
	assert_null(regexp);
	if (!strstr(err.text, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", pattern, err.text, says);
}

static void what_go_refuses(void **state)
{
	static const struct {
		const char *pattern, *says;
	} cases[] = {
		{ "a(", "byte 2: a ')' is missing" },
		{ "a)", "byte 2: a ')' without" },
		{ "[a", "byte 1: a ']' is missing" },
		{ "[]", "']' is missing" },
		{ "[z-a]", "byte 2: a range" },
		{ "[a-\\d]", "not known" },
		{ "[[:alfa:]]", "a class that is not known" },
		{ "*a", "byte 1: nothing" },
		{ "a|*", "nothing" },
		{ "(+)", "nothing" },
		{ "(?i)*", "nothing" },
		{ "{2}", "nothing" },
		{ "a**", "byte 3: a repeat of a repeat" },
		{ "a{2}{3}", "a repeat of a repeat" },
		{ "a{3,2}", "the most is less" },
		{ "a{1001}", "over 1000" },
		{ "(a{100}){11}", "counts in counts" },
		{ "((a{10}){10}|b){11}", "counts in counts" },
		{ "a\\", "a backslash at the end" },
		{ "(a)\\1", "references back" },
		{ "\\9", "references back" },
		{ "\\y", "not known" },
		{ "\\Z", "not known" },
		{ "a++", "a repeat of a repeat" },
		{ "(?=a)", "no looking ahead" },
		{ "(?!a)", "no looking ahead" },
		{ "(?<=a)", "looking behind" },
		{ "(?<!a)", "looking behind" },
		{ "(?>a)", "not known" },
		{ "(?P<a", "name" },
		{ "(?<>a)", "name" },
		{ "(?<a-b>c)", "letters, digits" },
		{ "(?i", "')' is missing" },
		{ "(?i-)", "a flag is missing" },
		{ "\\pL", "ASCII" },
		{ "\\x{100}", "ASCII" },
		{ "\\xg", "two hex digits" },
		{ "\xc3\xa9", "byte 1: only ASCII" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].pattern, cases[i].says);
}

static void sizes_are_bounded(void **state)
{
	AUTO_FINI(buf) pattern = buf_limit(2 * REGEXP_MAX);
	AUTO(regexp) *regexp = NULL;
	struct error err;

	(void)state;
	assert_true(regexp_new(&regexp, STR_NONE, &err));
	assert_true(regexp_match(regexp, STR_NONE));
	regexp_free(TAKE(regexp));
	for (int i = 0; i < REGEXP_MAX; i++)
		buf_putc(&pattern, '.');
	assert_true(regexp_new(&regexp, buf_str(&pattern), &err));
	buf_putc(&pattern, '.');
	refused(buf_text(&pattern), "at most 512 bytes, this one has 513");
	refused("(abc){1000}", "larger than");
	buf_clear(&pattern);
	for (int i = 0; i < 101; i++)
		buf_putc(&pattern, '(');
	for (int i = 0; i < 101; i++)
		buf_putc(&pattern, ')');
	refused(buf_text(&pattern), "nest too deep");
}

/* What makes engines that go back take for ever. */
static void no_pattern_is_slow(void **state)
{
	static const char *const patterns[] = { "^(a*)*$", "^(a|aa)+$", "^(a|a?)+$", "(x+x+)+y",
		"^([a-z]+)*!$", "(a?){500}a{500}", "(.*){10}(.*){10}[^a]b", "((a{1,30}){1,30}b)" };
	char text[129] = { 0 };
	int64_t begun = clock_cpu_us();

	(void)state;
	memset(text, 'a', 128);
	for (unsigned times = 0; times < 10; times++)
		for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
			(void)matches(patterns[i], text);
	assert_true(clock_cpu_us() - begun < 5000000); /* going back it would be years */
	assert_false(matches("(x+x+)+y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	assert_true(matches("(a?){30}a{30}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anywhere_unless_anchored),
		cmocka_unit_test(repeats),
		cmocka_unit_test(alternatives_and_groups),
		cmocka_unit_test(classes),
		cmocka_unit_test(what_go_refuses),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(no_pattern_is_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
