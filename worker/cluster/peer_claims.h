/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_claims - what each call of this worker to another says of the two, and the key that signs it (proto/peer_token.h). Whose call it is and what it is
 * about adds who makes it.
 *
 * Thread  any.
 */
#pragma once

#include "proto/peer_token.h"

struct cluster;
struct snapshot;

/* Sender and receiver, the mark of the ring, the time, this process, and a number that it has not used: for one token. Of nobody: without client, user and key.
 * receiver: what members call it (cluster_name_of()); borrowed. */
struct peer_claims peer_claims_of(struct cluster *cluster, const struct snapshot *snapshot, const char *receiver);
/* By the clock of now. Borrowed from the snapshot, or the cluster. */
struct str peer_claims_key(const struct cluster *cluster, const struct snapshot *snapshot);
