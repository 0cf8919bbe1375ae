/* SPDX-License-Identifier: Apache-2.0 */
/* move_fetch: what is said of a blob that is not here, of a repository that is ours and of one that is not, or is not any more. */
#include "tests/unit/worker/moves/moves_rig.h"

static struct digest wanted(void)
{
	return digest_of(HASH_SHA256, STR("a manifest"));
}

static enum error_kind size_of(struct moves_rig *rig, const char *name)
{
	struct digest digest = wanted();
	uint64_t size;
	struct error err;

	assert_false(store_blob_size(rig->rig.store, str_of(name), &digest, &size, &err));
	return err.kind;
}

static enum error_kind bytes_of(struct moves_rig *rig, const char *name)
{
	AUTO_FINI(buf) into = buf_limit(1000);
	struct digest digest = wanted();
	struct error err;

	assert_false(store_blob_get(rig->rig.store, str_of(name), &digest, &into, &err));
	return err.kind;
}

static void test_what_is_ours_and_nowhere(void **state)
{
	struct moves_rig *rig = *state;

	assert_int_equal(size_of(rig, rig->ours), ERROR_UNKNOWN);
	assert_int_equal(bytes_of(rig, rig->ours), ERROR_UNKNOWN);
}

/* Members ask each other for sizes, and go on where one has nothing. Bytes are wanted of what an index names: whoever has that by now can tell. */
static void test_what_is_of_others(void **state)
{
	struct moves_rig *rig = *state;

	assert_int_equal(size_of(rig, rig->others), ERROR_UNKNOWN);
	assert_int_equal(bytes_of(rig, rig->others), ERROR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_is_ours_and_nowhere, moves_rig_open, moves_rig_close),
		cmocka_unit_test_setup_teardown(test_what_is_of_others, moves_rig_open, moves_rig_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
