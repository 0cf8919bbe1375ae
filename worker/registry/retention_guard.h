/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_guard - what came since a plan was made, and so may not go by it.
 *
 *     plan's view --> each view behind which a removal would be written: what is new in it is remembered
 *
 * A tag that was set to another manifest, the manifest that it names now, what a new index names, what a new manifest refers to. Each look costs what has changed since the last one.
 * Thread  whoever holds the removal: the committer of the index, one at a time.
 */
#pragma once

#include "worker/index/index.h"

struct registry;
struct retention_guard;
struct retention_guard *retention_guard_new(struct registry *registry, struct str name, const struct index *view);
void retention_guard_free(struct retention_guard *guard);
AUTO_DEFINE(retention_guard)

/* True: by this view it may go as it was planned. ERROR_CONFLICT: something new needs it; ERROR_...: that could not be found out. */
bool retention_guard_allows_tag(struct retention_guard *guard, const struct index *view, struct str tag, struct error *err) MUST_CHECK;
bool retention_guard_allows_manifest(struct retention_guard *guard, const struct index *view, const struct digest *digest,
	struct error *err) MUST_CHECK;
