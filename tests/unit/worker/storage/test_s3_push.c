/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_push - which parts a push has: as few as may be, in memory, and never more than a store takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/storage/s3_priv.h"

static struct store *store;

static int open_store(void **state)
{
	const struct s3_settings settings = { .endpoint = "http://127.0.0.1:1",
		.region = "r",
		.bucket = "bucket",
		.prefix = "",
		.access_key = "a",
		.secret_key = "s",
		.path_style = true };
	struct error err;

	(void)state;
	return store_s3_open(&store, &settings, &err) ? 0 : -1;
}

static int close_store(void **state)
{
	(void)state;
	store_free(store);
	return 0;
}

static void expect(uint64_t size, uint64_t wanted)
{
	uint64_t part = store_push_part(store, STR("a"), size);

	assert_int_equal(part, wanted);
	if (part)
		assert_true((size + part - 1) / part <= S3_PARTS_MAX);
}

static void test_parts(void **state)
{
	const uint64_t most = S3_PARTS_MAX * 16 * S3_MIB;

	(void)state;
	expect(1, 16 * S3_MIB);
	expect(16 * S3_MIB + 1, 16 * S3_MIB);
	expect(most, 16 * S3_MIB);
	expect(most + 1, 17 * S3_MIB);
	expect(2 * most, 32 * S3_MIB);
	/* Larger ones would need more memory: through the spool. */
	expect(2 * most + 1, 0);
	expect(INT64_MAX, 0);
}

static void test_nobody_there(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("x"));
	struct store_push *push = NULL;
	struct error err;

	(void)state;
	assert_false(store_push_begin(store, STR("a/b"), &digest, 32 * S3_MIB, &push, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_null(push);
	assert_false(s3_push_is_under_way(s3_store_of(store), "a/b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_nobody_there),
	};
	int failed;

	http_client_init();
	failed = cmocka_run_group_tests(tests, open_store, close_store);
	http_client_fini();
	return failed;
}
