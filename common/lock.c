/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lock.h"

#include <errno.h>

#include "common/check.h"

/* Its address is another one in each thread. */
static _Thread_local char self;

static void set_holder(struct lock *lock, uintptr_t holder)
{
	__atomic_store_n(&lock->holder, holder, __ATOMIC_RELAXED);
}

void lock_mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	CHECK(pthread_mutexattr_init(&attr) == 0);
	CHECK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP) == 0);
	CHECK(pthread_mutex_init(mutex, &attr) == 0);
	(void)pthread_mutexattr_destroy(&attr);
}

void lock_init(struct lock *lock)
{
	lock_mutex_init(&lock->mutex);
	lock->holder = 0;
}

void lock_fini(struct lock *lock)
{
	(void)pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
	CHECK(pthread_mutex_lock(&lock->mutex) == 0);
	set_holder(lock, (uintptr_t)&self);
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

/* Not pthread_mutex_clocklock(): gcc 12's ThreadSanitizer does not see that it locks. */
bool lock_take_within(struct lock *lock, int64_t ms)
{
	const struct timespec until = in_ms(ms);
	int failed = pthread_mutex_timedlock(&lock->mutex, &until);

	CHECK(failed == 0 || failed == ETIMEDOUT);
	if (!failed)
		set_holder(lock, (uintptr_t)&self);
	return !failed;
}

void lock_drop(struct lock *lock)
{
	lock_assert(lock);
	set_holder(lock, 0);
	CHECK(pthread_mutex_unlock(&lock->mutex) == 0);
}

void lock_wait(struct lock *lock, pthread_cond_t *cond)
{
	lock_assert(lock);
	set_holder(lock, 0);
	CHECK(pthread_cond_wait(cond, &lock->mutex) == 0);
	set_holder(lock, (uintptr_t)&self);
}

bool lock_wait_until(struct lock *lock, pthread_cond_t *cond, const struct timespec *end)
{
	int failed;

	lock_assert(lock);
	set_holder(lock, 0);
	failed = pthread_cond_timedwait(cond, &lock->mutex, end);
	CHECK(failed == 0 || failed == ETIMEDOUT);
	set_holder(lock, (uintptr_t)&self);
	return failed == 0;
}

/* Who holds it has written so itself; what others write meanwhile is never this thread. */
void lock_assert(const struct lock *lock)
{
	CHECK(__atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == (uintptr_t)&self);
}
