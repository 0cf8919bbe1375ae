/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health_checks - can what this worker stands on be used: the store, the spool, its own folder.
 *
 * Asking may wait for a disk that hangs, so it is done on the pool, by one job at a time, at most once in
 * HEALTH_CHECK_EVERY_MS; everybody else gets what was found then. A job that does not come back is told as
 * such, with the name of the check it hangs in.
 *
 *   storage   a folder: it can be written, and there is room (16 MiB, or a sixteenth of a small disk); S3: it answers
 *   storage /a  the same of a root of its own (storage.subPaths); told, but no reason not to be ready: all else is served
 *   spool     the same of the folder of uploads, and its limit is not reached
 *   data      the same of ZOT_WORKER_DATA
 *   cache     where there is one, its disk works; told, and no reason to be not ready
 *
 * Thread  any.
 */
#pragma once

#include "common/buf.h"

struct front;

#define HEALTH_CHECK_EVERY_MS 1000
#define HEALTH_CHECK_HANGS_MS 10000
#define HEALTH_LEAST_BYTES    ((uint64_t)16 * 1024 * 1024)

/* True: what is known is fresh enough, or being asked anew. False: the caller is the one for whom it is asked, and done(arg)
 * runs on a pool thread when the answer is there. */
bool health_checks_are_fresh(struct front *front, void (*done)(void *arg), void *arg);
/* The bit of the check of that name; 0: there is none. */
unsigned health_checks_bit(struct str name);
/* A line for each check: "storage: ok". False: one of them is not, among those whose bits are not in `excluded`. */
bool health_checks_write(unsigned excluded, struct buf *into);
/* zot_check_ok, as found last. What costs nobody anything (folders; a bucket is asked by /readyz alone) is asked again for the next
 * time. */
void health_checks_metrics(struct front *front, struct buf *into);
