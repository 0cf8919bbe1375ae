/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_audit - the audit of the SQLite driver.
 *
 * Its tables are made where they are missing: the program before reads a ledger that has them, and writes none.
 */
#include <string.h>

#include "common/clock.h"
#include "leader/ledger/ledger_sqlite.h"

static const char tables[] =
	"CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
	" user TEXT NOT NULL, apikey TEXT NOT NULL, client TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT "
	"NULL,"
	" how TEXT NOT NULL, revision INTEGER NOT NULL, count INTEGER NOT NULL, refused INTEGER NOT NULL,"
	" detail TEXT NOT NULL);"
	"CREATE INDEX IF NOT EXISTS audit_refused ON audit (refused, number);"
	"CREATE INDEX IF NOT EXISTS audit_what ON audit (kind, id, number);"
	"CREATE INDEX IF NOT EXISTS audit_user ON audit (user, number);"
	"CREATE INDEX IF NOT EXISTS audit_at ON audit (at);"
	"CREATE TABLE IF NOT EXISTS audit_expired (place INTEGER PRIMARY KEY, upto INTEGER NOT NULL);";

bool ledger_sqlite_make_audit(struct sqlite *db, struct error *err)
{
	return sqlite_exec(db, tables, err);
}

/* Writing. */

bool ledger_sqlite_put_audit_row(
	struct sqlite *db, const struct ledger_audit *row, uint64_t revision, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO audit (at, user, apikey, client, kind, id, how, revision, "
				  "count, refused, detail)"
				  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	sql_int(&q, row->at_ms);
	sql_text(&q, row->user);
	sql_text(&q, row->apikey);
	sql_text(&q, row->from);
	sql_text(&q, row->kind);
	sql_text(&q, row->id);
	sql_text(&q, row->how);
	sql_count(&q, revision);
	sql_count(&q, row->count);
	sql_int(&q, row->refused);
	sql_text(&q, row->detail);
	return sql_run(&q, err);
}

static bool put_rows(struct sqlite *db, const struct ledger_audit *rows, size_t len, struct error *err)
{
	for (size_t i = 0; i < len; i++)
		if (!ledger_sqlite_put_audit_row(db, &rows[i], 0, err))
			return false;
	return true;
}

static bool end(struct sqlite *db, bool ok, struct error *err)
{
	if (ok)
		return sqlite_commit(db, err);
	sqlite_rollback(db);
	return false;
}

bool ledger_sqlite_put_audit(
	struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);

	return sqlite_begin(db, err) && end(db, put_rows(db, rows, len, err), err);
}

/* What was over. */

bool ledger_sqlite_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger), "SELECT upto FROM audit_expired");
	int64_t upto = 0;

	while (sql_next(&q))
		upto = sql_column_int(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret_upto_s = upto;
	return true;
}

static bool put_upto(struct sqlite *db, int64_t upto_s, struct error *err)
{
	struct sql q = sql_of(db, "INSERT OR REPLACE INTO audit_expired VALUES (1, ?)");

	sql_int(&q, upto_s);
	return sql_run(&q, err);
}

bool ledger_sqlite_put_expired(
	struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);
	int64_t upto;

	if (!ledger_sqlite_expired(ledger, &upto, err))
		return false;
	*ret_put = upto == expired->from_s;
	return !*ret_put ||
	       (sqlite_begin(db, err) && end(db,
						 put_rows(db, expired->rows, expired->len, err) &&
							 put_upto(db, expired->upto_s, err),
						 err));
}

/* Reading. */

static void take_row(struct sql *q, struct ledger_audit *ret)
{
	*ret = (struct ledger_audit){ .number = sql_column_count(q, 0),
		.at_ms = sql_column_int(q, 1),
		.user = sql_column_text(q, 2),
		.apikey = sql_column_text(q, 3),
		.from = sql_column_text(q, 4),
		.kind = sql_column_text(q, 5),
		.id = sql_column_text(q, 6),
		.how = sql_column_text(q, 7),
		.revision = sql_column_count(q, 8),
		.count = sql_column_count(q, 9),
		.refused = sql_column_int(q, 10),
		.detail = sql_column_text(q, 11) };
}

#define SELECT_AUDIT                                                                                         \
	"SELECT number, at, user, apikey, client, kind, id, how, revision, count, refused, detail FROM "     \
	"audit"                                                                                              \
	" WHERE number > ?1 AND (?2 = 0 OR number < ?2) AND (?3 = 0 OR at >= ?3) AND (?4 = 0 OR at < ?4)"    \
	" AND (?5 IS NULL OR user = ?5) AND (?6 IS NULL OR kind = ?6) AND (?7 IS NULL OR id = ?7)"

static struct sql select_rows(struct ledger *ledger, const struct ledger_audit_ask *ask)
{
	struct sqlite *db = ledger_sqlite_db(ledger);

	if (ask->oldest_first)
		return sql_of(db, SELECT_AUDIT " ORDER BY number LIMIT ?8");
	return sql_of(db, SELECT_AUDIT " ORDER BY number DESC LIMIT ?8");
}

bool ledger_sqlite_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max,
	ledger_audit_f *fn, void *arg, struct error *err)
{
	struct sql q = select_rows(ledger, ask);
	bool more = true;

	sql_count(&q, ask->after);
	sql_count(&q, ask->before);
	sql_int(&q, ask->since_ms);
	sql_int(&q, ask->until_ms);
	sql_text(&q, ask->user);
	sql_text(&q, ask->kind);
	sql_text(&q, ask->id);
	sql_count(&q, max);
	while (more && sql_next(&q)) {
		struct ledger_audit row;

		take_row(&q, &row);
		more = fn(arg, &row);
	}
	return sql_end(&q, err);
}

/* What is too old, or too much. */

/* The newest one that is beyond the bound of its sort; 0: none is. */
static bool find_beyond(struct sqlite *db, bool refused, uint64_t kept, uint64_t *ret, struct error *err)
{
	struct sql q = sql_of(
		db, "SELECT number FROM audit WHERE refused = ? ORDER BY number DESC LIMIT 1 OFFSET ?");
	uint64_t number = 0;

	sql_int(&q, refused);
	sql_count(&q, kept);
	while (sql_next(&q))
		number = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = number;
	return true;
}

/* To find the bound is to count all that stay, so it is remembered while there is more to delete than one turn may. */
static bool sweep_sort(struct ledger_sqlite *own, bool refused, const struct ledger_audit_kept *kept,
	bool *more, struct error *err)
{
	uint64_t *beyond = &own->audit_beyond[refused];

	if (!*beyond && !find_beyond(own->db, refused, refused ? kept->refusals : kept->changes, beyond, err))
		return false;
	struct sql q =
		sql_of(own->db, "DELETE FROM audit WHERE number IN (SELECT number FROM"
				" (SELECT number, at FROM audit WHERE refused = ?1 ORDER BY number LIMIT ?2)"
				" WHERE number <= ?3 OR at < ?4) RETURNING number");
	sql_int(&q, refused);
	sql_count(&q, kept->most);
	sql_count(&q, *beyond);
	sql_int(&q, kept->since_ms);
	size_t gone = 0;
	while (sql_next(&q))
		gone++;
	if (gone == kept->most)
		*more = true;
	else
		*beyond = 0;
	return sql_end(&q, err);
}

bool ledger_sqlite_sweep_audit(
	struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	bool more = false;

	if (!sweep_sort(own, false, kept, &more, err) || !sweep_sort(own, true, kept, &more, err))
		return false;
	*ret_more = more;
	return true;
}
