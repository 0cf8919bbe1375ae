/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane - work of the pool that is done one at a time, so that much of it holds one thread and never more.
 *
 *     lane_take(key) --refused: too many----> false
 *          `---------- lane_do(run) -----> [ waits for its turn: by keys in a circle, within a key as it came ] --> run(arg)
 *                                                                         lane_leave()  <--------------------------'
 *
 * A key is whoever asks. A place may be taken before the work is there (while a body is read), so it bounds what waits in
 * memory: `each` places of one key, LANE_MOST in all. After each turn the thread is given back, so whatever else waits for the
 * pool has its turn too.
 *
 * Thread  any. run: pool.
 */
#pragma once

#include "common/cleanup.h"
#include "common/list.h"
#include "common/str.h"

#define LANE_MOST  256u
#define LANE_LONG  4u  /* each: of bodies that may be long */
#define LANE_SHORT 32u /* of short ones: who waits for an answer does not ask again meanwhile */

struct lane;
struct pool;
struct lane *lane_new(struct pool *pool);
void lane_free(struct lane *lane); /* after the pool */
AUTO_DEFINE(lane)

typedef void lane_run_f(void *arg);
struct lane_key;
/* All zeros: none was taken. It stays where it is until lane_leave(). */
struct lane_place {
	struct lane *lane;
	struct lane_key *key;
	struct list waiting;
	lane_run_f *run;
	void *arg;
};
bool lane_take(struct lane *lane, struct str key, unsigned each, struct lane_place *place) MUST_CHECK;
/* Once. It may have run, and the place may be gone, when this returns. */
void lane_do(struct lane_place *place, lane_run_f *run, void *arg);
/* Not while it waits for its turn. */
void lane_leave(struct lane_place *place);
