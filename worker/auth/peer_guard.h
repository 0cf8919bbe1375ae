/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_guard - is this request from a member of the cluster, meant for us, of now, and for the first time.
 *
 *     signature   of who knows the secret, over this request       peer_token.h; first, and in constant time
 *     receiver    ours
 *     time        issued at most PEER_LIFE_MS ago, as far as clocks agree: they may differ by PEER_SKEW_MS
 *     once        peer_seen.h; and not before our start, since nobody knows what the process before us has seen
 *
 * The body is looked at where it is collected: its digest is in the claims. Of one that streams only the length is signed; an upload
 * is compared with the digest that the client names for the blob, which is in the signed target.
 *
 * A sender whose clock is behind ours is therefore not believed until its clock has passed our start; of one that is ahead, what it sent
 * in as long before our start could be sent to us once more. Our own clock may be set meanwhile: our start is so long ago as the boot
 * clock says.
 * Thread  any.
 */
#pragma once

#include "proto/peer_token.h"

#define PEER_LIFE_MS (30 * 1000)
#define PEER_SKEW_MS (60 * 1000)

struct peer_guard;
struct peer_now {
	int64_t wall_ms, boot_ms; /* clock.h */
};
/* A call as it came. */
struct peer_came {
	const struct peer_request *request;
	struct str header;
	struct peer_now now;
	struct buf *answer; /* what proves to its sender that we answer is appended, where it has signed with our key; NULL: it need not */
};
/* name: what the others call us, of at most PEER_NAME_MAX bytes. start_ms: boot clock. key may be empty: then nobody is believed. */
struct peer_guard *peer_guard_new(struct str key, const char *name, const uint8_t process[PEER_PROCESS_BYTES], int64_t start_ms);
void peer_guard_free(struct peer_guard *guard);
AUTO_DEFINE(peer_guard)
/* By one of these keys, or by the guard's. ERROR_CONFLICT: it was used before; ERROR_DENIED: anything else. Both UNAUTHORIZED; the text says why. */
bool peer_guard_admit_by(struct peer_guard *guard, const struct str *keys, unsigned keys_len, const struct peer_came *asked,
			 struct peer_claims *ret, struct error *err) MUST_CHECK;
bool peer_guard_admit(struct peer_guard *guard, const struct peer_came *asked, struct peer_claims *ret, struct error *err) MUST_CHECK;
