/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_rows - the tables of the SQLite driver as rows (ledger_rows.h).
 */
#include <string.h>

#include "common/crypto.h"
#include "leader/ledger/ledger_rows.h"
#include "leader/ledger/ledger_sqlite.h"

/* Texts first, then numbers. */
struct table {
	const char *select, *insert, *drop; /* drop: by its first texts and numbers */
	unsigned texts, numbers, drop_texts, drop_numbers;
};

static const struct table tables[LEDGER_TABLES] = {
	[LEDGER_ENTITIES] = { "SELECT body FROM entity", NULL, "DELETE FROM entity WHERE id = ? AND kind = ?",
		1, 0, 1, 1 },
	[LEDGER_PAIRS] = { "SELECT digest, revision FROM pair",
		"INSERT OR REPLACE INTO pair (digest, revision) VALUES (?, ?)",
		"DELETE FROM pair WHERE digest = ? AND revision = ?", 1, 1, 1, 1 },
	[LEDGER_NAMES] = { "SELECT apikey, owner, label FROM key_name",
		"INSERT OR REPLACE INTO key_name (apikey, owner, label) VALUES (?, ?, ?)",
		"DELETE FROM key_name WHERE apikey = ?", 3, 0, 1, 0 },
	[LEDGER_MEMBERS] = { "SELECT name, process, boot, url, zone, version, state, revision, seen, lost "
			     "FROM member",
		"INSERT OR REPLACE INTO member (name, process, boot, url, zone, version, state, revision, "
		"seen, lost)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"DELETE FROM member WHERE name = ?", 7, 3, 1, 0 },
	[LEDGER_BOOTS] = { "SELECT boot, worker, seq, number, finished, gone, seen FROM pushed",
		"INSERT OR REPLACE INTO pushed (boot, worker, seq, number, finished, gone, seen) VALUES (?, "
		"?, ?, ?, ?, ?, ?)",
		"DELETE FROM pushed WHERE boot = ?", 2, 5, 1, 0 },
	[LEDGER_GRANTS] = { "SELECT day, apikey, boot, granted, used FROM held_grant",
		"INSERT OR REPLACE INTO held_grant (day, apikey, boot, granted, used) VALUES (?, ?, ?, ?, ?)",
		"DELETE FROM held_grant WHERE day = ? AND apikey = ? AND boot = ?", 3, 2, 3, 0 },
	[LEDGER_USAGE] = { "SELECT apikey, window, calls, bytes_in, bytes_out, ungranted FROM key_usage",
		"INSERT OR REPLACE INTO key_usage (apikey, window, calls, bytes_in, bytes_out, ungranted) "
		"VALUES (?, ?, ?, ?, ?, ?)",
		"DELETE FROM key_usage WHERE apikey = ? AND window = ?", 2, 4, 2, 0 },
	[LEDGER_REPOSITORIES] = { "SELECT name, pulls, pushes, bytes_in, bytes_out FROM repository_usage",
		"INSERT OR REPLACE INTO repository_usage (name, pulls, pushes, bytes_in, bytes_out) VALUES "
		"(?, ?, ?, ?, ?)",
		"DELETE FROM repository_usage WHERE name = ?", 1, 4, 1, 0 },
	[LEDGER_AUDIT] = { "SELECT user, apikey, client, kind, id, how, detail, number, at, revision, count, "
			   "refused FROM audit"
			   " ORDER BY number",
		"INSERT OR REPLACE INTO audit (user, apikey, client, kind, id, how, detail, number, at, "
		"revision, count, refused)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		NULL, 7, 5, 0, 0 },
	[LEDGER_LIVES] = { "SELECT id, place, dealings, heard FROM life ORDER BY place",
		"INSERT OR REPLACE INTO life (id, place, dealings, heard) VALUES (?, ?, ?, ?)", NULL, 1, 3, 0,
		0 },
};

static bool read_table(
	struct sqlite *db, enum ledger_table which, ledger_row_f *fn, void *arg, struct error *err)
{
	const struct table *table = &tables[which];
	struct sql q = sql_of(db, table->select);
	bool ok = true;

	while (ok && sql_next(&q)) {
		struct ledger_row row = { .table = which };

		for (unsigned i = 0; i < table->texts; i++)
			row.texts[i] = sql_column_bytes(&q, (int)i);
		for (unsigned i = 0; i < table->numbers; i++)
			row.numbers[i] = sql_column_count(&q, (int)(table->texts + i));
		ok = fn(arg, &row, err);
	}
	return sql_end(&q, ok ? err : NULL) && ok;
}

bool ledger_sqlite_rows(struct sqlite *db, ledger_row_f *fn, void *arg, struct error *err)
{
	for (unsigned i = 0; i < LEDGER_TABLES; i++)
		if (!read_table(db, (enum ledger_table)i, fn, arg, err))
			return false;
	return true;
}

static bool decode(struct str body, struct entity **ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;

	return pack_parse(body, &doc, err) && entity_decode(pack_root(doc), ret, err);
}

static bool put_entity(struct sqlite *db, struct str body, struct error *err)
{
	AUTO(entity) *entity = NULL;

	return decode(body, &entity, err) &&
	       ledger_sqlite_put_entity(db, entity, entity_revision(entity), err);
}

static void bind_text(struct sql *q, enum ledger_table table, struct str text)
{
	if (table == LEDGER_PAIRS)
		sql_bytes(q, text);
	else
		sql_str(q, text.at ? text : STR(""));
}

bool ledger_sqlite_put_row(struct sqlite *db, const struct ledger_row *row, struct error *err)
{
	const struct table *table = &tables[row->table];
	struct sql q;

	if (row->table == LEDGER_ENTITIES)
		return put_entity(db, row->texts[0], err);
	q = sql_of(db, table->insert);
	for (unsigned i = 0; i < table->texts; i++)
		bind_text(&q, row->table, row->texts[i]);
	for (unsigned i = 0; i < table->numbers; i++)
		sql_count(&q, row->numbers[i]);
	return sql_run(&q, err);
}

bool ledger_sqlite_drop_row(struct sqlite *db, const struct ledger_row *row, struct error *err)
{
	const struct table *table = &tables[row->table];
	struct sql q = sql_of(db, table->drop);

	for (unsigned i = 0; i < table->drop_texts; i++)
		bind_text(&q, row->table, row->texts[i]);
	for (unsigned i = 0; i < table->drop_numbers; i++)
		sql_count(&q, row->numbers[i]);
	return sql_run(&q, err);
}

/* The whole. */

static bool read_one(struct sqlite *db, struct sql q, uint64_t *ret, struct error *err)
{
	uint64_t number = 0;

	(void)db;
	while (sql_next(&q))
		number = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = number;
	return true;
}

bool ledger_sqlite_whole(struct sqlite *db, struct ledger_whole *ret, struct error *err)
{
	struct ledger_whole whole = { 0 };

	if (!ledger_sqlite_prepare(db, false, &whole.loaded, err) ||
		!read_one(db, sql_of(db, "SELECT upto FROM audit_expired"), &whole.expired, err) ||
		!read_one(db, sql_of(db, "SELECT seq FROM sqlite_sequence WHERE name = 'audit'"),
			&whole.audit, err))
		return false;
	*ret = whole;
	return true;
}

static bool put_one(struct sql q, uint64_t number, struct error *err)
{
	sql_count(&q, number);
	return sql_run(&q, err);
}

static bool put_history(struct sqlite *db, const struct history *history, struct error *err)
{
	struct sql q = sql_of(db, "UPDATE cluster SET id = ?, generation = ?");

	sql_text(&q, history->cluster);
	sql_count(&q, history->generation);
	return sql_run(&q, err);
}

bool ledger_sqlite_put_whole(struct sqlite *db, const struct ledger_whole *whole, struct error *err)
{
	return ledger_sqlite_put_number(db, "revision", whole->loaded.revision, err) &&
	       ledger_sqlite_put_number(db, "forgotten", whole->loaded.forgotten, err) &&
	       put_history(db, &whole->loaded.history, err) &&
	       (!whole->expired || put_one(sql_of(db, "INSERT OR REPLACE INTO audit_expired VALUES (1, ?)"),
					   whole->expired, err)) &&
	       sqlite_exec(db, "DELETE FROM sqlite_sequence WHERE name = 'audit'", err) &&
	       put_one(sql_of(db, "INSERT INTO sqlite_sequence (name, seq) VALUES ('audit', ?)"),
		       whole->audit, err);
}

/* Sums. */

static bool sum_row(void *arg, const struct ledger_row *row, struct error *err)
{
	struct ledger_sums *sums = arg;
	AUTO_FINI(buf) packed = buf_limit(4 * (size_t)ENTITY_BYTES_MAX);
	uint8_t hash[HASH_MAX];
	uint64_t number;

	for (unsigned i = 0; i < LEDGER_ROW_TEXTS; i++)
		pack_bin(&packed, row->texts[i].at ? row->texts[i] : STR(""));
	for (unsigned i = 0; i < LEDGER_ROW_NUMBERS; i++)
		pack_uint(&packed, row->table == LEDGER_LIVES && !i ? 0 : row->numbers[i]);
	hash_bytes(HASH_SHA256, packed.at, packed.len, hash);
	memcpy(&number, hash, sizeof(number));
	sums->count[row->table]++;
	sums->sum[row->table] += number;
	return buf_check(&packed, "row", err);
}

bool ledger_sqlite_sums(struct sqlite *db, struct ledger_sums *ret, struct error *err)
{
	struct ledger_sums sums = { 0 };

	if (!ledger_sqlite_rows(db, sum_row, &sums, err))
		return false;
	*ret = sums;
	return true;
}
