/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/channel_spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_loop_has_as_many(void **state)
{
	AUTO(channel_spread) *spread = channel_spread_new();

	(void)state;
	assert_true(channel_spread_take(spread, "http://a", 1, 3, 0));
	assert_false(channel_spread_take(spread, "http://a", 1, 3, 0));
	assert_true(channel_spread_take(spread, "http://b", 1, 3, 0));
	assert_true(channel_spread_take(spread, "http://a", 0, 3, 0));
	assert_false(channel_spread_take(spread, "http://a", 0, 3, CHANNEL_TRIES_MOST - 1));
	assert_true(channel_spread_take(spread, "http://a", 2, 3, 0));
	/* All have one: the next may be anywhere. */
	assert_true(channel_spread_take(spread, "http://a", 1, 3, 0));
	assert_false(channel_spread_take(spread, "http://a", 1, 3, 0));
	channel_spread_give(spread, "http://a", 2);
	assert_false(channel_spread_take(spread, "http://a", 0, 3, 0));
	assert_true(channel_spread_take(spread, "http://a", 2, 3, 0));
	for (unsigned i = 0; i < 2; i++)
		channel_spread_give(spread, "http://a", 1);
	channel_spread_give(spread, "http://a", 0);
	channel_spread_give(spread, "http://a", 2);
	channel_spread_give(spread, "http://b", 1);
	assert_true(channel_spread_take(spread, "http://a", 0, 1, 0));
}

static void nobody_looks_for_ever(void **state)
{
	AUTO(channel_spread) *spread = channel_spread_new();

	(void)state;
	assert_true(channel_spread_take(spread, "http://a", 0, 2, 0));
	assert_true(channel_spread_take(spread, "http://a", 0, 2, CHANNEL_TRIES_MOST));
}

static void reads_what_is_said(void **state)
{
	static const char *const wrong[] = { "", "1", "1 ", " 2", "2 2", "3 2", "-1 2", "0 257", "1 2 3",
		"a b", "0  2" };
	unsigned loop, loops;

	(void)state;
	assert_true(channel_spread_parse("1 2", &loop, &loops));
	assert_int_equal(loop, 1);
	assert_int_equal(loops, 2);
	assert_true(channel_spread_parse("255 256", &loop, &loops));
	assert_false(channel_spread_parse(NULL, &loop, &loops));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (channel_spread_parse(wrong[i], &loop, &loops))
			fail_msg("\"%s\" was read", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_loop_has_as_many),
		cmocka_unit_test(nobody_looks_for_ever),
		cmocka_unit_test(reads_what_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
