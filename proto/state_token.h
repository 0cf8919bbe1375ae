/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_token - how a leader that lost its data asks a worker for the state: GET /cluster/state of the worker.
 *
 * The answer is the state as it lies on the worker's disk (state_seal()), with everything in it that signs and opens. So the question is
 * signed, as a call between workers is (peer_token.h), by a key of this purpose alone: of ZOT_CLUSTER_SECRET where the workers have it,
 * else of CLUSTER_LEADER_CLIENT_SECRET, which opens the same state at a leader. Good once, for a short time (worker/auth/peer_guard.h).
 * Thread  any.
 */
#pragma once

#include "proto/peer_token.h"

#define STATE_TOKEN_PATH "/cluster/state"
#define STATE_TOKEN_RECEIVER "state" /* who asks does not know the worker's name */

void state_token_key(const char *secret, uint8_t into[PEER_KEY_BYTES]);
/* What is signed of each such question. */
struct peer_request state_token_request(void);
/* Appends the value of PEER_HEADER. */
void state_token_format(const char *secret, struct buf *into);
