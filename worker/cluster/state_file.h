/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_file - the last good states on disk.
 *
 *     state.bin     the newest: a whole state and the deltas since (proto/state_chain.h)
 *     state.bin.1   what lay there STATE_FILE_APART_MS before, or longer ago
 *     state.bin.2   the same before that
 *
 * A change is a delta behind the others, so what it costs does not grow with the state. The file is written whole where the deltas weigh half of the whole
 * (and STATE_FILE_DELTAS_LEAST), where the whole is STATE_FILE_WHOLE_MS old, and where the state came otherwise than by a delta of what is there.
 *
 * A whole takes the place of state.bin, which becomes .1, and that one .2, only where .1 has been there for so long: quick changes do
 * not push out what was good before them. Where the history changes (proto/history.h) the last of the old one always becomes .1, in the
 * place of an older one of the same history.
 *
 * Whenever the process or the machine dies, those that are there are good, and state.bin is one of them: .1 is made beside it, then it
 * is replaced by a rename. A delta that is cut short, or was not synced, is left out when the file is read: what was the newest before it counts.
 * Where one cannot be written or synced, the file is cut back to what was good, and written whole from then on. Nothing is added to a file that somebody else
 * replaced or changed.
 *
 * Format 1 ("ZOTSTATE1" sha256 msgpack, written whole each time) is read, and written over.
 *
 * Thread  pool, one at a time for a path, or start-up.
 */
#pragma once

#include "common/error.h"
#include "proto/state_chain.h"

#define STATE_FILES 3
#define STATE_FILE_BEGINS "ZOTSTATE" /* and its format */
#define STATE_FILE_APART_MS (10 * 60 * 1000)
#define STATE_FILE_WHOLE_MS (60 * 60 * 1000)
#define STATE_FILE_DELTAS_LEAST (1024u * 1024)

/* Where the next delta goes. Zeros: a whole one is due. */
struct state_file_end {
	struct state_chain chain;
	uint64_t device, inode;
	int64_t whole_ms; /* when the whole was written, or read; clock_ms() */
};
/* The deltas weigh so much, or the whole is so old, that the next write should be a whole one. */
bool state_file_is_due(const struct state_file_end *end, int64_t now_ms);

/* Deltas that follow each other, as they came. */
struct state_delta {
	struct state_delta *next;
	size_t len;
	char bytes[];
};

/* Now the state is known to be the newest: the file's age starts anew. */
bool state_file_touch(const char *path, struct error *err) MUST_CHECK;
/* Whole. before: what lies at `path`; NULL: nothing, or nothing that is worth to be kept. */
bool state_file_save(const char *path, const struct state *before, const struct state *state, struct state_file_end *ret_end,
		     struct error *err) MUST_CHECK;
/* One write and one sync for all of them. False: *end is zeros. */
bool state_file_add(const char *path, struct state_file_end *end, const struct state_delta *deltas, struct error *err) MUST_CHECK;
/* The path of the older one of that place, 1 or 2; of 0 the path. */
void state_file_path(const char *path, unsigned place, struct buf *into);

struct state_file_read {
	struct state_chain_read chain; /* its state is the caller's */
	struct state_file_end end;
	int64_t age_ms;                /* since it was last known to be the newest */
};
/* One of them, to its last good delta. ERROR_UNKNOWN when there is none; any other: it cannot be read (data_file.h). */
bool state_file_read(const char *path, struct state_file_read *ret, struct error *err) MUST_CHECK;
