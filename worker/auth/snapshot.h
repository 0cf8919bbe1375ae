/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot - everything that a request decides by, at one revision: state, ring, access rules.
 *
 * Immutable and counted. A request takes one at its first step and keeps it to its end, so it sees
 * one revision from first to last. It is built beside the old one and published by swapping one
 * pointer; loops pick it up by a post.
 *
 * Without a leader the state is empty, the ring is zot's modulo ring (or one member: this worker) and
 * the access rules come from the settings file.
 * Thread  any.
 */
#pragma once

#include "proto/ring.h"
#include "proto/state.h"
#include "worker/auth/peer_keys.h"

struct access;
struct patterns;
struct snapshot {
	struct state *state;
	struct ring *ring;
	struct ring *departed;  /* members of rings before, the newest first, or NULL: they may have uploads still */
	int self;               /* our place in the ring, or RING_NOBODY */
	struct access *access;  /* proto/access.h */
	struct patterns *repositories; /* the state's entities of that kind: snapshot_limits() */
	unsigned rules_version; /* of the rules that it was made of */
	const struct entity *const *limited; /* groups that have quotas (proto/limits.h); the state's */
	size_t limited_len;
	struct peer_keys peers; /* empty: the cluster's own key signs */
	bool auth_required;     /* somebody is configured: anonymous needs a policy */
	bool isolated;          /* storage is each worker's own */
	int64_t lease_ms;
};
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_free(struct snapshot *snapshot); /* drops a reference */
AUTO_DEFINE(snapshot)
bool snapshot_is_shared(const struct snapshot *snapshot); /* somebody else than the caller has it */
/* The ring has us as a member that owns nothing. */
bool snapshot_is_drained(const struct snapshot *snapshot);
/* The `repository` entity that decides what this one may hold: borrowed from the snapshot. NULL: none does, as without a leader. */
const struct entity *snapshot_limits(const struct snapshot *snapshot, struct str name);
