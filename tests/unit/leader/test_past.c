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
	past_put(past, "a", 7, 0);
	past_put(past, "a", 5, 0);
	assert_int_equal(past_find(past, "a"), 7);
	past_put(past, "a", PAST_GONE, 0);
	past_put(past, "a", 9, 0);
	assert_true(past_find(past, "a") == PAST_GONE);
}

static void the_oldest_goes(void **state)
{
	AUTO(past) *past = past_new();
	char name[16];

	(void)state;
	past_put(past, "first", PAST_GONE, 0);
	past_put(past, "second", PAST_GONE, 0);
	for (int i = 0; i < PAST_MAX - 2; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		past_put(past, name, 1, 0);
	}
	past_put(past, "first", 1, 0);
	past_put(past, "one-more", 1, 0);
	assert_true(past_find(past, "first") == PAST_GONE);
	assert_int_equal(past_find(past, "second"), 0);
	assert_int_equal(past_find(past, "p0"), 1);
}

static void knows_when_each_was_heard(void **state)
{
	AUTO(past) *past = past_new();
	char name[16];

	(void)state;
	assert_int_equal(past_heard_ms(past, "a"), 0);
	past_put(past, "a", 1, 50);
	past_put(past, "a", 2, 40);
	assert_int_equal(past_heard_ms(past, "a"), 50);
	assert_int_equal(past_heard_ms(past, "b"), 0);
	for (int i = 0; i < PAST_MAX; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		past_put(past, name, 1, 10);
	}
	/* It went: it, or any other, may have been heard as lately as that. */
	assert_int_equal(past_find(past, "a"), 0);
	assert_int_equal(past_heard_ms(past, "a"), 50);
	assert_int_equal(past_heard_ms(past, "b"), 50);
	assert_int_equal(past_heard_ms(past, "p1"), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_highest),
		cmocka_unit_test(the_oldest_goes),
		cmocka_unit_test(knows_when_each_was_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
