/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login - who is asking: the workers' key, a user by password, an API key of a user; and what the user's roles are (rights.h).
 *
 *   Authorization: Basic <CLUSTER_LEADER_CLIENT_ID>:<secret>   a worker: state, quotas, own keys of its users
 *                  Basic <worker's name>:<secret>               that worker alone, by the credential that the admin API made
 *                  Basic user:password                          enabled user with a role
 *                  Basic <owner>:zak_<secret>, Basic <client id>:<secret or zak_<secret>>
 *                                                               enabled key, without scopes, of such a user
 *
 * A key with scopes is confined to repositories, so it has none of its owner's roles. Passwords are verified and remembered as common/logins.h
 * says; a refusal never says which half was wrong, nor does its time: an unknown user, or a key that is disabled, is verified
 * like a wrong password.
 * Where ZOT_OWN_CREDENTIALS is set the first is nobody.
 * Thread  login_try: any, does not wait. login_start, login_cancel: own loop.
 */
#pragma once

#include "common/error.h"
#include "common/ip.h"
#include "common/str.h"

enum login_role { LOGIN_NOBODY, LOGIN_WORKER, LOGIN_KEY_MANAGER, LOGIN_READER, LOGIN_ADMIN };
struct login_who {
	enum login_role role;  /* the highest */
	bool keys;             /* manages API keys too: a KEY_MANAGER always, a READER or an ADMIN perhaps */
	char user[256];
	char apikey[256]; /* the key's id, where one was used */
	/* Of a worker with a credential of its own: its name. */
	char worker[256];
	/* What opened the door: the hash of the secret that a worker showed, or of the stored password of a user. */
	char credential[65];
};
struct buf;
struct leader_settings;
struct login;
struct login_refusal;
struct login_wait;
struct loop;
struct pool;
struct state;
struct login *login_new(const struct leader_settings *settings, struct pool *pool);
void login_free(struct login *login); /* the pool has ended */
AUTO_DEFINE(login)
struct login_ask {
	struct state *state;
	const char *header; /* Authorization, or NULL */
	struct ip client;
};
/* True: decided. False: a password is to be verified by login_start(). A user who is known but has no role is LOGIN_NOBODY with
 * the name in `user` (403); nobody at all has "" there (401). */
bool login_try(struct login *login, const struct login_ask *ask, struct login_who *ret_who) MUST_CHECK;

/* Once, from the loop. retry_after_s: not verified, since too many failed or wait; 0: *who is decided. */
typedef void login_done_f(void *arg, const struct login_who *who, unsigned retry_after_s);
struct login_wait *login_start(struct login *login, const struct login_ask *ask, struct loop *loop, login_done_f *done, void *arg);
/* done does not run any more; not after it ran. */
void login_cancel(struct login_wait *wait);
/* Why nobody was let in, for the log: said again from the header. Thread  any. */
void login_explain(const struct login *login, const struct login_ask *ask, struct login_refusal *ret);
void login_metrics(struct login *login, struct buf *into);
/* The user, of whom it is known that it is them. As login_try() has it. Thread  any. */
void login_user(const struct state *state, struct str name, struct login_who *ret_who);
/* Is what opened the door still good, and for the same? A credential may have been revoked meanwhile, a password or roles be others.
 * Thread  any. */
bool login_still(const struct state *state, const struct login_who *who);
