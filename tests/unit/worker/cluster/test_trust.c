/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_trust - leases, rings, and clocks that stand still while the world goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/cluster/trust.h"

#define LEASE 6000
#define BEGIN 1000000
#define WALL  (INT64_C(1700000000) * 1000)

/* The world: what has passed in truth, and what our clocks saw of it. */
struct world {
	struct trust trust;
	int64_t now_ms, wall_ms, leader_ms;
};

static struct world world_new(void)
{
	struct world world = { .now_ms = BEGIN, .wall_ms = WALL, .leader_ms = WALL + 12345 };

	trust_begin(&world.trust, world.now_ms, world.wall_ms);
	return world;
}

static void pass(struct world *world, int64_t ms)
{
	world->now_ms += ms;
	world->wall_ms += ms;
	world->leader_ms += ms;
}

/* The machine stands still. */
static void pause_for(struct world *world, int64_t ms)
{
	world->leader_ms += ms;
}

/* A report that is under way for so long; the leader looks at its clock in the middle. */
static int64_t report(struct world *world, int64_t ms)
{
	struct trust_answer answer = {
		.asked_ms = world->now_ms, .asked_wall_ms = world->wall_ms, .lease_ms = LEASE
	};

	pass(world, ms / 2);
	answer.date_s = world->leader_ms / 1000;
	pass(world, ms - ms / 2);
	answer.answered_ms = world->now_ms;
	return trust_renew(&world->trust, &answer);
}

static int64_t trusted(const struct world *world)
{
	return trust_ms(&world->trust, world->now_ms, world->wall_ms, LEASE);
}

static void a_lease_is_counted_from_the_question(void **state)
{
	struct world world = world_new();

	(void)state;
	pass(&world, 5000);
	assert_int_equal(trusted(&world), 0);
	assert_int_equal(report(&world, 1000), 0);
	/* Views of before the first lease count for nothing. */
	assert_int_equal(trusted(&world), 0);
	pass(&world, 2000);
	assert_int_equal(trusted(&world), 2000);
	pass(&world, 2999);
	assert_int_equal(trusted(&world), 4999);
	pass(&world, 1);
	assert_int_equal(trusted(&world), 0);
}

static void renewals_go_on(void **state)
{
	struct world world = world_new();

	(void)state;
	assert_int_equal(report(&world, 10), 0);
	for (int i = 0; i < 1000; i++) {
		pass(&world, 1 + i * 7 % 3000);
		assert_int_equal(report(&world, i * 13 % 2000), 0);
	}
	assert_int_equal(trusted(&world), LEASE);
}

static void a_ring_begins_anew(void **state)
{
	struct world world = world_new();

	(void)state;
	report(&world, 10);
	pass(&world, 2000);
	report(&world, 10);
	trust_begin(&world.trust, world.now_ms, world.wall_ms);
	assert_int_equal(trusted(&world), 0);
	pass(&world, 300);
	assert_int_equal(trusted(&world), 300);
}

static void a_pause_shows_by_the_leaders_clock(void **state)
{
	struct world world = world_new();

	(void)state;
	report(&world, 10);
	pass(&world, 2000);
	report(&world, 10);
	pass(&world, 1000);
	assert_int_equal(trusted(&world), 3010);
	pause_for(&world, 60000);
	assert_true(report(&world, 10) >= 58000);
	assert_int_equal(trusted(&world), 0);
	pass(&world, 500);
	assert_int_equal(trusted(&world), 500);
	assert_int_equal(report(&world, 10), 0); /* told once */
	assert_int_equal(trusted(&world), 510);
}

/* Also one in the middle of a report, before the leader looks at its clock. */
static void a_pause_within_a_push(void **state)
{
	struct world world = world_new();
	struct trust_answer answer;

	(void)state;
	report(&world, 10);
	pass(&world, 2000);
	answer = (struct trust_answer){
		.asked_ms = world.now_ms, .asked_wall_ms = world.wall_ms, .lease_ms = LEASE
	};
	pause_for(&world, 10000);
	pass(&world, 10);
	answer.date_s = world.leader_ms / 1000;
	answer.answered_ms = world.now_ms;
	assert_true(trust_renew(&world.trust, &answer) > 0);
	assert_int_equal(trusted(&world), 0);
}

