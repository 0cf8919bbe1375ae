/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold_chore - logs of indexes that rest are folded, so that what reads index.json alone sees everything.
 *
 * Each second; which rest is a look into memory, and the writes are jobs of the pool.
 */
#pragma once

#include "worker/chores/chores.h"

struct indexes;

void fold_chore_add(struct chores *chores, struct indexes *indexes);
