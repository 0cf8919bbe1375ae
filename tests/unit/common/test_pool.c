/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pool - bounded queue, threads on demand, results back on a loop; what runs in the background is in nobody's way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/pool.h"

/* A job that waits until the gate opens. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	int waiting, done;
};

static void gate_init(struct gate *gate)
{
	*gate = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
}

static void wait_at_gate(void *arg)
{
	struct gate *gate = arg;
	(void)pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	(void)pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		(void)pthread_cond_wait(&gate->changed, &gate->lock);
	gate->done++;
	(void)pthread_mutex_unlock(&gate->lock);
}

static void await_waiting(struct gate *gate, int n)
{
	(void)pthread_mutex_lock(&gate->lock);
	while (gate->waiting < n)
		(void)pthread_cond_wait(&gate->changed, &gate->lock);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->open = true;
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
}

static struct pool *new_pool(unsigned threads, size_t queue_max)
{
	struct pool *pool = NULL;
	struct error err;
	assert_true(pool_new(&pool, threads, queue_max, &err));
	return pool;
}

static void test_the_queue_is_bounded(void **state)
{
	(void)state;
	struct gate gate;
	gate_init(&gate);
	struct pool *pool = new_pool(2, 3);
	assert_true(pool_submit(pool, wait_at_gate, &gate));
	await_waiting(&gate, 1);
	assert_true(pool_submit(pool, wait_at_gate, &gate));
	await_waiting(&gate, 2);
	for (int i = 0; i < 3; i++)
		assert_true(pool_submit(pool, wait_at_gate, &gate));
	assert_false(pool_submit(pool, wait_at_gate, &gate));
	assert_false(pool_submit_then(pool, wait_at_gate, NULL, wait_at_gate, &gate));
	pool_push(pool, wait_at_gate, &gate);
	struct pool_stats stats = pool_stats(pool);
	assert_int_equal(stats.queued, 4);
	assert_int_equal(stats.running, 2);
	assert_int_equal(stats.threads, 2);
	open_gate(&gate);
	pool_free(pool);
	assert_int_equal(gate.done, 6);
}

static void test_threads_start_as_needed(void **state)
{
	(void)state;
	struct gate gate;
	gate_init(&gate);
	struct pool *pool = new_pool(8, 100);
	assert_int_equal(pool_stats(pool).threads, 1);
	for (int i = 1; i <= 8; i++) {
		assert_true(pool_submit(pool, wait_at_gate, &gate));
		await_waiting(&gate, i);
	}
	assert_int_equal(pool_stats(pool).threads, 8);
	open_gate(&gate);
	pool_free(pool);
}

struct trip {
	struct loop *loop;
	pthread_t ran_on;
	atomic_int *left;
};

static void go(void *arg)
{
	struct trip *trip = arg;
	trip->ran_on = pthread_self();
}

static void come_back(void *arg)
{
	struct trip *trip = arg;
	assert_true(loop_is_own(trip->loop));
	assert_false(pthread_equal(trip->ran_on, pthread_self()));
	if (atomic_fetch_sub(trip->left, 1) == 1)
		loop_stop(trip->loop);
}

static void test_results_come_back_on_the_loop(void **state)
{
	(void)state;
	struct loop *loop = NULL;
	struct error err;
	assert_true(loop_new(&loop, "test", &err));
	struct pool *pool = new_pool(4, 1000);
	atomic_int left = 500;
	static struct trip trips[500];
	for (int i = 0; i < 500; i++) {
		trips[i] = (struct trip){ .loop = loop, .left = &left };
		assert_true(pool_submit_then(pool, go, loop, come_back, &trips[i]));
	}
	loop_run(loop);
	pool_free(pool);
	loop_free(loop);
}

struct chain {
	struct pool *pool;
	atomic_int left;
};

static void push_next(void *arg)
{
	struct chain *chain = arg;
	if (atomic_fetch_sub(&chain->left, 1) > 1)
		pool_push(chain->pool, push_next, chain);
}

static void test_free_runs_what_jobs_push(void **state)
{
	(void)state;
	struct chain chain = { .pool = new_pool(3, 1), .left = 1000 };
	pool_push(chain.pool, push_next, &chain);
	pool_free(chain.pool);
	assert_int_equal(atomic_load(&chain.left), 0);
}

struct seen {
	bool blocked;
	char name[16];
};

static void look(void *arg)
{
	struct seen *seen = arg;
	sigset_t mask;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	seen->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1;
	(void)pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
}

static void test_threads_are_named_and_take_no_signals(void **state)
{
	(void)state;
	struct seen seen = { 0 };
	struct pool *pool = new_pool(1, 10);
	pool_push(pool, look, &seen);
	pool_free(pool);
	assert_true(seen.blocked);
	assert_int_equal(strncmp(seen.name, "pool-", 5), 0);
}

/* ---- the background ---- */

