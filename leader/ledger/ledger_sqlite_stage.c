/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_stage - large writes of the SQLite driver.
 *
 *     staged   the pieces, in their order
 *     import   one row, the revision: the pieces count. Without it they are what a process left that died
 *
 * While they count the file says version SCHEMA_UNSETTLED, which no program of before opens: it would not know of them. Whoever opens the
 * file settles first. A piece goes where it belongs in the transaction that removes it, so none is settled twice.
 */
#include "leader/ledger/ledger_piece.h"
#include "leader/ledger/ledger_sqlite.h"

static const char tables[] =
	"CREATE TABLE IF NOT EXISTS staged (place INTEGER PRIMARY KEY, rows BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS import (revision INTEGER NOT NULL);";

static bool end(struct sqlite *db, bool ok, struct error *err)
{
	if (ok)
		return sqlite_commit(db, err);
	sqlite_rollback(db);
	return false;
}

/* A transaction that need not be on the disk yet. */
static bool end_soon(struct sqlite *db, bool ok, struct error *err)
{
	ok = end(db, ok, err);
	return sqlite_each_durable(db, true, ok ? err : NULL) && ok;
}

static bool begin_soon(struct sqlite *db, struct error *err)
{
	struct error ignored;

	if (!sqlite_each_durable(db, false, err))
		return false;
	if (sqlite_begin(db, err))
		return true;
	(void)!sqlite_each_durable(db, true, &ignored);
	return false;
}

/* Putting aside. */

static bool empty(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "DELETE FROM staged");

	return sql_run(&q, err);
}

bool ledger_sqlite_stage_drop(struct ledger *ledger, struct error *err)
{
	return !ledger_sqlite_is_settled(ledger) || empty(ledger_sqlite_db(ledger), err);
}

bool ledger_sqlite_stage_begin(struct ledger *ledger, struct error *err)
{
	if (!ledger_sqlite_is_settled(ledger))
		return error_set(err, ERROR_BUSY, NULL, "another large write is not settled yet");
	return empty(ledger_sqlite_db(ledger), err);
}

static bool put_piece(struct sqlite *db, struct str piece, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO staged (rows) VALUES (?)");

	sql_bytes(&q, piece);
	return sql_run(&q, err);
}

bool ledger_sqlite_stage_put(struct ledger *ledger, struct str piece, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);

	return begin_soon(db, err) && end_soon(db, put_piece(db, piece, err), err);
}

/* Publishing. */

static bool put_import(struct sqlite *db, uint64_t revision, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO import VALUES (?)");

	sql_count(&q, revision);
	return sql_run(&q, err);
}

bool ledger_sqlite_mark_unsettled(struct sqlite *db, uint64_t revision, struct error *err)
{
	return put_import(db, revision, err) &&
	       sqlite_exec(db, "PRAGMA user_version = " LEDGER_SQLITE_UNSETTLED, err);
}

enum ledger_result ledger_sqlite_stage_publish(
	struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES], struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct ledger_pair pair = { .revision = revision };

	if (own->unsettled || revision <= own->revision)
		return LEDGER_STALE;
	memcpy(pair.digest, digest, sizeof(pair.digest));
	if (!sqlite_begin(own->db, err) ||
		!end(own->db,
			ledger_sqlite_mark_unsettled(own->db, revision, err) &&
				ledger_sqlite_remember_pair(own, &pair, err) &&
				ledger_sqlite_put_number(own->db, "revision", revision, err),
			err))
		return LEDGER_FAILED;
	own->unsettled = true;
	own->revision = revision;
	return LEDGER_WRITTEN;
}

/* Settling. */

bool ledger_sqlite_is_settled(const struct ledger *ledger)
{
	return !((const struct ledger_sqlite *)ledger)->unsettled;
}

/* What was written since stays. */
static bool settle_row(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	struct sqlite *db = arg;
	uint64_t revision = entity_revision(entity), there;
	bool named = entity_kind(entity) == ENTITY_APIKEY && !entity_is_deleted(entity);

	if (!ledger_sqlite_revision(db, entity, true, &there, err))
		return false;
	if (there < revision && (!ledger_sqlite_put_entity(db, entity, revision, err) ||
					(named && !ledger_sqlite_put_name(db, entity, err))))
		return false;
	return !audit || ledger_sqlite_put_audit_row(db, audit, revision, err);
}

/* *ret_place 0: there is none. */
static bool first_piece(struct sqlite *db, int64_t *ret_place, struct buf *into, struct error *err)
{
	struct sql q = sql_of(db, "SELECT place, rows FROM staged ORDER BY place LIMIT 1");

	*ret_place = 0;
	while (sql_next(&q)) {
		*ret_place = sql_column_int(&q, 0);
		buf_add(into, sql_column_bytes(&q, 1));
	}
	return sql_end(&q, err) && buf_check(into, "a piece of a large write", err);
}

static bool remove_piece(struct sqlite *db, int64_t place, struct error *err)
{
	struct sql q = sql_of(db, "DELETE FROM staged WHERE place = ?");

	sql_int(&q, place);
	return sql_run(&q, err);
}

static bool settle_one(struct sqlite *db, bool *ret_more, struct error *err)
{
	AUTO_FINI(buf) piece = buf_limit(LEDGER_PIECE_MAX);
	struct sql over = sql_of(db, "DELETE FROM import");
	int64_t place;

	if (!first_piece(db, &place, &piece, err))
		return false;
	*ret_more = place;
	if (place)
		return ledger_piece_each(buf_str(&piece), settle_row, db, err) &&
		       remove_piece(db, place, err);
	return sql_run(&over, err) && sqlite_exec(db, "PRAGMA user_version = " LEDGER_SQLITE_VERSION, err);
}

bool ledger_sqlite_settle(struct ledger *ledger, bool *ret_more, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	bool more = false;

	if (own->unsettled &&
		(!begin_soon(own->db, err) || !end_soon(own->db, settle_one(own->db, &more, err), err)))
		return false;
	own->unsettled = more;
	*ret_more = more;
	return true;
}

/* Opening. */

static bool counts(struct sqlite *db, bool *ret, struct error *err)
{
	struct sql q = sql_of(db, "SELECT count(*) FROM import");
	bool found = false;

	while (sql_next(&q))
		found = sql_column_int(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = found;
	return true;
}

bool ledger_sqlite_settle_all(struct sqlite *db, struct error *err)
{
	bool more;

	if (!sqlite_exec(db, tables, err) || !counts(db, &more, err))
		return false;
	while (more)
		if (!begin_soon(db, err) || !end_soon(db, settle_one(db, &more, err), err))
			return false;
	return empty(db, err);
}
