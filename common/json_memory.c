/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "common/check.h"
#include "common/lock.h"

#define ALIGN     alignof(max_align_t)
#define GROW_MAX  ((size_t)4 * 1024 * 1024)
#define MAP_LEAST ((size_t)128 * 1024)
#define WAIT_S    5

struct chunk {
	struct chunk *next;
	size_t size; /* with this head */
	bool mapped;
	alignas(ALIGN) char bytes[];
};

enum refusal { REFUSED_NOTHING, REFUSED_MAX, REFUSED_BUDGET };

struct json_memory {
	struct chunk *chunks; /* the newest first; what is handed out comes from it */
	size_t used, at, max; /* of all chunks; in the newest; allowed */
	char *last;           /* that was handed out, in the newest */
	size_t reserved;
	bool own;
	enum refusal refusal;
};

/* ---- the budget ---- */

static struct {
	struct lock lock;
	pthread_cond_t freed;
	size_t reserved;
} budget = { .lock = LOCK_INIT, .freed = PTHREAD_COND_INITIALIZER };

static bool fits_locked(size_t bytes)
{
	lock_assert(&budget.lock);
	return !budget.reserved ||
	       (bytes <= JSON_MEMORY_BUDGET && budget.reserved <= JSON_MEMORY_BUDGET - bytes);
}

static bool reserve(size_t bytes)
{
	struct timespec end;
	bool fits, more = true;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_S;
	lock_take(&budget.lock);
	while (!(fits = fits_locked(bytes)) && more)
		more = lock_wait_until(&budget.lock, &budget.freed, &end);
	if (fits)
		budget.reserved += bytes;
	lock_drop(&budget.lock);
	return fits;
}

static void give_back(size_t bytes)
{
	if (!bytes)
		return;
	lock_take(&budget.lock);
	budget.reserved -= bytes;
	CHECK(!pthread_cond_broadcast(&budget.freed));
	lock_drop(&budget.lock);
}

size_t json_memory_reserved(void)
{
	size_t reserved;

	lock_take(&budget.lock);
	reserved = budget.reserved;
	lock_drop(&budget.lock);
	return reserved;
}

/* ---- chunks ---- */

static struct chunk *chunk_new(size_t size)
{
	bool mapped = size >= MAP_LEAST;
	struct chunk *chunk =
		mapped ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		       : malloc(size);

	if (!chunk || chunk == MAP_FAILED)
		return NULL;
	chunk->size = size;
	chunk->mapped = mapped;
	return chunk;
}

static void chunk_free(struct chunk *chunk)
{
	if (chunk->mapped)
		CHECK(!munmap(chunk, chunk->size));
	else
		free(chunk);
}

static void *refuse(struct json_memory *memory, enum refusal refusal)
{
	memory->refusal = refusal;
	return NULL;
}

/* As much as there is already, so that their number stays small. */
static size_t size_of_next(const struct json_memory *memory, size_t least)
{
	size_t left = memory->max - memory->used, size = memory->used < GROW_MAX ? memory->used : GROW_MAX;

	size = size > least ? size : least;
	return size < left ? size : left;
}

static struct chunk *add_chunk(struct json_memory *memory, size_t len)
{
	size_t least = len + sizeof(struct chunk), size = size_of_next(memory, least);
	struct chunk *chunk;

	if (size < least)
		return refuse(memory, REFUSED_MAX);
	if (!memory->own && !memory->reserved && memory->used + size > JSON_MEMORY_SMALL) {
		if (!reserve(memory->max))
			return refuse(memory, REFUSED_BUDGET);
		memory->reserved = memory->max;
	}
	chunk = chunk_new(size);
	if (!chunk)
		return refuse(memory, REFUSED_BUDGET);
	chunk->next = memory->chunks;
	memory->chunks = chunk;
	memory->used += size;
	memory->at = 0;
	memory->last = NULL;
	return chunk;
}

/* ---- life and use ---- */

static struct json_memory *new (size_t first, size_t max, bool own)
{
	struct json_memory *memory = xnew(struct json_memory);

	memory->max = max;
	memory->own = own;
	(void)add_chunk(memory, first);
	return memory;
}

struct json_memory *json_memory_new(size_t first, size_t max)
{
	return new (first, max, false);
}

struct json_memory *json_memory_new_own(size_t first, size_t max)
{
	return new (first, max, true);
}

void json_memory_free(struct json_memory *memory)
{
	struct chunk *next;

	if (!memory)
		return;
	for (struct chunk *chunk = memory->chunks; chunk; chunk = next) {
		next = chunk->next;
		chunk_free(chunk);
	}
	give_back(memory->reserved);
	free(memory);
}

static size_t left(const struct json_memory *memory)
{
	const struct chunk *chunk = memory->chunks;

	return chunk ? chunk->size - sizeof(*chunk) - memory->at : 0;
}

void *json_memory_take(struct json_memory *memory, size_t len)
{
	if (len > SIZE_MAX / 2)
		return refuse(memory, REFUSED_MAX);
	len = (len + ALIGN - 1) / ALIGN * ALIGN;
	if (len > left(memory) && !add_chunk(memory, len))
		return NULL;
	memory->last = memory->chunks->bytes + memory->at;
	memory->at += len;
	return memory->last;
}

void json_memory_return(struct json_memory *memory, void *at)
{
	if (at && at == memory->last) {
		memory->at = (size_t)(memory->last - memory->chunks->bytes);
		memory->last = NULL;
	}
}

bool json_memory_refusal(const struct json_memory *memory, struct error *err)
{
	switch (memory->refusal) {
	case REFUSED_NOTHING:
		return true;
	case REFUSED_MAX:
		return error_set(err, ERROR_TOO_LARGE, NULL,
			"JSON with so many values that they do not fit into %zu KiB", memory->max / 1024);
	case REFUSED_BUDGET:
		break;
	}
	return error_set(err, ERROR_BUSY, NULL, "others have all memory for large JSON texts");
}

size_t json_memory_used(const struct json_memory *memory)
{
	return memory->used;
}
