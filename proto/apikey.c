/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/apikey.h"

#include <string.h>

#include "common/crypto.h"

enum apikey_standing apikey_standing(
	const struct state *state, const struct entity *key, int64_t now_wall_s, struct entity **ret_owner)
{
	const struct apikey *apikey = entity_apikey(key);
	struct entity *owner = state_find(state, ENTITY_USER, str_of(apikey->owner));

	if (!apikey->enabled)
		return APIKEY_DISABLED;
	if (apikey->valid_until && apikey->valid_until <= now_wall_s)
		return APIKEY_OVER;
	if (!owner)
		return APIKEY_OWNER_UNKNOWN;
	if (!entity_user(owner)->enabled)
		return APIKEY_OWNER_DISABLED;
	*ret_owner = owner;
	return APIKEY_GOOD;
}

const char *apikey_standing_name(enum apikey_standing standing)
{
	static const char *const names[] = {
		[APIKEY_GOOD] = "good",
		[APIKEY_DISABLED] = "apikey_disabled",
		[APIKEY_OVER] = "apikey_over",
		[APIKEY_OWNER_UNKNOWN] = "apikey_owner_unknown",
		[APIKEY_OWNER_DISABLED] = "apikey_owner_disabled",
	};

	return names[standing];
}

static bool is_hash(const char *wanted, const char hash[65])
{
	return strlen(wanted) == 64 && equal_secret(hash, wanted, 64);
}

bool apikey_opens(const struct entity *key, const char secret_hash_hex[65], int64_t now_wall_s)
{
	const struct apikey *apikey = entity_apikey(key);

	if (is_hash(apikey->secret_hash, secret_hash_hex))
		return true;
	return apikey->grace_until > now_wall_s && is_hash(apikey->secret_hash_before, secret_hash_hex);
}
