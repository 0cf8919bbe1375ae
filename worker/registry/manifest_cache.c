/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_cache - a table by digest and a ring by last use, both under one lock.
 *
 * Bodies are counted atomically: one that was evicted lives until its last reply has gone.
 */
#include "worker/registry/manifest_cache.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"

/* What an entry costs beside its bytes: two structs, a key and its place in the table. */
#define ENTRY_COST 320

struct body {
	struct manifest_body body; /* first: callers hold a pointer to it */
	uint32_t magic;
	atomic_size_t refs;
	char bytes[];
};
#define BODY_MAGIC MAGIC('M', 'B', 'D', 'Y')

struct entry {
	struct entry *newer, *older;
	struct body *body;
	struct digest digest;
};

struct manifest_cache {
	struct lock lock;
	struct map *entries;
	struct entry ring; /* .older: the newest entry, .newer: the oldest */
	size_t bytes, bytes_max;
};

/* ---- bodies ---- */

static struct body *body_of(struct manifest_body *counted)
{
	return OBJ_CAST(body, BODY_MAGIC, (void *)counted);
}

static struct body *body_new(struct str bytes)
{
	struct body *body;

	CHECK(bytes.len < SIZE_MAX / 2);
	body = check_alloc(1, sizeof(*body) + bytes.len + 1);
	body->magic = BODY_MAGIC;
	atomic_init(&body->refs, 1);
	if (bytes.len)
		memcpy(body->bytes, bytes.at, bytes.len);
	body->body.bytes = str_from(body->bytes, bytes.len);
	return body;
}

static struct manifest_body *body_ref(struct body *body)
{
	atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
	return &body->body;
}

void manifest_body_free(struct manifest_body *counted)
{
	struct body *body;

	if (!counted)
		return;
	body = body_of(counted);
	if (atomic_fetch_sub_explicit(&body->refs, 1, memory_order_acq_rel) != 1)
		return;
	body->magic = 0;
	free(body);
}

/* ---- entries; the caller holds the lock ---- */

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static size_t cost_of(size_t len)
{
	return len + ENTRY_COST;
}

static void ring_remove(struct entry *entry)
{
	entry->newer->older = entry->older;
	entry->older->newer = entry->newer;
}

static void ring_add(struct manifest_cache *cache, struct entry *entry)
{
	entry->newer = &cache->ring;
	entry->older = cache->ring.older;
	entry->older->newer = entry;
	cache->ring.older = entry;
}

static struct manifest_body *find_locked(struct manifest_cache *cache, const struct digest *digest)
{
	struct entry *entry = map_find(cache->entries, key_of(digest));

	lock_assert(&cache->lock);
	if (!entry)
		return NULL;
	ring_remove(entry);
	ring_add(cache, entry);
	return body_ref(entry->body);
}

static void evict_locked(struct manifest_cache *cache, struct entry *entry)
{
	lock_assert(&cache->lock);
	CHECK(map_delete(cache->entries, key_of(&entry->digest)) == entry);
	ring_remove(entry);
	cache->bytes -= cost_of(entry->body->body.bytes.len);
	manifest_body_free(&entry->body->body);
	free(entry);
}

static void add_locked(struct manifest_cache *cache, const struct digest *digest, struct body *body)
{
	size_t cost = cost_of(body->body.bytes.len);
	struct entry *entry;

	lock_assert(&cache->lock);
	if (cost > cache->bytes_max)
		return;
	while (cache->bytes > cache->bytes_max - cost)
		evict_locked(cache, cache->ring.newer);
	entry = xnew(struct entry);
	entry->digest = *digest;
	entry->body = body;
	(void)body_ref(body);
	ring_add(cache, entry);
	CHECK(!map_put(cache->entries, key_of(&entry->digest), entry));
	cache->bytes += cost;
}

/* ---- the cache ---- */

struct manifest_cache *manifest_cache_new(size_t bytes_max)
{
	struct manifest_cache *cache = xnew(struct manifest_cache);

	lock_init(&cache->lock);
	cache->entries = map_new();
	cache->ring.newer = cache->ring.older = &cache->ring;
	cache->bytes_max = bytes_max;
	return cache;
}

void manifest_cache_free(struct manifest_cache *cache)
{
	if (!cache)
		return;
	lock_take(&cache->lock);
	while (cache->ring.newer != &cache->ring)
		evict_locked(cache, cache->ring.newer);
	lock_drop(&cache->lock);
	map_free(cache->entries);
	lock_fini(&cache->lock);
	free(cache);
}

struct manifest_body *manifest_cache_find(struct manifest_cache *cache, const struct digest *digest)
{
	struct manifest_body *body;

	lock_take(&cache->lock);
	body = find_locked(cache, digest);
	lock_drop(&cache->lock);
	return body;
}

struct manifest_body *manifest_cache_put(
	struct manifest_cache *cache, const struct digest *digest, struct str bytes)
{
	struct body *made = body_new(bytes);
	struct manifest_body *there;

	lock_take(&cache->lock);
	there = find_locked(cache, digest);
	if (!there)
		add_locked(cache, digest, made);
	lock_drop(&cache->lock);
	if (!there)
		return &made->body;
	manifest_body_free(&made->body);
	return there;
}
