/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trim_chore: memory goes back when half of the connections are gone, or when somebody asks; a dry run tells how much is free, and gives nothing back.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include <malloc.h>

#include "worker/chores/trim_chore.h"

static atomic_uint trims;

/* In the place of the C library's. */
int malloc_trim(size_t pad)
{
	(void)pad;
	atomic_fetch_add(&trims, 1);
	return 1;
}

struct world {
	struct chore_rig rig;
	struct trim_chore trim;
	_Atomic uint64_t open;
	uint64_t runs; /* to be awaited */
	struct chore_stats last;
};

static uint64_t count(void *arg)
{
	struct world *world = arg;

	return atomic_load(&world->open);
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	atomic_store(&trims, 0);
	chore_rig_open(&world->rig);
	world->trim = (struct trim_chore){ .count = count, .arg = world };
	trim_chore_add(world->rig.chores, &world->trim);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_close(&world->rig);
	free(world);
	return 0;
}

static struct chore_stats stats_of(struct world *world)
{
	struct chore_stats stats[CHORES_MAX];

	assert_int_equal(chores_stats(world->rig.chores, stats), 1);
	return stats[0];
}

static bool has_worked(void *arg)
{
	struct world *world = arg;

	world->last = stats_of(world);
	return world->last.last.how == CHORE_DONE && !world->last.asked && world->last.state != CHORE_RUNNING;
}

static bool has_run(void *arg)
{
	struct world *world = arg;

	chores_wake(world->rig.chores, STR("trim"), 0);
	return stats_of(world).runs >= world->runs;
}

static void await_runs(struct world *world, unsigned n)
{
	world->runs = stats_of(world).runs + n;
	assert_true(chore_rig_await(has_run, world));
}

/* Tried again while the chore looks by itself. */
static bool ask(void *arg)
{
	struct world *world = ((void **)arg)[0];
	struct error err;

	return chores_ask(world->rig.chores, STR("trim"), ((void **)arg)[1], &err);
}

static void order(struct world *world, bool dry_run)
{
	struct chore_order what = { .dry_run = dry_run };
	void *both[] = { world, &what };

	assert_true(chore_rig_await(ask, both));
}

static bool is_last(void *arg)
{
	struct world *world = arg;

	return has_worked(world) && world->last.last.work.done == 7;
}

static void a_dry_run_gives_nothing_back(void **state)
{
	struct world *world = *state;

	atomic_store(&world->open, 7);
	chore_rig_start(&world->rig);
	order(world, true);
	assert_true(chore_rig_await(is_last, world));
	assert_true(world->last.last.work.dry_run);
	assert_string_equal(world->last.last.work.unit, "connections");
	assert_int_equal(world->last.last.work.removed, 0);
	assert_int_equal(trims, 0);
}

static void one_that_is_asked_for_gives_it_back(void **state)
{
	struct world *world = *state;

	atomic_store(&world->open, 7);
	chore_rig_start(&world->rig);
	order(world, false);
	assert_true(chore_rig_await(is_last, world));
	assert_false(world->last.last.work.dry_run);
	assert_int_equal(trims, 1);
}

static void half_of_many_are_gone(void **state)
{
	struct world *world = *state;

	atomic_store(&world->open, 600);
	chore_rig_start(&world->rig);
	await_runs(world, 2);
	atomic_store(&world->open, 300);
	await_runs(world, 2);
	assert_int_equal(trims, 0);
	atomic_store(&world->open, 299);
	await_runs(world, 2);
	assert_int_equal(trims, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_dry_run_gives_nothing_back, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_asked_for_gives_it_back, setup, teardown),
		cmocka_unit_test_setup_teardown(half_of_many_are_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
