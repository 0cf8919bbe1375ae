/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_chore - repositories that zot or another tool makes in the store get their place in the catalog, while we run too.
 *
 * A folder is looked through at the start and then each every_ms. A bucket costs money, so there the mark that the last walk
 * left counts, whoever made it: of all workers on it one walks, and none at a start that comes soon after the last walk.
 * Each root of the store by what it is; a run that comes before a root is due is one question for its mark.
 */
#pragma once

#include "worker/chores/chores.h"

struct store;

struct import_chore {
	struct store *store;
	int64_t every_ms, bucket_every_ms; /* 0: at the start alone */
	void (*found)(void *found_arg, struct str name); /* one is in the catalog now; or NULL */
	void *found_arg;
	bool went_on;     /* private: the first run is over */
};

/* The struct outlives the pool. */
void import_chore_add(struct chores *chores, struct import_chore *import);
