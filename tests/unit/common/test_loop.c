/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_loop - turns, posts from other threads, timers, watches and stages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"

static struct loop *new_loop(void)
{
	struct loop *loop = NULL;
	struct error err;
	assert_true(loop_new(&loop, "test", &err));
	return loop;
}

/* Posts. */

#define POSTERS 4
#define POSTS   5000

struct poster {
	struct loop *loop;
	int next; /* of this poster's posts, on the loop */
	int *total;
};

struct numbered {
	struct poster *poster;
	int number;
};

static void take_numbered(void *arg)
{
	struct numbered *numbered = arg;
	assert_int_equal(numbered->number, numbered->poster->next++);
	struct loop *loop = numbered->poster->loop;
	if (++*numbered->poster->total == POSTERS * POSTS)
		loop_stop(loop);
	free(numbered);
}

static void *post_many(void *arg)
{
	struct poster *poster = arg;
	for (int i = 0; i < POSTS; i++) {
		struct numbered *numbered = xnew(struct numbered);
		*numbered = (struct numbered){ poster, i };
		loop_post(poster->loop, take_numbered, numbered);
	}
	return NULL;
}

static void test_posts_keep_the_order_of_each_thread(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	int total = 0;
	pthread_t threads[POSTERS];
	struct poster posters[POSTERS];
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ loop, 0, &total };
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
	}
	loop_run(loop);
	for (int i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(total, POSTERS * POSTS);
	loop_free(loop);
}

/* Timers. */

struct ring {
	struct loop *loop;
	struct loop_timer timer;
	int id;
	int *order, *n;
};

static void ring_rings(void *arg)
{
	struct ring *ring = arg;
	ring->order[(*ring->n)++] = ring->id;
}

static void test_timers_run_in_order_of_time(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	enum { N = 200 };
	static struct ring rings[N];
	int order[N], n = 0;
	for (int i = 0; i < N; i++) {
		rings[i] = (struct ring){ loop, { 0 }, i, order, &n };
		loop_timer_start(loop, &rings[i].timer, (i * 37) % N / 4, ring_rings, &rings[i]);
	}
	for (int i = 0; i < N; i += 5)
		loop_timer_stop(loop, &rings[i].timer);
	int64_t begin = clock_ms();
	while (n < N - N / 5)
		loop_turn(loop, 1000);
	assert_true(clock_ms() - begin < 1000);
	for (int i = 1; i < n; i++)
		assert_true(rings[order[i - 1]].timer.due_ms <= rings[order[i]].timer.due_ms);
	for (int i = 0; i < N; i++)
		assert_int_equal(rings[i].timer.slot, 0);
	loop_free(loop);
}

static void test_a_timer_started_anew_moves(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	int order[2], n = 0;
	struct ring late = { loop, { 0 }, 1, order, &n }, soon = { loop, { 0 }, 2, order, &n };
	loop_timer_start(loop, &late.timer, 0, ring_rings, &late);
	loop_timer_start(loop, &soon.timer, 60000, ring_rings, &soon);
	loop_timer_start(loop, &late.timer, 60000, ring_rings, &late);
	loop_timer_start(loop, &soon.timer, 0, ring_rings, &soon);
	loop_turn(loop, 1000);
	assert_int_equal(n, 1);
	assert_int_equal(order[0], 2);
	loop_timer_stop(loop, &late.timer);
	loop_timer_stop(loop, &late.timer);
	loop_free(loop);
}

static void start_again(void *arg)
{
	struct ring *ring = arg;
	(*ring->n)++;
	loop_timer_start(ring->loop, &ring->timer, 0, start_again, ring);
}

static void test_a_timer_of_no_time_runs_once_a_turn(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	int n = 0;
	struct ring ring = { loop, { 0 }, 0, NULL, &n };
	loop_timer_start(loop, &ring.timer, 0, start_again, &ring);
	for (int i = 1; i <= 3; i++) {
		loop_turn(loop, 1000);
		assert_int_equal(n, i);
	}
	loop_timer_stop(loop, &ring.timer);
	loop_free(loop);
}

/* New work for an earlier step: the next wait is 0 though the only timer is far away. */

struct nested {
	struct loop *loop;
	struct loop_timer far, near;
	int depth;
	bool wake_stages;
	int runs;
};

static void stop_it(void *arg)
{
	struct nested *nested = arg;
	loop_stop(nested->loop);
}

static void post_from_post(void *arg)
{
	struct nested *nested = arg;
	if (--nested->depth > 0)
		loop_post(nested->loop, post_from_post, nested);
	else
		stop_it(nested);
}

static void near_rings(void *arg)
{
	struct nested *nested = arg;
	loop_post(nested->loop, post_from_post, nested);
}

