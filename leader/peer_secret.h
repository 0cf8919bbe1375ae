/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_secret - what the workers of a cluster know each other by, where no ZOT_CLUSTER_SECRET is set.
 *
 * The leader makes it at its first start and gives it to its workers in the ring's entity. It is another one whenever a
 * worker's own credential ceases to be good: deleted, disabled, given another secret, over. The one before goes along with it for
 * those who have not heard yet; for how long they take it is theirs to say (worker/cluster/peer_keys.h).
 *
 * Thread  pool, with leader_lock() held, but for the pure ones.
 */
#pragma once

#include "common/error.h"

#define PEER_SECRET_SIZE 65 /* 64 hex digits */

struct leader;
struct state;
struct ledger_change;
void peer_secret_make(char into[PEER_SECRET_SIZE]);
/* The change of the ring to another secret, to be part of a write; returns how many there are: 0 without a ring. The entity
 * is the caller's. */
unsigned peer_secret_change(const struct state *state, struct ledger_change *ret_change);
bool peer_secret_rotate_locked(struct leader *leader, struct error *err) MUST_CHECK;
/* A credential was over since the secret was made. Pure. */
bool peer_secret_is_due(const struct state *state, int64_t now_wall_s);
