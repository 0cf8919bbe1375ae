/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void keeps_the_highest(void **state)
{
	AUTO(past) *past = past_new();

	(void)state;
	assert_int_equal(past_find(past, "a"), 0);
	past_put(past, "a", 7);
	past_put(past, "a", 5);
	assert_int_equal(past_find(past, "a"), 7);
	past_put(past, "a", PAST_GONE);
	past_put(past, "a", 9);
	assert_true(past_find(past, "a") == PAST_GONE);
}

static void the_oldest_goes(void **state)
{
	AUTO(past) *past = past_new();
	char name[16];

	(void)state;
	past_put(past, "first", PAST_GONE);
	past_put(past, "second", PAST_GONE);
	for (int i = 0; i < PAST_MAX - 2; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		past_put(past, name, 1);
	}
	past_put(past, "first", 1);
	past_put(past, "one-more", 1);
	assert_true(past_find(past, "first") == PAST_GONE);
	assert_int_equal(past_find(past, "second"), 0);
	assert_int_equal(past_find(past, "p0"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_highest),
		cmocka_unit_test(the_oldest_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
