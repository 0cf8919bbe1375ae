/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_arena.h"

#include <stdalign.h>

#include "common/check.h"

#define CHUNK_SIZE ((size_t)16 * 1024)

struct graphql_chunk {
	struct graphql_chunk *next;
	alignas(max_align_t) char bytes[];
};

void graphql_arena_fini(struct graphql_arena *arena)
{
	while (arena->chunks) {
		struct graphql_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	*arena = (struct graphql_arena){ 0 };
}

void *graphql_arena_take(struct graphql_arena *arena, size_t size)
{
	void *at;

	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!arena->chunks || size > arena->room - arena->used) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		struct graphql_chunk *chunk = check_alloc(1, sizeof(*chunk) + room);

		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
		arena->room = room;
	}
	at = arena->chunks->bytes + arena->used;
	arena->used += size;
	return at;
}

struct str graphql_arena_str(struct graphql_arena *arena, struct str s)
{
	char *copy = graphql_arena_take(arena, s.len + 1);

	if (s.len)
		memcpy(copy, s.at, s.len);
	return str_from(copy, s.len);
}
