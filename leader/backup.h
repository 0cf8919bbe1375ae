/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - zot-leader backup FILE: a copy of the store, from the leader that runs or from its folder.
 *
 * FILE is complete and checked before it has its name, and synced; one that is there is replaced only by force.
 * Thread  main of a command.
 */
#pragma once

#include <stdbool.h>

struct leader_settings;
/* The process's exit status. */
int backup_run(const struct leader_settings *settings, const char *file, bool force);
