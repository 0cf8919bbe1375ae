/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_token - one worker tells another who the client is.
 *
 *     Zot-Cluster-Peer: v2 <base64url of the claims> <hex of HMAC-SHA256(key, what is signed)>
 *
 * What is signed: the request as both sides see it, and the claims.
 *
 *     <method> <target> <length of the body, or "chunked">\n
 *     <name>: <value>\n            each header that decides what the request does, in one order (peer_headers.h)
 *     <base64url of the claims>
 *
 * claims: sender, receiver, the sender's process, sequence, issued (wall ms), mark of the ring, the client's address, user, API key id, flags (admin,
 * anonymous), SHA-256 of the body, groups; each as "<length>:<bytes>", in that order. The digest is there where the sender had the whole body
 * before it signed, and empty where the body streams.
 *
 * A change has a call behind its groups: "\001call:<hex of its id>:<sent>:<age>:<issued>". However often it arrives, it is done once under that
 * id, while each time that it is sent has a token of its own. Claims that begin with the byte 1 are no groups; of them a receiver leaves out
 * those that it does not know.
 *
 * A token is for one use, of one receiver, for a short time: who receives it looks at that (worker/auth/peer_guard.h). Here is its form
 * and its signature, which is compared in constant time before anything else of the header is looked into.
 * Only this header makes a request a peer's; who sends a bad one is refused 401.
 * An answer says who made it, to this very call:
 *
 *     Zot-Cluster-Answer: v1 <base64url of the receiver's name> <its process, hex> <hex of HMAC-SHA256(key, what is signed)>
 *
 * What is signed: "answer <name> <process> <the signature of the token that it answers>", name and process as they stand there. One that
 * is not signed so is no member's: it was made by who does not know the secret, or to another call. It says who answers, not what:
 * who stands between two workers can change that, but for TLS.
 * At most 8 KiB, 64 groups, names of 255 bytes without NUL; an empty key signs nothing.
 * Thread  any; pure but for the hash.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define PEER_HEADER "Zot-Cluster-Peer"
#define PEER_RING_HEADER "Zot-Cluster-Ring"        /* on a 421: the mark of the receiver's ring, 16 hex digits */
#define PEER_ANSWER_HEADER "Zot-Cluster-Answer"
#define PEER_TAKES_HEADER  "Zot-Upload-Takes" /* this call is the peer's own: worker/oci/upload_give.h */
#define PEER_REFUSED_HEADER "Zot-Cluster-Refused"  /* on a 401: the receiver does not believe the token; PEER_USED or PEER_REFUSED */
#define PEER_USED "used"       /* it has come before: what it asked for may have been done */
#define PEER_REFUSED "refused" /* nothing was done */
#define PEER_TOKEN_MAX (8u * 1024)
#define PEER_NAME_MAX 255
#define PEER_GROUPS_MAX 64
#define PEER_CALL_BYTES 16
#define PEER_PROCESS_BYTES 8
#define PEER_DIGEST_BYTES 32
#define PEER_KEY_BYTES 32
#define PEER_ANSWER_MAX 512u
#define PEER_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1)
#define HOP_HEADER "X-Zot-Cluster-Hop-Count"       /* sent for zot's sake, believed from nobody */

/* The request that a token belongs to. */
struct peer_request {
	struct str method, target;
	int64_t length;     /* of its body; 0: none, -1: chunked */
	struct str headers; /* the lines that are signed */
};

struct peer_claims {
	const char *sender, *receiver;       /* what members call each other: cluster_name_of() */
	uint8_t process[PEER_PROCESS_BYTES]; /* random, of the sender's process */
	uint64_t sequence;                   /* of that process: one for each token, at most PEER_SEQUENCE_MAX */
	int64_t issued_ms;                   /* when it was signed, by the sender's wall clock */
	uint64_t ring;      /* ring_mark() of the sender's */
	const char *client; /* address of who asked the sender */
	const char *user;   /* "" when anonymous */
	const char *apikey; /* client id, "" when none */
	bool admin, anonymous;
	bool has_digest; /* the sender had the whole body */
	uint8_t digest[PEER_DIGEST_BYTES];
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
/* Appends the header's value, without groups that begin with the byte 1. Claims over the bounds, an empty key: `into` is failed. */
void peer_token_format(struct str key, const struct peer_request *request, const struct peer_claims *claims, struct buf *into);
/* ERROR_DENIED, UNAUTHORIZED. */
bool peer_token_parse(struct str key, const struct peer_request *request, struct str header, struct peer_claims *ret,
		      struct error *err) MUST_CHECK;
void peer_claims_fini(struct peer_claims *claims);
/* HKDF-SHA256 (RFC 5869) for one block: a key of another purpose says nothing of this one. */
void peer_key_derive(struct str secret, const char *purpose, uint8_t into[PEER_KEY_BYTES]);

/* Who answered. */
struct peer_answer {
	char name[PEER_NAME_MAX + 1];
	uint8_t process[PEER_PROCESS_BYTES];
};
/* Appends the header's value. token: the header's value of the call, as it was signed with this key. A name over the bound: `into` is failed. */
void peer_answer_format(struct str key, struct str token, const struct peer_answer *answer, struct buf *into);
/* False: it was not made with this key, to this call. header NULL: there is none. */
bool peer_answer_parse(struct str key, struct str token, const char *header, struct peer_answer *ret) MUST_CHECK;
/* It was, and by who has that name. */
bool peer_answer_is_of(struct str key, struct str token, const char *header, const char *name) MUST_CHECK;
