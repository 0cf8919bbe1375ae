/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_token - one worker tells another who the client is.
 *
 *     Zot-Cluster-Peer: v1 <base64url of the claims> <hex of HMAC-SHA256(secret, method target claims)>
 *
 * claims: sender's name, ring epoch, expiry (wall seconds), user, api key id, flags (admin, anonymous), groups; each as
 * "<length>:<bytes>", in that order. What is signed is "<method> <target> <base64url>".
 *
 * A change has a call behind its groups: "\001call:<hex of its id>:<sent>:<age>:<issued>". However often it arrives, it is done once under that
 * id. Claims that begin with the byte 1 are no groups; of them a receiver leaves out those that it does not know. Receivers from before
 * there were any take a call for one more group, which no policy names (and refuse it as the 65th).
 *
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
#define PEER_CALL_BYTES 16
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
	bool has_call;
	uint8_t call[PEER_CALL_BYTES];
	/* When this call was first sent to somebody who did not answer, and how long ago that is: by the wall clock and the
	 * interval clock of the sender. 0: to nobody yet. */
	int64_t call_sent_ms, call_age_ms;
	/* When it was first sent to anybody, by the clock of the store that both share. */
	int64_t call_issued_ms;
	void *memory; /* of a parsed one: peer_claims_fini() */
};
/* Appends the header's value, without groups that begin with the byte 1. Claims over the bounds, an empty secret: `into` is failed. */
void peer_token_format(struct str secret, struct str method, struct str target, const struct peer_claims *claims,
		       struct buf *into);
/* ERROR_DENIED, UNAUTHORIZED. now_s: wall seconds. */
bool peer_token_parse(struct str secret, struct str method, struct str target, struct str header, int64_t now_s,
		      struct peer_claims *ret, struct error *err) MUST_CHECK;
void peer_claims_fini(struct peer_claims *claims);
