/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_write - publishes the ring that the members make.
 *
 *     live and active    -> in the ring as active
 *     live and draining  -> in the ring as draining: owns nothing, is still reached for its uploads
 *     live, and drained by an operator (entity kind drain) -> the same
 *     joining, lost, left, of another cluster secret than most -> not in the ring
 * Where each worker's storage is its own (settings: isolated), nobody else has a member's repositories: every member
 * that was in the ring stays in it, active, until an admin forgets it, or drains it by force.
 *
 * The ring is an entity, written by compare-and-swap on its revision with the next epoch. Changes that come within
 * 50 ms of each other are one write; a member that goes is written at once. Every sweep (sweep.h) compares the ring with the
 * members, so what could not be written, or was changed by another, is mended by the next. That hearing has ended (hearing.h)
 * is stored with it.
 *
 * Thread  as said.
 */
#pragma once

struct leader;
struct ring_write;
struct ring_write *ring_write_new(struct leader *leader);
void ring_write_free(struct ring_write *write);
void ring_write_stop(struct ring_write *write);  /* own loop */
void ring_write_due(struct ring_write *write);   /* Thread  any: within 50 ms */
/* Pool, leader_lock() held: now. What goes wrong is logged, and tried again by the next sweep. */
void ring_write_now_locked(struct ring_write *write);
