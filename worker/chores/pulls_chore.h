/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulls_chore - pulls that were counted are written into the indexes of their repositories, those that are due (registry_write_pulls()).
 *
 * Each second; where nothing is due it is a look into memory.
 */
#pragma once

#include "worker/chores/chores.h"

struct registry;

void pulls_chore_add(struct chores *chores, struct registry *registry);
