/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_backup - the newest state, put away where CLUSTER_BACKUP_... says (proto/backup.h): so workers start without a leader, and
 * the leaders' store can be made again.
 *
 * Looked at once in CLUSTER_BACKUP_EVERY: a state that is not there yet is written, one that is there for STATE_BACKUP_REFRESH_MS
 * is written again, so that its age says that leaders are alive. Any leader may write; what is there decides:
 *
 *     nothing                                    written
 *     a state that follows ours (history.h)      written: what is there is older, or from before a restore
 *     the same state                             written when it is old
 *     a later revision of the same history       not written: another leader was faster
 *     any other, or no backup                    not written, and told: the store has lost writes, or the place is another's
 *
 * So a leader that lost what was acknowledged, or is another cluster's, does not destroy the backup that it needs.
 * A failure is told, counted, and tried again at the next turn. An orderly end writes what is not written yet.
 *
 * Thread  as said at each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

struct error;
struct leader;
struct state_backup;

#define STATE_BACKUP_REFRESH_MS (5 * 60 * 1000)

/* Start. *ret_backup NULL where this leader writes none. */
bool state_backup_new(struct state_backup **ret_backup, struct leader *leader, struct error *err) MUST_CHECK;
/* Start, before the first start of an empty store: ERROR_CONFLICT, with what to do, where a backup is to be read and there is
 * one; it does not become this leader's by itself. */
bool state_backup_check_empty(struct leader *leader, struct error *err) MUST_CHECK;
/* The leader's loop: from now on, and no more. These and all that follow take NULL. */
void state_backup_start(struct state_backup *backup);
void state_backup_stop(struct state_backup *backup);
/* Main, after the pool has ended: what is not written is, or it is told. */
void state_backup_finish(struct state_backup *backup);
void state_backup_free(struct state_backup *backup);
/* Any thread. Milliseconds since the newest known backup was written, -1: none is known; and its revision. */
int64_t state_backup_age_ms(const struct state_backup *backup);
uint64_t state_backup_revision(const struct state_backup *backup);
