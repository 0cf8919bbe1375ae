/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_name_lines - what is written is read again; of what others write only lists of names in order are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/name_lines.h"

/* The names with blanks between them, and a + where there are more; or why not. */
static void expect(const char *text, size_t len, const char *after, size_t n, const char *wanted)
{
	AUTO_FINI(buf) said = buf_limit(4096);
	char *own = check_strndup(text, len);
	struct name_lines lines = { 0 };
	struct error err;

	if (!name_lines_parse(&own, len, after, n, &lines, &err)) {
		buf_puts(&said, err.text);
		assert_non_null(own);
	} else {
		assert_null(own);
	}
	for (size_t i = 0; i < lines.len; i++)
		buf_format(&said, "%s%s", i ? " " : "", (const char *)lines.at[i]);
	if (lines.more)
		buf_putc(&said, '+');
	name_lines_fini(&lines);
	free(own);
	assert_string_equal(buf_text(&said), wanted);
}

#define EXPECT(text, after, n, wanted) expect(text, sizeof(text) - 1, after, n, wanted)

static void lists_are_read(void **state)
{
	(void)state;
	EXPECT("", "", 5, "");
	EXPECT("a\n", "", 5, "a");
	EXPECT("a\nb/c\n", "", 2, "a b/c");
	EXPECT("a\nb/c\n\n", "", 2, "a b/c+");
	EXPECT("m1\n", "m", 1, "m1");
}

static void others_are_refused(void **state)
{
	static const char NO_LIST[] = "it is no list of names with a newline behind each";
	static const char NO_NAME[] = "it names what is no repository";
	static const char NO_ORDER[] = "its names are not in order behind the last one";

	(void)state;
	EXPECT("a\nb", "", 5, NO_LIST);
	EXPECT("{\"repositories\":[]}", "", 5, NO_LIST);
	EXPECT("\n", "", 5, NO_NAME); /* more, and none to go on from */
	EXPECT("a\n\nb\n", "", 5, NO_NAME);
	EXPECT("a\n\n\n", "", 5, NO_NAME);
	EXPECT("a\0b\n", "", 5, NO_NAME);
	EXPECT("A\n", "", 5, NO_NAME);
	EXPECT("../x\n", "", 5, NO_NAME);
	EXPECT("b\na\n", "", 5, NO_ORDER);
	EXPECT("b\nb\n", "", 5, NO_ORDER);
	EXPECT("m\n", "m", 5, NO_ORDER);
	EXPECT("a\nb\n", "", 1, "it names more than 1");
	EXPECT("a\nb\nc\nd\n", "", 1, "it names more than 1");
	EXPECT("a\n", "", 0, "it names more than 0");
}

static void what_is_written_is_read(void **state)
{
	AUTO_FINI(buf) text = buf_limit(NAME_LINES_MAX(2));
	AUTO_FINI(buf) small = buf_limit(NAME_LINES_MAX(1));
	char longest[NAME_MAX_LEN + 1];
	struct name_lines lines;
	struct error err;

	(void)state;
	memset(longest, 'a', NAME_MAX_LEN);
	longest[NAME_MAX_LEN] = '\0';
	name_lines_put(&text, str_of(longest));
	longest[0] = 'b';
	name_lines_put(&text, str_of(longest));
	name_lines_put_more(&text);
	assert_true(name_lines_take(&text, &lines, &err));
	assert_int_equal(lines.len, 2);
	assert_true(lines.more);
	assert_string_equal(lines.at[1], longest);
	assert_int_equal(text.len, 0);
	name_lines_fini(&lines);

	assert_true(name_lines_take(&text, &lines, &err));
	assert_true(!lines.len && !lines.more);
	name_lines_fini(&lines);

	name_lines_put(&small, str_of(longest));
	name_lines_put(&small, str_of(longest));
	assert_false(name_lines_take(&small, &lines, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(what_is_written_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
