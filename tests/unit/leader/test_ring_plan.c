/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "leader/ledger.h"
#include "leader/members.h"
#include "leader/ring_plan.h"

#define KEY "0123456789abcdef0123456789abcdef"

static void add(struct members *members, const char *name, const char *state, bool lost)
{
	struct ledger_member member = { .lost_wall_s = lost };

	member.name = check_strdup(name);
	member.state = check_strdup(state);
	member.url = check_strdup("http://x");
	members_load(members, &member, 0);
	ledger_member_fini(&member);
}

static struct state *nothing;
static const struct ring_body empty = { .epoch = 4, .algorithm = "slots", .hash_key = KEY };

static void takes_who_has_a_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct ring_plan plan;

	(void)state;
	add(members, "c", "active", false);
	add(members, "a", "active", false);
	add(members, "b", "draining", false);
	add(members, "d", "joining", false);
	add(members, "e", "active", true);
	add(members, "f", "left", false);
	assert_true(ring_plan(members, nothing, false, &empty, &plan));
	assert_int_equal(plan.body.epoch, 5);
	assert_string_equal(plan.body.hash_key, KEY);
	assert_int_equal(plan.body.members_len, 3);
	assert_string_equal(plan.body.members[0].id, "a");
	assert_string_equal(plan.body.members[0].state, "active");
	assert_string_equal(plan.body.members[1].id, "b");
	assert_string_equal(plan.body.members[1].state, "draining");
	assert_string_equal(plan.body.members[2].url, "http://x");
	ring_plan_fini(&plan);
}

static void the_same_ring_is_not_written(void **state)
{
	AUTO(members) *members = members_new();
	struct ring_plan plan, again;

	(void)state;
	assert_false(ring_plan(members, nothing, false, &empty, &plan));
	add(members, "a", "active", false);
	assert_true(ring_plan(members, nothing, false, &empty, &plan));
	assert_false(ring_plan(members, nothing, false, &plan.body, &again));
	ring_plan_fini(&plan);
}

static void lost_ones_leave_where_storage_is_shared(void **state)
{
	AUTO(members) *members = members_new();
	struct ring_row rows[] = { { "a", "http://x", "", "active" }, { "b", "http://x", "", "active" } };
	struct ring_body old = {
		.epoch = 9, .algorithm = "slots", .hash_key = KEY, .members = rows, .members_len = 2
	};
	struct ring_plan plan;

	(void)state;
	add(members, "a", "active", true);
	add(members, "b", "active", false);
	assert_true(ring_plan(members, nothing, false, &old, &plan));
	assert_int_equal(plan.body.members_len, 1);
	assert_string_equal(plan.body.members[0].id, "b");
	ring_plan_fini(&plan);
	/* Where it is each worker's own, everybody stays. */
	assert_false(ring_plan(members, nothing, true, &old, &plan));
}

static void isolated_ones_stay_through_a_restart(void **state)
{
	AUTO(members) *members = members_new();
	struct ring_row rows[] = { { "a", "http://x", "", "active" }, { "b", "http://x", "", "active" } };
	struct ring_body old = {
		.epoch = 9, .algorithm = "slots", .hash_key = KEY, .members = rows, .members_len = 2
	};
	struct ring_plan plan;

	(void)state;
	add(members, "a", "draining", false);
	add(members, "b", "left", false);
	assert_false(ring_plan(members, nothing, true, &old, &plan));
	add(members, "c", "joining", false);
	assert_false(ring_plan(members, nothing, true, &old, &plan));
	/* Forgotten by an admin: gone. */
	members_erase(members, STR("b"));
	assert_true(ring_plan(members, nothing, true, &old, &plan));
	assert_int_equal(plan.body.members_len, 1);
	ring_plan_fini(&plan);
}

static void drained_ones_own_nothing(void **state)
{
	AUTO(members) *members = members_new();
	const struct member_drain body = { .since = 1, .by = "root" };
	AUTO(entity) *drain = entity_new(ENTITY_DRAIN, STR("a"), 1, &body);
	AUTO(state) *drained = state_change(nothing, &drain, 1, 1);
	struct ring_plan plan;

	(void)state;
	add(members, "a", "active", false);
	add(members, "b", "active", false);
	assert_true(ring_plan(members, drained, false, &empty, &plan));
	assert_string_equal(plan.body.members[0].state, "draining");
	assert_string_equal(plan.body.members[1].state, "active");
	assert_false(ring_plan(members, drained, false, &plan.body, &plan));
	ring_plan_fini(&plan);
	/* Where it is each worker's own, an operator did it by force. */
	assert_true(ring_plan(members, drained, true, &empty, &plan));
	assert_string_equal(plan.body.members[0].state, "draining");
	ring_plan_fini(&plan);
}

static int setup(void **state)
{
	(void)state;
	nothing = state_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	state_free(nothing);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_who_has_a_lease),
		cmocka_unit_test(the_same_ring_is_not_written),
		cmocka_unit_test(lost_ones_leave_where_storage_is_shared),
		cmocka_unit_test(isolated_ones_stay_through_a_restart),
		cmocka_unit_test(drained_ones_own_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
