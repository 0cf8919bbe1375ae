/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_keys - the API keys of the users of a worker that has no leaders: in accounts.db of its data folder, SHA-256 of secrets alone.
 *
 * All of them are in memory, too. What is answered is durable. They are this worker's own: no other one knows them, so a static cluster has
 * none (with leaders they are the leaders', and everywhere).
 * A file that is damaged, or of a newer version, is an error at the start: without it every key would be refused.
 *
 * Thread  any for own_keys_find(), which takes a lock for a look; else pool.
 */
#pragma once

#include "proto/own_key.h"

#define OWN_KEYS_FILE "accounts.db"
#define OWN_KEYS_ALL  100000u

struct own_keys;
/* Main, at the start. */
bool own_keys_open(struct own_keys **ret_keys, const char *folder, struct error *err) MUST_CHECK;
void own_keys_free(struct own_keys *keys);
AUTO_DEFINE(own_keys)

/* The key of this SHA-256 of a secret, a reference; or NULL. Whether it opens now is the caller's to see. */
struct entity *own_keys_find(struct own_keys *keys, const char secret_hash_hex[65]);
/* Whether this owner may change something now: OWN_KEYS_CHANGES in a minute. Asked before each change, of which it is one. Thread  any. */
bool own_keys_may_change(struct own_keys *keys, struct str owner, int64_t now_ms);
/* ERROR_CONFLICT: its owner has OWN_KEYS_MAX, or there are OWN_KEYS_ALL. */
bool own_keys_add(struct own_keys *keys, const struct entity *key, struct error *err) MUST_CHECK;
/* One that is not there, or not this owner's, is left alone: *ret_removed false. */
bool own_keys_remove(struct own_keys *keys, struct str owner, struct str id, bool *ret_removed, struct error *err) MUST_CHECK;
/* {"apiKeys": [...]} of this owner. */
void own_keys_list(struct own_keys *keys, struct str owner, int64_t now_s, struct buf *into);
