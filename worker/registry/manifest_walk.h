/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_walk - looking into the manifests that an index lists.
 *
 * Thread  pool.
 */
#pragma once

#include "proto/manifest.h"
#include "worker/index/index.h"

struct registry;

#define MANIFEST_WALK_MAX 20000
/* fn with each manifest of the index that `wanted` (NULL: all) takes and that `walked` (NULL: none) does not list, parsed; false stops the walk. One whose
 * bytes are gone, or are no manifest, is passed over. ERROR_TOO_LARGE over MANIFEST_WALK_MAX of them. */
typedef bool manifest_walk_f(void *arg, const struct index_entry *entry, const struct manifest *manifest);
bool manifest_walk(struct registry *registry, struct str name, const struct index *index, const struct index *walked,
	bool (*wanted)(const struct index_entry *entry), manifest_walk_f *fn, void *arg,
	struct error *err) MUST_CHECK;
/* Is its media type one of an index? */
bool manifest_entry_is_index(const struct index_entry *entry);
/* Does it name this content: as config, layer or member? */
bool manifest_names(const struct manifest *manifest, const struct digest *digest);
