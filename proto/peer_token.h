/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_token - one worker tells another who the client is.
 *
 *     Zot-Cluster-Peer: v1 <base64url of the claims> <hex of HMAC-SHA256(secret, method target claims)>
 *
 * claims: sender's name, ring epoch, expiry (wall seconds), user, groups, admin, api key id,
 * anonymous; each as "<length>:<bytes>", in that order. What is signed is "<method> <target> <base64url>".
 * Only this header makes a request a peer's. Wrong signature, another method or
 * target, or expired: not a peer (the header is as if absent; who sends a bad one is refused 401).
 * The signature is compared in constant time, before anything else of the header is looked into.
 * At most 8 KiB, 64 groups, names of 255 bytes without NUL; an empty secret signs nothing.
 * Thread  any; pure but for the hash.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define PEER_HEADER "Zot-Cluster-Peer"
#define PEER_EPOCH_HEADER "Zot-Cluster-Epoch"      /* on a 421: the receiver's ring epoch */
#define PEER_TOKEN_MAX (8u * 1024)
#define PEER_NAME_MAX 255
#define PEER_GROUPS_MAX 64
#define HOP_HEADER "X-Zot-Cluster-Hop-Count"       /* sent for zot's sake, believed from nobody */

struct peer_claims {
	const char *sender;
	uint64_t epoch;
	int64_t expires_s;
	const char *user; /* "" when anonymous */
	const char *apikey; /* client id, "" when none */
	bool admin, anonymous;
	const char *const *groups;
	size_t groups_len;
	void *memory; /* of a parsed one: peer_claims_fini() */
};
/* Appends the header's value. Claims over the bounds, an empty secret: `into` is failed. */
void peer_token_format(struct str secret, struct str method, struct str target, const struct peer_claims *claims,
		       struct buf *into);
/* ERROR_DENIED, UNAUTHORIZED. now_s: wall seconds. */
bool peer_token_parse(struct str secret, struct str method, struct str target, struct str header, int64_t now_s,
		      struct peer_claims *ret, struct error *err) MUST_CHECK;
void peer_claims_fini(struct peer_claims *claims);
