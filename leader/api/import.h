/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import - POST /api/import?mode=merge|replace&dryRun=true: what GET /api/export gave (api/export.c), or what somebody wrote like it, as
 * one write.
 *
 *     lines --> each checked by its kind's table --> what becomes of the state --> checked as a whole --> one revision
 *                                                       `- dryRun: what it would be
 *
 * merge     puts what is there; everything else stays
 * replace   and deletes all other entities of these kinds. What cannot be deleted (settings) stays; the ring and the history always do
 *
 * An entity that is the same already is not written again. What is wrong is said with the number of its line, and nothing was changed.
 * Refused is also what would leave a key without an owner, or no admin who can log in.
 * Others go on meanwhile (large_write.h): where they change the same entities, or users, it is decided anew, and after some tries 503.
 * Bounds: IMPORT_BYTES, and as many entities as a state may have; one import at a time, since its lines are in memory.
 *
 * Thread  pool.
 */
#pragma once

#include "proto/entity.h"

#define IMPORT_FORMAT 1
#define IMPORT_BYTES  ((size_t)512 * 1024 * 1024)

/* Is a kind one that administrators write? */
bool import_takes(enum entity_kind kind);
