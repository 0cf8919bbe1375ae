/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_arena - memory that is taken in pieces and given back as a whole.
 *
 * What is taken follows from a text that is bounded (graphql_limits.h), so the arena needs no bound of its own.
 *
 * Thread  owner's.
 */
#pragma once

#include <stddef.h>

#include "common/str.h"

struct graphql_chunk;
struct graphql_arena {
	struct graphql_chunk *chunks; /* NULL at first */
	size_t used, room;            /* of the first of them */
};
void graphql_arena_fini(struct graphql_arena *arena);

/* Zeroed, aligned for anything, never NULL. */
void      *graphql_arena_take(struct graphql_arena *arena, size_t size);
struct str graphql_arena_str(struct graphql_arena *arena, struct str s); /* a copy, terminated */
#define graphql_arena_new(arena, type) ((type *)graphql_arena_take((arena), sizeof(type)))
