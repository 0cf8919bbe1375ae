/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/loop.h"
#include "common/metrics.h"

struct pool_job {
	struct pool_job *next;
	pool_job_f *run, *done; /* run NULL: the place of one that gave way */
	struct loop *loop;      /* of done */
	void *arg;
	int64_t queued_us;
};

struct queue {
	struct pool_job *first, **last;
	size_t len;
};

struct background {
	pthread_cond_t changed; /* somebody may begin */
	struct queue jobs;
	unsigned running, running_max, parked; /* parked: gave way */
	unsigned threads_len, idle;
	bool closing;
	pthread_t *threads; /* room for all that run, and all that are parked */
};

struct pool {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t has_jobs, settled;
	struct queue jobs;
	size_t queue_max, running;
	unsigned threads_len, threads_max, idle;
	unsigned coming; /* threads that were woken or started for a job and are not here yet */
	bool closing;
	struct histogram waits;
	pthread_t *threads;
	struct background background;
};

static void pool_lock(struct pool *pool)
{
	CHECK(pthread_mutex_lock(&pool->lock) == 0);
}

static void pool_unlock(struct pool *pool)
{
	CHECK(pthread_mutex_unlock(&pool->lock) == 0);
}

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first };
}

static void queue_add(struct queue *queue, struct pool_job *job)
{
	job->next = NULL;
	job->queued_us = clock_us();
	*queue->last = job;
	queue->last = &job->next;
	queue->len++;
}

static struct pool_job *queue_pop(struct queue *queue)
{
	struct pool_job *job = queue->first;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->len--;
	return job;
}

/* ---- threads ---- */

/* Threads inherit the mask, so signals stay with the main thread. */
static int start_thread(pthread_t *thread, void *(*run)(void *arg), void *arg, const char *name)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	int failed = pthread_create(thread, NULL, run, arg);
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (!failed)
		(void)pthread_setname_np(*thread, name);
	return failed;
}

/* A job may push more and so start a thread: the count is read anew each time. */
static void join_threads_locked(struct pool *pool, pthread_t *const *threads, const unsigned *threads_len)
{
	for (unsigned joined = 0; joined < *threads_len; joined++) {
		pthread_t thread = (*threads)[joined];
		pool_unlock(pool);
		CHECK(pthread_join(thread, NULL) == 0);
		pool_lock(pool);
	}
}

static void job_run(struct pool_job *job)
{
	job->run(job->arg);
	if (job->done)
		loop_post(job->loop, job->done, job->arg);
	free(job);
}

/* ---- the background ---- */

/* Whether the first of the row may. */
static bool may_begin_locked(const struct pool *pool)
{
	const struct background *background = &pool->background;
	const struct pool_job *first = background->jobs.first;

	return background->running < background->running_max &&
	       (!pool->jobs.first || clock_us() - first->queued_us >= POOL_PATIENCE_MS * INT64_C(1000));
}

/* With a place free it is other jobs that the first waits for, and not for ever. */
static void await_change_locked(struct pool *pool)
{
	struct background *background = &pool->background;
	struct timespec until;

	if (!background->jobs.first || background->running == background->running_max) {
		CHECK(pthread_cond_wait(&background->changed, &pool->lock) == 0);
		return;
	}
	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_nsec += POOL_PATIENCE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	int failed = pthread_cond_timedwait(&background->changed, &pool->lock, &until);
	CHECK(failed == 0 || failed == ETIMEDOUT);
}

static void *background_main(void *arg);

static void start_background_locked(struct pool *pool)
{
	struct background *background = &pool->background;
	char name[16];

	(void)snprintf(name, sizeof(name), "chores-%u", background->threads_len % 10000);
	if (!start_thread(&background->threads[background->threads_len], background_main, pool, name))
		background->threads_len++;
}

/* Who waits looks again. A thread that could not be started is tried again. */
static void wake_background_locked(struct pool *pool)
{
	struct background *background = &pool->background;
	const struct pool_job *first = background->jobs.first;

	if (!first)
		return;
	if (first->run && !background->idle &&
		background->threads_len - background->parked < background->running_max)
		start_background_locked(pool);
	CHECK(pthread_cond_broadcast(&background->changed) == 0);
}

static struct pool_job *begin_background_locked(struct pool *pool)
{
	struct pool_job *job = queue_pop(&pool->background.jobs);

	pool->background.running++;
	wake_background_locked(pool);
	return job;
}

/* NULL: the pool closes, and nothing waits. */
static struct pool_job *await_background_locked(struct pool *pool)
{
	struct background *background = &pool->background;

	for (;;) {
		const struct pool_job *first = background->jobs.first;

		if (first && first->run && may_begin_locked(pool))
			return begin_background_locked(pool);
		if (!first && background->closing)
			return NULL;
		background->idle++;
		await_change_locked(pool);
		background->idle--;
	}
}

static void *background_main(void *arg)
{
	struct pool *pool = arg;
	struct pool_job *job;

	pool_lock(pool);
	while ((job = await_background_locked(pool))) {
		pool_unlock(pool);
		job_run(job);
		pool_lock(pool);
		pool->background.running--;
		wake_background_locked(pool);
	}
	CHECK(pthread_cond_broadcast(&pool->background.changed) == 0);
	pool_unlock(pool);
	return NULL;
}

static void give_way_locked(struct pool *pool)
{
	struct background *background = &pool->background;
	struct pool_job place = { .run = NULL };

	queue_add(&background->jobs, &place);
	background->running--;
	background->parked++;
	wake_background_locked(pool);
	while (background->jobs.first != &place || !may_begin_locked(pool))
		await_change_locked(pool);
	background->parked--;
	(void)begin_background_locked(pool);
}

