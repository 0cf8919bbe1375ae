/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_chore - files that killed processes left are removed, once after the start: temp files of the store, and spools of workers
 * on this folder that did not come back.
 */
#pragma once

#include "worker/chores/chores.h"

struct store;

struct sweep_chore {
	struct store *store;
	bool was_killed;    /* the process that was here before (spool_was_left) */
	int64_t before_s;   /* wall clock: what is younger is left alone */
	const char *spools; /* folder that the spools of all workers lie in; NULL: there is none */
};

/* The struct and its text outlive the pool. */
void sweep_chore_add(struct chores *chores, struct sweep_chore *sweep);
