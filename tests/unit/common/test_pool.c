/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pool - bounded queue, threads on demand, results back on a loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_queue_is_bounded),
		cmocka_unit_test(test_threads_start_as_needed),
		cmocka_unit_test(test_results_come_back_on_the_loop),
		cmocka_unit_test(test_free_runs_what_jobs_push),
		cmocka_unit_test(test_threads_are_named_and_take_no_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
