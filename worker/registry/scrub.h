/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub - everything that lies in the store is read through: is it what its name says, and is there what is named?
 *
 *     the catalog, name by name --ours?--> its index and log, read from the store
 *        --> each blob: all bytes, against its digest (sha256, sha512)
 *        --> each manifest that the index lists: does it parse, has it the size that the index says, are config, layers and members there with
 *            the size that it says?
 *
 * A blob that is not what its name says, also when it is read a second time, is set aside (store_reading_set_aside()): absent from then on, never served,
 * replaced by the next push. Then a good copy is looked for, and put in its place:
 *
 *     manifests in memory | the cache before a bucket | another repository of this store | another member, which had the repository before
 *
 * each believed by its digest. What nobody has stays absent. What is only missing is told, and left alone: an image may name what it does not bring (docs/decisions/0006-sparse-images.md),
 * and another repository's blob is not for who names it. A manifest that the index lists was here: it is looked for like a rotten one.
 *
 * It is done in small steps, as many bytes at a time as the caller has (scrub_rate.h), and can be gone on with from a place. It takes part
 * in no change: a mark lies on the rotten bytes themselves, whatever is pushed, moved or removed meanwhile (docs/decisions/0057-rot-is-found.md).
 *
 * Files that were written within SCRUB_YOUNG_S are left for the next time: others copy into their place.
 *
 * Thread  pool, one at a time. Memory: a piece of SCRUB_PIECE, 256 names and digests, the index at hand, 8 bytes for each digest that it names (live_set.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/digest.h"
#include "proto/name.h"

struct json;
struct json_writer;
struct pace;
struct registry;
struct scrub;

#define SCRUB_PIECE   (1024u * 1024)
#define SCRUB_ASK     (16u * 1024) /* a question counts as so many bytes */
#define SCRUB_YOUNG_S 60

enum scrub_kind {
	SCRUB_ROTTEN,     /* a blob has not the digest that its name says */
	SCRUB_UNREADABLE, /* it cannot be read */
	SCRUB_MISSING,    /* a manifest names it, or the index lists it, and it is not there */
	SCRUB_SIZE,       /* it is there with another size than the manifest or index says */
	SCRUB_MALFORMED,  /* what an index lists is no manifest */
	SCRUB_INDEX,      /* index.json or its log cannot be read */
	SCRUB_KINDS,
};
const char *scrub_kind_name(enum scrub_kind kind); /* "rotten" */

enum scrub_fate {
	SCRUB_LEFT,      /* as it is */
	SCRUB_SET_ASIDE, /* absent until somebody pushes it */
	SCRUB_HEALED,    /* a good copy is in its place */
};
const char *scrub_fate_name(enum scrub_fate fate); /* "set aside" */

/* Borrowed, for the call. */
struct scrub_finding {
	enum scrub_kind kind;
	enum scrub_fate fate;
	const char *name;            /* repository */
	const struct digest *digest; /* NULL: its index */
	const char *why;
	const char *from;            /* healed: where from */
};
typedef void scrub_told_f(void *arg, const struct scrub_finding *finding);

struct scrub_how {
	bool dry_run;             /* it is told, and nothing is changed */
	const struct pace *pace;  /* or NULL */
	bool (*is_ours)(void *arg, struct str name); /* NULL: all are */
	/* A blob of this repository from another member, with its digest verified; false: none has it. NULL: there are none. */
	bool (*fetch)(void *arg, struct str name, const struct digest *digest);
	scrub_told_f *told;       /* or NULL */
	void *arg;
};

/* How far it is. */
struct scrub_place {
	char name[NAME_MAX_LEN + 1]; /* the repository; "": before the first */
	bool in_blobs;               /* behind this one; else at its index */
	struct digest last;
};
#define SCRUB_PLACE_TEXT_MAX 1024
/* As JSON. */
void scrub_place_write(const struct scrub_place *place, struct json_writer *into);
bool scrub_place_read(const struct json *node, struct scrub_place *ret) MUST_CHECK;

struct scrub_counts {
	uint64_t repositories, blobs, bytes; /* bytes: that were read, of blobs */
	uint64_t vouched;  /* blobs that were not read, since the store vouches for them */
	uint64_t young;    /* left for the next time */
	uint64_t aside;    /* that were set aside before, and are still */
	uint64_t back;     /* of these, that are right again */
	uint64_t found[SCRUB_KINDS];
	uint64_t set_aside, healed; /* of what was found; healed: also of what was set aside before */
	uint64_t failed;   /* what could not be looked at now */
};

/* place NULL: from the start. `how` is copied. */
struct scrub *scrub_new(struct registry *registry, const struct scrub_how *how, const struct scrub_place *place);
void scrub_free(struct scrub *scrub);
AUTO_DEFINE(scrub)
/* The pace of the next call; NULL: none. */
void scrub_set_pace(struct scrub *scrub, const struct pace *pace);
/* Goes on until about so many bytes were read, the pace says no, or it is over; how many were. */
uint64_t scrub_go_on(struct scrub *scrub, uint64_t bytes);
bool scrub_is_over(const struct scrub *scrub);
struct scrub_place scrub_place_of(const struct scrub *scrub);
struct scrub_counts scrub_counts_of(const struct scrub *scrub);
/* The last that went wrong; false: nothing did. */
bool scrub_failed(const struct scrub *scrub, struct error *ret);
