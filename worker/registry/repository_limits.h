/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repository_limits - what a repository may hold, by the `repository` entity that decides for it: bytes, tags, tags that stay as they are.
 *
 * Asked of the view behind which a change would be written, so that no two workers exceed a limit together. What is there already may
 * be pushed again; what is beyond a limit that was lowered stays, and nothing is added to it.
 * Thread  pool.
 */
#pragma once

#include "proto/manifest.h"
#include "worker/registry/registry.h"

/* "byte_quota" and so on; REGISTRY_LIMIT_NONE: "". */
const char *registry_limit_name(enum registry_limit limit);
/* Of such a name; REGISTRY_LIMIT_NONE for any other. */
enum registry_limit registry_limit_parse(struct str name);

/* Are bytes counted? Then what a manifest names must be there, and have the size that it says. */
bool repository_limits_count_bytes(const struct entity *limits);
/* False, and push->limit says which one is in the way; or REGISTRY_LIMIT_NONE, where that could not be found out. */
bool repository_limits_allow_push(struct registry *registry, struct registry_push *push, const struct manifest *manifest, const struct index *view,
	struct error *err) MUST_CHECK;
/* One that comes, or may come. */
struct registry_blob {
	struct str name;
	const struct digest *digest; /* NULL: it is not known yet */
	uint64_t bytes;              /* that it has at least; without a digest 0: nothing is known */
};
/* False: no manifest with it could be taken as things are, ERROR_DENIED. With its digest that is so where it is not counted, not there
 * already and larger than what is left of the byteQuota. Without, where nothing is left; or, once bytes are known, where they are more than
 * what is left and than any content that is counted, which it else might be.
 * Where it cannot be found out it is allowed: the manifest is what counts. */
bool repository_limits_allow_blob(struct registry *registry, const struct entity *limits, const struct registry_blob *blob,
	struct error *err) MUST_CHECK;
/* NULL: there are no limits. */
bool repository_limits_is_immutable(const struct entity *limits, struct str tag);
/* The tag of the removal, or each tag of its digest. */
bool repository_limits_allow_removal(struct registry_removal *removal, const struct index *view, struct error *err) MUST_CHECK;
