/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expire_chore - uploads that nobody touched for too long are ended, each minute.
 */
#pragma once

#include "worker/chores/chores.h"

struct uploads;

void expire_chore_add(struct chores *chores, struct uploads *uploads);
