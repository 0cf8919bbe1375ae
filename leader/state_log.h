/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_log - the newest state, the recent changes, and the encoded answers that are made of them.
 *
 * A full snapshot is encoded and compressed at most once a revision, a delta at most once for each (since, revision)
 * of the newest few; each is one immutable object of bytes, digest and revision, shared by all who ask.
 * The last 4,096 changes are kept for deltas; whoever is further behind gets the full state. A full state that is not
 * older than `cache_ms` is given although there are newer changes: these are the delta that follows.
 *
 * Who asks says the pair of revision and digest that it has. The pairs of the last 10,000 writes are known, those that the ledger kept among them:
 *
 *     known, the newest        nothing
 *     known                    the delta, or a full state that is not older [X10]
 *     older than those         the newest full state
 *     any other                nothing: it is of a history that this ledger does not have (history.h). The leader has lost writes [X1]
 *
 * Thread  any; one lock for the pointers. Encoding runs outside of it.
 */
#pragma once

#include "common/buf.h"
#include "proto/state.h"

#define STATE_LOG_CHANGES 4096
#define STATE_LOG_PAIRS 10000

struct state_log;
struct state_log *state_log_new(int compression, int64_t cache_ms); /* -1..9 */
void state_log_free(struct state_log *log);
/* At start, in the order of revisions: a pair of an earlier write. */
void state_log_load_pair(struct state_log *log, uint64_t revision, const uint8_t digest[STATE_DIGEST_BYTES]);
/* At start, after the pairs: what was loaded, in the order of revisions, tombstones too. Deletes up to `forgotten` are not among them. */
struct state_loaded {
	struct history history;
	uint64_t revision, forgotten;
};
void state_log_load(struct state_log *log, struct entity *const *entities, size_t len, const struct state_loaded *loaded);
/* One write: state_change() of the newest with these. The state is the log's from here. */
void state_log_apply(struct state_log *log, struct state *state, struct entity *const *changed, size_t len);
struct state *state_log_state(struct state_log *log); /* a reference */
uint64_t state_log_revision(struct state_log *log);

/* What was written after that revision, of each entity the newest, tombstones too: references, and the array is the caller's. NULL: it is too
 * long ago to know. */
struct entity **state_log_changes(struct state_log *log, uint64_t since, size_t *ret_len);
/* Bits (1 << kind) of the kinds of which entities were written after that revision. False: it is too long ago to know. */
bool state_log_kinds(struct state_log *log, uint64_t since, unsigned *ret_kinds);

struct state_answer { /* counted, immutable */
	uint64_t revision;
	bool full;
	char digest[72];          /* "sha256:<hex>" of the uncompressed bytes */
	char result[STATE_DIGEST_TEXT]; /* of the state that results */
	struct str plain;
	struct str gzip;          /* empty when compression is off */
};

/* digest_hex: 64 hex digits, or "": without one it is HISTORY_OLDER at best. Revision 0, nothing, is known. */
enum history_position state_log_position(struct state_log *log, uint64_t revision, const char *digest_hex);

struct state_question {
	uint64_t since;           /* 0: has nothing */
	char digest[STATE_DIGEST_TEXT]; /* "": did not say */
	bool whole;               /* no delta */
	bool lines;               /* for people: the revision alone will do */
};
struct state_want {
	bool full;                /* not older than since; else the delta from since on */
	bool lines;
	uint64_t since;
};
/* What is the answer? false: nothing, it has the newest. */
bool state_log_want(struct state_log *log, const struct state_question *question, struct state_want *ret);
/* The answer when it is there already, else NULL. Does not wait. */
struct state_answer *state_log_find(struct state_log *log, const struct state_want *want);
/* The answer, made if need be: pool. */
struct state_answer *state_log_answer(struct state_log *log, const struct state_want *want);
/* As lines of JSON, without secrets; not kept. */
struct state_answer *state_log_lines(struct state_log *log, const struct state_want *want);
struct state_answer *state_answer_ref(struct state_answer *answer);
void state_answer_free(struct state_answer *answer); /* drops a reference */
AUTO_DEFINE(state_answer)
