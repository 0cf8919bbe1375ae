/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abandoned_chore - what killed workers left in a bucket of pushes that did not end is removed (store_abandoned()), by every worker, four times in
 * the time after which it is abandoned.
 */
#pragma once

#include "worker/chores/chores.h"

struct store;

/* The store outlives the pool. after_ms: as the store has it. */
void abandoned_chore_add(struct chores *chores, struct store *store, int64_t after_ms);
