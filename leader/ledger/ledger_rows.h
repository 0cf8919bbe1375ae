/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_rows - all that a ledger has, as rows that are the same for every driver: how one ledger becomes another.
 *
 * Thread  as ledger.h.
 */
#pragma once

#include "common/sqlite.h"
#include "leader/ledger.h"

struct ledger_redis;

enum ledger_table {
	LEDGER_ENTITIES,     /* texts: body, msgpack */
	LEDGER_PAIRS,        /* digest; numbers: revision */
	LEDGER_NAMES,        /* key, owner, label */
	LEDGER_MEMBERS,      /* name, process, boot, url, zone, version, state; revision, seen, lost */
	LEDGER_BOOTS,        /* boot, worker; seq, number, finished, gone, seen */
	LEDGER_GRANTS,       /* day, key, boot; granted, used */
	LEDGER_USAGE,        /* key, window; calls, bytes in, bytes out, ungranted */
	LEDGER_REPOSITORIES, /* name; pulls, pushes, bytes in, bytes out */
	LEDGER_AUDIT,        /* user, key, from, kind, id, how, detail; number, at, revision, count, refused */
	LEDGER_LIVES,        /* id; place, dealings, heard */
	LEDGER_TABLES
};
#define LEDGER_ROW_TEXTS   7
#define LEDGER_ROW_NUMBERS 5
struct ledger_row {
	enum ledger_table table;
	struct str texts[LEDGER_ROW_TEXTS]; /* borrowed */
	uint64_t numbers[LEDGER_ROW_NUMBERS];
};
/* What is of the ledger as a whole. */
struct ledger_whole {
	struct ledger_loaded loaded;
	uint64_t expired, audit; /* the mark of ledger_expired(), the newest number of the audit */
};
/* Rows may come twice; false stops, with an error. */
typedef bool ledger_row_f(void *arg, const struct ledger_row *row, struct error *err);

/* SQLite. */
bool ledger_sqlite_rows(struct sqlite *db, ledger_row_f *fn, void *arg, struct error *err) MUST_CHECK;
bool ledger_sqlite_put_row(struct sqlite *db, const struct ledger_row *row, struct error *err) MUST_CHECK;
/* By what names it; an entity by its id, and its kind as a number. Not of the audit, not a life. */
bool ledger_sqlite_drop_row(struct sqlite *db, const struct ledger_row *row, struct error *err) MUST_CHECK;
bool ledger_sqlite_whole(struct sqlite *db, struct ledger_whole *ret, struct error *err) MUST_CHECK;
bool ledger_sqlite_put_whole(struct sqlite *db, const struct ledger_whole *whole, struct error *err) MUST_CHECK;

/* How many rows each table has, and a sum of their hashes: equal where the rows are. */
struct ledger_sums {
	uint64_t count[LEDGER_TABLES], sum[LEDGER_TABLES];
};
bool ledger_sqlite_sums(struct sqlite *db, struct ledger_sums *ret, struct error *err) MUST_CHECK;

/* Redis. A copy into an SQLite file while others write: of the moment of its last step. */
struct ledger_redis_copy;
bool ledger_redis_copy_new(struct ledger_redis_copy **ret_copy, struct ledger_redis *own, const char *path, struct error *err) MUST_CHECK;
bool ledger_redis_copy_step(struct ledger_redis_copy *copy, bool *ret_more, struct error *err) MUST_CHECK;
void ledger_redis_copy_free(struct ledger_redis_copy *copy);
/* All that the file has becomes what is under the prefix; nobody may use it. What was there is gone. */
bool ledger_redis_fill(struct ledger_redis *own, struct sqlite *db, struct error *err) MUST_CHECK;
