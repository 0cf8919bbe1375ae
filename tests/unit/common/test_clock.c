/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_clock - formats at known instants, and clocks that go forward.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "common/clock.h"

#define NOON INT64_C(1795177496) /* 2026-11-20T12:24:56Z, a Friday */

static void expect_rfc3339(int64_t ms, const char *wanted)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(ms, text);
	assert_string_equal(text, wanted);
}

static void test_rfc3339(void **state)
{
	(void)state;
	expect_rfc3339(0, "1970-01-01T00:00:00.000Z");
	expect_rfc3339(NOON * 1000 + 789, "2026-11-20T12:24:56.789Z");
	expect_rfc3339(INT64_C(1709251199999), "2024-02-29T23:59:59.999Z");
	expect_rfc3339(-1, "1970-01-01T00:00:00.000Z");
	expect_rfc3339(INT64_MAX, "9999-12-31T23:59:59.807Z");
}

static void test_windows(void **state)
{
	char day[11], date[32];

	(void)state;
	clock_day(NOON, day);
	clock_http_date(NOON, date);
	assert_string_equal(day, "2026-11-20");
	assert_string_equal(date, "Fri, 20 Nov 2026 12:24:56 GMT");
	clock_http_date(784111777, date);
	assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(clock_next_day_s(0), 86400);
	assert_int_equal(clock_next_day_s(86399), 86400);
	assert_int_equal(clock_next_day_s(86400), 172800);
	assert_int_equal(clock_next_day_s(-1), 0);
	clock_day(clock_next_day_s(NOON), day);
	assert_string_equal(day, "2026-11-21");
}

static void test_now(void **state)
{
	int64_t us = clock_us(), ms = clock_ms(), wall = clock_wall_ms();

	(void)state;
	assert_true(ms >= us / 1000 && ms < us / 1000 + 60000);
	assert_true(clock_us() >= us && clock_ms() >= ms);
	assert_true(wall > INT64_C(1600000000000));
	assert_true(clock_wall_s() >= wall / 1000 - 1 && clock_wall_s() < wall / 1000 + 60);
}

static int64_t boot_us(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &ts), 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The one clock of intervals that goes on while the machine sleeps. */
static void test_intervals(void **state)
{
	int64_t before = boot_us(), us = clock_us(), ms = clock_ms(), after = boot_us();

	(void)state;
	assert_true(before <= us && us <= after);
	assert_true(before / 1000 <= ms && ms <= after / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_intervals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
