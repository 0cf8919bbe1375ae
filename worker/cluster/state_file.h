/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_file - the last good states on disk: each written whole, digest checked when read.
 *
 *     state.bin     the newest
 *     state.bin.1   what was the newest STATE_FILE_APART_MS before, or longer ago
 *     state.bin.2   the same before that
 *
 * A state takes the place of state.bin, which becomes .1, and that one .2, only where .1 has been there for so long: quick changes do
 * not push out what was good before them. Where the history changes (proto/history.h) the last of the old one always becomes .1, in the
 * place of an older one of the same history.
 * Whenever the process or the machine dies, those that are there are whole, and state.bin is one of them: .1 is made beside it, then it
 * is replaced by a rename.
 * Form: "ZOTSTATE1" sha256 (32 bytes) msgpack of the full state, with its history in it.
 *
 * Thread  pool, or start-up.
 */
#pragma once

#include "common/error.h"
#include "proto/state.h"

#define STATE_FILES 3
#define STATE_FILE_BEGINS "ZOTSTATE" /* and its format */
#define STATE_FILE_APART_MS (10 * 60 * 1000)

/* Now the state is known to be the newest: the file's age starts anew. */
bool state_file_touch(const char *path, struct error *err) MUST_CHECK;
/* before: what lies at `path`; NULL: nothing, or nothing that is worth to be kept. */
bool state_file_save(const char *path, const struct state *before, const struct state *state, struct error *err) MUST_CHECK;
/* The path of the older one of that place, 1 or 2; of 0 the path. */
void state_file_path(const char *path, unsigned place, struct buf *into);
/* One of them. *ret_age_ms: since it was last known to be the newest. ERROR_UNKNOWN when there is none; any other: it cannot
 * be read (data_file.h). */
bool state_file_load(const char *path, struct state **ret_state, int64_t *ret_age_ms, struct error *err) MUST_CHECK;
