/* SPDX-License-Identifier: Apache-2.0 */
/* usage_clock: the day is the leader's, once one has been heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "worker/cluster/usage_clock.h"

static void the_leaders_clock_counts_once_it_was_heard(void **state)
{
	struct usage_clock clock = { 0 };
	int64_t wall = clock_wall_s();

	(void)state;
	assert_in_range(usage_clock_s(&clock), wall, wall + 100);
	usage_clock_hear(&clock, 0); /* one that does not tell */
	assert_in_range(usage_clock_s(&clock), wall, wall + 100);
	usage_clock_hear(&clock, INT64_C(86400000) * 1000);
	assert_in_range(usage_clock_s(&clock), 86400 * 1000, 86400 * 1000 + 100);
	/* It goes back, too: over midnight and back. */
	usage_clock_hear(&clock, INT64_C(86400000) * 1000 - 1000);
	assert_in_range(usage_clock_s(&clock), 86400 * 1000 - 1, 86400 * 1000 + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_leaders_clock_counts_once_it_was_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
