/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_prefs.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/few_each.h"
#include "proto/own_key.h"
#include "worker/accounts/own_file.h"

static const struct own_file file = { OWN_PREFS_FILE,
	"CREATE TABLE prefs (kind TEXT, user TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, user)) WITHOUT "
	"ROWID;"
	"PRAGMA user_version = 1;",
	1 };

struct own_prefs {
	pthread_mutex_t writes; /* of the file: one at a time, held over the other */
	struct sqlite *db;
	pthread_mutex_t lock; /* of the pointer */
	struct state *state;
	struct few_each *changes;
};

/* In memory. */

struct state *own_prefs_state(struct own_prefs *prefs)
{
	struct state *state;

	pthread_mutex_lock(&prefs->lock);
	state = state_ref(prefs->state);
	pthread_mutex_unlock(&prefs->lock);
	return state;
}

/* Under `writes` nobody else swaps it. */
static void put(struct own_prefs *prefs, struct entity *const *changed, size_t len)
{
	struct state *before = prefs->state;
	struct state *after = state_change(before, changed, len, state_revision(before) + 1);

	pthread_mutex_lock(&prefs->lock);
	prefs->state = after;
	pthread_mutex_unlock(&prefs->lock);
	state_free(before);
}

static size_t count(const struct own_prefs *prefs)
{
	return state_count(prefs->state, ENTITY_STAR) + state_count(prefs->state, ENTITY_BOOKMARK);
}

/* The file. */

struct loaded {
	struct entity **at;
	size_t len;
};

static void loaded_fini(struct loaded *loaded)
{
	for (size_t i = 0; i < loaded->len; i++)
		entity_free(loaded->at[i]);
	free(loaded->at);
}

static bool take(struct loaded *loaded, struct str body, struct error *err)
{
	AUTO(entity) *list = NULL;

	if (loaded->len == OWN_PREFS_ALL)
		return error_set(err, ERROR_TOO_LARGE, NULL, "over %u lists", OWN_PREFS_ALL);
	if (!own_file_decode(body, &list, err))
		return false;
	if (!prefs_is_kind(entity_kind(list)) || entity_is_deleted(list))
		return error_set(err, ERROR_INVALID, NULL, "a row is no list of repositories");
	loaded->at[loaded->len++] = TAKE(list);
	return true;
}

static bool load(struct own_prefs *prefs, struct error *err)
{
	struct sql q = sql_of(prefs->db, "SELECT body FROM prefs");
	AUTO_FINI(loaded) loaded = { xnew_array(struct entity *, OWN_PREFS_ALL), 0 };
	bool ok = true;

	while (ok && sql_next(&q))
		ok = take(&loaded, sql_column_bytes(&q, 0), err);
	if (!sql_end(&q, ok ? err : NULL) || !ok)
		return false;
	put(prefs, loaded.at, loaded.len);
	return true;
}

bool own_prefs_open(struct own_prefs **ret_prefs, const char *folder, struct error *err)
{
	AUTO(own_prefs) *prefs = xnew(struct own_prefs);

	CHECK(pthread_mutex_init(&prefs->writes, NULL) == 0 && pthread_mutex_init(&prefs->lock, NULL) == 0);
	prefs->state = state_new();
	prefs->changes = few_each_new(&(struct few_each_terms){
		.each = OWN_KEYS_CHANGES, .all = OWN_KEYS_CHANGES_ALL, .span_ms = OWN_KEYS_CHANGES_MS });
	if (!own_file_open(&prefs->db, folder, &file, err))
		return false;
	if (!load(prefs, err))
		return own_file_error(folder, &file, err);
	*ret_prefs = TAKE(prefs);
	return true;
}

void own_prefs_free(struct own_prefs *prefs)
{
	if (!prefs)
		return;
	state_free(prefs->state);
	few_each_free(prefs->changes);
	sqlite_free(prefs->db);
	pthread_mutex_destroy(&prefs->lock);
	pthread_mutex_destroy(&prefs->writes);
	free(prefs);
}

/* Changes: on disk first. */

