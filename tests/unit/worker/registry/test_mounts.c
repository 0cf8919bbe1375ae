/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mounts - what is brought from other workers is brought once, and not by all threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "worker/registry/mounts.h"

struct waiter {
	int told, failed;
};

static void again(void *arg, bool failed)
{
	struct waiter *waiter = arg;

	waiter->told++;
	waiter->failed += failed;
}

static struct digest digest_at(unsigned n)
{
	struct digest digest = { .alg = HASH_SHA256 };

	digest.raw[0] = (uint8_t)n;
	digest.raw[1] = (uint8_t)(n >> 8);
	return digest;
}

static enum mounts_step enter(struct mounts *mounts, unsigned n, const char *client, struct waiter *waiter)
{
	struct digest digest = digest_at(n);

	return mounts_enter(mounts, &digest, str_of(client), again, waiter);
}

static void leave(struct mounts *mounts, unsigned n, const char *client, bool failed)
{
	struct digest digest = digest_at(n);

	mounts_leave(mounts, &digest, str_of(client), failed);
}

static void a_blob_is_brought_once(void **state)
{
	AUTO(mounts) *mounts = mounts_new();
	struct waiter one = { 0 }, two = { 0 };

	(void)state;
	assert_int_equal(enter(mounts, 1, "a", NULL), MOUNTS_GO);
	assert_int_equal(enter(mounts, 1, "b", &one), MOUNTS_WAITS);
	assert_int_equal(enter(mounts, 1, "a", &two), MOUNTS_WAITS);
	leave(mounts, 1, "a", false);
	assert_int_equal(one.told, 1);
	assert_int_equal(two.told, 1);
	assert_int_equal(one.failed + two.failed, 0);
	assert_int_equal(enter(mounts, 1, "b", NULL), MOUNTS_GO);
	leave(mounts, 1, "b", true);
	assert_int_equal(one.told, 1);
}

/* Who waited for another blob is not told that its own failed. */
static void a_failure_is_of_its_blob(void **state)
{
	AUTO(mounts) *mounts = mounts_new();
	struct waiter same = { 0 }, other = { 0 };

	(void)state;
	for (unsigned i = 0; i < MOUNTS_EACH; i++)
		assert_int_equal(enter(mounts, i, "a", NULL), MOUNTS_GO);
	assert_int_equal(enter(mounts, 0, "b", &same), MOUNTS_WAITS);
	assert_int_equal(enter(mounts, 99, "a", &other), MOUNTS_WAITS);
	leave(mounts, 0, "a", true);
	assert_int_equal(same.failed, 1);
	assert_int_equal(other.told, 1);
	assert_int_equal(other.failed, 0);
	for (unsigned i = 1; i < MOUNTS_EACH; i++)
		leave(mounts, i, "a", false);
}

static void threads_are_left_for_others(void **state)
{
	AUTO(mounts) *mounts = mounts_new();
	struct waiter waiter = { 0 };
	char client[16];

	(void)state;
	for (unsigned i = 0; i < MOUNTS_MOST; i++) {
		(void)snprintf(client, sizeof(client), "c%u", i);
		assert_int_equal(enter(mounts, i, client, NULL), MOUNTS_GO);
	}
	for (unsigned i = 0; i < MOUNTS_WAITING; i++)
		assert_int_equal(enter(mounts, 1000 + i, "late", &waiter), MOUNTS_WAITS);
	assert_int_equal(enter(mounts, 2000, "later", &waiter), MOUNTS_FULL);
	for (unsigned i = 0; i < MOUNTS_MOST; i++) {
		(void)snprintf(client, sizeof(client), "c%u", i);
		leave(mounts, i, client, true);
	}
	assert_int_equal(waiter.told, MOUNTS_WAITING);
	assert_int_equal(waiter.failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blob_is_brought_once),
		cmocka_unit_test(a_failure_is_of_its_blob),
		cmocka_unit_test(threads_are_left_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
