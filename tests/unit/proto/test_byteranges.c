/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_byteranges - the frames of a multipart body, and how long it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/byteranges.h"

static void a_body_to_the_letter(void **state)
{
	struct byteranges parts = { .ranges = { { 0, 1 }, { 4, 4 } }, .len = 2, .size = 10, .boundary = "b" };
	char body[1024], frame[BYTERANGES_FRAME_MAX];
	static const char *const content = "0123456789";
	size_t len = 0, part;

	(void)state;
	for (unsigned at = 0; at <= parts.len; at++) {
		part = byteranges_frame(&parts, at, frame);
		memcpy(body + len, frame, part);
		len += part;
		if (at < parts.len) {
			part = range_length(&parts.ranges[at]);
			memcpy(body + len, content + parts.ranges[at].first, part);
			len += part;
		}
	}
	body[len] = '\0';
	assert_string_equal(body, "--b\r\n"
				  "Content-Type: application/octet-stream\r\n"
				  "Content-Range: bytes 0-1/10\r\n"
				  "\r\n"
				  "01\r\n"
				  "--b\r\n"
				  "Content-Type: application/octet-stream\r\n"
				  "Content-Range: bytes 4-4/10\r\n"
				  "\r\n"
				  "4\r\n"
				  "--b--\r\n");
	assert_true(byteranges_length(&parts) == len);
}

static void the_longest_frame_fits(void **state)
{
	struct byteranges parts = { .len = 2, .size = INT64_MAX };
	char frame[BYTERANGES_FRAME_MAX];
	size_t len;

	(void)state;
	parts.ranges[1] = (struct range){ INT64_MAX - 2, INT64_MAX - 1 };
	memset(parts.boundary, 'f', sizeof(parts.boundary) - 1);
	len = byteranges_frame(&parts, 1, frame);
	assert_in_range(len, 1, sizeof(frame) - 1);
	assert_memory_equal(frame + len - 4, "\r\n\r\n", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_to_the_letter),
		cmocka_unit_test(the_longest_frame_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
