/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves - isolated storage: a repository comes to the member that owns it by the ring of now.
 *
 *   the ring changes         a member acts by a ring only when it has written it down (past_rings.h), so an owner of before stays one of before
 *   asked for a repository   the new owner takes the index from whoever holds it, whole, and has it durably; from then on it answers for it, changes
 *                            included. Blobs are fetched when they are asked for, and all of them by the chore
 *   the old owner            writes down that it gave the repository away before it says what it was; it serves the blobs until the new one has all,
 *                            and removes its copy when the time of grace is over
 *
 * There is at most one holder at any moment, and only a holder can say what a repository is. So when nobody holds it, it is new; when
 * somebody who may hold it cannot be asked, it is 503. docs/storage-protocol.md, "A repository that moves", has the rules and docs/decisions/0044-repositories-move.md why.
 *
 * Where storage is shared nothing here does anything.
 *
 * Thread  as marked. What pool threads wait for at others is bounded: MOVES_WAIT_MS for each, MOVES_AT_ONCE together.
 */
#pragma once

#include <stdint.h>

#include "proto/digest.h"
#include "proto/ring.h"
#include "worker/auth/snapshot.h"

#define MOVES_PATH "/cluster/moves"
/* The query of a blob, between members: its owner had it, has not deleted it, and asks for what is left of a copy of before. */
#define MOVES_AGAIN "again=true"
#define MOVES_WAIT_MS 4000
#define MOVES_AT_ONCE 8

struct buf;
struct cluster;
struct moves;
struct pace;
struct pool;
struct registry;

struct moves_settings {
	struct cluster *cluster;
	struct registry *registry;
	struct pool *pool;
	const char *ca_file, *cert_file, *key_file; /* towards https members; each may be NULL */
	int64_t grace_ms;    /* a copy that was given away stays for so long after the new owner has all */
	int64_t bytes_per_s; /* that the chore fetches at most */
};
/* Hooks itself into the registry and its store. Before the first request. */
struct moves *moves_new(const struct moves_settings *settings);
void moves_stop(struct moves *moves); /* Thread  any: whoever waits for others gives up. NULL is fine */
void moves_free(struct moves *moves);
AUTO_DEFINE(moves)

/* Thread  any. Is it ours and whole, all its blobs among it, so that what lies here is all there is? True where storage is shared. NULL is fine. */
bool moves_is_settled(struct moves *moves, struct str name);
/* Thread  any. Is it ours, and its index here, though blobs of it may still be elsewhere? Else as above. */
bool moves_is_held(struct moves *moves, struct str name);
/* Thread  any; does not wait. A blob of a repository that another member owns: may a member that asks for it be told that it lies here? Not when all that
 * lay here went to its owner, who may have deleted it. */
bool moves_tells(struct moves *moves, struct str name, const struct digest *digest);

/* What a request wants of a repository that is ours by its snapshot. */
enum moves_want { MOVES_INDEX, MOVES_BLOB, MOVES_BLOB_DELETE };
/* Thread  any; does not wait. True: nothing is to be prepared. */
bool moves_is_ready(struct moves *moves, const struct snapshot *snapshot, struct str name, enum moves_want want);
struct moves_ask {
	struct str name;
	enum moves_want want;
	const struct digest *digest; /* of a blob */
};
/* Pool. True: it can be served: here, or (member not "") a blob by this member, which has it still. ERROR_UNAVAILABLE, ERROR_BUSY: later. */
bool moves_prepare(struct moves *moves, const struct moves_ask *ask, char ret_member[RING_MEMBER_ID_MAX + 1], struct error *err) MUST_CHECK;

/* Pool. A blob of a repository that is ours, which is rotten here, from a member that owned the repository before and has it still: it is in its place
 * when true. ERROR_UNKNOWN: none has it. */
bool moves_fetch_again(struct moves *moves, struct str name, const struct digest *digest, struct error *err) MUST_CHECK;

/* Of what others ask at MOVES_PATH. Pool. */
struct moves_question {
	const char *peer;  /* who asks, as members call each other */
	uint64_t ring;     /* the mark of its ring */
	bool is_post;
	struct str query;
};
unsigned moves_answer(struct moves *moves, const struct moves_question *question, struct buf *into); /* the status */

/* The chore: what is left to be taken, fetched, confirmed, removed. Pool. False: some of it went wrong, the first of that is told. */
bool moves_work(struct moves *moves, const struct pace *pace, struct error *err) MUST_CHECK;

/* Thread  any. */
struct moves_stats {
	bool known;           /* `held` is of the ring of now */
	uint64_t epoch;       /* of that ring */
	uint64_t held;        /* repositories that others own and have not taken from here, or not whole; and blobs that ended here behind that */
	uint64_t coming;      /* that came here and are not whole */
	uint64_t taken, given, removed, fetched_blobs, fetched_bytes; /* since the start */
};
struct moves_stats moves_stats(struct moves *moves);
