/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contents - how many bytes repositories hold: their manifests and what these name, each content once.
 *
 * A repository that is asked about has a table of its content by digest, with sizes and how many manifests name it. It is made by
 * reading each manifest once. From then on it follows the views by what distinguishes them (index_compare()), so that a push costs no
 * more than what it brings, and a deletion nothing. It is made of the index alone: whoever looks at the same view finds the same.
 *
 * Counted are the manifests that the index lists, their configs and layers; not layers that are not to be distributed, nor subjects.
 * Members of an image index are listed themselves. A manifest that is gone or damaged counts for its own size.
 * Bounds: CONTENTS_EACH of content in a repository (ERROR_FULL); tables are an LRU of CONTENTS_BYTES, but for the one in use.
 * Thread  pool: it may read the store.
 */
#pragma once

#include "proto/manifest.h"
#include "worker/index/index.h"

#define CONTENTS_EACH  (1024u * 1024)
#define CONTENTS_BYTES ((size_t)64 * 1024 * 1024)

struct registry;
struct contents;
struct contents *contents_new(void);
void contents_free(struct contents *contents); /* NULL is fine */
AUTO_DEFINE(contents)

struct contents_size { uint64_t there, more; };
/* What a view holds, and what this manifest of so many bytes, with what it names, would add to it. */
bool contents_measure(struct registry *registry, struct str name, const struct index *view, const struct manifest *manifest,
	const struct digest *digest, uint64_t size, struct contents_size *ret, struct error *err) MUST_CHECK;

struct contents_blob { uint64_t there, largest; bool is_counted; };
/* What a view holds (NULL: an empty one), whether this is counted in it (digest NULL: false), and else how large the largest content is,
 * which costs a look at each. */
bool contents_look(struct registry *registry, struct str name, const struct index *view, const struct digest *digest,
	struct contents_blob *ret, struct error *err) MUST_CHECK;
