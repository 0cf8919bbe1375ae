/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_read - a state for a worker that has none and finds no leader: the leaders' backup (proto/backup.h).
 *
 * It is read after some questions in a row that no leader answered, and again a while later where that failed. Whole, of a
 * format that is known, opened with CLUSTER_BACKUP_KEY, not older than CLUSTER_BACKUP_MAX_AGE: else it is refused, and the log says why.
 * Its history is its state's, so that leaders are judged by it as by any other.
 *
 * Thread  the cluster's loop, which is checked; reading is the pool's.
 */
#pragma once

#include "worker/cluster/cluster_priv.h"

struct backup_read;
struct backup_taken {
	struct snapshot *snapshot; /* the callee's */
	unsigned rules_version;    /* that it was built with */
	int64_t age_ms;            /* since it was written */
};
typedef void backup_taken_f(void *arg, const struct backup_taken *taken);
/* NULL where none is to be read. All others take NULL. */
struct backup_read *backup_read_new(struct cluster *cluster, backup_taken_f *taken, void *arg);
/* After the pool has ended. */
void backup_read_free(struct backup_read *read);
/* No leader answered, and there is no state. */
void backup_read_missed(struct backup_read *read);
