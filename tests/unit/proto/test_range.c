/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_range - parts of content, and chunks of an upload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proto/range.h"

/* "a-b,a-b", "whole" or "416". */
static void expect(const char *header, uint64_t size, const char *wanted)
{
	struct range ranges[RANGE_MAX];
	unsigned len = 0;
	char text[1024] = "";
	size_t used = 0;

	switch (range_parse(header, size, ranges, &len)) {
	case RANGE_WHOLE:
		(void)snprintf(text, sizeof(text), "whole");
		break;
	case RANGE_UNSATISFIABLE:
		(void)snprintf(text, sizeof(text), "416");
		break;
	case RANGE_PART:
		assert_in_range(len, 1, RANGE_MAX);
		for (unsigned i = 0; i < len; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu-%llu",
				i ? "," : "", (unsigned long long)ranges[i].first,
				(unsigned long long)ranges[i].last);
		break;
	}
	if (strcmp(text, wanted) != 0)
		fail_msg("%s of %llu: %s, not %s", header, (unsigned long long)size, text, wanted);
}

static void one_range(void **state)
{
	(void)state;
	expect("bytes=0-0", 10, "0-0");
	expect("bytes=0-9", 10, "0-9");
	expect("bytes=2-5", 10, "2-5");
	expect("bytes=5-", 10, "5-9");
	expect("bytes=-3", 10, "7-9");
	expect("bytes=-30", 10, "0-9");
	expect("bytes=2-5000", 10, "2-9");
	expect("  Bytes=2-5 ", 10, "2-5");
	expect("bytes= 2-5", 10, "2-5");
	expect("bytes=0-0", 1, "0-0");
}

static void unsatisfiable(void **state)
{
	(void)state;
	expect("bytes=10-", 10, "416");
	expect("bytes=10-20", 10, "416");
	expect("bytes=500-0", 1000, "416");
	expect("bytes=-0", 10, "416");
	expect("bytes=0-", 0, "416");
	expect("bytes=0-0", 0, "416");
	expect("bytes=-1", 0, "416");
	expect("bytes=20-30,5-2,-0", 10, "416");
}

static void ignored(void **state)
{
	static const char *const headers[] = {
		NULL,
		"",
		"bytes",
		"bytes=",
		"bytes=,",
		"bytes=-",
		"bytes=a-b",
		"bytes=1",
		"bytes=1-2-3",
		"bytes=--1",
		"bytes=1 -2",
		"bytes=1-x",
		"bytes=+1-2",
		"bytes=0x1-2",
		"items=0-1",
		"0-1",
		"bytes 0-1",
		"bytes=0-1,x",
		"bytes=0-1;2-3",
		"bytes=-1-",
		"bytes=-1x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		expect(headers[i], 10, "whole");
}

static void several(void **state)
{
	(void)state;
	expect("bytes=0-0,-1", 10, "0-0,9-9");
	expect("bytes=0-0,-1", 1, "0-0");
	expect("bytes=-1,0-0", 10, "0-0,9-9");
	expect("bytes=0-4,2-6", 10, "0-6");
	expect("bytes=0-4,5-6", 10, "0-6");
	expect("bytes=0-4,6-7", 10, "0-4,6-7");
	expect("bytes=0-9,2-3", 10, "0-9");
	expect("bytes=8-9,0-1,4-5", 10, "0-1,4-5,8-9");
	expect("bytes=0-1, ,4-5 ,", 10, "0-1,4-5");
	expect("bytes=0-1,20-30,5-2", 10, "0-1");
	expect("bytes=4-,2-,0-", 10, "0-9");
}

static void at_most_sixteen(void **state)
{
	char header[256] = "bytes=0-0";
	size_t used = strlen(header);

	(void)state;
	for (unsigned i = 1; i < RANGE_MAX; i++)
		used += (size_t)snprintf(header + used, sizeof(header) - used, ",%u-%u", 2 * i, 2 * i);
	expect(header, 100,
		"0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30");
	(void)snprintf(header + used, sizeof(header) - used, ",90-90");
	expect(header, 100, "416");
}

static void large_numbers(void **state)
{
	(void)state;
	expect("bytes=0-18446744073709551615", 10, "0-9");
	expect("bytes=0-99999999999999999999999999", 10, "0-9");
	expect("bytes=99999999999999999999999999-", 10, "416");
	expect("bytes=18446744073709551616-18446744073709551617", 10, "416");
	expect("bytes=-99999999999999999999999999", 10, "0-9");
	expect("bytes=0-18446744073709551615", UINT64_MAX, "0-18446744073709551614");
	expect("bytes=18446744073709551614-,0-1", UINT64_MAX,
		"0-1,18446744073709551614-18446744073709551614");
	expect("bytes=00000000000000000000000000000001-2", 10, "1-2");
}

static void chunks(void **state)
{
	static const char *const good[] = { "3-9", "bytes 3-9", "Bytes  3-9", " 3-9 ", "bytes 3-9/10",
		"3-9/*", "bytes 3-9/*" };
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes ",
		"3",
		"3-",
		"-9",
		"9-3",
		"a-b",
		"3-9/",
		"3-9/9",
		"3-9/x",
		"3-9/10x",
		"3-9x",
		"bytes=3-9",
		"3 - 9",
		"-3-9",
		"3--9",
		"0-9223372036854775807",
		"0-18446744073709551615",
		"0-99999999999999999999",
		"items 3-9",
		"bytes */10",
	};
	struct range range = { 0, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		range = (struct range){ 0, 0 };
		assert_true(content_range_parse(str_of(good[i]), &range));
		assert_true(range.first == 3 && range.last == 9);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (content_range_parse(str_of(bad[i]), &range))
			fail_msg("\"%s\" is no chunk", bad[i]);
	}
	assert_true(range.first == 3 && range.last == 9);
	assert_false(content_range_parse(STR_NONE, &range));
	assert_true(content_range_parse(STR("0-0"), &range));
	assert_true(content_range_parse(STR("0-9223372036854775806"), &range));
	assert_true(content_range_parse(STR("0-9223372036854775806/9223372036854775807"), &range));
}

static void answers(void **state)
{
	static const char *const bad[] = { "", "bytes 3-9", "bytes 3-9/*", "bytes 3-9/9", "bytes 9-3/10",
		"3-9/10", "bytes */10", "bytes 3-9/10 x", "bytes 3-9/99999999999999999999", "bytes=3-9/10" };
	struct range range = { 0, 0 };
	uint64_t total = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (content_range_parse_answer(str_of(bad[i]), &range, &total))
			fail_msg("\"%s\" is no answer", bad[i]);
	assert_true(total == 0 && range.last == 0);
	assert_true(content_range_parse_answer(STR(" Bytes 3-9/10 "), &range, &total));
	assert_true(range.first == 3 && range.last == 9 && total == 10);
	assert_true(content_range_parse_answer(STR("bytes 0-0/9223372036854775807"), &range, &total));
	assert_true(total == INT64_MAX);
	assert_false(content_range_parse_answer(STR_NONE, &range, &total));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range),
		cmocka_unit_test(unsatisfiable),
		cmocka_unit_test(ignored),
		cmocka_unit_test(several),
		cmocka_unit_test(at_most_sixteen),
		cmocka_unit_test(large_numbers),
		cmocka_unit_test(chunks),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
