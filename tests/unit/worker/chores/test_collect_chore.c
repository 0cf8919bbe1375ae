/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect_chore: when walks may begin. What they do is in unit/worker/registry/test_collect.c and flow/test_worker_gc.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/chores/collect_chore.h"

#define AT(hours, minutes) ((int64_t)1000 * 86400 + (hours)*3600 + (minutes)*60)

static void a_window_lies_within_a_day_or_over_midnight(void **state)
{
	struct collect_window window = { 0, 0 };

	(void)state;
	assert_true(collect_window_has(&window, AT(12, 0)));
	assert_true(collect_window_parse(STR("09:30-17:00"), &window));
	assert_false(collect_window_has(&window, AT(9, 29)));
	assert_true(collect_window_has(&window, AT(9, 30)));
	assert_true(collect_window_has(&window, AT(16, 59)));
	assert_false(collect_window_has(&window, AT(17, 0)));
	assert_true(collect_window_parse(STR("22:00-04:15"), &window));
	assert_true(collect_window_has(&window, AT(23, 59)));
	assert_true(collect_window_has(&window, AT(0, 0)));
	assert_true(collect_window_has(&window, AT(4, 14)));
	assert_false(collect_window_has(&window, AT(4, 15)));
	assert_false(collect_window_has(&window, AT(21, 59)));
}

static void what_is_no_window_is_refused(void **state)
{
	static const char *const wrong[] = { "", "-", "09:00", "9:00-10:00", "09:00-24:00", "09:60-10:00",
		"09:00-09:00", "09-10", "09:00-10:00 ", "aa:bb-cc:dd" };
	struct collect_window window = { 1, 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(collect_window_parse(str_of(wrong[i]), &window));
	assert_true(window.from == 1 && window.to == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_lies_within_a_day_or_over_midnight),
		cmocka_unit_test(what_is_no_window_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