static void never(void *arg)
{
	(void)arg;
	fail();
}

static int64_t no_wish(void *arg)
{
	(void)arg;
	return -1;
}

static void post_from_stage(void *arg)
{
	struct nested *nested = arg;
	if (nested->runs++ == 0)
		loop_post(nested->loop, post_from_post, nested);
}

static void wake_own_stages(void *arg)
{
	struct nested *nested = arg;
	if (++nested->runs < 5)
		loop_wake_stages(nested->loop);
	else
		loop_stop(nested->loop);
}

static void run_within_50_ms(struct nested *nested)
{
	loop_timer_start(nested->loop, &nested->far, 5000, never, NULL);
	int64_t begin = clock_ms();
	loop_run(nested->loop);
	assert_true(clock_ms() - begin < 50);
	loop_timer_stop(nested->loop, &nested->far);
	loop_free(nested->loop);
}

static void test_a_post_from_a_timer_is_not_delayed(void **state)
{
	(void)state;
	struct nested nested = { .loop = new_loop(), .depth = 5 };
	loop_timer_start(nested.loop, &nested.near, 1, near_rings, &nested);
	run_within_50_ms(&nested);
}

static void test_a_post_from_a_stage_is_not_delayed(void **state)
{
	(void)state;
	struct nested nested = { .loop = new_loop(), .depth = 5 };
	loop_add_stage(nested.loop, (struct loop_stage){ no_wish, post_from_stage, &nested });
	loop_wake_stages(nested.loop);
	run_within_50_ms(&nested);
}

static void test_stages_that_are_woken_run_at_once(void **state)
{
	(void)state;
	struct nested nested = { .loop = new_loop() };
	loop_add_stage(nested.loop, (struct loop_stage){ no_wish, wake_own_stages, &nested });
	loop_wake_stages(nested.loop);
	run_within_50_ms(&nested);
}

static int64_t wish_20(void *arg)
{
	(void)arg;
	return 20;
}

static void test_a_stage_names_its_timeout(void **state)
{
	(void)state;
	struct nested nested = { .loop = new_loop() };
	loop_add_stage(nested.loop, (struct loop_stage){ wish_20, stop_it, &nested });
	int64_t begin = clock_ms();
	loop_run(nested.loop);
	int64_t took = clock_ms() - begin;
	assert_true(took >= 19 && took < 1000);
	loop_remove_stage(nested.loop, &nested);
	loop_turn(nested.loop, 0);
	loop_free(nested.loop);
}

/* Watches. */

struct watched {
	struct loop *loop;
	int fds[2], other[2];
	int calls;
};

static void read_one(void *arg, uint32_t events)
{
	struct watched *watched = arg;
	assert_true(events & EPOLLIN);
	char c;
	assert_int_equal(read(watched->fds[0], &c, 1), 1);
	watched->calls++;
}

static void test_a_watch_reports_readiness(void **state)
{
	(void)state;
	struct watched watched = { .loop = new_loop() };
	struct error err;
	assert_int_equal(pipe(watched.fds), 0);
	assert_true(loop_watch(watched.loop, watched.fds[0], EPOLLIN, read_one, &watched, &err));
	loop_turn(watched.loop, 0);
	assert_int_equal(watched.calls, 0);
	assert_int_equal(write(watched.fds[1], "ab", 2), 2);
	loop_turn(watched.loop, 1000);
	loop_turn(watched.loop, 1000);
	assert_int_equal(watched.calls, 2);
	assert_true(loop_rewatch(watched.loop, watched.fds[0], 0, &err));
	assert_int_equal(write(watched.fds[1], "c", 1), 1);
	loop_turn(watched.loop, 0);
	assert_int_equal(watched.calls, 2);
	loop_unwatch(watched.loop, watched.fds[0]);
	loop_free(watched.loop);
	(void)close(watched.fds[0]);
	(void)close(watched.fds[1]);
}

static void unwatch_both(void *arg, uint32_t events)
{
	(void)events;
	struct watched *watched = arg;
	watched->calls++;
	loop_unwatch(watched->loop, watched->fds[0]);
	loop_unwatch(watched->loop, watched->other[0]);
}

static void test_an_unwatched_fd_is_not_called_in_the_same_batch(void **state)
{
	(void)state;
	struct watched watched = { .loop = new_loop() };
	struct error err;
	assert_int_equal(pipe(watched.fds), 0);
	assert_int_equal(pipe(watched.other), 0);
	assert_true(loop_watch(watched.loop, watched.fds[0], EPOLLIN, unwatch_both, &watched, &err));
	assert_true(loop_watch(watched.loop, watched.other[0], EPOLLIN, unwatch_both, &watched, &err));
	assert_int_equal(write(watched.fds[1], "a", 1), 1);
	assert_int_equal(write(watched.other[1], "a", 1), 1);
	loop_turn(watched.loop, 1000);
	assert_int_equal(watched.calls, 1);
	assert_false(loop_watch(watched.loop, 999, EPOLLIN, unwatch_both, &watched, &err));
	loop_free(watched.loop);
	for (int i = 0; i < 2; i++) {
		(void)close(watched.fds[i]);
		(void)close(watched.other[i]);
	}
}

