/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_keep - brings the newest state to its file (state_file.h), one write at a time, and reads it at the start.
 *
 *     newest --delta of what is there--> added and synced at once; those that come meanwhile go together in the next write
 *        `----anything else, or due----> written whole; then it rests 19 times as long as that worked, at most a minute
 *
 * What it promises. A state is served first and kept then, so that what was revoked is refused as soon as it can be; leaders wait for neither. What was served when the
 * process or the machine died may be missing by the deltas whose write was under way: some milliseconds of changes, or more where a disk is slow or full, or where many whole states come
 * (the log says state.save). Then a start without a leader serves what was before them, a key that was revoked in that moment too, until a leader answers.
 * Never: a state that no leader had, or one that is older than the newest that was synced.
 *
 * A write that failed is tried again after KEEP_AGAIN_MS, and with each change, as a whole one. Deltas that wait for a write are KEEP_WAITING_MAX bytes at most; then a whole is due.
 *
 * Thread  the cluster's loop; writing is the pool's.
 */
#pragma once

#include "proto/state.h"

#define KEEP_AGAIN_MS 10000
#define KEEP_WAITING_MAX (16u * 1024 * 1024)

struct cluster;
struct state_keep;
struct state_keep *state_keep_new(struct cluster *cluster);
/* After the pool has ended. */
void state_keep_free(struct state_keep *keep);

struct state_kept {
	struct state *state; /* the caller's */
	int64_t age_ms;      /* since it was last known to be the newest */
	unsigned place;      /* of the file, state_file_path() */
};
/* At the start: the newest that can be read. What cannot be read is told, and kept for people (data_file.h). False: there is none. */
bool state_keep_load(struct state_keep *keep, struct state_kept *ret);
const char *state_keep_path(const struct state_keep *keep);

/* This is the newest now, as a leader says. delta: the document that led to it from `from`, or empty. */
void state_keep_newest(struct state_keep *keep, const struct state *from, struct state *state, struct str delta);
/* The leader says that nothing changed: what is on disk is as new as that. */
void state_keep_touch(struct state_keep *keep);
/* What waits is written at once, and nothing from then on. */
void state_keep_stop(struct state_keep *keep);
