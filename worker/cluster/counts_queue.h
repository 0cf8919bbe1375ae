/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts_queue - what was counted and no leader has acknowledged: chunks that are fixed, and what still adds up behind them.
 *
 *     earlier boots' chunks | ours: (0, s1] (s1, s2] ... | pending (after, ...
 *     `------------ items, in order, never changed -----' `- may grow
 *
 * A chunk says (boot, after, seq): all that this boot counted after `after`, up to `seq`. What waits is written into the
 * journal, too, each time under a new and higher seq and the same `after`, and frozen under a still higher one: so whichever
 * of these texts a leader hears first, it cannot take the same count out of another.
 * A chunk may be sent once the journal has it (counts_queue_was_written).
 * Pure.   Thread  owner's.
 */
#pragma once

#include "worker/cluster/usage_batch.h"

/* Of the journal: what would be beyond is not written, and told. */
#define JOURNAL_MAX (64u * 1024 * 1024)

struct counts_item {
	struct usage_report report;
	bool writing, written; /* is in the journal's text that is being written; that was */
	int64_t not_before_ms;
};

struct counts_queue {
	const char *name, *process; /* ours; borrowed. The process is the boot too. */
	struct counts_item **items; /* each stays where it is */
	size_t len, room;
	struct usage_batch pending;
	uint64_t after, seq; /* of the newest chunk; the highest that was given out */
};

void counts_queue_init(struct counts_queue *queue, const char *name, const char *process);
void counts_queue_fini(struct counts_queue *queue);
/* Takes over what *report holds: of an earlier boot, or a final word of ours. */
void counts_queue_add(struct counts_queue *queue, struct usage_report *report);
/* What waits becomes chunks. */
void counts_queue_freeze(struct counts_queue *queue);
bool counts_queue_is_empty(const struct counts_queue *queue);
bool counts_queue_has_own(const struct counts_queue *queue); /* chunks of this boot */

/* The first that may be sent now: a boot's chunks go in their order. NULL: none, *ret_wait_ms until one may, INT64_MAX none ever. */
const struct usage_report *counts_queue_next(const struct counts_queue *queue, int64_t now_ms, int64_t *ret_wait_ms);
void counts_queue_drop(struct counts_queue *queue, const struct usage_report *report);
/* All chunks of its boot wait so long. */
void counts_queue_postpone(struct counts_queue *queue, const struct usage_report *report, int64_t until_ms);

/* The journal's text; false: not all of it has room. was_written: that text is on disk, or cannot be. */
bool counts_queue_lines(struct counts_queue *queue, struct buf *into);
void counts_queue_was_written(struct counts_queue *queue);
bool counts_queue_is_written(const struct counts_queue *queue, const struct usage_report *report);
