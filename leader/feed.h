/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - GET /api/cluster/state: answers at once, or parks the request until there is something newer.
 *
 *     ?since=R    the caller has revision R (0, none: the full state)
 *     ?digest=D   and this is its digest, 64 hex digits. Without it, or where the leader does not know that pair, the answer is the full
 *                 state; lines are content with the revision
 *     ?whole=1    no delta: the full state, at once
 *     ?wait=MS    at most so long for something newer than R, then 304; 0: at once
 *     Accept: application/x-ndjson   one entity a line, for people, without secrets
 *
 * A worker whose report is wanted now (members_want_reports()) is answered at once as if its time were over, with "Zot-Report: now";
 * one that has no parked poll, with its next that would be parked.
 *
 * Every write wakes all parked polls by one post. Those that need the same bytes wait for one encoding on the pool and
 * share its result.
 * Thread  the leader's loop, but for feed_changed() and feed_reports_wanted().
 */
#pragma once

#include <stdint.h>

struct feed;
struct http_request;
struct leader;
struct login_who;
struct feed *feed_new(struct leader *leader);
void feed_free(struct feed *feed); /* no poll is left: the server is gone */
/* Replies now or later. The hashes of passwords and keys are for workers: whoever else may ask gets lines, which leave
 * them out. */
void feed_serve(struct feed *feed, struct http_request *request, const struct login_who *who);
void feed_changed(struct feed *feed);        /* Thread  any */
void feed_reports_wanted(struct feed *feed); /* Thread  any. Those whose report is wanted are told */
void feed_close(struct feed *feed);   /* answers all parked polls with 304, parks no more */
uint64_t feed_parked(const struct feed *feed);
