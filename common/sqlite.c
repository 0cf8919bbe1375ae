/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sqlite.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"

struct sqlite {
	sqlite3 *handle;
	struct map *statements; /* address of the literal -> sqlite3_stmt */
};

static bool say(struct sqlite *db, const char *what, struct error *err)
{
	int code = sqlite3_errcode(db->handle);
	enum error_kind kind = code == SQLITE_FULL ? ERROR_FULL : ERROR_UNAVAILABLE;

	if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
		(void)error_set(err, kind, NULL, "%s: another process has this database open", what);
		if (err)
			err->sys = EBUSY;
		return false;
	}
	return error_set(err, kind, NULL, "%s: %s", what, sqlite3_errmsg(db->handle));
}

bool sqlite_exec(struct sqlite *db, const char *text, struct error *err)
{
	if (sqlite3_exec(db->handle, text, NULL, NULL, NULL) != SQLITE_OK)
		return say(db, "sqlite", err);
	return true;
}

bool sqlite_open(struct sqlite **ret_db, const char *path, struct error *err)
{
	AUTO(sqlite) *db = xnew(struct sqlite);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	db->statements = map_new();
	/* Nobody reads these sums, and each allocation would lock to add to them. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK)
		return say(db, path, err);
	(void)sqlite3_busy_timeout(db->handle, 500);
	/* EXCLUSIVE comes before WAL: so the index of the log is in memory, not in a shared file. */
	if (!sqlite_exec(db,
		    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; "
		    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
		    "PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000;",
		    err) ||
		!sqlite_exec(db, "BEGIN EXCLUSIVE; COMMIT", err))
		return error_add(err, "%s", path);
	*ret_db = TAKE(db);
	return true;
}

void sqlite_free(struct sqlite *db)
{
	void *statement;

	if (!db)
		return;
	for (size_t at = 0; map_next(db->statements, &at, NULL, &statement);)
		(void)sqlite3_finalize(statement);
	map_free(db->statements);
	(void)sqlite3_close(db->handle);
	free(db);
}

bool sqlite_begin(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "BEGIN IMMEDIATE");

	return sql_run(&q, err);
}

void sqlite_rollback(struct sqlite *db)
{
	struct sql q = sql_of(db, "ROLLBACK");

	if (!sqlite3_get_autocommit(db->handle))
		(void)!sql_run(&q, NULL);
}

