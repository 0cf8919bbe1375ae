/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/metrics.h"

struct pool_job {
	struct pool_job *next;
	pool_job_f *run, *done;
	struct loop *loop; /* of done */
	void *arg;
	int64_t queued_us;
};

struct pool {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t has_jobs;
	struct pool_job *first, **last;
	size_t queued, queue_max, running;
	unsigned threads_len, threads_max, idle;
	bool closing;
	struct histogram waits;
	pthread_t *threads;
};

static void pool_lock(struct pool *pool)
{
	CHECK(pthread_mutex_lock(&pool->lock) == 0);
}

static void pool_unlock(struct pool *pool)
{
	CHECK(pthread_mutex_unlock(&pool->lock) == 0);
}

static struct pool_job *pop_locked(struct pool *pool)
{
	struct pool_job *job = pool->first;
	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->queued--;
	histogram_add(&pool->waits, (uint64_t)(clock_us() - job->queued_us));
	return job;
}

static void job_run(struct pool_job *job)
{
	job->run(job->arg);
	if (job->done)
		loop_post(job->loop, job->done, job->arg);
	free(job);
}

static void *thread_main(void *arg)
{
	struct pool *pool = arg;
	pool_lock(pool);
	for (;;) {
		while (!pool->first && !pool->closing) {
			pool->idle++;
			CHECK(pthread_cond_wait(&pool->has_jobs, &pool->lock) == 0);
			pool->idle--;
		}
		if (!pool->first)
			break;
		struct pool_job *job = pop_locked(pool);
		pool->running++;
		pool_unlock(pool);
		job_run(job);
		pool_lock(pool);
		pool->running--;
	}
	pool_unlock(pool);
	return NULL;
}

/* Threads inherit the mask, so signals stay with the main thread. */
static int start_thread_locked(struct pool *pool)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	int failed = pthread_create(&pool->threads[pool->threads_len], NULL, thread_main, pool);
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (failed)
		return failed;
	char name[16];
	(void)snprintf(name, sizeof(name), "pool-%u", pool->threads_len % 10000);
	(void)pthread_setname_np(pool->threads[pool->threads_len], name);
	pool->threads_len++;
	return 0;
}

bool pool_new(struct pool **ret_pool, unsigned threads, size_t queue_max, struct error *err)
{
	CHECK(threads > 0 && threads <= 4096);
	AUTO(pool) *pool = xnew(struct pool);
	CHECK(pthread_mutex_init(&pool->lock, NULL) == 0);
	CHECK(pthread_cond_init(&pool->has_jobs, NULL) == 0);
	pool->last = &pool->first;
	pool->queue_max = queue_max;
	pool->threads_max = threads;
	pool->threads = xnew_array(pthread_t, threads);
	/* The first one now: later ones may fail to start, then those that are there do the work. */
	pool_lock(pool);
	int failed = start_thread_locked(pool);
	pool_unlock(pool);
	if (failed) {
		errno = failed;
		return error_sys(err, "start a pool thread");
	}
	*ret_pool = TAKE(pool);
	return true;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pool_lock(pool);
	pool->closing = true;
	CHECK(pthread_cond_broadcast(&pool->has_jobs) == 0);
	unsigned joined = 0;
	/* A job may have pushed more and so started a thread: the count is read anew each time. */
	while (joined < pool->threads_len) {
		pthread_t thread = pool->threads[joined++];
		pool_unlock(pool);
		CHECK(pthread_join(thread, NULL) == 0);
		pool_lock(pool);
	}
	CHECK(!pool->first);
	pool_unlock(pool);
	(void)pthread_cond_destroy(&pool->has_jobs);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

static bool pool_add(struct pool *pool, struct pool_job wanted, bool bounded)
{
	struct pool_job *job = xnew(struct pool_job);
	*job = wanted;
	job->queued_us = clock_us();
	pool_lock(pool);
	if (bounded && pool->queued >= pool->queue_max) {
		pool_unlock(pool);
		free(job);
		return false;
	}
	*pool->last = job;
	pool->last = &job->next;
	pool->queued++;
	if (pool->idle < pool->queued && pool->threads_len < pool->threads_max)
		(void)start_thread_locked(pool);
	CHECK(pthread_cond_signal(&pool->has_jobs) == 0);
	pool_unlock(pool);
	return true;
}

bool pool_submit(struct pool *pool, pool_job_f *run, void *arg)
{
	return pool_add(pool, (struct pool_job){ .run = run, .arg = arg }, true);
}

void pool_push(struct pool *pool, pool_job_f *run, void *arg)
{
	(void)pool_add(pool, (struct pool_job){ .run = run, .arg = arg }, false);
}

bool pool_submit_then(struct pool *pool, pool_job_f *run, struct loop *loop, pool_job_f *done, void *arg)
{
	struct pool_job job = { .run = run, .done = done, .loop = loop, .arg = arg };
	return pool_add(pool, job, true);
}

void pool_waits(struct pool *pool, struct histogram *into)
{
	pool_lock(pool);
	*into = pool->waits;
	pool_unlock(pool);
}

struct pool_stats pool_stats(struct pool *pool)
{
	pool_lock(pool);
	struct pool_stats stats = { pool->queued, pool->running, pool->threads_len };
	pool_unlock(pool);
	return stats;
}

unsigned pool_size(const struct pool *pool)
{
	return pool->threads_max;
}