bool own_prefs_may_change(struct own_prefs *prefs, struct str user, int64_t now_ms)
{
	return few_each_take_name(prefs->changes, user, now_ms);
}

static bool store(struct own_prefs *prefs, const struct entity *list, struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(ENTITY_BYTES_MAX);
	struct sql q = sql_of(prefs->db, "INSERT OR REPLACE INTO prefs VALUES (?, ?, ?)");

	entity_encode(list, &body);
	if (!buf_check(&body, "the list", err)) {
		(void)!sql_end(&q, NULL);
		return false;
	}
	sql_text(&q, entity_kind_name(entity_kind(list)));
	sql_str(&q, entity_id(list));
	sql_bytes(&q, buf_str(&body));
	return sql_run(&q, err);
}

static bool toggle_now(
	struct own_prefs *prefs, const struct prefs_toggle *toggle, bool *ret_on, struct error *err)
{
	struct entity *now = state_find(prefs->state, toggle->kind, toggle->user);
	AUTO(entity) *made = NULL;
	AUTO(entity) *stamped = NULL;

	if (!prefs_toggle(now, toggle, &made, ret_on, err))
		return false;
	if (!made)
		return true;
	if (!now && count(prefs) >= OWN_PREFS_ALL)
		return error_set(err, ERROR_CONFLICT, NULL,
			"this worker has %u lists of stars and bookmarks, which is the most", OWN_PREFS_ALL);
	stamped = entity_with_revision(made, state_revision(prefs->state) + 1);
	if (!store(prefs, stamped, err))
		return false;
	put(prefs, &stamped, 1);
	return true;
}

bool own_prefs_toggle(
	struct own_prefs *prefs, const struct prefs_toggle *toggle, bool *ret_on, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&prefs->writes);
	ok = toggle_now(prefs, toggle, ret_on, err);
	pthread_mutex_unlock(&prefs->writes);
	return ok;
}

/* Users who are gone. */

static bool unstore(struct own_prefs *prefs, const struct entity *list, struct error *err)
{
	struct sql q = sql_of(prefs->db, "DELETE FROM prefs WHERE kind = ? AND user = ?");

	sql_text(&q, entity_kind_name(entity_kind(list)));
	sql_str(&q, entity_id(list));
	return sql_run(&q, err);
}

static void find_gone(const struct own_prefs *prefs, enum entity_kind kind, own_prefs_user_f *is_user,
	const void *arg, struct loaded *gone)
{
	for (size_t i = 0; i < state_count(prefs->state, kind); i++) {
		struct str user = entity_id(state_at(prefs->state, kind, i));

		if (!is_user(arg, user))
			gone->at[gone->len++] = entity_new_deleted(kind, user, 0);
	}
}

static bool keep_now(struct own_prefs *prefs, own_prefs_user_f *is_user, const void *arg, size_t *ret_gone,
	struct error *err)
{
	AUTO_FINI(loaded) gone = { xnew_array(struct entity *, count(prefs) + 1), 0 };
	bool ok;

	find_gone(prefs, ENTITY_STAR, is_user, arg, &gone);
	find_gone(prefs, ENTITY_BOOKMARK, is_user, arg, &gone);
	*ret_gone = gone.len;
	if (!gone.len)
		return true;
	ok = sqlite_begin(prefs->db, err);
	if (!ok)
		return false;
	for (size_t i = 0; ok && i < gone.len; i++)
		ok = unstore(prefs, gone.at[i], err);
	if (!ok)
		sqlite_rollback(prefs->db);
	if (!ok || !sqlite_commit(prefs->db, err))
		return false;
	put(prefs, gone.at, gone.len);
	return true;
}

bool own_prefs_keep(struct own_prefs *prefs, own_prefs_user_f *is_user, const void *arg, size_t *ret_gone,
	struct error *err)
{
	bool ok;

	pthread_mutex_lock(&prefs->writes);
	ok = keep_now(prefs, is_user, arg, ret_gone, err);
	pthread_mutex_unlock(&prefs->writes);
	return ok;
}