bool sqlite_each_durable(struct sqlite *db, bool on, struct error *err)
{
	return sqlite_exec(db, on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
}

bool sqlite_format(struct sqlite *db, int64_t *ret, struct error *err)
{
	struct sql q = sql_of(db, "PRAGMA user_version");
	int64_t format = 0;

	while (sql_next(&q))
		format = sql_column_int(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = format;
	return true;
}

bool sqlite_never_durable(struct sqlite *db, struct error *err)
{
	return sqlite_exec(db, "PRAGMA synchronous = OFF", err);
}

bool sqlite_commit(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "COMMIT");

	if (sql_run(&q, err))
		return true;
	sqlite_rollback(db);
	return false;
}

struct sql sql_of(struct sqlite *db, const char *literal)
{
	struct str key = str_from((const char *)&literal, sizeof(literal));
	struct sql q = { .db = db, .statement = map_find(db->statements, key) };

	if (q.statement) {
		(void)sqlite3_reset(q.statement);
		(void)sqlite3_clear_bindings(q.statement);
	} else if (sqlite3_prepare_v3(db->handle, literal, -1, SQLITE_PREPARE_PERSISTENT, &q.statement,
			   NULL) == SQLITE_OK) {
		(void)map_put(db->statements, key, q.statement);
	} else {
		q.failed = true;
	}
	return q;
}

static void bound(struct sql *q, int code)
{
	if (code != SQLITE_OK)
		q->failed = true;
}

void sql_str(struct sql *q, struct str s)
{
	if (q->statement)
		bound(q, sqlite3_bind_text64(q->statement, ++q->bound, s.at ? s.at : "", s.len, SQLITE_STATIC,
				 SQLITE_UTF8));
}

void sql_text(struct sql *q, const char *text)
{
	if (text)
		sql_str(q, str_of(text));
	else if (q->statement)
		bound(q, sqlite3_bind_null(q->statement, ++q->bound));
}

void sql_bytes(struct sql *q, struct str bytes)
{
	if (q->statement)
		bound(q, sqlite3_bind_blob64(q->statement, ++q->bound, bytes.len ? bytes.at : "", bytes.len,
				 SQLITE_STATIC));
}

void sql_int(struct sql *q, int64_t number)
{
	if (q->statement)
		bound(q, sqlite3_bind_int64(q->statement, ++q->bound, number));
}

void sql_count(struct sql *q, uint64_t number)
{
	sql_int(q, number > INT64_MAX ? INT64_MAX : (int64_t)number);
}

bool sql_next(struct sql *q)
{
	int code;

	if (q->failed)
		return false;
	code = sqlite3_step(q->statement);
	q->failed = code != SQLITE_ROW && code != SQLITE_DONE;
	return code == SQLITE_ROW;
}

bool sql_end(struct sql *q, struct error *err)
{
	bool ok = !q->failed || say(q->db, "sqlite", err);

	if (q->statement)
		(void)sqlite3_reset(q->statement);
	return ok;
}

bool sql_run(struct sql *q, struct error *err)
{
	while (sql_next(q))
		continue;
	return sql_end(q, err);
}

int64_t sql_column_int(struct sql *q, int at)
{
	return sqlite3_column_int64(q->statement, at);
}

uint64_t sql_column_count(struct sql *q, int at)
{
	int64_t number = sql_column_int(q, at);

	return number < 0 ? 0 : (uint64_t)number;
}

const char *sql_column_text(struct sql *q, int at)
{
	const void *text = sqlite3_column_text(q->statement, at);

	return text ? text : "";
}

struct str sql_column_bytes(struct sql *q, int at)
{
	const void *bytes = sqlite3_column_blob(q->statement, at);

	return str_from(bytes, (size_t)sqlite3_column_bytes(q->statement, at));
}

/* Checking and copying. */

bool sqlite_check(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "PRAGMA integrity_check(1)");
	bool good = false;

	while (sql_next(&q)) {
		good = !strcmp(sql_column_text(&q, 0), "ok");
		if (!good)
			(void)error_set(err, ERROR_INVALID, NULL, "damaged: %s", sql_column_text(&q, 0));
	}
	return sql_end(&q, good ? err : NULL) && good;
}

struct sqlite_copy {
	sqlite3 *into;
	sqlite3_backup *backup;
};

static bool say_copy(sqlite3 *handle, const char *what, struct error *err)
{
	enum error_kind kind = sqlite3_errcode(handle) == SQLITE_FULL ? ERROR_FULL : ERROR_UNAVAILABLE;

	return error_set(err, kind, NULL, "%s: %s", what, sqlite3_errmsg(handle));
}

bool sqlite_copy_new(struct sqlite_copy **ret_copy, struct sqlite *db, const char *path, struct error *err)
{
	AUTO(sqlite_copy) *copy = xnew(struct sqlite_copy);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(path, &copy->into, flags, NULL) != SQLITE_OK)
		return say_copy(copy->into, path, err);
	copy->backup = sqlite3_backup_init(copy->into, "main", db->handle, "main");
	if (!copy->backup)
		return say_copy(copy->into, path, err);
	*ret_copy = TAKE(copy);
	return true;
}

bool sqlite_copy_step(struct sqlite_copy *copy, int pages, bool *ret_more, struct error *err)
{
	int code = sqlite3_backup_step(copy->backup, pages);

	if (code != SQLITE_OK && code != SQLITE_DONE)
		return error_set(err, code == SQLITE_FULL ? ERROR_FULL : ERROR_UNAVAILABLE, NULL, "copy: %s",
			sqlite3_errstr(code));
	*ret_more = code == SQLITE_OK;
	if (*ret_more)
		return true;
	/* With this it lets go of the database. */
	return sqlite3_backup_finish(TAKE(copy->backup)) == SQLITE_OK || say_copy(copy->into, "copy", err);
}

void sqlite_copy_free(struct sqlite_copy *copy)
{
	if (!copy)
		return;
	(void)sqlite3_backup_finish(copy->backup);
	(void)sqlite3_close(copy->into);
	free(copy);
}
