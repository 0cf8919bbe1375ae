/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which chunks continue an upload?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/oci/upload_chunk.h"

static void chunks_are_checked(void **state)
{
	static const struct {
		const char *header;
		int64_t length;
		uint64_t size;
		unsigned status;
		const char *code;
	} samples[] = {
		{ NULL, 10, 5, 0, NULL },
		{ NULL, -1, 5, 0, NULL },
		{ "0-9", 10, 0, 0, NULL },
		{ "10-19", 10, 10, 0, NULL },
		{ "10-19", -1, 10, 0, NULL },
		{ "10-19", 10, 0, 416, "BLOB_UPLOAD_INVALID" }, /* skips ahead */
		{ "0-9", 10, 10, 416, "BLOB_UPLOAD_INVALID" },  /* sent again */
		{ "0-9", 9, 0, 416, "SIZE_INVALID" },
		{ "0-9", 11, 0, 416, "SIZE_INVALID" },
		{ "0-9", 0, 0, 416, "SIZE_INVALID" },
		{ "9-0", 10, 9, 400, "BLOB_UPLOAD_INVALID" },
		{ "x", 10, 0, 400, "BLOB_UPLOAD_INVALID" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		unsigned status = 0;
		struct error err = { 0 };
		bool ok = upload_chunk_check(
			samples[i].header, samples[i].length, samples[i].size, &status, &err);
		if (ok != !samples[i].code || (!ok && status != samples[i].status))
			fail_msg("sample %zu: status %u", i, status);
		if (!ok)
			assert_string_equal(err.code, samples[i].code);
	}
}

static void what_came_is_what_was_announced(void **state)
{
	unsigned status = 0;
	struct error err;

	(void)state;
	assert_true(upload_chunk_check_end(NULL, 7, &status, &err));
	assert_true(upload_chunk_check_end("3-9", 7, &status, &err));
	assert_false(upload_chunk_check_end("3-9", 6, &status, &err));
	assert_int_equal(status, 416);
}

static void ranges_are_written(void **state)
{
	char text[UPLOAD_RANGE_SIZE];

	(void)state;
	upload_range_format(0, text);
	assert_string_equal(text, "0-0");
	upload_range_format(10, text);
	assert_string_equal(text, "0-9");
	upload_range_format(UINT64_MAX, text);
	assert_string_equal(text, "0-18446744073709551614");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_checked),
		cmocka_unit_test(what_came_is_what_was_announced),
		cmocka_unit_test(ranges_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
