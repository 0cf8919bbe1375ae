/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known_blobs - blobs that were stored or seen here moments ago, so that a manifest which names them
 * costs an object store no question for each.
 *
 * An entry counts for KNOWN_BLOBS_MS, and while no blob of the repository was condemned since it was made: `removals` is
 * index_removals() of a view that is not newer than the knowledge. Where a question is cheap (a folder) only warnings rely on this.
 * Bounded: a new entry may push out an older one.
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "proto/digest.h"

#define KNOWN_BLOBS_MS (2 * 60 * 1000)

struct known_blobs;
struct known_blobs *known_blobs_new(void);
void known_blobs_free(struct known_blobs *known);
AUTO_DEFINE(known_blobs)
void known_blobs_add(struct known_blobs *known, struct str name, const struct digest *digest, uint64_t size, uint64_t removals,
	int64_t now_ms);
/* *ret_size: of the blob. */
/* The same of what was seen at since_ms or later, however long ago that is. */
bool known_blobs_since(struct known_blobs *known, struct str name, const struct digest *digest, uint64_t removals,
	int64_t since_ms, uint64_t *ret_size);
bool known_blobs_has(struct known_blobs *known, struct str name, const struct digest *digest, uint64_t removals,
	int64_t now_ms, uint64_t *ret_size);
