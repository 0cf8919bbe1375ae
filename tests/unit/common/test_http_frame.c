/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "common/http_frame.h"

static void frames_come_back_as_they_were(void **state)
{
	static const struct http_frame frames[] = {
		{ .type = HTTP_FRAME_BYTES, .id = 1, .bytes = { "GET / HTTP", 10 } },
		{ .type = HTTP_FRAME_LAST, .id = 1, .bytes = { "/1.1", 4 } },
		{ .type = HTTP_FRAME_LAST, .id = HTTP_FRAME_ID_MAX },
		{ .type = HTTP_FRAME_ROOM, .id = 7, .room = (uint32_t)HTTP_FRAME_WINDOW },
		{ .type = HTTP_FRAME_ROOM, .id = 0x01020304, .room = 1 },
		{ .type = HTTP_FRAME_DROP, .id = 9 },
		{ .type = HTTP_FRAME_AWAY },
	};
	AUTO_FINI(buf) wire = buf_limit(1024);
	struct http_frame got;
	struct error err;
	struct str rest;

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		http_frame_put(&frames[i], &wire);
	rest = buf_str(&wire);
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		assert_int_equal(http_frame_next(&rest, &got, &err), HTTP_FRAME_WHOLE);
		assert_int_equal(got.type, frames[i].type);
		assert_int_equal(got.id, frames[i].id);
		assert_int_equal(got.room, frames[i].room);
		assert_true(str_equal(got.bytes, frames[i].bytes));
	}
	assert_int_equal(rest.len, 0);
	assert_int_equal(http_frame_next(&rest, &got, &err), HTTP_FRAME_MORE);
}

static void the_bytes_on_the_wire_are_those_of_the_documentation(void **state)
{
	AUTO_FINI(buf) wire = buf_limit(64);

	(void)state;
	http_frame_put(
		&(struct http_frame){ .type = HTTP_FRAME_LAST, .id = 0x0a0b0c0d, .bytes = STR("hi") }, &wire);
	http_frame_put(&(struct http_frame){ .type = HTTP_FRAME_ROOM, .id = 2, .room = 0x8000 }, &wire);
	assert_int_equal(wire.len, 22);
	assert_memory_equal(wire.at,
		"\x02\x00\x00\x02\x0a\x0b\x0c\x0dhi\x03\x00\x00\x04\x00\x00\x00\x02\x00\x00\x80\x00", 22);
}

static void a_frame_that_is_not_all_there_is_awaited(void **state)
{
	AUTO_FINI(buf) wire = buf_limit(64);
	struct http_frame got;
	struct error err;

	(void)state;
	http_frame_put(&(struct http_frame){ .type = HTTP_FRAME_BYTES, .id = 3, .bytes = STR("abc") }, &wire);
	for (size_t len = 0; len < wire.len; len++) {
		struct str rest = str_from(wire.at, len);
		assert_int_equal(http_frame_next(&rest, &got, &err), HTTP_FRAME_MORE);
		assert_int_equal(rest.len, len);
	}
}

static void assert_bad(const char *bytes, size_t len, const char *why)
{
	struct str rest = str_from(bytes, len);
	struct http_frame got;
	struct error err;

	assert_int_equal(http_frame_next(&rest, &got, &err), HTTP_FRAME_BAD);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" says nothing of \"%s\"", err.text, why);
}
#define BAD(bytes, why) assert_bad(bytes, sizeof(bytes) - 1, why)

static void what_is_no_frame_is_refused_by_its_head(void **state)
{
	(void)state;
	BAD("\x00\0\0\1\0\0\0\1x", "type 0");
	BAD("\x06\0\0\0\0\0\0\1", "type 6");
	BAD("\xff\xff\xff\xff\xff\xff\xff\xff", "type 255");
	BAD("\x01\0\0\0\0\0\0\1", "0 bytes");
	BAD("\x01\0\x40\1\0\0\0\1", "16385 bytes");
	BAD("\x02\xff\xff\xff\0\0\0\1", "16777215 bytes");
	BAD("\x01\0\0\1\0\0\0\0", "of call 0");
	BAD("\x03\0\0\3\0\0\0\1", "not 4");
	BAD("\x03\0\0\4\0\0\0\1\0\0\0\0", "0 bytes");
	BAD("\x03\0\0\4\0\0\0\1\0\1\0\1", "65537 bytes");
	BAD("\x04\0\0\1\0\0\0\1", "1 bytes, not 0");
	BAD("\x05\0\0\0\0\0\0\1", "of call 1");
}

static void calls_are_found_by_their_ids(void **state)
{
	struct http_frame_calls calls = { 0 };
	struct http_frame_call each[600] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 600; i++)
		http_frame_calls_put(&calls, &each[i], i * 7 + 1);
	assert_int_equal(calls.len, 600);
	for (uint32_t i = 0; i < 600; i++)
		assert_ptr_equal(http_frame_calls_find(&calls, i * 7 + 1), &each[i]);
	assert_null(http_frame_calls_find(&calls, 2));
	for (uint32_t i = 0; i < 600; i += 2)
		http_frame_calls_drop(&calls, &each[i]);
	http_frame_calls_drop(&calls, &each[0]);
	assert_int_equal(calls.len, 300);
	assert_null(http_frame_calls_find(&calls, 1));
	assert_ptr_equal(http_frame_calls_find(&calls, 8), &each[1]);
	while (http_frame_calls_any(&calls))
		http_frame_calls_drop(&calls, http_frame_calls_any(&calls));
	assert_int_equal(calls.len, 0);
}

static void a_frame_has_what_the_window_the_rest_and_its_bound_let_it_have(void **state)
{
	(void)state;
	assert_int_equal(http_frame_fits(10, 5), 5);
	assert_int_equal(http_frame_fits(3, 5), 3);
	assert_int_equal(http_frame_fits(100000, 65536), HTTP_FRAME_MAX);
	assert_int_equal(http_frame_fits(100000, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_as_they_were),
		cmocka_unit_test(the_bytes_on_the_wire_are_those_of_the_documentation),
		cmocka_unit_test(a_frame_that_is_not_all_there_is_awaited),
		cmocka_unit_test(what_is_no_frame_is_refused_by_its_head),
		cmocka_unit_test(calls_are_found_by_their_ids),
		cmocka_unit_test(a_frame_has_what_the_window_the_rest_and_its_bound_let_it_have),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
