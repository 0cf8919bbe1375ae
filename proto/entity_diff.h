/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_diff - what a write changed of an entity, as JSON for people and programs.
 *
 *     {"old":{"enabled":true},"new":{"enabled":false},"secrets":["passwordHash"],"omitted":["policies"]}
 *
 * `old` and `new` have the members that differ, each with its whole value, and no other. null: there was nothing, or there is nothing
 * any more; then the other one is whole. Write-only members say only that they changed, in
 * `secrets`. `omitted` names members that differ and are too long, or the others took the room. Lists that are empty are left out.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "proto/entity.h"

#define ENTITY_DIFF_MAX (8 * 1024)

/* NULL or a tombstone: nothing; one of them at least is an entity. Appends ENTITY_DIFF_MAX bytes at most. */
void entity_diff(const struct entity *old, const struct entity *made, struct buf *into);
