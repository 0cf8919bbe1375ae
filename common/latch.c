/* SPDX-License-Identifier: Apache-2.0 */
#include "common/latch.h"

#include "common/check.h"

/* Under the lock to the last: who waits may be gone right behind it. */
void latch_open(struct latch *latch)
{
	CHECK(pthread_mutex_lock(&latch->lock) == 0);
	latch->open = true;
	CHECK(pthread_cond_signal(&latch->opened) == 0);
	CHECK(pthread_mutex_unlock(&latch->lock) == 0);
}

void latch_wait(struct latch *latch)
{
	CHECK(pthread_mutex_lock(&latch->lock) == 0);
	while (!latch->open)
		CHECK(pthread_cond_wait(&latch->opened, &latch->lock) == 0);
	CHECK(pthread_mutex_unlock(&latch->lock) == 0);
	(void)pthread_cond_destroy(&latch->opened);
	(void)pthread_mutex_destroy(&latch->lock);
}
