/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth - who is asking: peers' signed header, Basic with a password (state or htpasswd), API keys, client certificates.
 *
 * auth_try() answers from the header, the state and the passwords that are remembered (common/logins.h). PENDING means that one
 * is to be verified: auth_start() with what auth_try() put into *attempt.
 *
 *   Authorization: Basic user:password       bcrypt or sha-crypt hash in the state, or htpasswd
 *                  Basic user:zak_<secret>   an API key of that user
 *                  Basic <client id>:<secret>
 *
 * Without Authorization the client's certificate says who it is (cert_identity.h); without one it is anonymous.
 * Several Authorization headers, or a malformed one: refused. A refusal never says which half was wrong, nor does its
 * time: users who are unknown or disabled and ids of keys, wrong or disabled, are verified like a wrong password. What begins
 * with zak_ is no password: it is refused at once, whoever it is said to be of.
 * Thread  a loop; identities: any (counted, immutable).
 */
#pragma once

#include "common/error.h"
#include "common/str.h"
#include "proto/entity.h"

struct auth;
struct buf;
struct http_request;
struct ip;
struct login_refusal;
struct loop;
struct snapshot;

struct identity {
	const char *user;       /* "" when anonymous */
	const char *apikey;     /* client id, "" when none */
	struct texts groups;
	struct entity *key;     /* the apikey's entity, or NULL */
	bool anonymous, admin;
	struct entity *limited; /* the user's entity, where it has quotas (proto/limits.h), or NULL */
	bool peer;              /* forwarded by a worker, already counted and admitted there */
	const char *peer_name;  /* that worker, "" when none */
	const char *client;     /* whom it serves: an address */
	bool has_digest;        /* of the body, which that worker had whole */
	uint8_t digest[32];
	uint64_t peer_ring;     /* the mark of its ring */
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

/* REFUSED: err is UNAUTHORIZED; of kind CONFLICT when a peer's call came before. PENDING: *ret_attempt is for auth_start(). */
enum auth_step auth_try(struct auth *auth, struct snapshot *snapshot, struct http_request *request, const struct ip *client,
			struct identity **ret_identity, struct auth_attempt **ret_attempt, struct error *err) MUST_CHECK;
/* Once, on the loop that started. identity: the callee's, or NULL; then err is UNAUTHORIZED, or TOOMANYREQUESTS with a
 * number of seconds. */
typedef void auth_done_f(void *arg, struct identity *identity, const struct error *err, unsigned retry_after_s);
void auth_start(struct auth *auth, struct auth_attempt *attempt, struct loop *loop, auth_done_f *done, void *arg);
/* done does not run any more; not after it ran. */
void auth_cancel(struct auth_attempt *attempt);
/* Why auth_try() refused it, or auth_start() what it gave: said again from the head, for the log (login_refusal.h). */
void auth_explain(struct auth *auth, const struct snapshot *snapshot, struct http_request *request, struct login_refusal *ret);
void auth_metrics(struct auth *auth, struct buf *into);
/* He is in the htpasswd file; only such users have keys of their own (auth_own_key_f), and while they are. Thread  any. */
bool auth_has_password(const struct auth *auth, struct str user);
const char *auth_realm(const struct auth *auth);
int64_t     auth_fail_delay_ms(const struct auth *auth);
