/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_memo - what an index remembers beside tags and manifests: which calls between workers took effect in it, which of the
 * repository's blobs are being deleted, which were lately, and how often that was done; and whether its name is out of the catalog, or
 * about to be (docs/storage-protocol.md).
 *
 * Counted, and immutable while more than one holds it; NULL is an empty one. A change makes a new one, if anybody else has *memo, and replaces it.
 * Bounds: MEMO_CALLS_MAX calls, the oldest goes first; MEMO_CONDEMNED_MAX blobs at a time; of
 * MEMO_GONE_MAX that were removed lately the beginnings, the oldest go first.
 * Thread  any.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "proto/digest.h"
#include "worker/index/index.h"

#define MEMO_CALLS_MAX     256u
#define MEMO_CALLS_FOR_MS  (10 * 60 * 1000) /* in index.json */
#define MEMO_CONDEMNED_MAX (STORE_DELETE_MAX + 64u)
/* After `until` a condemned blob counts as kept by those who share the store's clock, give or take this. */
#define MEMO_GRACE_S   10
#define MEMO_CONDEMN_S 20 /* for so long a blob is condemned */

/* Whoever pushes may have been told so long ago that a blob is there. */
#define MEMO_GONE_MAX 4096u
#define MEMO_GONE_S   (24 * 60 * 60)

struct index_memo;
struct index_memo *index_memo_ref(struct index_memo *memo);
void index_memo_free(struct index_memo *memo); /* drops a reference */
AUTO_DEFINE(index_memo)

/* Calls. at_ms: wall clock of who made the change. */
void index_memo_add_call(struct index_memo **memo, const struct change_id *id, int64_t at_ms);
bool index_memo_has_call(const struct index_memo *memo, const struct change_id *id);
/* Every call after this moment is remembered. */
int64_t index_memo_forgot_ms(const struct index_memo *memo);

/* Blobs. until_s, now_s: store_clock_s(). */
bool index_memo_may_condemn(const struct index_memo *memo, int64_t now_s);
void index_memo_condemn(struct index_memo **memo, const struct digest *digest, int64_t until_s);
/* The condemnation until then, and no later one. */
void index_memo_removed(struct index_memo **memo, const struct digest *digest, int64_t until_s);
bool index_memo_is_condemned(const struct index_memo *memo, const struct digest *digest, int64_t now_s);
/* Was it, and nobody has said that this is over? */
bool index_memo_is_listed(const struct index_memo *memo, const struct digest *digest);
/* Was it condemned within MEMO_GONE_S? Maybe, where more were than are remembered: then only a question tells whether it is there. */
bool index_memo_may_be_gone(const struct index_memo *memo, const struct digest *digest, int64_t now_s);
/* Condemnations, and ends of them, since the index was made. */
uint64_t index_memo_removals(const struct index_memo *memo);

/* The name. Vacant: the catalog need not have it; whoever fills the repository puts it there first. until_s 0: nobody removes it any more. */
#define MEMO_VACATE_S 5 /* for so long it is removed */
void index_memo_vacate(struct index_memo **memo, int64_t until_s);
/* The removal until then, and no later one. */
void index_memo_vacated(struct index_memo **memo, int64_t until_s);
void index_memo_fill(struct index_memo **memo);
bool index_memo_is_vacant(const struct index_memo *memo);
/* May something that removes the name be on its way? */
bool index_memo_is_vacating(const struct index_memo *memo, int64_t now_s);

/* A time that a clock of ours can have said: what is read is not trusted further. */
#define MEMO_TIME_MAX (INT64_C(1) << 53)
static inline bool index_memo_is_time(int64_t time)
{
	return time >= 0 && time <= MEMO_TIME_MAX;
}
/* As a JSON object, without calls that are older than MEMO_CALLS_FOR_MS; an empty memo is not written. */
bool index_memo_is_empty(const struct index_memo *memo);
void index_memo_write(const struct index_memo *memo, int64_t now_ms, struct json_writer *into);
/* What is no memo of ours is passed over. */
struct index_memo *index_memo_read(const struct json *node);
