/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/lane.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/pool.h"

/* Jobs that note their names, and a gate that one of them waits at. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char order[512];
static bool open_gate, at_gate;
static atomic_int running, most;

struct work {
	struct lane_place place;
	const char *name;
	bool waits;
};

static void begin(void)
{
	order[0] = '\0';
	open_gate = at_gate = false;
	running = most = 0;
}

static void wait_at_gate(void)
{
	pthread_mutex_lock(&lock);
	at_gate = true;
	pthread_cond_broadcast(&changed);
	while (!open_gate)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void note(const char *name)
{
	pthread_mutex_lock(&lock);
	(void)strncat(order, name, sizeof(order) - strlen(order) - 1);
	pthread_mutex_unlock(&lock);
}

static void run(void *arg)
{
	struct work *work = arg;
	int now = atomic_fetch_add(&running, 1) + 1;

	if (now > most)
		most = now;
	if (work->waits)
		wait_at_gate();
	note(work->name);
	atomic_fetch_sub(&running, 1);
	lane_leave(&work->place);
}

static void note_job(void *arg)
{
	note(arg);
}

static void put(struct lane *lane, const char *key, struct work *work)
{
	assert_true(lane_take(lane, str_of(key), LANE_SHORT, &work->place));
	lane_do(&work->place, run, work);
}

static void await_gate(void)
{
	pthread_mutex_lock(&lock);
	while (!at_gate)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void open_it(void)
{
	pthread_mutex_lock(&lock);
	open_gate = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void keys_take_turns_one_at_a_time(void **state)
{
	struct work a[] = { { .name = "a1 ", .waits = true }, { .name = "a2 " }, { .name = "a3 " },
		{ .name = "a4 " } };
	struct work b[] = { { .name = "b1 " }, { .name = "b2 " } };
	struct pool *pool;
	struct lane *lane;

	(void)state;
	begin();
	assert_true(pool_new(&pool, 4, 100, NULL));
	lane = lane_new(pool);
	put(lane, "a", &a[0]);
	await_gate();
	for (unsigned i = 1; i < 4; i++)
		put(lane, "a", &a[i]);
	put(lane, "b", &b[0]);
	put(lane, "b", &b[1]);
	/* The other threads are free meanwhile. */
	assert_int_equal(pool_stats(pool).running, 1);
	open_it();
	pool_free(pool);
	assert_string_equal(order, "a1 a2 b1 a3 b2 a4 ");
	assert_int_equal(most, 1);
	lane_free(lane);
}

static void others_have_their_turn_between(void **state)
{
	struct work a[] = { { .name = "a1 ", .waits = true }, { .name = "a2 " }, { .name = "a3 " } };
	char other[] = "other ";
	struct pool *pool;
	struct lane *lane;

	(void)state;
	begin();
	assert_true(pool_new(&pool, 1, 100, NULL));
	lane = lane_new(pool);
	for (unsigned i = 0; i < 3; i++)
		put(lane, "a", &a[i]);
	await_gate();
	assert_true(pool_submit(pool, note_job, other));
	open_it();
	pool_free(pool);
	assert_string_equal(order, "a1 other a2 a3 ");
	lane_free(lane);
}

static void refused_but_as_short(struct lane *lane, const char *key)
{
	struct lane_place more;

	assert_false(lane_take(lane, str_of(key), LANE_LONG, &more));
	assert_true(lane_take(lane, str_of(key), LANE_SHORT, &more));
	lane_leave(&more);
}

static void has_bounds(void **state)
{
	static struct lane_place places[LANE_MOST];
	struct lane_place more;
	struct pool *pool;
	struct lane *lane;
	char key[16];

	(void)state;
	assert_true(pool_new(&pool, 1, 100, NULL));
	lane = lane_new(pool);
	for (unsigned i = 0; i < LANE_MOST; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i / LANE_LONG);
		assert_true(lane_take(lane, str_of(key), LANE_LONG, &places[i]));
		if (i + 1 < LANE_MOST && i % LANE_LONG == LANE_LONG - 1)
			refused_but_as_short(lane, key);
	}
	assert_false(lane_take(lane, STR("another"), LANE_LONG, &more));
	lane_leave(&places[0]);
	assert_true(lane_take(lane, STR("another"), LANE_LONG, &more));
	lane_leave(&more);
	lane_leave(&more);
	for (unsigned i = 0; i < LANE_MOST; i++)
		lane_leave(&places[i]);
	pool_free(pool);
	lane_free(lane);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_take_turns_one_at_a_time),
		cmocka_unit_test(others_have_their_turn_between),
		cmocka_unit_test(has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
