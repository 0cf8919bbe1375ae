/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/rights.h"

#include "proto/access.h"

#include "proto/access.h"

#define KEY_MANAGER "key-manager:"

enum login_role rights_of(const struct user *user, bool *ret_keys)
{
	*ret_keys = false;
	for (size_t i = 0; i < user->roles.len; i++) {
		struct str role = str_of(user->roles.at[i]);

		*ret_keys |= str_skip(&role, KEY_MANAGER);
	}
	if (texts_have(&user->roles, STR("admin")))
		return LOGIN_ADMIN;
	if (texts_have(&user->roles, STR("reader")))
		return LOGIN_READER;
	return *ret_keys ? LOGIN_KEY_MANAGER : LOGIN_NOBODY;
}

/* In a group as for policies: by what the user says, or by the group's entity. */
static bool manages_user(const struct state *state, const struct user *manager, const struct entity *user)
{
	const struct access_who who = {
		.user = entity_id(user).at, .groups = entity_user(user)->groups, .state = state
	};

	if (entity_user(user)->roles.len)
		return false;
	for (size_t i = 0; i < manager->roles.len; i++) {
		struct str role = str_of(manager->roles.at[i]);

		if (str_skip(&role, KEY_MANAGER) && access_is_in_group(&who, role))
			return true;
	}
	return false;
}

static bool manages(const struct state *state, const struct login_who *who, const struct entity *entity)
{
	const struct entity *manager = state_find(state, ENTITY_USER, str_of(who->user));

	if (entity_kind(entity) == ENTITY_APIKEY)
		entity = state_find(state, ENTITY_USER, str_of(entity_apikey(entity)->owner));
	return manager && entity && entity_kind(entity) == ENTITY_USER &&
	       manages_user(state, entity_user(manager), entity);
}

bool rights_see(const struct state *state, const struct login_who *who, const struct entity *entity)
{
	return who->role == LOGIN_ADMIN || who->role == LOGIN_READER || manages(state, who, entity);
}

static bool manages_key(const struct state *state, const struct login_who *who, const struct entity *entity)
{
	return !entity || entity_is_deleted(entity) ||
	       (entity_kind(entity) == ENTITY_APIKEY && manages(state, who, entity));
}

bool rights_check(const struct state *state, const struct login_who *who, const struct entity *old,
	const struct entity *made, struct error *err)
{
	if (!login_still(state, who))
		return error_set(err, ERROR_DENIED, NULL, "what you may do has changed meanwhile");
	if (who->role == LOGIN_ADMIN)
		return true;
	if (who->keys && (old || made) && manages_key(state, who, old) && manages_key(state, who, made))
		return true;
	return error_set(err, ERROR_DENIED, NULL,
		"you manage the API keys of users who are in a group of yours and have no role; this is "
		"none of them");
}
