/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - the threads that may block: disk, fsync, bcrypt, SQLite, hashing, S3 metadata calls.
 *
 * The queue is bounded; when it is full pool_submit() says so (the caller answers 503 with
 * Retry-After) and pool_push() goes over the bound: it is for the second half of something that
 * was already admitted. Threads are started as they are needed, up to the size.
 *
 * Thread  any.
 */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"

struct histogram;
struct loop;
struct pool;
typedef void pool_job_f(void *arg);

bool pool_new(struct pool **ret_pool, unsigned threads, size_t queue_max, struct error *err) MUST_CHECK;
/* Runs what is queued, joins the threads. */
void pool_free(struct pool *pool);
AUTO_DEFINE(pool)

bool pool_submit(struct pool *pool, pool_job_f *run, void *arg) MUST_CHECK; /* false: queue full */
void pool_push(struct pool *pool, pool_job_f *run, void *arg);
/* run(arg) on the pool, then done(arg) on the loop. False: queue full, neither will run. */
bool pool_submit_then(struct pool *pool, pool_job_f *run, struct loop *loop, pool_job_f *done, void *arg) MUST_CHECK;

struct pool_stats { size_t queued, running, threads; };
/* How long jobs waited for a thread, since the start. */
void pool_waits(struct pool *pool, struct histogram *into);
struct pool_stats pool_stats(struct pool *pool);
unsigned pool_size(const struct pool *pool); /* threads, at most */
