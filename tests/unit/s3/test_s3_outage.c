/* SPDX-License-Identifier: Apache-2.0 */
/* s3_outage: when a store is away, who may ask it meanwhile, and when that is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_outage.h"

#define NOW 1000000

static void an_answer_ends_it(void **state)
{
	struct s3_outage outage = { 0 };
	int64_t since = 0;

	(void)state;
	assert_false(s3_outage_answered(&outage, &since));
	assert_false(s3_outage_silent(&outage, NOW, NOW));
	assert_false(s3_outage_is_on(&outage, NOW));
	assert_false(s3_outage_is_on(&outage, NOW + S3_OUTAGE_GRACE_MS - 1));
	assert_int_equal(s3_outage_ms(&outage, NOW + 7), 7);
	/* Never 0, also where clocks were read in another order. */
	assert_int_equal(s3_outage_ms(&outage, NOW), 1);
	assert_int_equal(s3_outage_ms(&outage, NOW - 1), 1);
	/* It was never told of. */
	assert_false(s3_outage_answered(&outage, &since));
	assert_int_equal(since, NOW);
	assert_int_equal(s3_outage_ms(&outage, NOW + 7), 0);
	assert_false(s3_outage_is_on(&outage, NOW + S3_OUTAGE_GRACE_MS));
	/* Another one begins anew. */
	assert_false(s3_outage_silent(&outage, NOW + 5000, NOW + 5000));
	assert_false(s3_outage_is_on(&outage, NOW + 5000 + S3_OUTAGE_GRACE_MS - 1));
}

static void it_is_told_once(void **state)
{
	struct s3_outage outage = { 0 };
	int64_t since = 0;

	(void)state;
	/* One that hung counts from its begin. */
	assert_true(s3_outage_silent(&outage, NOW, NOW + 6000));
	assert_false(s3_outage_silent(&outage, NOW + 6000, NOW + 6001));
	assert_true(s3_outage_answered(&outage, &since));
	assert_int_equal(since, NOW);
	assert_false(s3_outage_answered(&outage, &since));
	assert_true(s3_outage_silent(&outage, NOW + 9000, NOW + 15000));
}

static void some_may_try(void **state)
{
	struct s3_outage outage = { 0 };
	bool counted[S3_OUTAGE_TRIES + 1];
	int64_t now = NOW + 6000, since;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(s3_outage_enter(&outage, now, &counted[0]) && !counted[0]);
	(void)s3_outage_silent(&outage, NOW, now);
	for (unsigned i = 0; i < S3_OUTAGE_TRIES; i++)
		assert_true(s3_outage_enter(&outage, now, &counted[i]) && counted[i]);
	assert_false(s3_outage_enter(&outage, now, &counted[S3_OUTAGE_TRIES]));
	s3_outage_leave(&outage, counted[0]);
	assert_true(s3_outage_enter(&outage, now, &counted[0]));
	assert_false(s3_outage_enter(&outage, now, &counted[S3_OUTAGE_TRIES]));
	/* It is over, whoever still waits. */
	assert_true(s3_outage_answered(&outage, &since));
	assert_true(s3_outage_enter(&outage, now, &counted[S3_OUTAGE_TRIES]) && !counted[S3_OUTAGE_TRIES]);
	for (unsigned i = 0; i < S3_OUTAGE_TRIES; i++)
		s3_outage_leave(&outage, counted[i]);
	assert_int_equal(outage.tries, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_ends_it),
		cmocka_unit_test(it_is_told_once),
		cmocka_unit_test(some_may_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
