/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_keys - what signs the calls between workers when their leader gave them a secret.
 *
 * The leader makes it, and another one whenever a worker's own credential ceases to be good. The ring's entity has both it and
 * the one before, with the time of the change (wall clock: the leader's; where ours is off by more than PEER_BEFORE_S the one before
 * counts for nothing). Not everybody hears of a change at the same moment, so
 *
 *     signed by     the one before for PEER_SETTLE_S, then the new one
 *     believed      the new one, and for PEER_BEFORE_S the one before
 *
 * Who has not heard by then is not believed; it serves what it has, and its peers serve what they would have asked it for.
 * Where ZOT_CLUSTER_SECRET is set, and without leaders, this is empty and the cluster's own key counts (`otherwise`).
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"
#include "proto/peer_token.h"

#define PEER_KEYS_MAX 2
#define PEER_SETTLE_S 10
#define PEER_BEFORE_S 120

struct ring_body;
struct peer_keys {
	bool has, has_before;
	uint8_t key[PEER_KEY_BYTES], before[PEER_KEY_BYTES];
	int64_t since_s; /* wall */
};
/* Empty when the ring has no secret: it is of an older leader. */
struct peer_keys peer_keys_of(const struct ring_body *ring);
/* Borrowed from `keys`. */
struct str peer_keys_sign(const struct peer_keys *keys, struct str otherwise, int64_t wall_s);
/* How many; 0: believe by the cluster's own. */
unsigned peer_keys_believed(const struct peer_keys *keys, int64_t wall_s, struct str ret_keys[PEER_KEYS_MAX]);

/* Tells one secret from another, 48 bits and never below 2: of use to nobody who does not know the secret, if that is a random one. */
uint64_t peer_key_mark(struct str secret);
