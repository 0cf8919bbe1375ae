/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login - who is asking: the workers' key, an admin by password, an API key of an admin.
 *
 *   Authorization: Basic <CLUSTER_LEADER_CLIENT_ID>:<secret>   a worker: state and quotas only
 *                  Basic <worker's name>:<secret>               that worker alone, by the credential that the admin API made
 *                  Basic user:password                          enabled user with the role admin
 *                  Basic <owner>:zak_<secret>, Basic <client id>:<secret or zak_<secret>>
 *                                                               enabled key, without scopes, of such a user
 *
 * A key with scopes is confined to repositories, so it is no admin. Verified passwords are remembered for a minute as
 * a keyed hash, at most 1,000; a refusal never says which half was wrong, and an unknown user costs what a wrong
 * password costs.
 * Where ZOT_OWN_CREDENTIALS is set the first is nobody.
 * Thread  login_try: any, does not wait. login_verify: pool (bcrypt).
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

enum login_role { LOGIN_NOBODY, LOGIN_WORKER, LOGIN_ADMIN };
struct login_who {
	enum login_role role;
	char user[256];
	/* Of a worker with a credential of its own: its name, and the hash of what it showed. */
	char worker[256];
	char credential[65];
};
struct leader_settings;
struct login;
struct state;
bool login_new(struct login **ret_login, const struct leader_settings *settings, struct error *err) MUST_CHECK;
void login_free(struct login *login);
AUTO_DEFINE(login)
/* header: of Authorization, or NULL. True: decided. False: a password is to be verified by login_verify(). A user
 * who is known but no admin is LOGIN_NOBODY with the name in `user` (403); nobody at all has "" there (401). */
bool login_try(struct login *login, const struct state *state, const char *header, struct login_who *ret_who) MUST_CHECK;
void login_verify(struct login *login, const struct state *state, const char *header, struct login_who *ret_who);
/* Is what opened the door still good? A worker's own credential may have been revoked meanwhile. Thread  any. */
bool login_still(const struct state *state, const struct login_who *who);
