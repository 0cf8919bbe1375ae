/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - scratch memory with a bound, given back all at once.
 *
 *     AUTO_FINI(arena) arena = arena_limit(ENTITY_BYTES_MAX);
 *     char *text = arena_take(&arena, len + 1);      zeroed; NULL when over the bound
 *
 * Thread  owner's.
 */
#pragma once

#include "common/str.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *chunks;
	size_t taken, max;
};

static inline struct arena arena_limit(size_t max) { return (struct arena){ .max = max }; }
void  arena_fini(struct arena *arena);
void *arena_take(struct arena *arena, size_t size);
/* The terminated copy; NULL when over the bound. */
char *arena_text(struct arena *arena, struct str s);
