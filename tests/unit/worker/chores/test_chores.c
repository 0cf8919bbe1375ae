/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chores - each at its time, never twice at once, and all end when they are told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/chores/chores.h"

struct rig {
	struct loop *loop;
	struct pool *pool;
	struct chores *chores;
	pthread_t thread;
	atomic_bool busy;
};

static void *turn_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

static struct chores_load load_of(void *arg)
{
	return (struct chores_load){ .open = atomic_load(&((struct rig *)arg)->busy) };
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err;

	assert_true(loop_new(&rig->loop, "chores", &err));
	assert_true(pool_new(&rig->pool, 2, 100, &err)); /* one of the background at a time */
	rig->chores = chores_new(rig->loop, rig->pool, load_of, rig);
	*state = rig;
	return 0;
}

static void start(struct rig *rig)
{
	chores_start(rig->chores);
	assert_int_equal(pthread_create(&rig->thread, NULL, turn_loop, rig->loop), 0);
}

/* As a worker ends. Returns how long that took. */
static int64_t stop(struct rig *rig)
{
	int64_t begun = clock_ms();

	chores_stop(rig->chores);
	loop_stop(rig->loop);
	assert_int_equal(pthread_join(rig->thread, NULL), 0);
	chores_await_end(rig->chores);
	pool_free(rig->pool);
	rig->pool = NULL;
	loop_turn(rig->loop, 0);
	return clock_ms() - begun;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	pool_free(rig->pool);
	chores_free(rig->chores);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

struct seen {
	atomic_int runs, inside;
	atomic_bool fails, twice;
};

static bool note(struct chore_turn *turn, void *arg, struct error *err)
{
	struct seen *seen = arg;

	if (atomic_fetch_add(&seen->inside, 1))
		atomic_store(&seen->twice, true);
	(void)chore_may_go_on(turn);
	(void)sched_yield();
	atomic_fetch_sub(&seen->inside, 1);
	atomic_fetch_add(&seen->runs, 1);
	return !atomic_load(&seen->fails) || error_set(err, ERROR_UNAVAILABLE, NULL, "nothing works");
}

static void await_runs(struct seen *seen, int least)
{
	while (atomic_load(&seen->runs) < least)
		(void)sched_yield();
}

static struct chore_stats stats_of(struct rig *rig, const char *name)
{
	struct chore_stats all[CHORES_MAX];
	size_t len = chores_stats(rig->chores, all);

	for (size_t i = 0; i < len; i++)
		if (!strcmp(all[i].name, name))
			return all[i];
	fail_msg("no chore %s", name);
	return all[0];
}

static void each_at_its_time(void **state)
{
	struct rig *rig = *state;
	struct seen often = { 0 }, once = { 0 }, later = { 0 };

	chores_add(rig->chores, &(struct chore){ "often", 0, 1, note, &often });
	chores_add(rig->chores, &(struct chore){ "once", 0, 0, note, &once });
	chores_add(rig->chores, &(struct chore){ "later", 3600000, 1, note, &later });
	start(rig);
	await_runs(&often, 50);
	await_runs(&once, 1);
	assert_int_equal(stats_of(rig, "later").state, CHORE_WAITING);
	(void)stop(rig);
	assert_int_equal(atomic_load(&once.runs), 1);
	assert_int_equal(atomic_load(&later.runs), 0);
	assert_false(atomic_load(&often.twice));
	assert_int_equal(stats_of(rig, "once").state, CHORE_OVER);
	assert_int_equal(stats_of(rig, "once").runs, 1);
	assert_int_equal(stats_of(rig, "often").runs, atomic_load(&often.runs));
	assert_true(stats_of(rig, "often").ended_s > 0);
}

static void failures_are_counted(void **state)
{
	struct rig *rig = *state;
	struct seen seen = { .fails = true };

	chores_add(rig->chores, &(struct chore){ "bad", 0, 1, note, &seen });
	start(rig);
	await_runs(&seen, 3);
	atomic_store(&seen.fails, false);
	await_runs(&seen, atomic_load(&seen.runs) + 3);
	(void)stop(rig);
	assert_in_range(stats_of(rig, "bad").failures, 3, stats_of(rig, "bad").runs - 2);
	assert_true(stats_of(rig, "bad").failed_ms > 0);
}

static bool walk_for_ever(struct chore_turn *turn, void *arg, struct error *err)
{
	(void)err;
	atomic_fetch_add(&((struct seen *)arg)->inside, 1);
	while (chore_may_go_on(turn))
		(void)sched_yield();
	atomic_fetch_add(&((struct seen *)arg)->runs, 1);
	return true;
}

/* There is one place for all. */
static void a_long_one_does_not_stop_the_others(void **state)
{
	struct rig *rig = *state;
	struct seen walk = { 0 }, often = { 0 };

	chores_add(rig->chores, &(struct chore){ "walk", 0, 0, walk_for_ever, &walk });
	chores_add(rig->chores, &(struct chore){ "often", 10, 1, note, &often });
	start(rig);
	await_runs(&often, 10);
	assert_int_equal(atomic_load(&walk.inside), 1);
	assert_int_equal(stats_of(rig, "walk").state, CHORE_RUNNING);
	assert_int_equal(atomic_load(&walk.runs), 0);
	assert_true(stop(rig) < 1000);
	assert_int_equal(atomic_load(&walk.runs), 1);
}

struct spent {
	atomic_bool over;
	int64_t cpu_us, wall_us;
};

static bool work_for_a_while(struct chore_turn *turn, void *arg, struct error *err)
{
	struct spent *spent = arg;
	int64_t begun_us = clock_us(), cpu_us = clock_cpu_us();

	(void)err;
	while (clock_us() - begun_us < 500000 && chore_may_go_on(turn))
		;
	spent->cpu_us = clock_cpu_us() - cpu_us;
	spent->wall_us = clock_us() - begun_us;
	atomic_store(&spent->over, true);
	return true;
}

static void it_rests_while_there_are_requests(void **state)
{
	struct rig *rig = *state;
	struct spent spent = { 0 };

	atomic_store(&rig->busy, true);
	chores_add(rig->chores, &(struct chore){ "work", 0, 0, work_for_a_while, &spent });
	start(rig);
	while (!atomic_load(&spent.over))
		(void)sched_yield();
	(void)stop(rig);
	assert_true(spent.cpu_us * 7 < spent.wall_us);
}

/* A rest is no reason to be late. */
static void the_stop_ends_a_rest(void **state)
{
	struct rig *rig = *state;
	struct seen walk = { 0 };

	atomic_store(&rig->busy, true);
	chores_add(rig->chores, &(struct chore){ "walk", 0, 0, walk_for_ever, &walk });
	start(rig);
	while (!atomic_load(&walk.inside))
		(void)sched_yield();
	assert_true(stop(rig) < 1000);
}

/* Some run, some gave way, some have not begun. */
static void all_end_when_they_are_told(void **state)
{
	struct rig *rig = *state;
	static struct seen seen[8];

	for (int i = 0; i < 8; i++)
		chores_add(rig->chores, &(struct chore){ "walk", 0, 1, walk_for_ever, &seen[i] });
	start(rig);
	while (!atomic_load(&seen[7].inside))
		(void)sched_yield();
	assert_true(stop(rig) < 1000);
	for (int i = 0; i < 8; i++)
		assert_int_equal(atomic_load(&seen[i].inside), atomic_load(&seen[i].runs));
}

static void none_begins_after_the_stop(void **state)
{
	struct rig *rig = *state;
	struct seen seen = { 0 };

	chores_add(rig->chores, &(struct chore){ "never", 0, 1, note, &seen });
	chores_stop(rig->chores);
	start(rig);
	(void)stop(rig);
	assert_int_equal(atomic_load(&seen.runs), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_at_its_time),
		TEST(failures_are_counted),
		TEST(a_long_one_does_not_stop_the_others),
		TEST(it_rests_while_there_are_requests),
		TEST(the_stop_ends_a_rest),
		TEST(all_end_when_they_are_told),
		TEST(none_begins_after_the_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
