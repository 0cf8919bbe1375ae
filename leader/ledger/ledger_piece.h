/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_piece - some rows of a large write, as the bytes that lie aside in a ledger until they are settled.
 *
 * msgpack: an array of [entity, audit], both as bytes: entity_encode() of one that has its revision, and the row of the audit, empty where none
 * is wanted. The same in SQLite and in Redis, so one becomes the other while a write is not settled.
 *
 * Limits  LEDGER_PIECE_ROWS rows; the first that passes LEDGER_PIECE_BYTES is its last.
 * Thread  any; pure.
 */
#pragma once

#include "leader/ledger.h"

/* The lock is held while one is put aside, and while one is settled: a few milliseconds. */
#define LEDGER_PIECE_ROWS  128
#define LEDGER_PIECE_BYTES (256u * 1024)
/* With the longest last row. */
#define LEDGER_PIECE_MAX   (4u * 1024 * 1024)

/* As many changes as one piece takes, 1 at least; their entities have their revisions. *ret_len: how many. Fails where an entity is too large. */
bool ledger_piece_encode(const struct ledger_change *changes, size_t len, struct buf *into, size_t *ret_len, struct error *err) MUST_CHECK;
/* audit: NULL, or borrowed for the call, and its number is 0. False stops, with an error. */
typedef bool ledger_piece_f(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err);
/* Bytes that are none of ours are an error. */
bool ledger_piece_each(struct str piece, ledger_piece_f *fn, void *arg, struct error *err) MUST_CHECK;
