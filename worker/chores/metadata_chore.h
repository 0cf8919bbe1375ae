/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_chore - what a search needs follows what is pushed (worker/metadata/metadata.h).
 *
 * It looks each METADATA_EVERY_MS, and metadata_soon_ms() after a change: metadata_chore_wake(). An administrator's run walks through all repositories.
 */
#pragma once

#include "worker/chores/chores.h"

#define METADATA_EVERY_MS 1000

struct metadata;
void metadata_chore_add(struct chores *chores, struct metadata *metadata);
/* Something changed. chores NULL: there are none yet. Thread  any; quick. */
void metadata_chore_wake(struct chores *chores, struct metadata *metadata);
