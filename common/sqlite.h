/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite - prepared statements of one database behind names of ours.
 *
 *     struct sql q = sql_of(db, "INSERT INTO meta VALUES (?, ?)");     a literal: prepared once, kept
 *     sql_text(&q, name); sql_int(&q, number);                         bound in order
 *     if (!sql_run(&q, err)) ...
 *
 *     struct sql q = sql_of(db, "SELECT number FROM meta");
 *     while (sql_next(&q)) ... sql_column_int(&q, 0) ...          ends at the last row or at an error
 *     return sql_end(&q, err);                                         false: it was an error
 *
 * Up to 32 MiB of pages are kept in memory. The log (-wal) grows to 16 MiB before it goes into the file.
 * A statement is in use until its sql_run() or sql_end(). Every commit is durable: WAL, synchronous = FULL.
 * The file is locked for this process alone; the lock dies with it. Where another one has it errors have EBUSY in `sys`.
 *
 * Thread  one at a time.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "common/str.h"

struct sqlite;
struct sqlite3_stmt;

bool sqlite_open(struct sqlite **ret_db, const char *path, struct error *err) MUST_CHECK;
void sqlite_free(struct sqlite *db);
AUTO_DEFINE(sqlite)
/* Statements without parameters, ';' between them. */
bool sqlite_exec(struct sqlite *db, const char *text, struct error *err) MUST_CHECK;
bool sqlite_begin(struct sqlite *db, struct error *err) MUST_CHECK;
bool sqlite_commit(struct sqlite *db, struct error *err) MUST_CHECK; /* rolled back when it fails */
void sqlite_rollback(struct sqlite *db);
/* Between transactions. Off: commits are whole or not at all, and durable only together with the next one of when it was on again. */
bool sqlite_each_durable(struct sqlite *db, bool on, struct error *err) MUST_CHECK;
/* From now on nothing waits for the disk: after a power cut the file may be damaged. For what can be made anew. */
bool sqlite_never_durable(struct sqlite *db, struct error *err) MUST_CHECK;

/* PRAGMA user_version, which is 0 in a new file. */
bool sqlite_format(struct sqlite *db, int64_t *ret, struct error *err) MUST_CHECK;

/* Reads all of it: is every page, row and index as it must be? */
bool sqlite_check(struct sqlite *db, struct error *err) MUST_CHECK;

/*
 * A copy into another file while the database is in use: so many pages a step, and between two steps the database may change by its
 * own handle: the copy is of the moment of its last step. What lies at `path` is overwritten.
 */
struct sqlite_copy;
bool sqlite_copy_new(struct sqlite_copy **ret_copy, struct sqlite *db, const char *path, struct error *err) MUST_CHECK;
bool sqlite_copy_step(struct sqlite_copy *copy, int pages, bool *ret_more, struct error *err) MUST_CHECK;
/* After a last step, which said "no more", it is one file, and the database is not touched; before, the copy is given up. */
void sqlite_copy_free(struct sqlite_copy *copy);
AUTO_DEFINE(sqlite_copy)

struct sql {
	struct sqlite *db;
	struct sqlite3_stmt *statement; /* NULL: it could not be prepared; running it says why */
	int bound;
	bool failed;
};
struct sql sql_of(struct sqlite *db, const char *literal);
void       sql_text(struct sql *q, const char *text); /* NULL: an SQL NULL. Bound texts live until the end */
void       sql_str(struct sql *q, struct str s);
void       sql_bytes(struct sql *q, struct str bytes);
void       sql_int(struct sql *q, int64_t number);
void       sql_count(struct sql *q, uint64_t number); /* at most INT64_MAX */
bool       sql_run(struct sql *q, struct error *err) MUST_CHECK;
bool       sql_next(struct sql *q);
bool       sql_end(struct sql *q, struct error *err) MUST_CHECK;
/* Borrowed until the next sql_next() or sql_end(). */
int64_t     sql_column_int(struct sql *q, int at);
uint64_t    sql_column_count(struct sql *q, int at); /* a negative number is 0 */
const char *sql_column_text(struct sql *q, int at);  /* never NULL */
struct str  sql_column_bytes(struct sql *q, int at);
