/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past_rings - the ring of now and those before it, as far as somebody may still hold a repository from their time.
 *
 * They lie in the store, in the note ".rings": {"format":1,"whole":true,"rings":[{"epoch","algorithm","key","members":[...]}, ...]}, the newest last, at most
 * PAST_RINGS_MAX. A ring that is written down is a promise: this worker acts by no older one any more, also after a restart.
 *
 *   whole   at the time of the first ring everybody held only what was theirs, and none is missing between it and now (epochs follow each
 *           other). Then whoever owned a repository in none of them does not hold it. Else anybody may.
 *
 * That is said of the cluster, not of who says it. So a member that does not know it (it is new, or missed a ring) believes another one, of a led cluster,
 * whose newest ring is its own (past_rings_learn()).
 *
 * What cannot be read is an error: guessing could make two owners.
 * Thread  pool, one at a time (the lock is the caller's); past_rings_may_hold(): any, of one that is not changed meanwhile.
 */
#pragma once

#include "proto/ring.h"

#define PAST_RINGS_MAX 8
#define PAST_RINGS_TEXT_MAX ((size_t)64 * 1024 * 1024)

struct buf;
struct store;
struct past_rings {
	struct ring *at[PAST_RINGS_MAX]; /* references; oldest first */
	size_t len;
	bool whole;
};
/* None yet: an empty one that is not whole. */
bool past_rings_load(struct store *store, struct past_rings *ret, struct error *err) MUST_CHECK;
void past_rings_fini(struct past_rings *rings);
void past_rings_copy(struct past_rings *into, const struct past_rings *from); /* references of its own */
/* This is the ring of now; durable when it returns. One that is the newest already changes nothing. led: epochs count. */
bool past_rings_adopt(struct past_rings *rings, struct store *store, struct ring *ring, bool led, struct error *err) MUST_CHECK;
/* What another member knows, ERROR_INVALID: its newest ring is not ours, or it does not know all either. Durable when it returns. */
bool past_rings_learn(struct past_rings *rings, struct store *store, const struct past_rings *told, struct error *err) MUST_CHECK;
/* The text of the note, as another member is told it, too. Of at most PAST_RINGS_TEXT_MAX; longer: the buf has failed. */
bool past_rings_parse(struct str text, struct past_rings *ret, struct error *err) MUST_CHECK;
void past_rings_format(const struct past_rings *rings, struct buf *into);
/* All hold only what is theirs by the newest: the others need not be known any more. Durable. */
bool past_rings_settled(struct past_rings *rings, struct store *store, struct error *err) MUST_CHECK;
/* NULL: none is known. */
struct ring *past_rings_newest(const struct past_rings *rings);
/* One that was left: a state from before it is all that we have. */
bool past_rings_is_past(const struct past_rings *rings, uint64_t mark);
/* May this member, not we, hold the repository though the newest ring gives it to us? */
bool past_rings_may_hold(const struct past_rings *rings, const char *member, struct str name);
