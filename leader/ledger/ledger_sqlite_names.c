/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_names - whose each API key is and what people call it, also of keys that are deleted and have usage.
 *
 * The table is made beside the others without a version of its own: a leader of before passes it over, and the keys that it makes
 * meanwhile are named when this one opens the file again. Of a key that was deleted before there was the table nothing is known.
 */
#include "leader/ledger/ledger_sqlite.h"

#include <string.h>

static const char table[] =
	"CREATE TABLE IF NOT EXISTS key_name (apikey TEXT PRIMARY KEY, owner TEXT NOT NULL,"
	" label TEXT NOT NULL) WITHOUT ROWID;";

bool ledger_sqlite_put_name(struct sqlite *db, const struct entity *key, struct error *err)
{
	const struct apikey *apikey = entity_apikey(key);
	struct sql q = sql_of(db, "INSERT INTO key_name VALUES (?1, ?2, ?3) ON CONFLICT (apikey) DO UPDATE"
				  " SET owner = ?2, label = ?3 WHERE owner <> ?2 OR label <> ?3");

	sql_str(&q, entity_id(key));
	sql_text(&q, apikey->owner);
	sql_text(&q, apikey->label);
	return sql_run(&q, err);
}

static bool put_packed(struct sqlite *db, struct str packed, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *key = NULL;

	return pack_parse(packed, &doc, err) && entity_decode(pack_root(doc), &key, err) &&
	       ledger_sqlite_put_name(db, key, err);
}

/* The next one behind the id `last` that has no name gets it, and becomes `last`; "": there was none. */
static bool name_next(struct sqlite *db, char last[ENTITY_ID_MAX + 1], struct error *err)
{
	AUTO_FINI(buf) packed = buf_limit(2 * (size_t)ENTITY_BYTES_MAX);
	struct sql q =
		sql_of(db, "SELECT id, body FROM entity WHERE kind = ? AND id > ? AND NOT deleted"
			   " AND NOT EXISTS (SELECT 1 FROM key_name WHERE apikey = id) ORDER BY id LIMIT 1");
	char next[ENTITY_ID_MAX + 1] = "";

	sql_int(&q, ENTITY_APIKEY);
	sql_text(&q, last);
	while (sql_next(&q)) {
		if (str_copy(str_of(sql_column_text(&q, 0)), next, sizeof(next)))
			buf_add(&packed, sql_column_bytes(&q, 1));
	}
	if (!sql_end(&q, err))
		return false;
	memcpy(last, next, sizeof(next));
	return !*next || put_packed(db, buf_str(&packed), err);
}

static bool name_all(struct sqlite *db, struct error *err)
{
	char last[ENTITY_ID_MAX + 1] = "";
	bool ok = name_next(db, last, err);

	while (ok && *last)
		ok = name_next(db, last, err);
	return ok;
}

/* Of keys that are gone, and of which nothing is counted any more. */
static bool forget_names(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "DELETE FROM key_name WHERE apikey NOT IN (SELECT id FROM entity WHERE "
				  "kind = ? AND NOT deleted)"
				  " AND apikey NOT IN (SELECT apikey FROM key_usage)");

	sql_int(&q, ENTITY_APIKEY);
	return sql_run(&q, err);
}

bool ledger_sqlite_make_names(struct sqlite *db, struct error *err)
{
	return sqlite_exec(db, table, err);
}

bool ledger_sqlite_open_names(struct sqlite *db, struct error *err)
{
	if (!sqlite_begin(db, err))
		return false;
	if (!name_all(db, err) || !forget_names(db, err)) {
		sqlite_rollback(db);
		return false;
	}
	return sqlite_commit(db, err);
}