static void test_a_quarter_runs_in_the_background(void **state)
{
	(void)state;
	struct gate gate;
	gate_init(&gate);
	struct pool *pool = new_pool(8, 100);
	assert_int_equal(pool_background(pool), 2);
	for (int i = 0; i < 5; i++)
		pool_push_background(pool, wait_at_gate, &gate);
	await_waiting(&gate, 2);
	struct pool_stats stats = pool_stats(pool);
	assert_int_equal(stats.background.running, 2);
	assert_int_equal(stats.background.queued, 3);
	assert_int_equal(stats.background.threads, 2);
	assert_int_equal(stats.running, 0);
	open_gate(&gate);
	pool_free(pool);
	assert_int_equal(gate.done, 5);
}

static void test_no_job_waits_for_one_in_the_background(void **state)
{
	(void)state;
	struct gate background, gate;
	gate_init(&background);
	gate_init(&gate);
	struct pool *pool = new_pool(2, 100);
	assert_int_equal(pool_background(pool), 1);
	for (int i = 0; i < 3; i++)
		pool_push_background(pool, wait_at_gate, &background);
	await_waiting(&background, 1);
	/* The whole size is theirs. */
	for (int i = 0; i < 2; i++)
		assert_true(pool_submit(pool, wait_at_gate, &gate));
	await_waiting(&gate, 2);
	assert_int_equal(pool_stats(pool).running, 2);
	open_gate(&gate);
	open_gate(&background);
	pool_free(pool);
	assert_int_equal(background.done, 3);
}

struct moment {
	_Atomic int64_t at_ms;
};

static void note_when(void *arg)
{
	atomic_store(&((struct moment *)arg)->at_ms, clock_ms());
}

static void await_moment(struct moment *moment)
{
	while (!atomic_load(&moment->at_ms))
		(void)sched_yield();
}

static void test_the_background_waits_for_others_but_not_for_ever(void **state)
{
	(void)state;
	struct gate gate;
	gate_init(&gate);
	struct pool *pool = new_pool(1, 100);
	struct moment ran = { 0 };
	assert_true(pool_submit(pool, wait_at_gate, &gate));
	await_waiting(&gate, 1);
	assert_true(pool_submit(pool, wait_at_gate, &gate));
	int64_t pushed = clock_ms();
	pool_push_background(pool, note_when, &ran);
	await_moment(&ran);
	assert_true(atomic_load(&ran.at_ms) - pushed >= POOL_PATIENCE_MS - 1);
	assert_int_equal(pool_stats(pool).queued, 1);
	open_gate(&gate);
	pool_free(pool);
}

static void test_the_background_begins_when_nobody_waits_any_more(void **state)
{
	(void)state;
	struct gate first, second;
	gate_init(&first);
	gate_init(&second);
	struct pool *pool = new_pool(1, 100);
	struct moment ran = { 0 };
	assert_true(pool_submit(pool, wait_at_gate, &first));
	await_waiting(&first, 1);
	assert_true(pool_submit(pool, wait_at_gate, &second));
	pool_push_background(pool, note_when, &ran);
	open_gate(&first);
	await_moment(&ran);
	open_gate(&second);
	pool_free(pool);
}

struct walk {
	struct pool *pool;
	struct moment ended; /* of whom it gives way to */
	atomic_int turns;
};

