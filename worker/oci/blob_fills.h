/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_fills - blobs on their way from the bucket into the cache, each fetched once however many read along.
 *
 *   bucket --> [ filler: fetch, hash, write ] --> file of the cache, growing --> sendfile --> reader, reader, ...
 *                  a thread of its own                    |
 *                                                         `-- whole, and its digest right --> an entry (blob_cache.h)
 *
 * A filler is a loop on a thread of its own that may wait for the disk; it never waits for a reader, and a reader only for bytes that are
 * not there yet. Nothing is kept in memory for either.
 *
 *   the last bytes    FILL_HOLD of them are held back from all readers until the digest is right: a wrong blob arrives nowhere whole
 *   cut               the rest is fetched from where it ended, a few times in a row without a byte
 *   no reader left    goes on if little is missing (FILL_ALONE bytes, or half), else it ends after FILL_ALONE_MS: who asks and leaves
 *                     does not make us fetch everything
 *   bounds            FILLS_MAX at a time; beyond them a blob is streamed without being kept
 *
 * Thread  marked. A reader belongs to the loop that it names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/digest.h"
#include "proto/name.h"

#define FILLS_MAX     64
#define FILL_HOLD     (64u * 1024)
#define FILL_ALONE    (64u * 1024 * 1024)
#define FILL_ALONE_MS 5000
#define FILL_PROOF_MS 10000

struct blob_cache;
struct blob_fills;
struct fill_reader;
struct loop;
struct store;

/* Thread  main. */
bool blob_fills_new(struct blob_fills **ret, struct store *store, struct blob_cache *cache, unsigned threads, struct error *err) MUST_CHECK;
/* No reader is left. Before the loops that had some are freed. NULL is fine. */
void blob_fills_free(struct blob_fills *fills);
AUTO_DEFINE(blob_fills)

enum fill_state {
	FILL_ASKING,
	FILL_FLOWING,  /* the size is known, and some bytes may be there */
	FILL_WHOLE,
	FILL_ABSENT,   /* the repository that it is fetched from has no such blob */
	FILL_NOT_KEPT, /* too large, or the disk: each reader goes on without the cache */
	FILL_FAILED,   /* the bucket */
	FILL_WRONG,    /* another digest */
};
struct fill_view {
	enum fill_state state;
	uint64_t size;
	uint64_t there; /* bytes from the begin that a reader may have */
};

struct fill_ask {
	struct name name;
	struct digest digest;
	uint64_t mark;  /* registry_seen_mark(), taken before */
	bool may_begin; /* where none is under way, and the cache has no entry: one of which the caller did not know a moment ago is found by looking again */
	/* Runs on this loop, once for each fill_reader_await(), never from inside a call of ours. */
	struct loop *loop;
	void (*wake)(void *arg);
	void *arg;
};
/* Thread  the reader's loop, like all that follow. NULL: none is under way, and none was begun. *ret_began: by this. */
struct fill_reader *blob_fills_read(struct blob_fills *fills, const struct fill_ask *ask, bool *ret_began);
void fill_reader_free(struct fill_reader *reader); /* it is not woken any more */
struct fill_view fill_reader_look(const struct fill_reader *reader);
/* Was it found in this repository at most FILL_PROOF_MS ago, and under this mark? Then it is proven that the repository has it; while it is
 * asked for it will be. */
bool fill_reader_is_of(const struct fill_reader *reader, const struct name *name, uint64_t mark);
/* Is it fetched from this repository? Only then its absence is this one's. */
bool fill_reader_is_from(const struct fill_reader *reader, const struct name *name);
/* To be woken when it is another view than this one, and worth it. */
void fill_reader_await(struct fill_reader *reader, const struct fill_view *seen);
/* The file, a descriptor of its own; where bytes are there. -1: there are no descriptors. */
int fill_reader_open(const struct fill_reader *reader);

/* Thread  any. */
struct blob_fills_stats {
	uint64_t running;       /* now */
	uint64_t failed, wrong; /* since the start */
};
struct blob_fills_stats blob_fills_stats(struct blob_fills *fills);
