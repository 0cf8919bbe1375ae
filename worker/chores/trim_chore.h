/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trim_chore - memory of connections that have gone goes back to the system.
 *
 * What many connections took lies between what others still have, so that the allocator keeps it: when half of those that were open
 * are gone it is looked for. Each second the connections are counted.
 */
#pragma once

#include "worker/chores/chores.h"

struct trim_chore {
	uint64_t (*count)(void *arg); /* connections that are open. Thread  pool */
	void *arg;
	uint64_t most; /* private: since memory was given back last */
};

/* The struct outlives the pool. */
void trim_chore_add(struct chores *chores, struct trim_chore *trim);
