/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_usage - members and usage of the SQLite driver.
 *
 * Sums stop at INT64_MAX: SQLite would go on in floating point, and lose the units.
 */
#include "leader/ledger/ledger_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/json.h"

/* Escaped, a name is six times as long. */
#define KEYS_BYTES_MAX (USAGE_ROWS_MAX * (6 * LIMITS_SUBJECT_MAX + 32))
/* The users of a group, escaped. */
#define OWNERS_BYTES_MAX (64 * 1024 * 1024)
#define SUM(column)      column " = " column " + min(excluded." column ", 9223372036854775807 - " column ")"

/* Members. */

bool ledger_sqlite_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger),
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

static bool delete_row(struct sqlite *db, const char *name, struct error *err)
{
	struct sql q = sql_of(db, "DELETE FROM member WHERE name = ?");

	sql_text(&q, name);
	return sql_run(&q, err);
}

bool ledger_sqlite_delete_member(
	struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);

	if (!sqlite_begin(db, err))
		return false;
	if (!delete_row(db, name, err) || (audit && !ledger_sqlite_put_audit_row(db, audit, 0, err))) {
		sqlite_rollback(db);
		return false;
	}
	return sqlite_commit(db, err);
}

static char *column_dup(struct sql *q, int at)
{
	return check_strdup(sql_column_text(q, at));
}

bool ledger_sqlite_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger), "SELECT * FROM member ORDER BY name");
	bool more = true;

	while (more && sql_next(&q)) {
		struct ledger_member member = { .name = column_dup(&q, 0),
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
		ledger_member_fini(&member);
	}
	return sql_end(&q, err);
}

/* Usage. */

static bool add_sum(struct sqlite *db, const char *apikey, const struct ledger_sum *sum, struct error *err)
{
	struct sql q =
		sql_of(db, "INSERT INTO key_usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " SUM(
				   "calls") ", " SUM("bytes_in") ", " SUM("bytes_out") ", " SUM("ungranted"));

	sql_text(&q, apikey);
	sql_text(&q, sum->window);
	sql_count(&q, sum->calls);
	sql_count(&q, sum->bytes_in);
	sql_count(&q, sum->bytes_out);
	sql_count(&q, sum->ungranted);
	return sql_run(&q, err);
}

static bool add_row(struct sqlite *db, const struct usage_row *row, struct error *err)
{
	struct ledger_sum sums[LEDGER_SUMS];
	size_t len = ledger_sums(row, sums);

	for (size_t i = 0; i < len; i++)
		if (!add_sum(db, row->apikey, &sums[i], err))
			return false;
	return true;
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

static bool add_deltas(struct sqlite *db, const struct ledger_merge *merge, struct error *err)
{
	for (size_t i = 0; i < merge->rows_len; i++)
		if (!add_row(db, &merge->rows[i], err))
			return false;
	for (size_t i = 0; i < merge->repositories_len; i++)
		if (!add_repository(db, &merge->repositories[i], err))
			return false;
	return true;
}

static bool merge_parts(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	struct ledger_boot boot;

	if (!ledger_sqlite_boot(ledger, merge->boot, &boot, err))
		return false;
	ret->added = !merge->seq || boot.seq <= merge->after;
	ret->partly = !ret->added && boot.seq < merge->seq;
	if (ret->added && merge->seq && !add_deltas(ledger_sqlite_db(ledger), merge, err))
		return false;
	return ledger_sqlite_put_boot(ledger, merge, ret->added, err) &&
	       ledger_sqlite_put_grants(ledger, merge, &ret->dealings, err) &&
	       (!merge->member || ledger_sqlite_put_member(ledger, merge->member, err));
}

bool ledger_sqlite_merge_usage(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct ledger_merged merged = { 0 };

	if (!sqlite_begin(own->db, err))
		return false;
	if (!merge_parts(ledger, merge, &merged, err)) {
		sqlite_rollback(own->db);
		return false;
	}
	if (!sqlite_commit(own->db, err))
		return false;
	own->dealings = merged.dealings;
	*ret = merged;
	return true;
}

/* [["key","day"],...] */
static void put_keys(struct buf *into, const struct ledger_key_day *at, size_t len)
{
	struct json_writer w = json_writer(into);

	json_open_array(&w);
	for (size_t i = 0; i < len; i++) {
		json_open_array(&w);
		json_value_str(&w, str_of(at[i].apikey));
		json_value_str(&w, str_of(at[i].day));
		json_close_array(&w);
	}
	json_close_array(&w);
}

/* A statement for each would begin and end a transaction for each. */
bool ledger_sqlite_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len,
	struct ledger_calls *ret, struct error *err)
{
	AUTO_FINI(buf) keys = buf_limit(KEYS_BYTES_MAX);
	struct sql q;

