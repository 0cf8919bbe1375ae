/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weigh_chore - what of the store is this worker's: bytes, blobs, manifests and tags of the repositories that it owns.
 *
 * Each repository belongs to one worker at a time, so that the sum over all workers is what the storage holds, and nothing is counted
 * twice; while the ring changes it is out by what has changed hands, until all have weighed again. A blob that several repositories have
 * counts in each. What it finds is in the beats (proto/usage.h) and in the metrics.
 *
 *     a walk: the catalog, page by page --ours?--> store_usage() of each --changed?--> its index --> the sum, told when the walk is over
 *
 * Blobs are counted where their bytes are, which costs no request more. Manifests and tags are what the index says, which is looked at (and loaded, where it
 * is not in memory) of those alone that were changed since the last walk (weigh_rows.h), and of all once in WEIGH_AGAIN_MS.
 *
 * A walk begins WEIGH_SOON_MS after the last where the ring or an index was changed since it began, else WEIGH_EVERY_MS after it; where
 * each question costs money, WEIGH_BUCKET_... later. And never before WEIGH_PAUSE_TIMES as long has gone by as the last one took: so large
 * stores cost a fiftieth of one thread, and a bucket some 60,000 questions a day, at most.
 *
 * Thread  pool; weigh_told(), weigh_find(): any.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "common/str.h"
#include "worker/chores/chores.h"
#include "worker/chores/weigh_rows.h"

#define WEIGH_SOON_MS         3000
#define WEIGH_EVERY_MS        60000
#define WEIGH_BUCKET_SOON_MS  300000
#define WEIGH_BUCKET_EVERY_MS 3600000
#define WEIGH_PAUSE_TIMES     50
#define WEIGH_AGAIN_MS        (24 * 60 * 60 * 1000)

struct registry;

struct weigh_whose {
	/* A number that is another one where the ring is; 0: who owns what is not known yet, nothing is weighed. */
	uint64_t (*ring)(void *arg);
	bool (*is_ours)(void *arg, struct str name);
	uint64_t (*changes)(void *arg); /* of indexes, that were asked for here; of weigh_chore alone */
	void *arg;
};

struct weighed {
	bool known;   /* a walk has ended */
	uint64_t bytes, repositories, blobs;
	uint64_t manifests, tags; /* of those whose index could be read: */
	uint64_t unread;          /* so many could not */
};

struct weigh_chore {
	struct registry *registry;
	bool is_bucket;
	struct weigh_whose whose;
	/* Private. */
	uint64_t ring, changes;    /* as the last walk found them */
	int64_t soon_ms, next_ms;  /* when the next one begins */
	int64_t again_ms;          /* when all indexes are looked at again */
	struct weigh_rows *rows;
	pthread_mutex_t lock;      /* of what was found */
	struct weighed found;
};

/* The struct outlives the pool; it is filled in but for what is private. Before the first change. */
void weigh_chore_add(struct chores *chores, struct weigh_chore *weigh);
/* When the indexes are freed. */
void weigh_chore_fini(struct weigh_chore *weigh);
struct weighed weigh_told(struct weigh_chore *weigh); /* NULL: nothing is known */
/* One repository, as the last walk that came to it found it. */
bool weigh_find(struct weigh_chore *weigh, struct str name, struct weigh_row *ret);
