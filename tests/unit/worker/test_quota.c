/* SPDX-License-Identifier: Apache-2.0 */
/* quota: calls are admitted only out of grants. */
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
#include "worker/cluster/quota.h"

#define NOON ((int64_t)20777 * 86400 + 43200) /* the middle of some day */

struct rig {
	struct quotas *quotas;
	struct loop *loop;
	unsigned resumed;
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
	((struct rig *)arg)->resumed++;
}

static enum admission admit_at(
	struct rig *rig, bool waited, int64_t now_s, struct admission_info *info, bool *ask)
{
	return quotas_admit(rig->quotas, rig->loop, "key", 100, now_s, waited, info, resume, rig, ask);
}

static enum admission admit(struct rig *rig, bool waited)
{
	struct admission_info info;
	bool ask;

	return admit_at(rig, waited, NOON, &info, &ask);
}

static struct usage_push demands(struct rig *rig)
{
	struct usage_push push = { 0 };

	quotas_demand(rig->quotas, NOON, false, &push);
	return push;
}

static bool answer(struct rig *rig, uint64_t granted, uint64_t total, bool recall)
{
	struct usage_grant grant = { .apikey = check_strdup("key"),
		.granted = granted,
		.total = total,
		.limit = 100,
		.recall = recall };
	struct usage_answer told = { .grants = &grant, .grants_len = 1 };
	bool again;

	clock_day(NOON, grant.day);
	again = quotas_answer(rig->quotas, &told);
	free(grant.apikey);
	return again;
}

static void the_first_call_waits_for_a_grant(void **state)
{
	struct rig *rig = *state;
	struct usage_push push;

	assert_int_equal(admit(rig, false), WAIT);
	assert_true(quotas_has_waiters(rig->quotas));
	push = demands(rig);
	assert_int_equal(push.demands_len, 1);
	assert_true(push.demands[0].want >= 1);
	assert_int_equal(push.demands[0].used, 0);
	usage_push_fini(&push);
	assert_false(answer(rig, 3, 0, false));
	quotas_wake(rig->quotas);
	loop_turn(rig->loop, 0);
	assert_int_equal(rig->resumed, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(rig, true), ADMIT);
	assert_int_equal(admit(rig, true), REFUSE);
}

static void a_used_up_quota_is_refused_without_asking(void **state)
{
	struct rig *rig = *state;
	struct admission_info info;
	bool ask;

	assert_int_equal(admit(rig, false), WAIT);
	(void)answer(rig, 0, 100, false);
	quotas_wake(rig->quotas);
	assert_int_equal(admit_at(rig, false, NOON, &info, &ask), REFUSE);
	assert_false(ask);
	assert_int_equal(info.remaining, 0);
	assert_int_equal(info.limit, 100);
	assert_int_equal(info.retry_after_s, clock_next_day_s(NOON) - NOON);
	loop_turn(rig->loop, 0);
}

static void a_recalled_grant_is_given_back_and_not_used_meanwhile(void **state)
{
	struct rig *rig = *state;
	struct usage_push push;

	assert_int_equal(admit(rig, false), WAIT);
	(void)answer(rig, 10, 0, false);
	quotas_wake(rig->quotas);
	assert_int_equal(admit(rig, true), ADMIT);
	assert_true(answer(rig, 10, 0, true));
	assert_int_equal(admit(rig, true), REFUSE);
	push = demands(rig);
	assert_int_equal(push.demands_len, 1);
	assert_true(push.demands[0].release);
	assert_int_equal(push.demands[0].used, 1);
	usage_push_fini(&push);
	/* Until it is acknowledged it is said again. */
	push = demands(rig);
	assert_true(push.demands[0].release);
	usage_push_fini(&push);
	assert_false(answer(rig, 1, 1, false));
	assert_int_equal(admit(rig, true), REFUSE);
	loop_turn(rig->loop, 0);
}

static void a_new_day_has_no_grants(void **state)
{
	struct rig *rig = *state;
	struct admission_info info;
	bool ask;

	assert_int_equal(admit(rig, false), WAIT);
	(void)answer(rig, 10, 0, false);
	quotas_wake(rig->quotas);
	assert_int_equal(admit(rig, true), ADMIT);
	assert_int_equal(admit_at(rig, true, NOON + 86400, &info, &ask), REFUSE);
	loop_turn(rig->loop, 0);
}

static void half_a_grant_is_asked_for_before_it_is_needed(void **state)
{
	struct rig *rig = *state;
	struct admission_info info;
	bool ask = false, asked = false;

	assert_int_equal(admit(rig, false), WAIT);
	(void)answer(rig, 40, 0, false);
	quotas_wake(rig->quotas);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(admit_at(rig, true, NOON, &info, &ask), ADMIT);
		asked |= ask;
	}
	assert_true(asked);
	loop_turn(rig->loop, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_call_waits_for_a_grant, start, stop),
		cmocka_unit_test_setup_teardown(a_used_up_quota_is_refused_without_asking, start, stop),
		cmocka_unit_test_setup_teardown(
			a_recalled_grant_is_given_back_and_not_used_meanwhile, start, stop),
		cmocka_unit_test_setup_teardown(a_new_day_has_no_grants, start, stop),
		cmocka_unit_test_setup_teardown(half_a_grant_is_asked_for_before_it_is_needed, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