	put_keys(&keys, at, len);
	if (!buf_check(&keys, "keys", err))
		return false;
	memset(ret, 0, len * sizeof(*ret));
	q = sql_of(ledger_sqlite_db(ledger),
		"SELECT asked.key, calls, ungranted FROM json_each(?) AS asked CROSS JOIN key_usage"
		" ON apikey = asked.value ->> 0 AND window = asked.value ->> 1");
	sql_str(&q, buf_str(&keys));
	while (sql_next(&q))
		ret[sql_column_count(&q, 0)] =
			(struct ledger_calls){ sql_column_count(&q, 1), sql_column_count(&q, 2) };
	return sql_end(&q, err);
}

/* ["ann","bob"]; NULL: any. */
static const char *put_owners(struct buf *into, const struct ledger_keys *which)
{
	struct json_writer w = json_writer(into);

	if (!which->owners)
		return NULL;
	json_open_array(&w);
	for (size_t i = 0; i < which->owners_len; i++)
		json_value_str(&w, str_of(which->owners[i]));
	json_close_array(&w);
	return buf_text(into);
}

/* ?1 to ?3. */
static void bind_keys(struct sql *q, const struct ledger_keys *which, const char *owners)
{
	sql_text(q, which->apikey);
	sql_text(q, which->window);
	sql_text(q, owners);
}

#define OF_KEYS                                                                                              \
	" FROM key_usage LEFT JOIN key_name USING (apikey) WHERE length(window) <= 10"                       \
	" AND (?1 IS NULL OR apikey = ?1)"                                                                   \
	" AND (?2 IS NULL OR window = ?2) AND (?3 IS NULL OR owner IN (SELECT value FROM json_each(?3)))"

bool ledger_sqlite_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max,
	ledger_usage_f *fn, void *arg, struct error *err)
{
	AUTO_FINI(buf) owners = buf_limit(OWNERS_BYTES_MAX);
	struct sql q = sql_of(ledger_sqlite_db(ledger),
		"SELECT apikey, window, calls, bytes_in, bytes_out, ungranted, owner, label" OF_KEYS
		" ORDER BY apikey, window DESC LIMIT ?4");
	bool more = true;

	bind_keys(&q, which, put_owners(&owners, which));
	sql_count(&q, max);
	while (more && sql_next(&q)) {
		struct ledger_usage usage = { .id = sql_column_text(&q, 0),
			.calls = sql_column_count(&q, 2),
			.bytes_in = sql_column_count(&q, 3),
			.bytes_out = sql_column_count(&q, 4),
			.ungranted = sql_column_count(&q, 5),
			.owner = sql_column_text(&q, 6),
			.label = sql_column_text(&q, 7) };
		if (str_copy(str_of(sql_column_text(&q, 1)), usage.window, sizeof(usage.window)))
			more = fn(arg, &usage);
	}
	return sql_end(&q, err);
}

static void add(uint64_t *sum, uint64_t more)
{
	*sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

/* Added here: SQLite's sum() is an error beyond its largest number. */
bool ledger_sqlite_sum_keys(
	struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err)
{
	AUTO_FINI(buf) owners = buf_limit(OWNERS_BYTES_MAX);
	struct ledger_usage sum = { 0 };
	struct sql q = sql_of(ledger_sqlite_db(ledger),
		"SELECT calls, bytes_in, bytes_out" OF_KEYS " AND (?2 IS NOT NULL OR length(window) = 7)");

	bind_keys(&q, which, put_owners(&owners, which));
	while (sql_next(&q)) {
		add(&sum.calls, sql_column_count(&q, 0));
		add(&sum.bytes_in, sql_column_count(&q, 1));
		add(&sum.bytes_out, sql_column_count(&q, 2));
	}
	if (!sql_end(&q, err))
		return false;
	*ret = sum;
	return true;
}

bool ledger_sqlite_list_repositories(
	struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger),
		"SELECT name, pulls, pushes, bytes_in, bytes_out FROM repository_usage "
		"WHERE ?1 IS NULL OR name = ?1 ORDER BY name LIMIT ?2");
	bool more = true;

	sql_text(&q, name);
	sql_count(&q, max);
	while (more && sql_next(&q)) {
		struct ledger_usage usage = { .id = sql_column_text(&q, 0),
			.pulls = sql_column_count(&q, 1),
			.pushes = sql_column_count(&q, 2),
			.bytes_in = sql_column_count(&q, 3),
			.bytes_out = sql_column_count(&q, 4) };
		more = fn(arg, &usage);
	}
	return sql_end(&q, err);
}
