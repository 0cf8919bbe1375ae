/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was stored moments ago is known, and no longer than that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/registry/known_blobs.h"

static void entries_end(void **state)
{
	AUTO(known_blobs) *known = known_blobs_new();
	struct digest one = digest_of(HASH_SHA256, STR("1")), two = digest_of(HASH_SHA512, STR("1"));
	uint64_t size = 0;

	(void)state;
	assert_false(known_blobs_has(known, STR("a"), &one, 7, 0, &size));
	known_blobs_add(known, STR("a"), &one, 1234, 7, 0);
	assert_true(known_blobs_has(known, STR("a"), &one, 7, KNOWN_BLOBS_MS - 1, &size));
	assert_int_equal(size, 1234);
	assert_false(known_blobs_has(known, STR("a"), &one, 7, KNOWN_BLOBS_MS, &size));
	assert_true(known_blobs_since(known, STR("a"), &one, 7, 0, &size));
	assert_false(known_blobs_since(known, STR("a"), &one, 7, 1, &size));
	assert_false(known_blobs_since(known, STR("a"), &one, 8, 0, &size));
	assert_false(known_blobs_has(known, STR("a"), &one, 8, 0, &size));
	assert_false(known_blobs_has(known, STR("b"), &one, 7, 0, &size));
	assert_false(known_blobs_has(known, STR("a"), &two, 7, 0, &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(entries_end) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
