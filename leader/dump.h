/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump - the state as a file (CLUSTER_LEADER_DUMP_PATH), one entity a line, whole or not at all.
 *
 * Written after changes, one at a time, always the newest; a file that cannot be written is logged, and tried again
 * with the next change.
 */
#pragma once

/* With what such a file begins. */
#define DUMP_BEGINS "{\"kind\":"

struct dump;
struct leader;
struct dump *dump_new(struct leader *leader, const char *path);
void dump_free(struct dump *dump);    /* the pool is gone */
void dump_changed(struct dump *dump); /* Thread  any; dump NULL: nothing */