void pool_give_way(struct pool *pool)
{
	const struct background *background = &pool->background;

	pool_lock(pool);
	CHECK(background->running > 0);
	if ((pool->jobs.first || background->jobs.first) && background->parked < POOL_PARKED_MAX)
		give_way_locked(pool);
	pool_unlock(pool);
}

void pool_push_background(struct pool *pool, pool_job_f *run, void *arg)
{
	struct pool_job *job = xnew(struct pool_job);

	CHECK(run);
	*job = (struct pool_job){ .run = run, .arg = arg };
	pool_lock(pool);
	CHECK(!pool->closing);
	queue_add(&pool->background.jobs, job);
	wake_background_locked(pool);
	pool_unlock(pool);
}

static void background_init(struct background *background, unsigned threads)
{
	pthread_condattr_t attr;

	CHECK(pthread_condattr_init(&attr) == 0);
	CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(&background->changed, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
	queue_init(&background->jobs);
	background->running_max = threads < 8 ? 1 : threads / 4;
	background->threads = xnew_array(pthread_t, background->running_max + POOL_PARKED_MAX);
}

/* What these push to the others is run by them still. */
static void close_background_locked(struct pool *pool)
{
	struct background *background = &pool->background;

	background->closing = true;
	CHECK(pthread_cond_broadcast(&background->changed) == 0);
	join_threads_locked(pool, &background->threads, &background->threads_len);
	CHECK(!background->jobs.first);
}

static void background_fini(struct background *background)
{
	(void)pthread_cond_destroy(&background->changed);
	free(background->threads);
}

/* ---- the others ---- */

static struct pool_job *pop_locked(struct pool *pool)
{
	struct pool_job *job = queue_pop(&pool->jobs);
	histogram_add(&pool->waits, (uint64_t)(clock_us() - job->queued_us));
	if (!pool->jobs.first)
		wake_background_locked(pool);
	return job;
}

static int start_thread_locked(struct pool *pool);

/* One thread comes at a time, and calls the next one when it is here: of many short jobs that are pushed at once a few threads do all
 * before the others would have come, while jobs that wait for a disk soon have all the threads that there are. */
static void call_thread_locked(struct pool *pool)
{
	if (!pool->jobs.first || pool->coming)
		return;
	if (pool->idle) {
		pool->coming++;
		CHECK(pthread_cond_signal(&pool->has_jobs) == 0);
	} else if (pool->threads_len < pool->threads_max && !start_thread_locked(pool)) {
		pool->coming++;
	}
}

/* It was the one that comes, or woke by itself: then one more may be called. */
static void came_locked(struct pool *pool)
{
	if (pool->coming)
		pool->coming--;
}

static void await_job_locked(struct pool *pool)
{
	while (!pool->jobs.first && !pool->closing) {
		pool->idle++;
		CHECK(pthread_cond_wait(&pool->has_jobs, &pool->lock) == 0);
		pool->idle--;
		came_locked(pool);
	}
}

static void *thread_main(void *arg)
{
	struct pool *pool = arg;
	pool_lock(pool);
	came_locked(pool);
	for (;;) {
		await_job_locked(pool);
		if (!pool->jobs.first)
			break;
		struct pool_job *job = pop_locked(pool);
		pool->running++;
		call_thread_locked(pool);
		pool_unlock(pool);
		job_run(job);
		pool_lock(pool);
		pool->running--;
		if (!pool->jobs.first && !pool->running)
			CHECK(pthread_cond_broadcast(&pool->settled) == 0);
	}
	pool_unlock(pool);
	return NULL;
}

static int start_thread_locked(struct pool *pool)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "pool-%u", pool->threads_len % 10000);
	int failed = start_thread(&pool->threads[pool->threads_len], thread_main, pool, name);
	if (!failed)
		pool->threads_len++;
	return failed;
}

bool pool_new(struct pool **ret_pool, unsigned threads, size_t queue_max, struct error *err)
{
	CHECK(threads > 0 && threads <= 4096);
	AUTO(pool) *pool = xnew(struct pool);
	lock_mutex_init(&pool->lock);
	CHECK(pthread_cond_init(&pool->has_jobs, NULL) == 0);
	CHECK(pthread_cond_init(&pool->settled, NULL) == 0);
	queue_init(&pool->jobs);
	background_init(&pool->background, threads);
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

void pool_settle(struct pool *pool)
{
	pool_lock(pool);
	while (pool->jobs.first || pool->running)
		CHECK(pthread_cond_wait(&pool->settled, &pool->lock) == 0);
	pool_unlock(pool);
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pool_lock(pool);
	close_background_locked(pool);
	pool->closing = true;
	CHECK(pthread_cond_broadcast(&pool->has_jobs) == 0);
	join_threads_locked(pool, &pool->threads, &pool->threads_len);
	CHECK(!pool->jobs.first);
	pool_unlock(pool);
	background_fini(&pool->background);
	(void)pthread_cond_destroy(&pool->has_jobs);
	(void)pthread_cond_destroy(&pool->settled);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

static bool pool_add(struct pool *pool, struct pool_job wanted, bool bounded)
{
	struct pool_job *job = xnew(struct pool_job);
	*job = wanted;
	pool_lock(pool);
	if (bounded && pool->jobs.len >= pool->queue_max) {
		pool_unlock(pool);
		free(job);
		return false;
	}
	queue_add(&pool->jobs, job);
	call_thread_locked(pool);
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
	const struct background *background = &pool->background;
	struct pool_stats stats = { pool->jobs.len, pool->running, pool->threads_len,
		{ background->jobs.len, background->running, background->threads_len } };
	pool_unlock(pool);
	return stats;
}

unsigned pool_size(const struct pool *pool)
{
	return pool->threads_max;
}

unsigned pool_background(const struct pool *pool)
{
	return pool->background.running_max;
}
