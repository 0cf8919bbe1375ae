/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/rights.h"

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

static const struct user *find_user(const struct state *state, struct str name)
{
	struct entity *entity = state_find(state, ENTITY_USER, name);

	return entity ? entity_user(entity) : NULL;
}

static bool manages_user(const struct state *state, const struct user *manager, struct str name)
{
	const struct user *user = find_user(state, name);
	struct access_who who = { .state = state };

	if (!manager || !user || user->roles.len)
		return false;
	who.user = entity_id(state_find(state, ENTITY_USER, name)).at;
	who.groups = user->groups;
	for (size_t i = 0; i < manager->roles.len; i++) {
		struct str role = str_of(manager->roles.at[i]);

		if (str_skip(&role, KEY_MANAGER) && access_is_in_group(&who, role))
			return true;
	}
	return false;
}

static bool manages(const struct state *state, const struct login_who *who, const struct entity *entity)
{
	const struct user *manager = find_user(state, str_of(who->user));

	if (entity_kind(entity) == ENTITY_USER)
		return manages_user(state, manager, entity_id(entity));
	return entity_kind(entity) == ENTITY_APIKEY &&
	       manages_user(state, manager, str_of(entity_apikey(entity)->owner));
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
