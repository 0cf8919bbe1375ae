/* SPDX-License-Identifier: Apache-2.0 */
/* few: so many in a span of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/few.h"

static void so_many_in_a_span_and_no_more(void **state)
{
	struct few few = { 0 };

	(void)state;
	for (int64_t now = 5; now < 8; now++)
		assert_true(few_take(&few, 3, 100, now));
	for (int64_t now = 8; now < 105; now++)
		assert_false(few_take(&few, 3, 100, now));
	/* The span began with the first. */
	assert_true(few_take(&few, 3, 100, 105));
	assert_true(few_take(&few, 3, 100, 105) && few_take(&few, 3, 100, 204));
	assert_false(few_take(&few, 3, 100, 204));
	assert_true(few_take(&few, 3, 100, 205));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_in_a_span_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
