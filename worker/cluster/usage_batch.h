/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_batch - counts by (key, day) and by repository that add up, until they become reports.
 *
 * So many rows and so many bytes of names, no more: what comes beyond is counted under USAGE_OTHERS, so sums stay exact.
 * A batch may be more than one report can carry: it is read in chunks (USAGE_CHUNK_ROWS, USAGE_CHUNK_BYTES).
 * Thread  owner's.
 */
#pragma once

#include "common/map.h"
#include "proto/usage.h"
#include "worker/cluster/usage.h"

#define USAGE_BATCH_ROWS  50000u
#define USAGE_BATCH_NAMES (4u * 1024 * 1024)

struct usage_batch {
	struct map *rows;         /* "<key>\n<day>" -> struct usage_row * */
	struct map *repositories; /* name -> struct usage_repository * */
	size_t names;             /* bytes of them */
	size_t rows_max, names_max;
};
/* shares: so many batches have the above between them. */
void usage_batch_init(struct usage_batch *batch, unsigned shares);
void usage_batch_fini(struct usage_batch *batch);
void usage_batch_clear(struct usage_batch *batch);
bool usage_batch_is_empty(const struct usage_batch *batch);
void usage_batch_count(struct usage_batch *batch, const struct usage_event *event, const char day[11]);
/* Adds all of `from`, which is empty after. */
void usage_batch_merge(struct usage_batch *batch, struct usage_batch *from);
/* All of `from` is `to`'s, which was empty or not there; `from` is empty after. */
void usage_batch_move(struct usage_batch *to, struct usage_batch *from);

/* Where a reader has got to; zeros: nowhere yet. The batch may not change meanwhile. */
struct usage_batch_at { size_t row, repository; };
/* Copies of the next rows, as many as one report may carry; false: there are none left. */
bool usage_batch_chunk(const struct usage_batch *batch, struct usage_batch_at *at, struct usage_report *report);
