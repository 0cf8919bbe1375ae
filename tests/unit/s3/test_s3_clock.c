/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_clock - what answers in any order, slow ones, and clocks that are set make of the store's clock.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "s3/s3_clock.h"

#define DAY     86400
#define THREADS 4

static int64_t wall;

static int64_t ahead(const struct s3_clock *clock)
{
	return atomic_load(&clock->ahead_ms);
}

static void expect_about(const struct s3_clock *clock, int64_t wanted)
{
	int64_t now = s3_clock_now_s(clock);

	if (now < wanted - 1 || now > wanted + 1)
		fail_msg("%lld instead of %lld", (long long)now, (long long)wanted);
}

static void wall_clock_at_first(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	assert_false(s3_clock_is_known(&clock));
	expect_about(&clock, clock_wall_s());
}

static void goes_on_from_the_last_date(void **state)
{
	struct s3_clock clock = { 0 };
	int64_t now = clock_ms();

	(void)state;
	s3_clock_learn(&clock, now - 20, now, wall + DAY);
	assert_true(s3_clock_is_known(&clock));
	expect_about(&clock, wall + DAY);
	/* It was heard a minute ago. */
	struct s3_clock before = { 0 };
	s3_clock_learn(&before, now - 60020, now - 60000, wall + DAY);
	expect_about(&before, wall + DAY + 60);
}

/* 100 s on our clock, and 500.9 s, 501.1 s on theirs: the second tells more. */
static void answers_narrow_it_down(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	s3_clock_learn(&clock, 99990, 100000, 500);
	assert_int_equal(ahead(&clock), 400000);
	s3_clock_learn(&clock, 100190, 100200, 501);
	assert_int_equal(ahead(&clock), 400800);
	/* A Date in the middle of its second, and one that a server wrote a second ago. */
	s3_clock_learn(&clock, 100690, 100700, 501);
	s3_clock_learn(&clock, 101190, 101200, 501);
	assert_int_equal(ahead(&clock), 400800);
}

static void old_answers_change_nothing(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	s3_clock_learn(&clock, 100000, 100010, 500);
	s3_clock_learn(&clock, 130000, 130010, 530);
	/* Sent between them, on its way for long; and one that was processed late. */
	s3_clock_learn(&clock, 110000, 150000, 510);
	s3_clock_learn(&clock, 100000, 160000, 500);
	assert_int_equal(ahead(&clock), 400000 - 10);
}

static void a_clock_that_is_set_is_followed(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	s3_clock_learn(&clock, 100000, 100010, 500);
	s3_clock_learn(&clock, 101000, 101010, 501 + DAY);
	assert_int_equal(ahead(&clock), 400000 - 10 + DAY * 1000);
	/* Back: no more than the answer allows for. */
	s3_clock_learn(&clock, 102000, 102010, 502);
	assert_int_equal(ahead(&clock), 400000 + 2000);
}

/* Our clock stood still while the machine was paused. */
static void a_pause_is_made_up_for(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	s3_clock_learn(&clock, 100000, 100010, 500);
	s3_clock_learn(&clock, 100020, 100030, 500 + 660);
	assert_int_equal(ahead(&clock), 400000 - 30 + 660000);
}

static void it_is_told_once(void **state)
{
	struct s3_clock clock = { 0 };

	(void)state;
	assert_false(s3_clock_should_tell(&clock, clock_wall_s() + 60));
	assert_true(s3_clock_should_tell(&clock, clock_wall_s() - 3600));
	assert_false(s3_clock_should_tell(&clock, clock_wall_s() - 3600));
	atomic_store(&clock.told_ms, clock_ms() - 3600001);
	assert_true(s3_clock_should_tell(&clock, clock_wall_s() + 3600));
}

static void *learn(void *arg)
{
	struct s3_clock *clock = arg;

	for (int64_t i = 0; i < 20000; i++) {
		int64_t now = clock_ms();

		s3_clock_learn(clock, now, now, wall + DAY);
		CHECK(s3_clock_now_s(clock) >= wall + DAY && s3_clock_now_s(clock) < wall + DAY + 60);
	}
	return NULL;
}

static void from_many_threads(void **state)
{
	struct s3_clock clock = { 0 };
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, learn, &clock), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void dates(void **state)
{
	static const char *const bad[] = { "", "now", "Fri, 24 May 2013 00:00:00",
		"Fri, 24 May 2013 00:00:00 +0200", "Fri, 24 Mai 2013 00:00:00 GMT",
		"Fri, 24 aMay 2013 00:00:00 GMT", "Fri, 24 May 2013 24:00:00 GMT",
		"Fri, 32 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00 GMT",
		"Friday, 24-May-13 00:00:00 GMT" };
	char text[32];
	int64_t date = 0;

	(void)state;
	assert_true(s3_clock_parse("Fri, 24 May 2013 00:00:00 GMT", &date));
	assert_int_equal(date, 1369353600);
	for (int64_t day = 0; day < 400; day += 13) {
		clock_http_date(wall + day * DAY, text);
		assert_true(s3_clock_parse(text, &date));
		assert_int_equal(date, wall + day * DAY);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (s3_clock_parse(bad[i], &date))
			fail_msg("%s", bad[i]);
}

static void iso_times(void **state)
{
	static const char *const wrong[] = { "", "2026-11-20", "2026-13-20T12:00:00Z", "2026-11-00T12:00:00Z",
		"2026-11-20T24:00:00Z", "2026-11-20T12:00:00", "2026-11-20T12:00:00+01:00",
		"2026-11-20T12:00:00.Z", "2026-11-20T12:00:00Zx", "20261120T120000Z", "-1-11-20T12:00:00Z" };
	int64_t at = 0;

	(void)state;
	assert_true(s3_clock_parse_iso("2013-05-24T00:00:00.000Z", &at));
	assert_int_equal(at, 1369353600);
	assert_true(s3_clock_parse_iso("2026-11-20T12:24:56Z", &at));
	assert_int_equal(at, 1795177496);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_false(s3_clock_parse_iso(wrong[i], &at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wall_clock_at_first),
		cmocka_unit_test(iso_times),
		cmocka_unit_test(goes_on_from_the_last_date),
		cmocka_unit_test(answers_narrow_it_down),
		cmocka_unit_test(old_answers_change_nothing),
		cmocka_unit_test(a_clock_that_is_set_is_followed),
		cmocka_unit_test(a_pause_is_made_up_for),
		cmocka_unit_test(it_is_told_once),
		cmocka_unit_test(from_many_threads),
		cmocka_unit_test(dates),
	};

	wall = clock_wall_s();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
