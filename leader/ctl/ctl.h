/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl - zot-leader ctl: the admin API from the command line, on any machine.
 *
 *     zot-leader ctl get user --leader https://leader:8080 --user ann
 *
 * It knows nothing of the leader but its API: HTTP and JSON. Tables are for people; with --json a program gets the API's bytes.
 * Status: 0 done, 1 refused or failed, 2 wrong use of the command line, 3 no leader was reached.
 *
 * Thread  main.
 */
#pragma once

#include "common/command.h"

extern const struct command_table ctl_commands;

enum ctl_status { CTL_DONE, CTL_FAILED, CTL_WRONG_USE, CTL_UNREACHABLE };

/* The rows of the table. */
typedef int ctl_command_f(const struct command_call *call);
ctl_command_f ctl_get, ctl_create, ctl_set, ctl_delete, ctl_rotate;       /* ctl_entities.c */
ctl_command_f ctl_members, ctl_forget, ctl_usage, ctl_audit, ctl_access;  /* ctl_cluster.c */
ctl_command_f ctl_drain, ctl_undrain, ctl_evacuate, ctl_rescue;           /* ctl_drain.c */
ctl_command_f ctl_chores, ctl_chore;                                      /* ctl_chores.c */
ctl_command_f ctl_watch;                                                  /* ctl_watch.c */
ctl_command_f ctl_live;                                                   /* ctl_live.c */
ctl_command_f ctl_export, ctl_import, ctl_bulk;                           /* ctl_transfer.c */

/* To stderr, behind "zot-leader ctl: ", without what would control a terminal. */
void ctl_say(const char *format, ...) PRINTF(1, 2);
/* The same; CTL_WRONG_USE. */
int ctl_wrong(const char *text);