/* The end. */

struct relay {
	struct loop *loop;
	int n;
};

static void post_2(void *arg)
{
	struct relay *relay = arg;
	relay->n++;
}

static void post_1(void *arg)
{
	struct relay *relay = arg;
	loop_post(relay->loop, post_2, relay);
	relay->n++;
}

static void test_free_runs_what_is_left(void **state)
{
	(void)state;
	struct relay relay = { .loop = new_loop() };
	loop_post(relay.loop, post_1, &relay);
	loop_free(relay.loop);
	assert_int_equal(relay.n, 2);
}

/* Posts that are gathered. */

static struct {
	int order[200];
	size_t len;
} noted;

static void note(void *arg)
{
	noted.order[noted.len++] = *(int *)arg;
}

static void test_gathered_posts_come_together_in_their_order(void **state)
{
	struct loop *loop = new_loop(), *other = new_loop();
	int numbers[130];

	(void)state;
	noted.len = 0;
	loop_posts_gather();
	loop_posts_gather();
	for (int i = 0; i < 6; i++) {
		numbers[i] = i;
		loop_post(i % 2 ? other : loop, note, &numbers[i]);
	}
	assert_false(loop_drain(loop) || loop_drain(other));
	loop_posts_let_go();
	assert_false(loop_drain(loop) || loop_drain(other));
	loop_posts_let_go();
	assert_true(loop_drain(other) && loop_drain(loop));
	assert_int_equal(noted.len, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(noted.order[i], i < 3 ? 2 * i + 1 : 2 * (i - 3));

	/* More than it keeps. */
	noted.len = 0;
	loop_posts_gather();
	for (int i = 0; i < 130; i++) {
		numbers[i] = i;
		loop_post(loop, note, &numbers[i]);
	}
	loop_posts_let_go();
	assert_true(loop_drain(loop));
	assert_int_equal(noted.len, 130);
	for (int i = 0; i < 130; i++)
		assert_int_equal(noted.order[i], i);

	/* And one that is not gathered comes at once. */
	loop_post(loop, note, &numbers[1]);
	assert_true(loop_drain(loop));
	loop_free(loop);
	loop_free(other);
}

/* Spinning. */

static void ready_and_left(void *arg, uint32_t events)
{
	(void)events;
	++*(unsigned *)arg;
}

static void ready_and_moved(void *arg, uint32_t events)
{
	(void)events;
	loop_moved(arg);
}

static void test_a_loop_that_spins_says_so(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct error err;
	unsigned times = 0;
	int fd = eventfd(1, EFD_CLOEXEC);
	assert_true(loop_watch(loop, fd, EPOLLIN, ready_and_moved, loop, &err));
	for (int i = 0; i < 3000; i++)
		loop_turn(loop, 10);
	assert_int_equal(loop_spins(loop), 0);
	loop_unwatch(loop, fd);
	for (int i = 0; i < 3; i++) /* it waits in vain */
		loop_turn(loop, 1);
	assert_true(loop_watch(loop, fd, EPOLLIN, ready_and_left, &times, &err));
	int64_t end = clock_ms() + 20000;
	while (loop_spins(loop) == 0 && clock_ms() < end)
		loop_turn(loop, 10);
	assert_int_equal(loop_spins(loop), 1);
	assert_true(times >= 1000);
	loop_unwatch(loop, fd);
	(void)close(fd);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_posts_keep_the_order_of_each_thread),
		cmocka_unit_test(test_timers_run_in_order_of_time),
		cmocka_unit_test(test_a_timer_started_anew_moves),
		cmocka_unit_test(test_a_timer_of_no_time_runs_once_a_turn),
		cmocka_unit_test(test_a_post_from_a_timer_is_not_delayed),
		cmocka_unit_test(test_a_post_from_a_stage_is_not_delayed),
		cmocka_unit_test(test_stages_that_are_woken_run_at_once),
		cmocka_unit_test(test_a_stage_names_its_timeout),
		cmocka_unit_test(test_a_watch_reports_readiness),
		cmocka_unit_test(test_an_unwatched_fd_is_not_called_in_the_same_batch),
		cmocka_unit_test(test_free_runs_what_is_left),
		cmocka_unit_test(test_gathered_posts_come_together_in_their_order),
		cmocka_unit_test(test_a_loop_that_spins_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
