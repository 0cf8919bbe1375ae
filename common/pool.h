/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - the threads that may block: disk, fsync, bcrypt, SQLite, hashing, S3 metadata calls.
 *
 * The queue is bounded; when it is full pool_submit() says so (the caller answers 503 with
 * Retry-After) and pool_push() goes over the bound: it is for the second half of something that
 * was already admitted. Threads are started as they are needed, up to the size, and called one after the other: each calls the next when it is
 * there and jobs are left, so that many short jobs that come at once do not wake them all.
 *
 * Background jobs are what nobody waits for, and may take hours. They have threads of their own, so no other job ever waits
 * for one of them to end; of those threads a quarter of the pool's size, at least one, run at a time:
 *
 *     pool_push_background() --> [ waits, in order ] --place is free, and no other job waits for a thread--> runs --> ends
 *                                        ^                                                                    |
 *                                        +------------------------ pool_give_way() ---------------------------+
 *
 *   not starved   who is first in the row and has waited for POOL_PATIENCE_MS begins though other jobs wait. Who stands
 *                 behind others waits until they end or give way: a job that is long gives way.
 *   memory        one that gives way keeps its thread; with POOL_PARKED_MAX of them the next goes on instead.
 *
 * Thread  any.
 */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"

#define POOL_PATIENCE_MS 200
#define POOL_PARKED_MAX  16

struct histogram;
struct loop;
struct pool;
typedef void pool_job_f(void *arg);

bool pool_new(struct pool **ret_pool, unsigned threads, size_t queue_max, struct error *err) MUST_CHECK;
/* Waits until no job is queued or runs, those that jobs push included; not for the background. Whoever else pushes has ended. */
void pool_settle(struct pool *pool);
/* Runs what is queued, background jobs first, joins the threads. */
void pool_free(struct pool *pool);
AUTO_DEFINE(pool)

bool pool_submit(struct pool *pool, pool_job_f *run, void *arg) MUST_CHECK; /* false: queue full */
void pool_push(struct pool *pool, pool_job_f *run, void *arg);
/* run(arg) on the pool, then done(arg) on the loop. False: queue full, neither will run. */
bool pool_submit_then(struct pool *pool, pool_job_f *run, struct loop *loop, pool_job_f *done, void *arg) MUST_CHECK;

/* There is no bound: who pushes knows how many there can be. Not once pool_free() has run all background jobs. */
void pool_push_background(struct pool *pool, pool_job_f *run, void *arg);
/* By a background job, between two of its steps: where somebody waits for a thread it stands at the end of the row again, and
 * returns when it may go on. */
void pool_give_way(struct pool *pool);

struct pool_stats {
	size_t queued, running, threads;
	struct { size_t queued, running, threads; } background; /* queued: also those that gave way */
};
/* How long jobs (no background ones) waited for a thread, since the start. */
void pool_waits(struct pool *pool, struct histogram *into);
struct pool_stats pool_stats(struct pool *pool);
unsigned pool_size(const struct pool *pool);       /* threads, at most, without those of the background */
unsigned pool_background(const struct pool *pool); /* background jobs that run at a time, at most */
