/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_new - how the worker's struct auth (auth.h) is made and ended.
 *
 * Thread  main, before the loops start and after they ended.
 */
#pragma once

#include "worker/auth/auth.h"

struct cert_identity_rules;
struct pool;

/* API keys that are in no state: a reference of the key of this SHA-256 of a secret, or NULL. Thread  a loop; does not wait. */
typedef struct entity *auth_own_key_f(void *arg, const char secret_hash_hex[65]);

struct auth_settings {
	const char *realm;
	const char *htpasswd;   /* path, or NULL */
	struct str peer_secret; /* empty: no peers */
	const char *peer_name;  /* what they call us */
	uint8_t peer_process[8]; /* this process, in answers to them */
	int64_t fail_delay_ms;
	struct pool *pool;      /* verifies passwords */
	int64_t remember_ms;    /* one that was right */
	auth_own_key_f *own_key; /* NULL: there are none */
	void *own_keys;          /* its arg */
	const struct cert_identity_rules *certificates; /* NULL: client certificates are nobody's login */
};
bool auth_new(struct auth **ret_auth, const struct auth_settings *settings, struct error *err) MUST_CHECK;
/* Thread  any. */
void auth_set_fail_delay(struct auth *auth, int64_t ms);
/* The pool has ended. */
void auth_free(struct auth *auth);
AUTO_DEFINE(auth)
