/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep - what time does: a tenth of a lease apart, with the leader's lock, one thing after the other.
 *
 *     members whose lease is over are lost -> the ring without them -> rows of members that are to be stored
 *     -> that hearing has ended (hearing.h) -> members that are to be forgotten -> grants of former days
 *     -> credentials that are over, so that the peers' secret changes -> pieces of a large write whose process died
 *
 * What the ledger does not take stays due, and is tried again by the next one. To add something: its function where its
 * subject is, and a line in sweep_now_locked(), which says the order.
 *
 * Thread  as said.
 */
#pragma once

#include <stddef.h>

struct leader;
struct sweep;
struct sweep *sweep_new(struct leader *leader);
void sweep_free(struct sweep *sweep);
void sweep_start(struct sweep *sweep); /* own loop: the timer */
void sweep_stop(struct sweep *sweep);  /* own loop */
/* Pool, leader_lock() held: what the timer does. */
void sweep_now_locked(struct sweep *sweep);
/* Pool, leader_lock() held: these are in the state now. NULL: there is no sweep. */
struct entity;
void sweep_note_locked(struct sweep *sweep, struct entity *const *entities, size_t len);