/* The date has whole seconds, and the answer may have been under way for long. */
static void what_the_grain_explains_is_no_pause(void **state)
{
	(void)state;
	for (int64_t offset = 0; offset < 1000; offset += 100) {
		struct world world = world_new();
		world.leader_ms += offset;
		report(&world, 10);
		pass(&world, 1000);
		pause_for(&world, 900);
		assert_int_equal(report(&world, 10), 0);
		pause_for(&world, 4000);
		assert_true(report(&world, 10) > 0);
	}
}

static void a_wall_clock_that_is_put_right_ends_trust_at_once(void **state)
{
	struct world world = world_new();

	(void)state;
	report(&world, 10);
	pass(&world, 2000);
	report(&world, 10);
	pass(&world, 1000);
	world.wall_ms += 1000;
	assert_int_equal(trusted(&world), 3010);
	world.wall_ms += 1;
	assert_int_equal(trusted(&world), 0);
	pass(&world, 2000);
	assert_int_equal(trusted(&world), 0);
	/* The renewal does not bring back what was seen before. */
	assert_int_equal(report(&world, 10), 1001);
	assert_int_equal(trusted(&world), 0);
	pass(&world, 100);
	assert_int_equal(trusted(&world), 100);
}

static void a_wall_clock_that_is_set_back_is_no_pause(void **state)
{
	struct world world = world_new();

	(void)state;
	report(&world, 10);
	pass(&world, 1000);
	world.wall_ms -= 3600 * 1000;
	assert_int_equal(trusted(&world), 1000);
	assert_int_equal(report(&world, 10), 0);
	assert_int_equal(trusted(&world), 1010);
}

/* Who can't be compared with the last one proves nothing. */
static void another_leader_or_no_date_begin_anew(void **state)
{
	struct trust_answer answer = { .lease_ms = LEASE };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world world = world_new();
		report(&world, 10);
		pass(&world, 2000);
		report(&world, 10);
		assert_int_equal(trusted(&world), 2010);
		answer.asked_ms = answer.answered_ms = world.now_ms;
		answer.asked_wall_ms = world.wall_ms;
		answer.leader = i ? 1 : 0;
		answer.date_s = i ? world.leader_ms / 1000 : -1;
		assert_int_equal(trust_renew(&world.trust, &answer), 0);
		assert_int_equal(trusted(&world), 0);
		/* And the next one of the first leader neither. */
		report(&world, 10);
		assert_int_equal(trusted(&world), 0);
	}
}

static void alone_there_is_no_lease(void **state)
{
	struct world world = world_new();
#define ALONE() trust_alone_ms(&world.trust, world.now_ms, world.wall_ms, 5000)

	(void)state;
	assert_int_equal(ALONE(), 0);
	pass(&world, 3000);
	assert_int_equal(ALONE(), 3000);
	pass(&world, 1000000);
	assert_int_equal(ALONE(), 5000);
	world.wall_ms += 1001;
	assert_int_equal(ALONE(), 0);
	pass(&world, 700);
	assert_int_equal(ALONE(), 700);
	world.wall_ms -= 5000;
	assert_int_equal(ALONE(), 700);
	world.wall_ms += 5000;
	assert_int_equal(ALONE(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_is_counted_from_the_question),
		cmocka_unit_test(renewals_go_on),
		cmocka_unit_test(a_ring_begins_anew),
		cmocka_unit_test(a_pause_shows_by_the_leaders_clock),
		cmocka_unit_test(a_pause_within_a_push),
		cmocka_unit_test(what_the_grain_explains_is_no_pause),
		cmocka_unit_test(a_wall_clock_that_is_put_right_ends_trust_at_once),
		cmocka_unit_test(a_wall_clock_that_is_set_back_is_no_pause),
		cmocka_unit_test(another_leader_or_no_date_begin_anew),
		cmocka_unit_test(alone_there_is_no_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
