/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login_refusal - why a login was refused: for the log alone, whoever asks is told nothing of it.
 *
 *   no_login                  there was none: clients ask so first, and are told to log in
 *   login_malformed           more than one Authorization header, or one that is no Basic login
 *   user_unknown, user_disabled, user_without_password, password_wrong
 *   apikey_unknown            what begins with zak_ opens no key
 *   apikey_needs_owner        it opens one, and goes with the name of its owner
 *   apikey_secret_wrong       the key's id with another secret
 *   apikey_secret_over        the secret from before a rotation, whose time is over
 *   apikey_disabled, apikey_over, apikey_owner_unknown, apikey_owner_disabled
 *   certificate_names_nobody  at a worker: a client certificate from which no user is taken
 *   worker_secret_wrong, worker_disabled, worker_over
 *                             at a leader: a worker's own credential
 *   workers_secret_wrong      at a leader: the id that all workers share with another secret
 *   workers_refused           at a leader: workers are let in with credentials of their own alone
 *
 * Thread  any.
 */
#pragma once

#include "proto/state.h"
#include "proto/tried_name.h"

struct login_refusal {
	const char *why;                 /* a word, static */
	char user[TRIED_NAME_SIZE];      /* the name that was tried, as far as the log may have it */
	char apikey[ENTITY_ID_MAX + 1];  /* id of the API key that was meant, "" when none is known */
};
/* Of a user and password that opened nothing. known: the user has a password that is not in the state. */
void login_refusal_of(const struct state *state, bool known, struct str user, struct str password, struct login_refusal *ret);
