/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/login_refusal.h"

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "proto/apikey.h"

/* Of a key whose secret was shown, or once was. */
static const char *why_not_opened(const struct state *state, const struct entity *key, const char hash[65])
{
	struct entity *owner;
	int64_t now = clock_wall_s();

	if (!apikey_opens(key, hash, now))
		return "apikey_secret_over";
	return apikey_standing_name(apikey_standing(state, key, now, &owner));
}

/* A leader takes it with the key's id too; where nothing else is wrong with it, a worker has refused it. */
static const char *why_zak_client(const struct state *state, const struct entity *key, const char hash[65])
{
	const char *why = why_not_opened(state, key, hash);

	return strcmp(why, apikey_standing_name(APIKEY_GOOD)) != 0 ? why : "apikey_needs_owner";
}

static const char *why_zak(
	const struct state *state, struct str user, struct str secret, const struct entity **ret_key)
{
	char hash[65];

	hash_sha256_hex(secret, hash);
	*ret_key = state_find_secret(state, str_of(hash));
	if (!*ret_key)
		return "apikey_unknown";
	if (str_equal(user, entity_id(*ret_key)))
		return why_zak_client(state, *ret_key, hash);
	if (!str_is(user, entity_apikey(*ret_key)->owner))
		return "apikey_needs_owner";
	return why_not_opened(state, *ret_key, hash);
}

/* The secret of a key that is named by its id. */
static const char *why_client(const struct state *state, const struct entity *key, struct str secret)
{
	char hash[65];

	hash_sha256_hex(secret, hash);
	if (state_find_secret(state, str_of(hash)) != key)
		return "apikey_secret_wrong";
	return why_not_opened(state, key, hash);
}

static const char *why_user(const struct entity *entity)
{
	if (!entity_user(entity)->enabled)
		return "user_disabled";
	return *entity_user(entity)->password_hash ? "password_wrong" : "user_without_password";
}

void login_refusal_of(const struct state *state, bool known, struct str user, struct str password,
	struct login_refusal *ret)
{
	const struct entity *entity = state_find(state, ENTITY_USER, user);
	const struct entity *key = state_find(state, ENTITY_APIKEY, user);
	struct str secret = password;

	tried_name(user, entity || key || known, ret->user);
	if (str_skip(&secret, APIKEY_PREFIX))
		ret->why = why_zak(state, user, secret, &key);
	else if (key)
		ret->why = why_client(state, key, password);
	else if (entity)
		ret->why = why_user(entity);
	else
		ret->why = known ? "password_wrong" : "user_unknown";
	if (key)
		CHECK(str_copy(entity_id(key), ret->apikey, sizeof(ret->apikey)));
}
