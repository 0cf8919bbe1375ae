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

	chores_add(rig->chores,
		&(struct chore){ .name = "often", .first_ms = 0, .every_ms = 1, .run = note, .arg = &often });
	chores_add(rig->chores,
		&(struct chore){ .name = "once", .first_ms = 0, .every_ms = 0, .run = note, .arg = &once });
	chores_add(rig->chores,
		&(struct chore){
			.name = "later", .first_ms = 3600000, .every_ms = 1, .run = note, .arg = &later });
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

/* Long before its time; and once more for what came while it ran. */
static void one_that_is_woken_runs_soon(void **state)
{
	struct rig *rig = *state;
	struct seen rare = { 0 };

	chores_add(rig->chores, &(struct chore){ .name = "rare",
					.first_ms = 3600000,
					.every_ms = 3600000,
					.run = note,
					.arg = &rare });
	start(rig);
	chores_wake(rig->chores, STR("nothing"), 0);
	for (int n = 1; n <= 20; n++) {
		chores_wake(rig->chores, STR("rare"), 0);
		await_runs(&rare, n);
	}
	(void)stop(rig);
	assert_false(atomic_load(&rare.twice));
	chores_wake(rig->chores, STR("rare"), 0);
}

static void failures_are_counted(void **state)
{
	struct rig *rig = *state;
	struct seen seen = { .fails = true };

	chores_add(rig->chores,
		&(struct chore){ .name = "bad", .first_ms = 0, .every_ms = 1, .run = note, .arg = &seen });
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

	chores_add(rig->chores,
		&(struct chore){
			.name = "walk", .first_ms = 0, .every_ms = 0, .run = walk_for_ever, .arg = &walk });
	chores_add(rig->chores,
		&(struct chore){
			.name = "often", .first_ms = 10, .every_ms = 1, .run = note, .arg = &often });
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
	chores_add(rig->chores, &(struct chore){ .name = "work",
					.first_ms = 0,
					.every_ms = 0,
					.run = work_for_a_while,
					.arg = &spent });
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
	chores_add(rig->chores,
		&(struct chore){
			.name = "walk", .first_ms = 0, .every_ms = 0, .run = walk_for_ever, .arg = &walk });
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
		chores_add(rig->chores, &(struct chore){ .name = "walk",
						.first_ms = 0,
						.every_ms = 1,
						.run = walk_for_ever,
						.arg = &seen[i] });
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

	chores_add(rig->chores,
		&(struct chore){ .name = "never", .first_ms = 0, .every_ms = 1, .run = note, .arg = &seen });
	chores_stop(rig->chores);
	start(rig);
	(void)stop(rig);
	assert_int_equal(atomic_load(&seen.runs), 0);
}

/* ---- asked for ---- */

struct asked {
	atomic_int runs;
	atomic_bool was_asked, was_dry, holds, refuses, looks;
};

static bool work(struct chore_turn *turn, void *arg, struct error *err)
{
	struct asked *asked = arg;

	atomic_store(&asked->was_asked, chore_is_asked(turn));
	atomic_store(&asked->was_dry, chore_is_dry(turn));
	atomic_fetch_add(&asked->runs, 1);
	if (atomic_load(&asked->looks))
		return true;
	if (atomic_load(&asked->refuses))
		return chore_refuse(turn, err, "not before %d", 7);
	chore_works(turn, "things", 3);
	chore_takes(turn, STR("one"));
	chore_counts(turn, 1, 100);
	chore_takes(turn, STR("two"));
	chore_counts(turn, 1, 50);
	while (atomic_load(&asked->holds) && chore_may_go_on(turn))
		(void)sched_yield();
	return true;
}

static void add_work(struct rig *rig, struct asked *asked)
{
	chores_add_dry(rig->chores, &(struct chore){ .name = "work",
					    .first_ms = 3600000,
					    .every_ms = 3600000,
					    .run = work,
					    .arg = asked });
	start(rig);
}

static void ask(struct rig *rig, struct chore_order order)
{
	struct error err;

	if (!chores_ask(rig->chores, STR("work"), &order, &err))
		fail_msg("%s", err.text);
}

static void is_refused(
	struct rig *rig, struct str name, struct chore_order order, enum error_kind kind, const char *says)
{
	struct error err;

