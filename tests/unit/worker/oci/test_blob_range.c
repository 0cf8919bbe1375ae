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
		const char *sent; /* NULL: it cannot be sent */
	} samples[] = {
		{ NULL, NULL },
		{ "", NULL },
		{ "bytes=0-0", "bytes=0-0" },
		{ "bytes=500-1499", "bytes=500-1499" },
		{ "bytes=500-", "bytes=500-" },
		{ "bytes=-500", "bytes=-500" },
		{ "bytes=0500-0600", "bytes=500-600" },
		{ "bytes=500-0", NULL },
		{ "bytes=-0", NULL },
		{ "bytes=0-1,5-6", NULL },
		{ "bytes=-", NULL },
		{ "bytes=a-b", NULL },
		{ "items=0-1", NULL },
		{ "bytes=99999999999999999999-", NULL },
	};
	char sent[BLOB_RANGE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		if (blob_range_simple(samples[i].header, sent) != (samples[i].sent != NULL))
			fail_msg("%s", samples[i].header);
		if (samples[i].sent)
			assert_string_equal(sent, samples[i].sent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ranges_are_told_apart) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
