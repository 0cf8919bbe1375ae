/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/peer_claims.h"

#include "common/clock.h"
#include "proto/ring.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"

struct peer_claims peer_claims_of(
	struct cluster *cluster, const struct snapshot *snapshot, const char *receiver)
{
	struct peer_claims claims = { .sender = cluster_known_as(cluster),
		.receiver = receiver,
		.client = "",
		.user = "",
		.apikey = "",
		.ring = ring_mark(snapshot->ring),
		.issued_ms = clock_wall_ms() };

	claims.sequence = cluster_next_call(cluster, claims.process);
	return claims;
}

struct str peer_claims_key(const struct cluster *cluster, const struct snapshot *snapshot)
{
	return peer_keys_sign(&snapshot->peers, cluster_key(cluster), clock_wall_s());
}
