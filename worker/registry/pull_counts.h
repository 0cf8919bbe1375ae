/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull_counts - pulls that are counted and not written yet: in memory, by repository.
 *
 *     pull_counts_add()  --> [a shard of few threads each] --+
 *        each pull           a look-up, under a lock that      +--> [repositories] --pull_counts_take()--> a batch, to be written
 *                            nobody else wants               --+     gathered now and then
 *
 * A batch is of one repository, and one is out at a time. It has an id, and keeps it and what it holds until it is told what became of it: a
 * record is written once, however often that is tried. What is counted meanwhile is for the next.
 *
 * Bounds   rows_max rows, a row being a digest and the tag that it was asked by, in one repository; twice that while they are gathered. Where
 *          three quarters are taken all repositories are due. What comes when none is free is lost, and counted as that.
 * Times    clock_ms() says what is due; when a pull was is store_clock_ms(), the caller's.
 * Thread   any.
 */
#pragma once

#include <stdint.h>

#include "proto/digest.h"
#include "proto/name.h"
#include "worker/index/index.h"

struct pull_counts;
struct pull_counts *pull_counts_new(size_t rows_max);
void pull_counts_free(struct pull_counts *counts);
AUTO_DEFINE(pull_counts)

/* tag NULL: it was asked for by its digest. */
void pull_counts_add(struct pull_counts *counts, struct str name, const struct digest *digest, const char *tag, int64_t pulled_ms);

struct pull_batch {
	char *name; /* repository */
	struct change_id id;
	int64_t sent_ms; /* wall clock, of the first try; 0: there was none. The caller's to set */
	uint64_t pulls_sum; /* of manifests; those by a tag are among them */
	size_t pulls_len;   /* at most INDEX_PULLS_AT_ONCE */
	struct index_pull pulls[]; /* texts of the batch's own */
};

/* Gathers, and up to `most` names of repositories whose first pull that is not written is so old, or of any where rows run out; none of
 * whose batch is out. The caller frees them. */
size_t pull_counts_due(struct pull_counts *counts, int64_t age_ms, char **ret_names, size_t most);
/* Gathers. What is to be written of this repository; NULL: nothing is, or its batch is out. */
struct pull_batch *pull_counts_take(struct pull_counts *counts, struct str name);
/* What became of it; the batch is the callee's again. KEEP: it will be taken once more, as it is, when it is due. */
enum pull_outcome { PULLS_WRITTEN, PULLS_KEEP, PULLS_GONE, PULLS_LOST }; /* gone: with their repository */
void pull_counts_end(struct pull_counts *counts, struct pull_batch *batch, enum pull_outcome outcome);
/* Waits until no batch of this repository is out, at most so long. False: one is. */
bool pull_counts_wait(struct pull_counts *counts, struct str name, int64_t ms) MUST_CHECK;

struct pull_counts_stats {
	uint64_t rows;          /* in memory */
	uint64_t written, lost; /* pulls, since the start */
};
struct pull_counts_stats pull_counts_stats(struct pull_counts *counts);
