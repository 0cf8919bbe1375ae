/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/push_memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/check.h"
#include "common/lock.h"

#define LITTLE (256u * 1024) /* below it malloc() keeps what it has */
#define KEPT   4u            /* as many as one push uses */

struct push_memory {
	uint64_t most;
	atomic_uint_least64_t used;
	struct lock lock;
	/* Given back, all of one size, for who wants so much: new pages cost a third of what it costs to hash them. */
	char *kept[KEPT];
	unsigned kept_len;
	uint64_t kept_each;
};

struct push_memory *push_memory_new(uint64_t most)
{
	struct push_memory *memory = xnew(struct push_memory);

	memory->most = most;
	lock_init(&memory->lock);
	return memory;
}

static void drop_kept_locked(struct push_memory *memory)
{
	lock_assert(&memory->lock);
	while (memory->kept_len)
		CHECK(munmap(memory->kept[--memory->kept_len], memory->kept_each) == 0);
}

void push_memory_free(struct push_memory *memory)
{
	if (!memory)
		return;
	CHECK(!atomic_load(&memory->used));
	lock_take(&memory->lock);
	drop_kept_locked(memory);
	lock_drop(&memory->lock);
	lock_fini(&memory->lock);
	free(memory);
}

static bool reserve(struct push_memory *memory, uint64_t bytes)
{
	uint64_t used = atomic_load(&memory->used);

	do {
		if (bytes > memory->most || used > memory->most - bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&memory->used, &used, used + bytes));
	return true;
}

/* NULL: none of that size. What is kept besides makes room for it. */
static char *take_kept(struct push_memory *memory, uint64_t bytes)
{
	char *at = NULL;

	lock_take(&memory->lock);
	if (memory->kept_len && memory->kept_each == bytes)
		at = memory->kept[--memory->kept_len];
	else if (atomic_load(&memory->used) + memory->kept_len * memory->kept_each > memory->most)
		drop_kept_locked(memory);
	lock_drop(&memory->lock);
	return at;
}

static char *map(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	(void)madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

static char *find(struct push_memory *memory, uint64_t bytes)
{
	char *kept = bytes < LITTLE ? NULL : take_kept(memory, bytes);

	if (kept)
		return kept;
	return bytes < LITTLE ? malloc(bytes) : map(bytes);
}

char *push_memory_take(struct push_memory *memory, uint64_t bytes)
{
	char *at;

	if (!bytes || !reserve(memory, bytes))
		return NULL;
	at = find(memory, bytes);
	if (!at)
		atomic_fetch_sub(&memory->used, bytes);
	return at;
}

/* The largest are kept: of those many come one after the other. Who is short of memory takes the pages away. */
static bool keep(struct push_memory *memory, char *at, uint64_t bytes)
{
	bool kept;

	lock_take(&memory->lock);
	if (bytes > memory->kept_each) {
		drop_kept_locked(memory);
		memory->kept_each = bytes;
	}
	kept = bytes == memory->kept_each && memory->kept_len < KEPT;
	if (kept) {
		(void)madvise(at, bytes, MADV_FREE);
		memory->kept[memory->kept_len++] = at;
	}
	lock_drop(&memory->lock);
	return kept;
}

void push_memory_give(struct push_memory *memory, char *at, uint64_t bytes)
{
	if (!at)
		return;
	if (bytes < LITTLE)
		free(at);
	else if (!keep(memory, at, bytes))
		CHECK(munmap(at, bytes) == 0);
	CHECK(atomic_fetch_sub(&memory->used, bytes) >= bytes);
}

uint64_t push_memory_used(const struct push_memory *memory)
{
	return atomic_load(&memory->used);
}
