/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock - a mutex that knows whether the calling thread holds it, so that functions which need it can check.
 *
 * By convention such a function is named ..._locked and says lock_assert() at its top.
 *
 * Life    embedded in what it guards; lock_init() and lock_fini(), or LOCK_INIT for a static one.
 * Thread  any.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/cleanup.h"

struct lock {
	pthread_mutex_t mutex;
	uintptr_t holder; /* read by any thread; 0: nobody */
};
#define LOCK_INIT { .mutex = PTHREAD_MUTEX_INITIALIZER }
void lock_init(struct lock *lock);
void lock_fini(struct lock *lock);
void lock_take(struct lock *lock);
/* False: somebody else has it for that long, by the wall clock: who needs to know how long looks. */
bool lock_take_within(struct lock *lock, int64_t ms) MUST_CHECK;
void lock_drop(struct lock *lock);
/* Held before and behind, not while it waits. */
void lock_wait(struct lock *lock, pthread_cond_t *cond);
/* False: `end` of the wall clock has come, and nobody has woken it. */
bool lock_wait_until(struct lock *lock, pthread_cond_t *cond, const struct timespec *end);
/* A mutex without a holder, for what is held for a microsecond: who finds it taken looks some times more before it sleeps, since to
 * sleep and be woken costs more than all that is done under it. Those of `struct lock` are such. */
void lock_mutex_init(pthread_mutex_t *mutex);
/* CHECKs that this thread holds it. */
void lock_assert(const struct lock *lock);
