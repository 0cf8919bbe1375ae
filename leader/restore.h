/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore - zot-leader restore FILE, restore --from-worker FILE|URL and restore --from-backup [FILE]: the ledger of a leader that does
 * not run becomes another one.
 *
 *     FILE                a backup, or a copy of a leader.db
 *     --from-worker FILE  state.bin of a worker
 *     --from-worker URL   a worker that runs: asked for its state with a token that ZOT_CLUSTER_SECRET signs, or, where workers
 *                         have none, CLUSTER_LEADER_CLIENT_SECRET (proto/state_token.h)
 *     --from-backup       the backup of the state that lies where CLUSTER_BACKUP_... says (state_backup.h)
 *     --from-backup FILE  one that was fetched from there; opened with CLUSTER_BACKUP_KEY, too
 *
 * Workers follow it, because its generation is higher (proto/history.h).
 * Thread  main of a command.
 */
#pragma once

#include <stdbool.h>

struct leader_settings;
struct restore_from {
	const char *file;    /* NULL with a worker; with a backup it may be */
	const char *worker;  /* NULL with a file */
	bool backup;         /* of the state */
	const char *ca_file; /* towards an https worker; NULL: the system's */
};
/* The process's exit status. */
int restore_run(const struct leader_settings *settings, const struct restore_from *from);
