/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dedupe_chore - the same blob in several repositories of a folder becomes one file, and what the index of blobs has alone goes (store_dedupe()):
 * soon after the start, and an hour after each run that came to its end.
 */
#pragma once

#include "worker/chores/chores.h"

struct store;

struct dedupe_chore {
	struct store *store;
	int64_t next_ms; /* private */
};

/* The struct outlives the pool. */
void dedupe_chore_add(struct chores *chores, struct dedupe_chore *dedupe);
