/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest - the quotas that are nearest to their end, of all that keys, users and groups have.
 *
 *     each NEAREST_EVERY_MS:  those that are kept, anew  ---.
 *                             the next NEAREST_STEP of all --+--> one question to the ledger --> the NEAREST_KEPT of which most is taken
 *
 * So those that are kept are two seconds old, and a quota that belongs among them is there when the walk comes by: at once where there are up to
 * NEAREST_STEP, else after a round, two seconds for each NEAREST_STEP. A quota of which nothing is taken is not kept. Memory and what one
 * step costs are the same however many there are (some 3 ms of the lock with SQLite).
 *
 * Thread  any, a lock of its own; nearest_start, nearest_stop: the leader's loop.
 */
#pragma once

#include "common/json.h"
#include "proto/state.h"

#define NEAREST_EVERY_MS 2000
#define NEAREST_KEPT     20
#define NEAREST_STEP     500

struct leader;
struct nearest;
struct nearest *nearest_new(struct leader *leader);
void nearest_free(struct nearest *nearest); /* the pool is gone */
void nearest_start(struct nearest *nearest);
void nearest_stop(struct nearest *nearest);
/* Pool. One step; nearest_start() does it. */
void nearest_step(struct nearest *nearest);

/* Which part is taken of the one nearest to its end; NAN: nobody has looked yet. */
double nearest_most(struct nearest *nearest);
/* Another number where something of it has changed. */
uint64_t nearest_stamp(struct nearest *nearest);
/* [{"subject","label","kind","window","limit","used","granted","remaining","reset"}], the nearest first; label: of keys. */
void nearest_write(struct nearest *nearest, const struct state *state, struct json_writer *w);
