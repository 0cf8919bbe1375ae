/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth - who is asking: peers' signed header, Basic with a password (state or htpasswd), API keys, client certificates.
 *
 * auth_try() is for the loop: it answers from the header, the state and the cache of verified
 * passwords. PENDING means bcrypt: auth_verify() on the pool, with what auth_try() put into *attempt.
 * Verified passwords are remembered for a minute as a keyed hash, bounded in number.
 *
 *   Authorization: Basic user:password       bcrypt or sha-crypt hash in the state, or htpasswd
 *                  Basic user:zak_<secret>   an API key of that user
 *                  Basic <client id>:<secret>
 *
 * Without Authorization the client's certificate says who it is (cert_identity.h); without one it is anonymous.
 * Several Authorization headers, or a malformed one: refused. A refusal never says which half was wrong.
 * Thread  auth_try: a loop; auth_verify: pool; identities: any (counted, immutable).
 */
#pragma once

#include "common/error.h"
#include "common/str.h"
#include "proto/entity.h"

struct auth;
struct http_request;
struct snapshot;

struct identity {
	const char *user;       /* "" when anonymous */
	const char *apikey;     /* client id, "" when none */
	struct texts groups;
	struct entity *key;     /* the apikey's entity, or NULL */
	bool anonymous, admin;
	bool peer;              /* forwarded by a worker, already counted and admitted there */
	const char *peer_name;  /* that worker, "" when none */
	const char *client;     /* whom it serves: an address */
	bool has_digest;        /* of the body, which that worker had whole */
	uint8_t digest[32];
	uint64_t peer_epoch;
	bool has_call;          /* of a peer that sends a change: peer_token.h */
	uint8_t call[16];
	int64_t call_sent_ms, call_age_ms;
	int64_t call_issued_ms;
};
struct identity *identity_ref(struct identity *identity);
void identity_free(struct identity *identity); /* drops a reference */
AUTO_DEFINE(identity)

enum auth_step { AUTH_OK, AUTH_PENDING, AUTH_REFUSED };
struct auth_attempt;
void auth_attempt_free(struct auth_attempt *attempt);
AUTO_DEFINE(auth_attempt)

/* REFUSED: err is UNAUTHORIZED; of kind CONFLICT when a peer's call came before. PENDING: *ret_attempt is the caller's. */
enum auth_step auth_try(struct auth *auth, struct snapshot *snapshot, struct http_request *request,
			struct identity **ret_identity, struct auth_attempt **ret_attempt, struct error *err) MUST_CHECK;
bool auth_verify(struct auth *auth, struct snapshot *snapshot, struct auth_attempt *attempt, struct identity **ret_identity,
		 struct error *err) MUST_CHECK;
const char *auth_realm(const struct auth *auth);
int64_t     auth_fail_delay_ms(const struct auth *auth);