	assert_false(chores_ask(rig->chores, name, &order, &err));
	assert_int_equal(err.kind, kind);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static struct chore_stats await_last(struct rig *rig, enum chore_how how)
{
	struct chore_stats stats;

	do {
		(void)sched_yield();
		stats = stats_of(rig, "work");
	} while (stats.last.how != how);
	return stats;
}

static void await_second(struct rig *rig)
{
	while (strcmp(stats_of(rig, "work").work.at, "two"))
		(void)sched_yield();
}

static void one_that_is_asked_for_runs_at_once(void **state)
{
	struct rig *rig = *state;
	struct asked asked = { .was_asked = false };
	struct chore_stats stats;

	add_work(rig, &asked);
	assert_int_equal(stats_of(rig, "work").last.how, CHORE_NEVER);
	ask(rig, (struct chore_order){ .dry_run = true });
	stats = await_last(rig, CHORE_DONE);
	assert_true(atomic_load(&asked.was_asked) && atomic_load(&asked.was_dry));
	assert_true(stats.last.work.dry_run);
	assert_string_equal(stats.last.work.unit, "things");
	assert_int_equal(stats.last.work.done, 2);
	assert_int_equal(stats.last.work.total, 3);
	assert_int_equal(stats.last.work.removed, 2);
	assert_int_equal(stats.last.work.bytes, 150);
	assert_true(stats.last.ended_s > 0);
	assert_int_equal(stats.runs, 1);
	ask(rig, (struct chore_order){ .dry_run = false });
	while (stats_of(rig, "work").runs < 2)
		(void)sched_yield();
	assert_false(atomic_load(&asked.was_dry));
	assert_false(stats_of(rig, "work").last.work.dry_run);
	(void)stop(rig);
}

static void a_stop_ends_this_run_alone(void **state)
{
	struct rig *rig = *state;
	struct asked asked = { .holds = true };
	struct chore_stats stats;

	atomic_store(&rig->busy, true);
	add_work(rig, &asked);
	ask(rig, (struct chore_order){ .id = 5 });
	await_second(rig);
	is_refused(rig, STR("work"), (struct chore_order){ 0 }, ERROR_CONFLICT, "runs already");
	ask(rig, (struct chore_order){ .id = 6, .stop = true });
	stats = await_last(rig, CHORE_STOPPED);
	assert_int_equal(stats.failures, 0);
	assert_int_equal(stats.order, 6);
	assert_int_equal(stats.last.work.done, 1);
	assert_int_equal(stats.state, CHORE_WAITING);
	atomic_store(&asked.holds, false);
	ask(rig, (struct chore_order){ .id = 7 });
	(void)await_last(rig, CHORE_DONE);
	(void)stop(rig);
	assert_int_equal(atomic_load(&asked.runs), 2);
}

static void what_cannot_be_is_said(void **state)
{
	struct rig *rig = *state;
	struct asked asked = { .holds = false };
	struct seen seen = { 0 };

	chores_add(rig->chores,
		&(struct chore){
			.name = "wet", .first_ms = 3600000, .every_ms = 0, .run = note, .arg = &seen });
	add_work(rig, &asked);
	is_refused(rig, STR("wrok"), (struct chore_order){ 0 }, ERROR_UNKNOWN, "did you mean \"work\"?");
	is_refused(rig, STR("zzzzzzzz"), (struct chore_order){ 0 }, ERROR_UNKNOWN, "there are: wet, work");
	is_refused(rig, STR("wet"), (struct chore_order){ .dry_run = true }, ERROR_INVALID,
		"these have one: work");
	is_refused(rig, STR("work"), (struct chore_order){ .id = 9, .stop = true }, ERROR_CONFLICT,
		"does not run");
	assert_int_equal(stats_of(rig, "work").last.how, CHORE_REFUSED);
	assert_non_null(strstr(stats_of(rig, "work").last.why, "does not run"));
	ask(rig, (struct chore_order){ .id = 9, .stop = true }); /* the same one again */
	atomic_store(&asked.refuses, true);
	ask(rig, (struct chore_order){ .id = 10 });
	while (stats_of(rig, "work").runs < 1)
		(void)sched_yield();
	assert_int_equal(stats_of(rig, "work").last.how, CHORE_REFUSED);
	assert_string_equal(stats_of(rig, "work").last.why, "not before 7");
	assert_int_equal(stats_of(rig, "work").failures, 0);
	ask(rig, (struct chore_order){ .id = 10 });
	(void)stop(rig);
	assert_int_equal(atomic_load(&asked.runs), 1);
}

static void a_look_is_no_run_to_speak_of(void **state)
{
	struct rig *rig = *state;
	struct asked asked = { .looks = true };

	chores_add(rig->chores,
		&(struct chore){ .name = "look", .first_ms = 0, .every_ms = 1, .run = work, .arg = &asked });
	start(rig);
	while (atomic_load(&asked.runs) < 3)
		(void)sched_yield();
	(void)stop(rig);
	assert_int_equal(stats_of(rig, "look").last.how, CHORE_NEVER);
	for (unsigned i = 0; i < CHORE_BUCKETS; i++)
		assert_int_equal(stats_of(rig, "look").times.buckets[i], 0);
}

static void buckets_are_zots(void **state)
{
	(void)state;
	assert_int_equal(chore_bucket(50000), 0);
	assert_int_equal(chore_bucket(50001), 1);
	assert_int_equal(chore_bucket(600000000), 6);
	assert_int_equal(chore_bucket(UINT64_MAX), 7);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_at_its_time),
		TEST(one_that_is_woken_runs_soon),
		TEST(failures_are_counted),
		TEST(a_long_one_does_not_stop_the_others),
		TEST(it_rests_while_there_are_requests),
		TEST(the_stop_ends_a_rest),
		TEST(all_end_when_they_are_told),
		TEST(none_begins_after_the_stop),
		TEST(one_that_is_asked_for_runs_at_once),
		TEST(a_stop_ends_this_run_alone),
		TEST(what_cannot_be_is_said),
		TEST(a_look_is_no_run_to_speak_of),
		cmocka_unit_test(buckets_are_zots),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
