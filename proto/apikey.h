/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apikey - is this API key good now, and which secrets open it: the same for leader and workers.
 *
 * A key that was rotated has two secrets for a while: its own, and the one before until grace_until. Times are compared with
 * the wall clock of whoever asks, as those of valid_until.
 *
 * Thread  any; pure.
 */
#pragma once

#include "proto/state.h"

/* Before a secret where it is the password of the key's owner, as with zot. */
#define APIKEY_PREFIX "zak_"

enum apikey_standing {
	APIKEY_GOOD,
	APIKEY_DISABLED,
	APIKEY_OVER,           /* valid_until */
	APIKEY_OWNER_UNKNOWN,
	APIKEY_OWNER_DISABLED,
};
/* ret_owner (GOOD): borrowed from the state. */
enum apikey_standing apikey_standing(const struct state *state, const struct entity *key, int64_t now_wall_s, struct entity **ret_owner);
const char *apikey_standing_name(enum apikey_standing standing); /* "apikey_disabled" */
/* Is it this secret's, by its SHA-256 as 64 hex digits? Its time tells nothing of how much of it is right. */
bool apikey_opens(const struct entity *key, const char secret_hash_hex[65], int64_t now_wall_s);
