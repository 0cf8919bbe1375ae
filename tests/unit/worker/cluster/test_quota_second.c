/* SPDX-License-Identifier: Apache-2.0 */
/* quota_second: which second of the leader it is, and shares of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "worker/cluster/quota_priv.h"

/* 2026-11-20 12:00:00.000 */
#define NOON_MS INT64_C(1795176000000)

struct rig {
	struct quotas *quotas;
	struct loop *loop;
	struct admission_info info;
	struct quotas_need need;
};

static int start(void **state)
{
	struct rig *rig = xnew(struct rig);

	rig->quotas = quotas_new();
	assert_true(loop_new(&rig->loop, "test", NULL));
	*state = rig;
	return 0;
}

static int stop(void **state)
{
	struct rig *rig = *state;

	quotas_free(rig->quotas);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

static void resume(void *arg)
{
	(void)arg;
}

/* The leader's clock is so far, for sure. */
static void set_clock(struct rig *rig, int64_t leader_ms)
{
	int64_t now = clock_ms();

	rig->quotas->ahead_least_ms = rig->quotas->ahead_most_ms = leader_ms - now;
	rig->quotas->heard_ms = now;
}

static enum admission admit_again(struct rig *rig, struct admission_wait *wait)
{
	struct quotas_of of = { "key", "second", LIMITS_SECOND, 100, 1 };
	struct quotas_ask ask = { .loop = rig->loop,
		.of = &of,
		.of_len = 1,
		.now_s = NOON_MS / 1000,
		.wait = wait,
		.resume = resume,
		.arg = rig };

	rig->info = (struct admission_info){ 0 };
	return quotas_admit(rig->quotas, &ask, &rig->info, &rig->need);
}

static enum admission admit(struct rig *rig)
{
	struct admission_wait wait = { 0 };

	return admit_again(rig, &wait);
}

static unsigned admit_many(struct rig *rig, unsigned most)
{
	unsigned admitted = 0;

	while (admitted < most && admit(rig) == ADMIT)
		admitted++;
	return admitted;
}

static struct usage_demand beat(struct rig *rig, uint64_t granted, bool recall)
{
	struct usage_grant grant = { .apikey = check_strdup("key"),
		.day = "second",
		.granted = granted,
		.limit = 100,
		.recall = recall };
	struct usage_answer answer = { .grants = &grant, .grants_len = 1, .deals = true };
	struct usage_report report = { 0 };
	struct quotas_heard heard = {
		.report = &report, .answer = &answer, .is_told = true, .sent_ms = clock_ms()
	};
	struct usage_demand said = { 0 };

	quotas_tell_anew(rig->quotas);
	(void)quotas_demand(rig->quotas, NOON_MS / 1000, &report);
	if (report.demands_len)
		said = report.demands[0];
	said.apikey = NULL;
	quotas_answer(rig->quotas, &heard, &rig->need);
	quotas_wake(rig->quotas);
	usage_report_fini(&report);
	free(grant.apikey);
	loop_turn(rig->loop, 0);
	return said;
}

static void a_share_is_there_in_each_second(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	assert_int_equal(admit(rig), WAIT);
	assert_true(beat(rig, 20, false).want >= 1);
	for (int second = 0; second < 3; second++) {
		set_clock(rig, NOON_MS + 100 + second * 1000);
		assert_int_equal(admit_many(rig, 100), 20);
	}
	assert_int_equal(beat(rig, 20, false).used, 0);
}

static void a_second_is_not_begun_again(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 1100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	assert_int_equal(admit_many(rig, 100), 20);
	set_clock(rig, NOON_MS + 900);
	assert_int_equal(admit_many(rig, 100), 0);
	set_clock(rig, NOON_MS + 1500);
	assert_int_equal(admit_many(rig, 100), 0);
	/* A clock that was set far back. */
	set_clock(rig, NOON_MS - 60000);
	assert_int_equal(admit_many(rig, 100), 20);
}

static void what_was_used_in_this_second_is_not_given_back(void **state)
{
	struct rig *rig = *state;
	struct usage_demand said;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	assert_int_equal(admit_many(rig, 7), 7);
	(void)beat(rig, 20, true);
	assert_true(rig->need.beat);
	assert_int_equal(admit_many(rig, 100), 0);
	said = beat(rig, 7, false);
	assert_int_equal(said.granted, 7);
	assert_false(said.release);
	set_clock(rig, NOON_MS + 1100);
	assert_int_equal(admit_many(rig, 100), 7);
}

static void a_share_that_nobody_confirms_ends_with_its_second(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	assert_int_equal(admit_many(rig, 7), 7);
	rig->quotas->valid_until_ms = 1;
	assert_int_equal(admit_many(rig, 100), 0);
	assert_int_equal(quotas_find(rig->quotas, "second", "key")->granted, 7);
	set_clock(rig, NOON_MS + 1100);
	assert_int_equal(admit_many(rig, 100), 0);
	assert_int_equal(quotas_find(rig->quotas, "second", "key")->granted, 0);
}

static void about_the_turn_of_a_second_a_call_waits_until_it_is_sure(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	set_clock(rig, NOON_MS + 995);
	rig->quotas->ahead_most_ms += 15;
	assert_int_equal(admit(rig), WAIT);
	assert_true(rig->info.wait_ms > 0 && rig->info.wait_ms <= 5);
	set_clock(rig, NOON_MS + 1001);
	rig->quotas->ahead_most_ms += 15;
	assert_int_equal(admit(rig), ADMIT);
}

static void answers_bring_the_bounds_of_the_clock_together(void **state)
{
	struct quotas *quotas = ((struct rig *)*state)->quotas;
	int64_t now = clock_ms();

	quotas_hear_clock(quotas, now - 80, NOON_MS - 40);
	assert_true(quotas->ahead_least_ms <= NOON_MS - now && quotas->ahead_most_ms >= NOON_MS - now);
	assert_true(quotas->ahead_most_ms - quotas->ahead_least_ms >= 80);
	quotas_hear_clock(quotas, now - 10, NOON_MS - 5);
	assert_true(quotas->ahead_least_ms <= NOON_MS - now && quotas->ahead_most_ms >= NOON_MS - now);
	assert_true(quotas->ahead_most_ms - quotas->ahead_least_ms < 40);
	/* A slow one brings them no further apart. */
	quotas_hear_clock(quotas, now - 400, NOON_MS - 200);
	assert_true(quotas->ahead_most_ms - quotas->ahead_least_ms < 40);
	/* A clock that was set. */
	quotas_hear_clock(quotas, now - 10, NOON_MS + 3600000);
	assert_true(quotas->ahead_least_ms >= NOON_MS + 3599000 - now);
	/* An answer without a clock says nothing. */
	quotas_hear_clock(quotas, now, 0);
	assert_true(quotas->ahead_least_ms >= NOON_MS + 3599000 - now);
}

static void a_share_grows_with_what_comes(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	assert_true(beat(rig, 2, false).want < 10);
	(void)admit_many(rig, 2);
	for (int i = 0; i < 50; i++)
		(void)admit(rig);
	assert_true(beat(rig, 2, false).want >= 50);
}

/* The beat says the release alone; what was asked for goes with the next, which is soon. */
static void who_asks_while_it_gives_back_asks_soon(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	(void)beat(rig, 20, true);
	assert_true(rig->need.beat);
	assert_int_equal(admit(rig), WAIT);
	assert_int_equal(beat(rig, 0, false).want, 0);
	assert_true(rig->need.beat_in_ms > 0 && rig->need.beat_in_ms <= 100);
	assert_true(beat(rig, 5, false).want > 0);
}

static void a_share_that_is_used_up_is_looked_at_in_the_next_second(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	(void)admit(rig);
	(void)beat(rig, 20, false);
	assert_int_equal(admit_many(rig, 20), 20);
	(void)beat(rig, 20, true);
	assert_false(rig->need.beat);
	assert_true(rig->need.beat_in_ms > 500 && rig->need.beat_in_ms <= 1100);
	set_clock(rig, NOON_MS + 1100);
	(void)beat(rig, 20, true);
	assert_true(rig->need.beat);
	assert_int_equal(beat(rig, 0, false).granted, 0);
}

static void a_share_that_calls_wait_for_goes_to_them_first(void **state)
{
	struct rig *rig = *state;

	set_clock(rig, NOON_MS + 100);
	assert_int_equal(admit(rig), WAIT);
	(void)beat(rig, 20, true);
	assert_int_equal(admit_many(rig, 100), 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_share_is_there_in_each_second),
		TEST(a_second_is_not_begun_again),
		TEST(what_was_used_in_this_second_is_not_given_back),
		TEST(a_share_that_nobody_confirms_ends_with_its_second),
		TEST(about_the_turn_of_a_second_a_call_waits_until_it_is_sure),
		TEST(answers_bring_the_bounds_of_the_clock_together),
		TEST(a_share_grows_with_what_comes),
		TEST(a_share_that_is_used_up_is_looked_at_in_the_next_second),
		TEST(a_share_that_calls_wait_for_goes_to_them_first),
		TEST(who_asks_while_it_gives_back_asks_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
