/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_new - how snapshots are made: without leaders once at start, with leaders from each state.
 *
 * Thread  any that may take its time (a ring of new members costs 16384 hashes for each).
 */
#pragma once

#include "worker/auth/snapshot.h"

#define LEASE_DEFAULT_MS 6000

struct snapshot_rules {
	unsigned version;                  /* another one with each access_control */
	const struct json *access_control; /* of the settings file, or NULL */
	bool htpasswd;                     /* passwords are configured */
	bool certificates;                 /* client certificates are verified */
	bool led;                          /* users are in the leaders' state */
	bool own_peer_key;                 /* the leaders' secret for calls between workers does not count */
};

/* Takes over the ring. */
bool snapshot_new_plain(struct snapshot **ret_snapshot, struct ring *ring, int self, const struct snapshot_rules *rules, bool isolated,
			struct error *err) MUST_CHECK;
/* The same under other rules. */
bool snapshot_new_rules(struct snapshot **ret_snapshot, const struct snapshot *old, const struct snapshot_rules *rules, struct error *err) MUST_CHECK;
/* old (or NULL): its ring is shared when the ring's entity is the same, its access when rules and policies are. */
bool snapshot_new_state(struct snapshot **ret_snapshot, struct state *state, const char *self, const struct snapshot *old,
			const struct snapshot_rules *rules, struct error *err) MUST_CHECK;
