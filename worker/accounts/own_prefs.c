/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_prefs.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/few_each.h"
#include "proto/own_key.h"
#include "worker/accounts/own_entities.h"

static const struct own_entities_terms terms = {
	.file = { OWN_PREFS_FILE,
		"CREATE TABLE prefs (kind TEXT, user TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, user)) "
		"WITHOUT ROWID;"
		"PRAGMA user_version = 1;",
		1 },
	.kinds = 1u << ENTITY_STAR | 1u << ENTITY_BOOKMARK,
	.most = OWN_PREFS_ALL,
	.what = "a list of repositories",
	.load = "SELECT body FROM prefs",
	.put = "INSERT OR REPLACE INTO prefs VALUES (?, ?, ?)",
	.drop = "DELETE FROM prefs WHERE kind = ? AND user = ?",
};

struct own_prefs {
	struct own_entities *lists;
	struct few_each *changes;
};

struct state *own_prefs_state(struct own_prefs *prefs)
{
	return own_entities_state(prefs->lists);
}

bool own_prefs_open(struct own_prefs **ret_prefs, const char *folder, struct error *err)
{
	AUTO(own_prefs) *prefs = xnew(struct own_prefs);

	prefs->changes = few_each_new(&(struct few_each_terms){
		.each = OWN_KEYS_CHANGES, .all = OWN_KEYS_CHANGES_ALL, .span_ms = OWN_KEYS_CHANGES_MS });
	if (!own_entities_open(&prefs->lists, folder, &terms, err))
		return false;
	*ret_prefs = TAKE(prefs);
	return true;
}

void own_prefs_free(struct own_prefs *prefs)
{
	if (!prefs)
		return;
	own_entities_free(prefs->lists);
	few_each_free(prefs->changes);
	free(prefs);
}

/* Changes. */

bool own_prefs_may_change(struct own_prefs *prefs, struct str user, int64_t now_ms)
{
	return few_each_take_name(prefs->changes, user, now_ms);
}

static bool toggle_locked(
	struct own_prefs *prefs, const struct prefs_toggle *toggle, bool *ret_on, struct error *err)
{
	AUTO(state) *state = own_prefs_state(prefs);
	struct entity *now = state_find(state, toggle->kind, toggle->user);
	AUTO(entity) *made = NULL;

	if (!prefs_toggle(now, toggle, &made, ret_on, err))
		return false;
	if (!made)
		return true;
	if (!now && own_entities_count(state, &terms) >= OWN_PREFS_ALL)
		return error_set(err, ERROR_CONFLICT, NULL,
			"this worker has %u lists of stars and bookmarks, which is the most", OWN_PREFS_ALL);
	return own_entities_write_locked(prefs->lists, &made, 1, err);
}

bool own_prefs_toggle(
	struct own_prefs *prefs, const struct prefs_toggle *toggle, bool *ret_on, struct error *err)
{
	bool ok;

	own_entities_lock(prefs->lists);
	ok = toggle_locked(prefs, toggle, ret_on, err);
	own_entities_unlock(prefs->lists);
	return ok;
}

/* Users who are gone. */

struct gone {
	struct entity **at;
	size_t len;
};

static void gone_fini(struct gone *gone)
{
	for (size_t i = 0; i < gone->len; i++)
		entity_free(gone->at[i]);
	free(gone->at);
}

static void find_gone(const struct state *state, enum entity_kind kind, own_prefs_user_f *is_user,
	const void *arg, struct gone *gone)
{
	for (size_t i = 0; i < state_count(state, kind); i++) {
		struct str user = entity_id(state_at(state, kind, i));

		if (!is_user(arg, user))
			gone->at[gone->len++] = entity_new_deleted(kind, user, 0);
	}
}

static bool keep_locked(struct own_prefs *prefs, own_prefs_user_f *is_user, const void *arg, size_t *ret_gone,
	struct error *err)
{
	AUTO(state) *state = own_prefs_state(prefs);
	AUTO_FINI(gone)
	gone = { xnew_array(struct entity *, own_entities_count(state, &terms) + 1), 0 };

	find_gone(state, ENTITY_STAR, is_user, arg, &gone);
	find_gone(state, ENTITY_BOOKMARK, is_user, arg, &gone);
	*ret_gone = gone.len;
	return !gone.len || own_entities_write_locked(prefs->lists, gone.at, gone.len, err);
}

bool own_prefs_keep(struct own_prefs *prefs, own_prefs_user_f *is_user, const void *arg, size_t *ret_gone,
	struct error *err)
{
	bool ok;

	own_entities_lock(prefs->lists);
	ok = keep_locked(prefs, is_user, arg, ret_gone, err);
	own_entities_unlock(prefs->lists);
	return ok;
}
