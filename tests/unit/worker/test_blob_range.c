/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which Range headers may go to an object store as they are?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/oci/blob_range.h"

static void ranges_are_told_apart(void **state)
{
	static const struct {
		const char *header;
		enum blob_range kind;
		const char *sent;
	} samples[] = {
		{ NULL, BLOB_RANGE_NONE, NULL },
		{ "", BLOB_RANGE_NONE, NULL },
		{ "bytes=0-0", BLOB_RANGE_SIMPLE, "bytes=0-0" },
		{ "bytes=500-1499", BLOB_RANGE_SIMPLE, "bytes=500-1499" },
		{ "bytes=500-", BLOB_RANGE_SIMPLE, "bytes=500-" },
		{ "bytes=-500", BLOB_RANGE_SIMPLE, "bytes=-500" },
		{ "bytes=0500-0600", BLOB_RANGE_SIMPLE, "bytes=500-600" },
		{ "bytes=500-0", BLOB_RANGE_INVERTED, NULL },
		{ "bytes=-0", BLOB_RANGE_INVERTED, NULL },
		{ "bytes=0-1,5-6", BLOB_RANGE_NONE, NULL },
		{ "bytes=-", BLOB_RANGE_NONE, NULL },
		{ "bytes=a-b", BLOB_RANGE_NONE, NULL },
		{ "items=0-1", BLOB_RANGE_NONE, NULL },
		{ "bytes=99999999999999999999-", BLOB_RANGE_NONE, NULL },
	};
	char sent[BLOB_RANGE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		enum blob_range kind = blob_range_simple(samples[i].header, sent);
		if (kind != samples[i].kind)
			fail_msg("%s: %d", samples[i].header, kind);
		if (samples[i].sent)
			assert_string_equal(sent, samples[i].sent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ranges_are_told_apart) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
