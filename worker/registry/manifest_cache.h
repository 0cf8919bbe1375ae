/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_cache - bytes of manifests by digest, ready to be sent: an LRU bounded in bytes.
 *
 * Manifests are immutable, so an entry is never stale; whether a repository still lists it is the
 * index's to say. Entries are counted: a reply may hold one after it was evicted.
 * Thread  any.
 */
#pragma once

#include "common/cleanup.h"
#include "common/str.h"
#include "proto/digest.h"

struct manifest_cache;
struct manifest_body { /* counted, immutable */
	struct str bytes;
};
struct manifest_cache *manifest_cache_new(size_t bytes_max);
void manifest_cache_free(struct manifest_cache *cache);
AUTO_DEFINE(manifest_cache)
struct manifest_body *manifest_cache_find(struct manifest_cache *cache, const struct digest *digest); /* a reference, or NULL */
/* Copies the bytes; returns a reference (to the one that is there if somebody was faster). */
struct manifest_body *manifest_cache_put(struct manifest_cache *cache, const struct digest *digest, struct str bytes);
void manifest_body_free(struct manifest_body *body); /* drops a reference */
AUTO_DEFINE(manifest_body)
