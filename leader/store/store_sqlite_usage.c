/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_sqlite_usage - members, usage and grants of the SQLite driver.
 *
 * Sums stop at INT64_MAX: SQLite would go on in floating point, and lose the units.
 */
#include "leader/store/store_sqlite.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"

#define SUM(column) column " = " column " + min(excluded." column ", 9223372036854775807 - " column ")"

/* Members. */

bool store_sqlite_put_member(struct store *store, const struct store_member *member, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store),
		"INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	sql_text(&q, member->name);
	sql_text(&q, member->process);
	sql_text(&q, member->boot);
	sql_text(&q, member->url);
	sql_text(&q, member->zone);
	sql_text(&q, member->version);
	sql_text(&q, member->state);
	sql_count(&q, member->revision);
	sql_int(&q, member->seen_wall_s);
	sql_int(&q, member->lost_wall_s);
	return sql_run(&q, err);
}

bool store_sqlite_delete_member(struct store *store, const char *name, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store), "DELETE FROM member WHERE name = ?");

	sql_text(&q, name);
	return sql_run(&q, err);
}

static char *column_dup(struct sql *q, int at)
{
	return check_strdup(sql_column_text(q, at));
}

bool store_sqlite_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store), "SELECT * FROM member ORDER BY name");
	bool more = true;

	while (more && sql_next(&q)) {
		struct store_member member = { .name = column_dup(&q, 0),
			.process = column_dup(&q, 1),
			.boot = column_dup(&q, 2),
			.url = column_dup(&q, 3),
			.zone = column_dup(&q, 4),
			.version = column_dup(&q, 5),
			.state = column_dup(&q, 6),
			.revision = sql_column_count(&q, 7),
			.seen_wall_s = sql_column_int(&q, 8),
			.lost_wall_s = sql_column_int(&q, 9) };
		more = fn(arg, &member);
		store_member_fini(&member);
	}
	return sql_end(&q, err);
}

/* Grants. */

bool store_sqlite_load_grants(
	struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store),
		"SELECT worker, boot, apikey, day, granted, used, finished FROM held_grant WHERE day >= ?");
	bool more = true;

	sql_text(&q, day);
	while (more && sql_next(&q)) {
		struct store_grant grant = { .worker = column_dup(&q, 0),
			.boot = column_dup(&q, 1),
			.apikey = column_dup(&q, 2),
			.granted = sql_column_count(&q, 4),
			.used = sql_column_count(&q, 5),
			.finished = sql_column_int(&q, 6) };
		if (str_copy(str_of(sql_column_text(&q, 3)), grant.day, sizeof(grant.day)))
			more = fn(arg, &grant);
		free(grant.worker);
		free(grant.boot);
		free(grant.apikey);
	}
	return sql_end(&q, err);
}

static bool put_grant(struct sqlite *db, const struct store_grant *grant, struct error *err)
{
	struct sql q = sql_of(db, "INSERT OR REPLACE INTO held_grant VALUES (?, ?, ?, ?, ?, ?, ?)");

	sql_text(&q, grant->day);
	sql_text(&q, grant->apikey);
	sql_text(&q, grant->worker);
	sql_text(&q, grant->boot);
	sql_count(&q, grant->granted);
	sql_count(&q, grant->used);
	sql_int(&q, grant->finished);
	return sql_run(&q, err);
}

/* Usage. */

bool store_sqlite_seq(
	struct store *store, const char *worker, const char *boot, uint64_t *ret_seq, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store), "SELECT seq FROM pushed WHERE worker = ? AND boot = ?");
	uint64_t seq = 0;

	sql_text(&q, worker);
	sql_text(&q, boot);
	while (sql_next(&q))
		seq = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret_seq = seq;
	return true;
}

static bool put_seq(struct sqlite *db, const struct store_merge *merge, struct error *err)
{
	struct sql q = sql_of(db, "INSERT OR REPLACE INTO pushed VALUES (?, ?, ?, ?)");

	sql_text(&q, merge->worker);
	sql_text(&q, merge->boot);
	sql_count(&q, merge->seq);
	sql_int(&q, clock_wall_s());
	return sql_run(&q, err);
}

static bool add_row(struct sqlite *db, const struct usage_row *row, struct str window, struct error *err)
{
	struct sql q =
		sql_of(db, "INSERT INTO key_usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " SUM(
				   "calls") ", " SUM("bytes_in") ", " SUM("bytes_out"));

	sql_text(&q, row->apikey);
	sql_str(&q, window);
	sql_count(&q, row->calls);
	sql_count(&q, row->bytes_in);
	sql_count(&q, row->bytes_out);
	return sql_run(&q, err);
}

