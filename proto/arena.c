/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - chunks in a list; the newest is the one that is being filled.
 */
#include "proto/arena.h"

#include <stdalign.h>

#include "common/check.h"

#define CHUNK_SIZE 4096u

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, room;
	alignas(max_align_t) char bytes[];
};

void arena_fini(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->taken = 0;
}

static struct arena_chunk *chunk_new(size_t room, struct arena_chunk *next)
{
	struct arena_chunk *chunk = check_alloc(1, sizeof(*chunk) + room);

	chunk->room = room;
	chunk->next = next;
	return chunk;
}

void *arena_take(struct arena *arena, size_t size)
{
	size_t align = alignof(max_align_t);
	struct arena_chunk *chunk = arena->chunks;
	void *at;

	if (size > arena->max || arena->taken > arena->max - size)
		return NULL;
	arena->taken += size;
	size = (size + align - 1) / align * align;
	if (!chunk || chunk->room - chunk->used < size)
		chunk = arena->chunks = chunk_new(size > CHUNK_SIZE ? size : CHUNK_SIZE, chunk);
	at = chunk->bytes + chunk->used;
	chunk->used += size;
	return at;
}

char *arena_text(struct arena *arena, struct str s)
{
	char *text = s.len < SIZE_MAX ? arena_take(arena, s.len + 1) : NULL;

	if (text && s.len)
		memcpy(text, s.at, s.len);
	return text;
}
