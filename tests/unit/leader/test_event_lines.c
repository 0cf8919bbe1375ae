/* SPDX-License-Identifier: Apache-2.0 */
/* event_lines: the same events, in whatever pieces they come; what is too long is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "common/check.h"
#include "leader/ctl/event_lines.h"

static void note(void *arg, const char *name, struct str data)
{
	buf_format(arg, "[%s|%.*s]", name, STR_ARGS(data));
}

static const char stream[] =
	"retry: 1000\n\n: nothing\n\nevent: cluster\ndata: {\"a\":1}\n\nevent:ring\r\ndata:{}\r\n\r\n"
	"data: of no event\n\nevent: last\ndata: x";

static void pieces_are_put_together(void **state)
{
	(void)state;
	for (size_t size = 1; size <= sizeof(stream); size++) {
		AUTO_FINI(buf) told = buf_limit(1024);
		AUTO_FINI(event_lines) lines;
		struct str rest = STR(stream);

		event_lines_init(&lines, note, &told);
		while (rest.len) {
			struct str piece = str_from(rest.at, rest.len < size ? rest.len : size);

			assert_true(event_lines_take(&lines, piece, NULL));
			rest = str_from(rest.at + piece.len, rest.len - piece.len);
		}
		assert_string_equal(buf_text(&told), "[cluster|{\"a\":1}][ring|{}]");
		assert_true(event_lines_take(&lines, STR("y\n"), NULL));
		assert_string_equal(buf_text(&told), "[cluster|{\"a\":1}][ring|{}][last|xy]");
	}
}

static void another_stream_begins_anew(void **state)
{
	AUTO_FINI(buf) told = buf_limit(1024);
	AUTO_FINI(event_lines) lines;

	(void)state;
	event_lines_init(&lines, note, &told);
	assert_true(event_lines_take(&lines, STR("event: a\ndata: cut"), NULL));
	event_lines_reset(&lines);
	assert_true(event_lines_take(&lines, STR("data: b\n\nevent: c\ndata: d\n"), NULL));
	assert_string_equal(buf_text(&told), "[c|d]");
}

static void lines_and_names_are_bounded(void **state)
{
	AUTO_FINI(buf) told = buf_limit(1024);
	AUTO_FINI(event_lines) lines;
	AUTO_FINI(buf) piece = buf_limit(1024 * 1024);
	struct error err = { 0 };
	bool ok = true;

	(void)state;
	event_lines_init(&lines, note, &told);
	buf_puts(&piece, "event: ");
	for (int i = 0; i < EVENT_NAME_MAX; i++)
		buf_putc(&piece, 'n');
	buf_puts(&piece, "\ndata: x\n\n");
	assert_true(event_lines_take(&lines, buf_str(&piece), NULL));
	assert_int_equal(told.len, 0);
	buf_clear(&piece);
	while (piece.len < 1000000)
		buf_putc(&piece, 'x');
	for (size_t n = 0; ok && n < EVENT_LINE_MAX / 1000000 + 2; n++)
		ok = event_lines_take(&lines, buf_str(&piece), &err);
	assert_false(ok);
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_put_together),
		cmocka_unit_test(another_stream_begins_anew),
		cmocka_unit_test(lines_and_names_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
