/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves_priv - what moves.c, move_take.c, move_give.c and move_work.c share.
 *
 * One lock guards what is in memory; it is never held while a disk or a member is asked. Who works on a repository, or fetches a blob, holds its key
 * (moves_hold()): one at a time.
 */
#pragma once

#include <stdatomic.h>

#include "common/lock.h"
#include "common/map.h"
#include "worker/moves/move_call.h"
#include "worker/moves/move_record.h"
#include "worker/moves/moves.h"
#include "worker/moves/past_rings.h"

#define RECENT_MAX 4
#define MOVES_ENDED_MAX 10000 /* blobs of a repository that move_left.c remembers; with more all that lies here is answered for */
#define MOVES_LATE_MAX  10000 /* blobs that move_late.c remembers; one more is looked for here when a push names it */
/* Blobs that came to an owner of before, with no index, are looked for there for so long after the ring has changed. */
#define STRAY_MS (10 * 60 * 1000)

struct moves {
	struct moves_settings settings;
	struct move_caller caller;
	struct store *store;
	struct indexes *indexes;
	struct lock adopting; /* one at a time writes .rings; taken before `lock` */
	struct past_rings rings; /* changed with both locks */
	struct lock lock;     /* guards what follows */
	pthread_cond_t free_key;
	bool loaded;
	uint64_t mark;        /* of the ring that `ready` and `settled` are of: it is written down; 0: none yet */
	struct map *records;  /* struct move_record, by repository */
	struct map *unread;   /* repositories whose note could not be read */
	struct map *held_keys;
	struct map *ready;    /* repositories that were seen to be ours, and here or nowhere */
	struct map *settled;  /* members that hold nothing of ours */
	struct map *clean;    /* members that hold nothing but theirs */
	struct map *named;    /* moving, and a push was told of a blob that it lies at a source, since those were last listed */
	struct map *ending;   /* moving, and its sources hear that all is here: a blob that is not must come first */
	struct map *left;     /* given away, and its owner has listed what lies here: move_left.c */
	struct map *late;     /* blobs of uploads that ended here, and are for another member: move_late.c */
	struct ring *recent[RECENT_MAX]; /* of before, newest first: where blobs without an index may be */
	int64_t stray_until_ms;
	unsigned waiting;     /* for a key, or for their turn to ask others */
	unsigned asking;      /* others for a repository */
	struct moves_stats stats;
	bool counted;         /* stats.held is of `mark` */
	uint64_t told_empty;  /* the mark of a ring that has us draining, by which nothing was left here: it was logged */
	_Atomic uint64_t quiet; /* the mark of a ring under which nothing is left to be taken; 0: none */
	_Atomic int64_t stray_ms;
	atomic_bool stopping;
};

void moves_lock(struct moves *moves);
void moves_unlock(struct moves *moves);

/* Pool. The ring of this snapshot is written down, and what is in memory is of it. UNAVAILABLE: it is one of before (see past_rings.h). */
bool moves_adopt(struct moves *moves, struct snapshot **ret_snapshot, struct error *err) MUST_CHECK;
/* The newest ring is still this one. */
bool moves_is_now(struct moves *moves, uint64_t mark);
/* Pool. Another member knows the rings before the one of this snapshot: durable, unless that is not the ring of now any more. */
bool moves_learn_rings(struct moves *moves, struct snapshot *snapshot, const struct past_rings *told, struct error *err) MUST_CHECK;
/* Of a repository; NULL: it has no place, or is none of an isolated cluster. */
const struct ring_member *moves_owner(const struct snapshot *snapshot, struct str name);
bool moves_owns(const struct snapshot *snapshot, struct str name);
/* What a copy that is given away by this ring is known by: in a led cluster the ring's epoch; a static one has none, there it is the wall clock. */
int64_t moves_frozen_by(const struct moves *moves, const struct ring *ring);
const char *moves_self(const struct moves *moves);

/* Pool. Nobody else has it until moves_drop_key(). BUSY: somebody else has, for too long. */
bool moves_hold(struct moves *moves, const char *key, int64_t ms, struct error *err) MUST_CHECK;
void moves_drop_key(struct moves *moves, const char *key);
/* The same for the right to ask others for a repository, which MOVES_AT_ONCE may. */
bool moves_begin_asking(struct moves *moves, struct error *err) MUST_CHECK;
void moves_end_asking(struct moves *moves);
void moves_rest(struct moves *moves, int64_t ms); /* waits, but not when the worker ends */

