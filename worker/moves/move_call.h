/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_call - one call to another member about a repository that moves, signed as any between workers (proto/peer_token.h); waits for the answer.
 *
 * Only what the member itself answers counts: an answer without its proof is none.
 * Thread  pool.
 */
#pragma once

#include "common/http_client.h"
#include "proto/range.h"
#include "worker/auth/snapshot.h"

struct cluster;
struct move_caller {
	struct cluster *cluster;
	const char *ca_file, *cert_file, *key_file; /* towards https members; each may be NULL */
};
struct move_call {
	struct snapshot *snapshot;        /* whose ring is told */
	const struct ring_member *member;
	const char *method, *target;      /* target: from its path on */
	const struct range *part;         /* or NULL */
	unsigned total_ms;                /* 0: as long as bytes come */
};
/* ERROR_UNAVAILABLE naming the member: it did not answer, or somebody else did. result's limit bounds the answer. */
bool move_call(const struct move_caller *caller, const struct move_call *call, struct http_result *result, struct error *err) MUST_CHECK;
