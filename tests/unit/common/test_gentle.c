/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gentle - who is gentle leaves the processor by itself while it works, and nobody else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/gentle.h"

static long rests(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_nvcsw;
}

/* By the processor's time, so that what others do makes no difference; how often it rested. */
static long work(int64_t us)
{
	int64_t begun = clock_cpu_us();
	long before = rests();

	while (clock_cpu_us() - begun < us)
		gentle_step();
	return rests() - before;
}

static void only_who_is_gentle_rests(void **unused)
{
	(void)unused;
	assert_int_equal(work(5000), 0);
	gentle_begin();
	assert_true(work(20 * GENTLE_SLICE_US) >= 10);
	gentle_end();
	assert_int_equal(work(5000), 0);
}

static void a_short_work_has_no_rest(void **unused)
{
	int64_t begun;
	long before;

	(void)unused;
	/* Where it was stopped meanwhile it may have been long. */
	for (unsigned i = 0; i < 1000; i++) {
		before = rests();
		begun = clock_us();
		gentle_begin();
		gentle_step();
		gentle_end();
		if (clock_us() - begun < GENTLE_SLICE_US) {
			assert_int_equal(rests() - before, 0);
			return;
		}
	}
	fail_msg("a thousand times stopped");
}

/* One call that takes long goes by steps inside. */
static void a_long_sum_rests(void **unused)
{
	size_t len = 16u * 1024 * 1024;
	char *bytes = check_alloc(1, len);
	uint8_t sum[HASH_MAX], again[HASH_MAX];
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	long before;

	(void)unused;
	memset(bytes, 'x', len);
	before = rests();
	gentle_begin();
	hash_bytes(HASH_SHA256, bytes, len, sum);
	gentle_end();
	assert_true(rests() - before >= 10);
	for (size_t at = 0; at < len; at += 4096)
		hasher_add(hasher, bytes + at, 4096);
	hasher_result(hasher, again);
	assert_memory_equal(sum, again, hash_size(HASH_SHA256));
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_is_gentle_rests),
		cmocka_unit_test(a_short_work_has_no_rest),
		cmocka_unit_test(a_long_sum_rests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