/* A copy, or NULL. */
struct move_record *moves_record(struct moves *moves, struct str name);
/* Durable, then in memory. NULL: there is none any more. */
bool moves_set_record(struct moves *moves, struct str name, const struct move_record *record, struct error *err) MUST_CHECK;
/* Its note could not be read: false, with that. */
bool moves_can_tell(struct moves *moves, struct str name, struct error *err) MUST_CHECK;
void moves_add_ready_locked(struct moves *moves, struct str name);

/* move_take.c. With the key of the repository held: it is ours, and here or new. */
bool moves_take(struct moves *moves, struct snapshot *snapshot, struct str name, struct error *err) MUST_CHECK;
/* The same, and takes the key. */
bool moves_settle(struct moves *moves, struct snapshot *snapshot, struct str name, struct error *err) MUST_CHECK;
/* By the ring of now it is ours, and its index here or nowhere: whoever owns it next lists what lies here. Pool. */
bool moves_bring(struct moves *moves, struct str name, struct error *err) MUST_CHECK;
/* Tells each source that is a member still; true: all have heard it. `stage`: "taken" or "done". */
bool moves_tell_sources(struct moves *moves, struct snapshot *snapshot, struct str name, const struct move_record *record,
			const char *stage, struct error *err) MUST_CHECK;
/* "<MOVES_PATH>?do=<verb>&name=<name>" */
void moves_target(const char *verb, struct str name, struct buf *into);

/* move_left.c. The owner begins to list what lies here of a repository that was given to it. */
void moves_begin_left(struct moves *moves, struct str name);
/* For the registry: an upload has ended here. */
void moves_ended(void *arg, struct str name, const struct digest *digest);
void moves_forget_left_locked(struct moves *moves, struct str name);
void moves_free_left(struct moves *moves);

/* move_late.c */
void moves_late_add(struct moves *moves, struct str name, const struct digest *digest); /* unless the repository is ours, and here */
/* Pool. Their owners fetch some of them. */
bool moves_hand_over(struct moves *moves, struct snapshot *snapshot, struct error *err) MUST_CHECK;
size_t moves_late_len(struct moves *moves);
void moves_free_late(struct moves *moves);

/* move_fetch.c */
struct move_sources {
	const char *at[MOVE_SOURCES_MAX];
	size_t len;
	struct move_record *record; /* or NULL: the blob may lie with one who owned the repository before */
	bool again;                 /* we had it: MOVES_AGAIN */
	char texts[MOVE_SOURCES_MAX][RING_MEMBER_ID_MAX + 1];
};
/* Who may have blobs of it that are not here. */
void moves_sources(struct moves *moves, struct str name, struct move_sources *ret);
void moves_sources_fini(struct move_sources *sources);
/* *ret_at: the place of one that has it. UNKNOWN: none has. UNAVAILABLE: one that may have it cannot be asked. */
bool moves_find_blob(struct moves *moves, struct snapshot *snapshot, struct str name, const struct digest *digest,
		     const struct move_sources *sources, size_t *ret_at, uint64_t *ret_size, struct error *err) MUST_CHECK;
/* The key of a blob: whoever fetches it, or writes down that it is deleted, holds it. */
void moves_blob_key(struct str name, const struct digest *digest, struct buf *into);
/* Whoever is told of a blob of a moving repository that a source has it may rely on it: the sources are listed once more before the record
 * ends. False: it does not move, or that was its end; fetch it. */
bool moves_name(struct moves *moves, struct str name);
/* The sources are listed from now on / nobody was told of one since then, and nobody will be any more, as long as the record is there. */
void moves_begin_listing(struct moves *moves, struct str name);
bool moves_try_end(struct moves *moves, struct str name) MUST_CHECK;
/* It is here when true, with the digest that its name says. paced: within bytes_per_s. */
bool moves_fetch(struct moves *moves, struct snapshot *snapshot, struct str name, const struct digest *digest,
		 const struct move_sources *sources, bool paced, struct error *err) MUST_CHECK;
bool moves_missing(void *arg, struct str name, const struct digest *digest, uint64_t *ret_size, struct buf *into, struct error *err);
