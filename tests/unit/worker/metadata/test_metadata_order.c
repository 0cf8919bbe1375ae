/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metadata_order - zot's ranks of names, and orders in which nothing is equal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/metadata/metadata.h"

static void ranks(void **state)
{
	static const struct {
		const char *text, *name;
		int64_t rank;
	} cases[] = {
		{ "", "any/thing", 1 },
		{ "alpine", "alpine", 0 },
		{ "alp", "alpine", 1 },
		{ "pine", "alpine", 3 },
		{ "alp", "lib/alpine", 1 },
		{ "lib", "lib/alpine", 10 },
		{ "ib", "lib/alpine", 20 },
		{ "mid", "a/mid/c", 300 },
		{ "lib/alp", "lib/alpine", 1 },
		{ "lib/pine", "lib/alpine", 3 },
		{ "lib/a", "lib/x/alpine", 1 },
		{ "lib/x", "lib/x/other", 10 },
		{ "b/c", "a/b/cd/e", 300 },
		{ "a/b/c", "a/b", -1 },
		{ "zzz", "alpine", -1 },
		{ "xib/a", "lib/alpine", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t rank = metadata_rank(str_of(cases[i].text), str_of(cases[i].name));

		if (rank != cases[i].rank)
			fail_msg("%s in %s: %d", cases[i].text, cases[i].name, (int)rank);
	}
}

static void orders(void **state)
{
	struct metadata_image a = { .repository = "a", .tag = "1", .updated_ms = 5, .downloads = 1 };
	struct metadata_image b = { .repository = "a", .tag = "2", .updated_ms = 7, .downloads = 1 };
	struct metadata_repository x = { .name = "x", .rank = 2, .updated_ms = 9, .downloads = 3 };
	struct metadata_repository y = { .name = "y", .rank = 1, .updated_ms = 9, .downloads = 4 };

	(void)state;
	assert_true(metadata_compare_images(METADATA_RELEVANCE, &a, &b) < 0);
	assert_true(metadata_compare_images(METADATA_UPDATE_TIME, &a, &b) > 0);
	assert_true(metadata_compare_images(METADATA_DOWNLOADS, &a, &b) < 0);
	assert_true(metadata_compare_images(METADATA_ALPHABETIC_DSC, &a, &b) > 0);
	b.tag = "1";
	b.digest.raw[0] = 1;
	assert_true(metadata_compare_images(METADATA_ALPHABETIC_ASC, &a, &b) < 0);
	assert_true(metadata_compare_repositories(METADATA_RELEVANCE, &x, &y) > 0);
	assert_true(metadata_compare_repositories(METADATA_UPDATE_TIME, &x, &y) < 0);
	assert_true(metadata_compare_repositories(METADATA_DOWNLOADS, &x, &y) > 0);
	assert_true(metadata_compare_repositories(METADATA_ALPHABETIC_ASC, &x, &y) < 0);
	assert_true(metadata_compare_repositories(METADATA_ALPHABETIC_DSC, &x, &y) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks),
		cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
