/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_chain - a whole state and the deltas that came after it, as one run of bytes that grows at its end: a worker's file.
 *
 *     "ZOTSTATE2"
 *     [ length, 8 bytes, the lowest first | sum, 32 bytes | document ]     the whole (state.h)
 *     [ ... ]                                                             a delta, and so on
 *
 * sum is SHA-256 of the sum before (zeros before the first), the length and the document: a section counts only behind the one
 * that it was written behind. Each document says besides which pair it leads to.
 *
 * Reading stops at the last section that is good, and says what is left. What is left is an end that was being written when the power
 * went (it was never acknowledged by a sync), or damage: `damaged` where something stands behind what is wrong. A damaged whole is an error.
 * "ZOTSTATE1", which has no deltas (state_unseal()), is read as well; it cannot be added to. Programs that know no other refuse this one as newer.
 *
 * Bounds: those of state.h for each document; as many sections as there are bytes. Thread  any.
 */
#pragma once

#include "proto/state.h"

#define STATE_CHAIN_FORMAT 2 /* the highest that is read */
#define STATE_CHAIN_SUM 32
#define STATE_CHAIN_MAX ((uint64_t)STATE_BYTES_MAX * 3)

/* Where it ends. Zeros: nothing can be added. */
struct state_chain {
	uint64_t whole, bytes; /* up to the end of the whole, of all */
	uint8_t sum[STATE_CHAIN_SUM];
};

/* A new one. Nothing can be added (zeros) where what is written is not the state's own digest: its leader tells of members that we do not know. */
void state_chain_begin(const struct state *state, struct buf *into, struct state_chain *ret_chain);
/* The delta as it came, which was applied to the state before. */
void state_chain_add(struct state_chain *chain, struct str delta, struct buf *into);

struct state_chain_read {
	struct state *state;      /* the caller's */
	struct state_chain chain; /* of what was read; to be added to only where nothing is left */
	uint64_t left;            /* bytes behind the last good section, 0: none */
	bool damaged;             /* these are no end that was cut */
	struct error why;         /* where some are left */
};
bool state_chain_read(struct str bytes, struct state_chain_read *ret, struct error *err) MUST_CHECK;