static bool add_repository(struct sqlite *db, const struct usage_repository *row, struct error *err)
{
	struct sql q = sql_of(
		db, "INSERT INTO repository_usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " SUM(
			    "pulls") ", " SUM("pushes") ", " SUM("bytes_in") ", " SUM("bytes_out"));

	sql_text(&q, row->name);
	sql_count(&q, row->pulls);
	sql_count(&q, row->pushes);
	sql_count(&q, row->bytes_in);
	sql_count(&q, row->bytes_out);
	return sql_run(&q, err);
}

static bool add_deltas(struct sqlite *db, const struct store_merge *merge, struct error *err)
{
	if (!put_seq(db, merge, err))
		return false;
	for (size_t i = 0; i < merge->rows_len; i++) {
		struct str day = str_of(merge->rows[i].day), month = { day.at, day.len < 7 ? day.len : 7 };
		if (!add_row(db, &merge->rows[i], day, err) || !add_row(db, &merge->rows[i], month, err))
			return false;
	}
	for (size_t i = 0; i < merge->repositories_len; i++)
		if (!add_repository(db, &merge->repositories[i], err))
			return false;
	return true;
}

static bool merge_parts(
	struct store *store, const struct store_merge *merge, bool *ret_new, struct error *err)
{
	struct sqlite *db = store_sqlite_db(store);
	uint64_t seq;

	if (!store_sqlite_seq(store, merge->worker, merge->boot, &seq, err))
		return false;
	*ret_new = merge->seq > seq;
	if (*ret_new && !add_deltas(db, merge, err))
		return false;
	for (size_t i = 0; i < merge->grants_len; i++)
		if (!put_grant(db, &merge->grants[i], err))
			return false;
	return !merge->member || store_sqlite_put_member(store, merge->member, err);
}

bool store_sqlite_merge_usage(
	struct store *store, const struct store_merge *merge, bool *ret_new, struct error *err)
{
	struct sqlite *db = store_sqlite_db(store);
	bool new;

	if (!sqlite_begin(db, err))
		return false;
	if (!merge_parts(store, merge, &new, err)) {
		sqlite_rollback(db);
		return false;
	}
	if (!sqlite_commit(db, err))
		return false;
	*ret_new = new;
	return true;
}

bool store_sqlite_calls(
	struct store *store, const char *apikey, const char *day, uint64_t *ret_calls, struct error *err)
{
	struct sql q =
		sql_of(store_sqlite_db(store), "SELECT calls FROM key_usage WHERE apikey = ? AND window = ?");
	uint64_t calls = 0;

	sql_text(&q, apikey);
	sql_text(&q, day);
	while (sql_next(&q))
		calls = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret_calls = calls;
	return true;
}

static bool each_key(struct sql *q, store_usage_f *fn, void *arg, struct error *err)
{
	bool more = true;

	while (more && sql_next(q)) {
		struct store_usage usage = { .id = sql_column_text(q, 0),
			.calls = sql_column_count(q, 2),
			.bytes_in = sql_column_count(q, 3),
			.bytes_out = sql_column_count(q, 4) };
		if (str_copy(str_of(sql_column_text(q, 1)), usage.window, sizeof(usage.window)))
			more = fn(arg, &usage);
	}
	return sql_end(q, err);
}

bool store_sqlite_list_keys(struct store *store, const char *apikey, const char *window, size_t max,
	store_usage_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store),
		"SELECT apikey, window, calls, bytes_in, bytes_out FROM key_usage "
		"WHERE (?1 IS NULL OR apikey = ?1) AND (?2 IS NULL OR window = ?2) ORDER BY apikey, window "
		"DESC LIMIT ?3");

	sql_text(&q, apikey);
	sql_text(&q, window);
	sql_count(&q, max);
	return each_key(&q, fn, arg, err);
}

bool store_sqlite_list_repositories(
	struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(store_sqlite_db(store),
		"SELECT name, pulls, pushes, bytes_in, bytes_out FROM repository_usage "
		"WHERE ?1 IS NULL OR name = ?1 ORDER BY name LIMIT ?2");
	bool more = true;

	sql_text(&q, name);
	sql_count(&q, max);
	while (more && sql_next(&q)) {
		struct store_usage usage = { .id = sql_column_text(&q, 0),
			.pulls = sql_column_count(&q, 1),
			.pushes = sql_column_count(&q, 2),
			.bytes_in = sql_column_count(&q, 3),
			.bytes_out = sql_column_count(&q, 4) };
		more = fn(arg, &usage);
	}
	return sql_end(&q, err);
}
