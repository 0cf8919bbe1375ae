/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_keys.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/few_each.h"
#include "common/map.h"
#include "worker/accounts/own_file.h"

static const struct own_file file = { OWN_KEYS_FILE,
	"CREATE TABLE apikey (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;PRAGMA user_version = "
	"1;",
	1 };

struct own_keys {
	pthread_mutex_t writes; /* of the file: one at a time, held over the other */
	struct sqlite *db;
	pthread_mutex_t lock;          /* of the maps */
	struct map *by_id, *by_secret; /* the same entities; by_id holds their references */
	struct few_each *changes;
};

/* In memory. */

static void put(struct own_keys *keys, struct entity *key)
{
	pthread_mutex_lock(&keys->lock);
	CHECK(!map_put(keys->by_id, entity_id(key), key));
	(void)map_put(keys->by_secret, str_of(entity_apikey(key)->secret_hash), key);
	pthread_mutex_unlock(&keys->lock);
}

static void drop(struct own_keys *keys, struct entity *key)
{
	pthread_mutex_lock(&keys->lock);
	(void)map_delete(keys->by_secret, str_of(entity_apikey(key)->secret_hash));
	(void)map_delete(keys->by_id, entity_id(key));
	pthread_mutex_unlock(&keys->lock);
	entity_free(key);
}

struct entity *own_keys_find(struct own_keys *keys, const char secret_hash_hex[65])
{
	struct entity *key;

	pthread_mutex_lock(&keys->lock);
	key = map_find(keys->by_secret, str_from(secret_hash_hex, 64));
	key = key ? entity_ref(key) : NULL;
	pthread_mutex_unlock(&keys->lock);
	return key;
}

/* Under `writes` nobody changes the maps. */
static size_t count_of(const struct own_keys *keys, struct str owner)
{
	size_t len = 0;
	void *key;

	for (size_t at = 0; map_next(keys->by_id, &at, NULL, &key);)
		len += str_is(owner, entity_apikey(key)->owner);
	return len;
}

/* The file. */

static bool decode(struct str bytes, struct entity **ret_key, struct error *err)
{
	AUTO(entity) *key = NULL;

	if (!own_file_decode(bytes, &key, err))
		return false;
	if (entity_kind(key) != ENTITY_APIKEY || entity_is_deleted(key))
		return error_set(err, ERROR_INVALID, NULL, "a row is no API key");
	*ret_key = TAKE(key);
	return true;
}

static bool load(struct own_keys *keys, struct error *err)
{
	struct sql q = sql_of(keys->db, "SELECT body FROM apikey");
	struct entity *key = NULL;
	bool ok = true;

	while (ok && sql_next(&q)) {
		ok = map_len(keys->by_id) < OWN_KEYS_ALL ||
		     error_set(err, ERROR_TOO_LARGE, NULL, "over %u keys", OWN_KEYS_ALL);
		ok = ok && decode(sql_column_bytes(&q, 0), &key, err);
		if (ok)
			put(keys, key);
	}
	return sql_end(&q, ok ? err : NULL) && ok;
}

bool own_keys_open(struct own_keys **ret_keys, const char *folder, struct error *err)
{
	AUTO(own_keys) *keys = xnew(struct own_keys);

	CHECK(pthread_mutex_init(&keys->writes, NULL) == 0 && pthread_mutex_init(&keys->lock, NULL) == 0);
	keys->by_id = map_new();
	keys->by_secret = map_new();
	keys->changes = few_each_new(&(struct few_each_terms){
		.each = OWN_KEYS_CHANGES, .all = OWN_KEYS_CHANGES_ALL, .span_ms = OWN_KEYS_CHANGES_MS });
	if (!own_file_open(&keys->db, folder, &file, err))
		return false;
	if (!load(keys, err))
		return own_file_error(folder, &file, err);
	*ret_keys = TAKE(keys);
	return true;
}

void own_keys_free(struct own_keys *keys)
{
	void *key;

	if (!keys)
		return;
	for (size_t at = 0; map_next(keys->by_id, &at, NULL, &key);)
		entity_free(key);
	map_free(keys->by_id);
	map_free(keys->by_secret);
	few_each_free(keys->changes);
	sqlite_free(keys->db);
	pthread_mutex_destroy(&keys->lock);
	pthread_mutex_destroy(&keys->writes);
	free(keys);
}

/* Changes: on disk first. */

bool own_keys_may_change(struct own_keys *keys, struct str owner, int64_t now_ms)
{
	return few_each_take_name(keys->changes, owner, now_ms);
}

static bool check_room(const struct own_keys *keys, const struct entity *key, struct error *err)
{
	if (count_of(keys, str_of(entity_apikey(key)->owner)) >= OWN_KEYS_MAX)
		return error_set(err, ERROR_CONFLICT, NULL,
			"there are %u API keys of this user, which is the most; delete one first",
			OWN_KEYS_MAX);
	return map_len(keys->by_id) < OWN_KEYS_ALL ||
	       error_set(err, ERROR_CONFLICT, NULL, "this worker has %u API keys, which is the most",
		       OWN_KEYS_ALL);
}

static bool store(struct own_keys *keys, const struct entity *key, struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(ENTITY_BYTES_MAX);
	struct sql q = sql_of(keys->db, "INSERT INTO apikey VALUES (?, ?)");

	entity_encode(key, &body);
	if (!buf_check(&body, "the key", err))
		return false;
	sql_str(&q, entity_id(key));
	sql_bytes(&q, buf_str(&body));
	return sql_run(&q, err);
}

bool own_keys_add(struct own_keys *keys, const struct entity *key, struct error *err)
{
	AUTO(entity) *stamped = entity_with_revision(key, 1);
	bool ok;

	pthread_mutex_lock(&keys->writes);
	ok = check_room(keys, stamped, err) && store(keys, stamped, err);
	if (ok)
		put(keys, entity_ref(stamped));
	pthread_mutex_unlock(&keys->writes);
	return ok;
}

static bool unstore(struct own_keys *keys, struct str id, struct error *err)
{
	struct sql q = sql_of(keys->db, "DELETE FROM apikey WHERE id = ?");

	sql_str(&q, id);
	return sql_run(&q, err);
}

bool own_keys_remove(
	struct own_keys *keys, struct str owner, struct str id, bool *ret_removed, struct error *err)
{
	struct entity *key;
	bool ok = true, is;

	pthread_mutex_lock(&keys->writes);
	key = map_find(keys->by_id, id);
	is = key && str_is(owner, entity_apikey(key)->owner);
	if (is)
		ok = unstore(keys, id, err);
	if (is && ok)
		drop(keys, key);
	pthread_mutex_unlock(&keys->writes);
	if (ok)
		*ret_removed = is;
	return ok;
}

void own_keys_list(struct own_keys *keys, struct str owner, int64_t now_s, struct buf *into)
{
	struct json_writer w = json_writer(into);
	void *key;

	json_open_object(&w);
	json_key(&w, STR("apiKeys"));
	json_open_array(&w);
	pthread_mutex_lock(&keys->writes);
	for (size_t at = 0; map_next(keys->by_id, &at, NULL, &key);)
		if (str_is(owner, entity_apikey(key)->owner))
			own_key_write(&w, key, NULL, now_s);
	pthread_mutex_unlock(&keys->writes);
	json_close_array(&w);
	json_close_object(&w);
}
