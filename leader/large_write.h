/* SPDX-License-Identifier: Apache-2.0 */
/*
 * large_write - many changes as one write that does not keep others waiting.
 *
 *     decided on a state --> made, encoded --> put aside piece by piece --> published --> settled piece by piece
 *      no lock                no lock           the lock, some ms each       the lock      the lock, some ms each
 *
 * All of it has one revision, and counts from its publishing on: in the ledger, durable, and in memory. Before that nothing has happened.
 *
 * What others write meanwhile stays, as if it had come behind: with the lock it is put over what this write makes. Where it touched an entity
 * of this write, or a user, or needs an owner that goes with it, the write is STALE and its caller decides anew. The revision is chosen
 * ahead, so that they have numbers below it: LARGE_WRITE_AHEAD and one for each fifty changes. Where they used these up it is STALE too.
 *
 * Memory  of the entities twice, and of a piece. One large write at a time in a process; another one waits.
 * Thread  pool, without the lock.
 */
#pragma once

#include "leader/leader.h"

/* So many are written at once under the lock, in some 50 ms; more of them go this way. */
#define LARGE_WRITE_FROM 500
#define LARGE_WRITE_AHEAD 1000
/* How often a caller decides anew. */
#define LARGE_WRITE_TRIES 5

struct large_write {
	const struct state *on;              /* what it was decided on */
	const struct ledger_change *changes; /* of no entity two; `check` is not looked at */
	size_t len;
	/* Of the state that comes of it, without the lock; NULL: nothing to check. */
	bool (*check)(void *arg, const struct state *then, struct error *err);
	/* Is it allowed still? Of the newest state, with the lock. */
	bool (*may)(void *arg, const struct state *now, struct error *err);
	void *arg;
};
enum ledger_result large_write(struct leader *leader, const struct large_write *write, uint64_t *ret_revision, struct error *err) MUST_CHECK;

/* What is published and not settled is: for who needs all rows of the audit. */
bool large_write_settle(struct leader *leader, struct error *err) MUST_CHECK;
/* Pool, with the lock: some pieces of one whose process died, for the sweep. */
void large_write_sweep_locked(struct leader *leader);
