/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latch - straight-line code waits until another thread says that something is done. Once.
 *
 * Life    on the stack of who waits; it may go when latch_wait() has returned.
 * Thread  any; never a loop.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct latch {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open;
};
#define LATCH_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER }
void latch_open(struct latch *latch);
void latch_wait(struct latch *latch); /* and ends it */
