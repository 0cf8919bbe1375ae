/* SPDX-License-Identifier: Apache-2.0 */
/* lock: one at a time, and who does not hold it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock.h"

struct shared {
	struct lock lock;
	pthread_cond_t changed;
	int value;
	bool done;
};

static void *add(void *arg)
{
	struct shared *shared = arg;

	for (int i = 0; i < 10000; i++) {
		lock_take(&shared->lock);
		lock_assert(&shared->lock);
		shared->value++;
		lock_drop(&shared->lock);
	}
	lock_take(&shared->lock);
	shared->done = true;
	(void)pthread_cond_signal(&shared->changed);
	lock_drop(&shared->lock);
	return NULL;
}

static void one_holds_it_at_a_time(void **state)
{
	struct shared shared = { .lock = LOCK_INIT, .changed = PTHREAD_COND_INITIALIZER };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, add, &shared), 0);
	for (int i = 0; i < 10000; i++) {
		lock_take(&shared.lock);
		shared.value++;
		lock_drop(&shared.lock);
	}
	lock_take(&shared.lock);
	while (!shared.done)
		lock_wait(&shared.lock, &shared.changed);
	lock_assert(&shared.lock);
	assert_int_equal(shared.value, 20000);
	lock_drop(&shared.lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	lock_fini(&shared.lock);
}

static void waits_no_longer_than_it_may(void **state)
{
	struct lock lock = LOCK_INIT;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec end;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &end), 0);
	lock_take(&lock);
	assert_false(lock_wait_until(&lock, &never, &end));
	lock_assert(&lock);
	lock_drop(&lock);
}

struct holding {
	struct lock lock;
	pthread_cond_t changed;
	struct lock own; /* of: */
	bool is_held, may_end;
};

static void *hold(void *arg)
{
	struct holding *holding = arg;

	lock_take(&holding->lock);
	lock_take(&holding->own);
	holding->is_held = true;
	(void)pthread_cond_signal(&holding->changed);
	while (!holding->may_end)
		lock_wait(&holding->own, &holding->changed);
	lock_drop(&holding->own);
	lock_drop(&holding->lock);
	return NULL;
}

static void who_waits_for_a_while_gives_up(void **state)
{
	struct holding holding = { .lock = LOCK_INIT, .own = LOCK_INIT, .changed = PTHREAD_COND_INITIALIZER };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, hold, &holding), 0);
	lock_take(&holding.own);
	while (!holding.is_held)
		lock_wait(&holding.own, &holding.changed);
	assert_false(lock_take_within(&holding.lock, 0));
	assert_false(lock_take_within(&holding.lock, 5));
	holding.may_end = true;
	(void)pthread_cond_signal(&holding.changed);
	lock_drop(&holding.own);
	while (!lock_take_within(&holding.lock, 1500))
		;
	lock_assert(&holding.lock);
	lock_drop(&holding.lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* In a process of its own, which it ends. */
static bool survives(void (*run)(struct lock *lock))
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		struct lock lock = LOCK_INIT;

		(void)signal(SIGABRT, SIG_DFL);
		(void)!freopen("/dev/null", "w", stderr);
		run(&lock);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void nothing(struct lock *lock)
{
	lock_take(lock);
	lock_drop(lock);
}

static void assert_without(struct lock *lock)
{
	lock_assert(lock);
}

static void assert_behind(struct lock *lock)
{
	nothing(lock);
	lock_assert(lock);
}

static void *assert_elsewhere(void *lock)
{
	lock_assert(lock);
	return NULL;
}

static void assert_of_another(struct lock *lock)
{
	pthread_t thread;

	lock_take(lock);
	(void)pthread_create(&thread, NULL, assert_elsewhere, lock);
	(void)pthread_join(thread, NULL);
}

static void who_does_not_hold_it_ends(void **state)
{
	(void)state;
	assert_true(survives(nothing));
	assert_false(survives(assert_without));
	assert_false(survives(assert_behind));
	assert_false(survives(assert_of_another));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_holds_it_at_a_time),
		cmocka_unit_test(waits_no_longer_than_it_may),
		cmocka_unit_test(who_waits_for_a_while_gives_up),
		cmocka_unit_test(who_does_not_hold_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
