/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chore_rows - what the leaders know of this worker's chores: which of them a beat brings.
 *
 *     all       at first and when a leader says that it knows none; then again after CHORE_ROWS_SOON_MS, after twice that, and so on to
 *               CHORE_ROWS_EVERY_MS: leaders that only overhear come to know them
 *     else      those that are not as the last beat that was taken had them; none: the beat is not longer by a byte
 *
 * Thread  the cluster's loop.
 */
#pragma once

#include <stdint.h>

#include "proto/usage.h"

#define CHORE_ROWS_SOON_MS  2000
#define CHORE_ROWS_EVERY_MS 60000

struct cluster_run;

struct chore_row_told {
	char name[USAGE_WORD_MAX + 1];
	uint64_t taken, sent; /* hashes; 0: nothing was */
};
struct chore_rows {
	struct chore_row_told at[USAGE_CHORES_MAX];
	size_t len;
	bool sent_all, want_all;
	int64_t all_ms, again_ms; /* when all were taken last, 0: never; and how much later they are told again */
};
/* Into a report that has none yet. */
void chore_rows_put(struct chore_rows *rows, const struct cluster_run *run, int64_t now_ms, struct usage_report *report);
/* It was answered so: the orders are done. */
void chore_rows_taken(struct chore_rows *rows, const struct cluster_run *run, const struct usage_answer *answer, int64_t now_ms);