static void walk_until_the_other_ended(void *arg)
{
	struct walk *walk = arg;
	while (!atomic_load(&walk->ended.at_ms)) {
		atomic_fetch_add(&walk->turns, 1);
		pool_give_way(walk->pool);
	}
}

/* One place, and two that need it. */
static void test_one_that_gives_way_goes_on_behind_the_others(void **state)
{
	(void)state;
	struct walk walk = { .pool = new_pool(2, 100) };
	pool_push_background(walk.pool, walk_until_the_other_ended, &walk);
	while (!atomic_load(&walk.turns))
		(void)sched_yield();
	pool_push_background(walk.pool, note_when, &walk.ended);
	pool_free(walk.pool);
	assert_true(atomic_load(&walk.ended.at_ms) != 0);
}

/* As many as may keep their threads. */
static void test_many_give_way_to_each_other(void **state)
{
	(void)state;
	struct walk walk = { .pool = new_pool(2, 100) };
	for (int i = 0; i < 2 * POOL_PARKED_MAX; i++)
		pool_push_background(walk.pool, walk_until_the_other_ended, &walk);
	while (pool_stats(walk.pool).background.threads < POOL_PARKED_MAX + 1)
		(void)sched_yield();
	int turns = atomic_load(&walk.turns);
	while (atomic_load(&walk.turns) < turns + 1000)
		(void)sched_yield();
	assert_int_equal(pool_stats(walk.pool).background.threads, POOL_PARKED_MAX + 1);
	atomic_store(&walk.ended.at_ms, 1);
	pool_free(walk.pool);
}

struct pusher {
	struct pool *pool;
	atomic_int done;
};

static void count_one(void *arg)
{
	atomic_fetch_add(&((struct pusher *)arg)->done, 1);
}

static void push_more(void *arg)
{
	struct pusher *pusher = arg;
	for (int i = 0; i < 5; i++) {
		pool_push(pusher->pool, count_one, pusher);
		pool_give_way(pusher->pool);
	}
	count_one(arg);
}

static void test_free_runs_the_background_and_what_it_pushes(void **state)
{
	(void)state;
	struct pusher pusher = { .pool = new_pool(4, 1) };
	for (int i = 0; i < 200; i++)
		pool_push_background(pusher.pool, push_more, &pusher);
	pool_free(pusher.pool);
	assert_int_equal(atomic_load(&pusher.done), 200 * 6);
}

static void push_slowly(void *arg)
{
	struct pusher *pusher = arg;
	const struct timespec pause = { .tv_nsec = 1000000 };
	(void)nanosleep(&pause, NULL);
	pool_push(pusher->pool, count_one, pusher);
	count_one(arg);
}

static void test_settled_when_all_has_run(void **state)
{
	(void)state;
	struct pusher pusher = { .pool = new_pool(3, 1000) };
	pool_settle(pusher.pool);
	for (int i = 0; i < 100; i++)
		assert_true(pool_submit(pusher.pool, push_slowly, &pusher));
	pool_settle(pusher.pool);
	assert_int_equal(atomic_load(&pusher.done), 200);
	pool_free(pusher.pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_queue_is_bounded),
		cmocka_unit_test(test_threads_start_as_needed),
		cmocka_unit_test(test_results_come_back_on_the_loop),
		cmocka_unit_test(test_free_runs_what_jobs_push),
		cmocka_unit_test(test_threads_are_named_and_take_no_signals),
		cmocka_unit_test(test_a_quarter_runs_in_the_background),
		cmocka_unit_test(test_no_job_waits_for_one_in_the_background),
		cmocka_unit_test(test_the_background_waits_for_others_but_not_for_ever),
		cmocka_unit_test(test_the_background_begins_when_nobody_waits_any_more),
		cmocka_unit_test(test_one_that_gives_way_goes_on_behind_the_others),
		cmocka_unit_test(test_many_give_way_to_each_other),
		cmocka_unit_test(test_free_runs_the_background_and_what_it_pushes),
		cmocka_unit_test(test_settled_when_all_has_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
