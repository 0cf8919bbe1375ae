/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_record - what this worker has written down about one repository that moves, or has moved: a note of the store (store_note_put()).
 *
 *   {"format":1,"state":"taking","to":"b","frozen":7,"from":["a"]}       its index is on its way to here; we had given it to b before
 *   {"format":1,"state":"moving","from":["a"],"gone":["sha256:..."]}     its index is here and ours; blobs may still lie at those of "from"
 *   {"format":1,"state":"given","to":"b","frozen":7,"taken":true,"done":1790000000}   it is b's. frozen: the ring by which it ceased to be ours;
 *                                                                        taken: b has the index; done: since then (wall clock) b has all
 *
 * A repository without a record is ours if its index is here: held.
 *
 *        (held) --give--> given --take back--> taking --index is here--> moving --all is here--> (held)
 *        (none) --------------- take --------> taking                       `---give--> given
 *        given, done, and the time of grace over --removed--> (none)
 *
 * A plain value. Bounds: MOVE_SOURCES_MAX, MOVE_GONE_MAX.
 * Thread  any; moves.c guards those in memory.
 */
#pragma once

#include "proto/digest.h"
#include "proto/ring.h"

#define MOVE_SOURCES_MAX 8
#define MOVE_GONE_MAX    1000

struct store;
enum move_state { MOVE_TAKING, MOVE_MOVING, MOVE_GIVEN };
struct move_record {
	enum move_state state;
	char to[RING_MEMBER_ID_MAX + 1]; /* "": nobody */
	char from[MOVE_SOURCES_MAX][RING_MEMBER_ID_MAX + 1];
	size_t from_len;
	int64_t frozen; /* an epoch; of copies that were given away the one with the highest is the newest. 0: it was not given */
	bool taken;
	int64_t done_s; /* 0: not yet */
	struct digest *gone; /* heap: deleted here, not to be fetched again */
	size_t gone_len;
};
void move_record_free(struct move_record *record);
AUTO_DEFINE(move_record)
struct move_record *move_record_dup(const struct move_record *record);
/* False: there is no room for another one. One that is there is not added again. */
bool move_record_add_from(struct move_record *record, const char *member);
bool move_record_is_gone(const struct move_record *record, const struct digest *digest);
/* ERROR_BUSY: MOVE_GONE_MAX. */
bool move_record_add_gone(struct move_record *record, const struct digest *digest, struct error *err) MUST_CHECK;

bool move_record_read(struct store *store, struct str name, struct move_record **ret, struct error *err) MUST_CHECK;
bool move_record_write(struct store *store, struct str name, const struct move_record *record, struct error *err) MUST_CHECK;
/* The same of a text, for what reads and writes it. */
bool move_record_parse(struct str text, struct move_record **ret, struct error *err) MUST_CHECK;
void move_record_format(const struct move_record *record, struct buf *into);
