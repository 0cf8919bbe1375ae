/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_grants - boots, their grants, and lives of the SQLite driver.
 *
 * What a boot held counts as used when the boot is over (pushed.finished); its rows are folded afterwards, a
 * few at a time, so that no transaction is as large as a boot.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "leader/ledger/ledger_sqlite.h"

/* Boots. */

bool ledger_sqlite_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err)
{
	struct sql q = sql_of(
		ledger_sqlite_db(ledger), "SELECT seq, number, finished, gone FROM pushed WHERE boot = ?");
	struct ledger_boot known = { 0 };

	sql_text(&q, boot);
	while (sql_next(&q))
		known = (struct ledger_boot){ .seq = sql_column_count(&q, 0),
			.number = sql_column_count(&q, 1),
			.finished = sql_column_int(&q, 2) != 0,
			.gone = sql_column_int(&q, 3) != 0 };
	if (!sql_end(&q, err))
		return false;
	*ret = known;
	return true;
}

/* Nothing of a boot ever goes back. */
static bool raise_boot(struct sqlite *db, const char *worker, const char *boot,
	const struct ledger_boot *known, struct error *err)
{
	struct sql q =
		sql_of(db, "INSERT INTO pushed VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
			   " worker = excluded.worker, seq = max(seq, excluded.seq), number = max(number, "
			   "excluded.number),"
			   " finished = max(finished, excluded.finished), gone = max(gone, excluded.gone),"
			   " seen = excluded.seen");

	sql_text(&q, boot);
	sql_text(&q, worker);
	sql_count(&q, known->seq);
	sql_count(&q, known->number);
	sql_int(&q, known->finished);
	sql_int(&q, known->gone);
	sql_int(&q, clock_wall_s());
	return sql_run(&q, err);
}

bool ledger_sqlite_put_boot(
	struct ledger *ledger, const struct ledger_merge *merge, bool added, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);
	struct ledger_boot told = {
		.seq = added ? merge->seq : 0, .number = merge->number, .finished = merge->finished
	};
	struct ledger_boot gone = { .gone = true };

	if (!raise_boot(db, merge->worker, merge->boot, &told, err))
		return false;
	return !merge->gone || raise_boot(db, merge->worker, merge->process, &gone, err);
}

bool ledger_sqlite_load_gone(
	struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger),
		"SELECT boot FROM (SELECT boot, seen FROM pushed WHERE gone = 1 ORDER BY seen DESC LIMIT ?)"
		" ORDER BY seen");
	bool more = true;

	sql_count(&q, most);
	while (more && sql_next(&q))
		more = fn(arg, sql_column_text(&q, 0));
	return sql_end(&q, err);
}

/* Grants. */

bool ledger_sqlite_load_grants(
	struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger),
		"SELECT held_grant.boot, apikey, day, iif(finished, used, granted), used FROM held_grant"
		" LEFT JOIN pushed USING (boot) WHERE " LEDGER_SQLITE_SINCE);
	bool more = true;

	sql_text(&q, day);
	while (more && sql_next(&q)) {
		struct ledger_grant grant = { .boot = check_strdup(sql_column_text(&q, 0)),
			.apikey = check_strdup(sql_column_text(&q, 1)),
			.granted = sql_column_count(&q, 3),
			.used = sql_column_count(&q, 4) };
		if (str_copy(str_of(sql_column_text(&q, 2)), grant.day, sizeof(grant.day)))
			more = fn(arg, &grant);
		free(grant.boot);
		free(grant.apikey);
	}
	return sql_end(&q, err);
}

static bool put_grant(struct sqlite *db, const struct ledger_grant *grant, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO held_grant VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
				  " granted = excluded.granted, used = excluded.used");

	sql_text(&q, grant->day);
	sql_text(&q, grant->apikey);
	sql_text(&q, grant->boot);
	sql_count(&q, grant->granted);
	sql_count(&q, grant->used);
	return sql_run(&q, err);
}

static bool count_dealing(const struct ledger_sqlite *own, struct error *err)
{
	struct sql q = sql_of(own->db, "UPDATE life SET dealings = ? WHERE place = ?");

	sql_count(&q, own->dealings + 1);
	sql_int(&q, own->life_place);
	return sql_run(&q, err);
}

bool ledger_sqlite_put_grants(
	struct ledger *ledger, const struct ledger_merge *merge, uint64_t *ret_dealings, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	bool deals = merge->grants_len || merge->registers;

	for (size_t i = 0; i < merge->grants_len; i++)
		if (!put_grant(own->db, &merge->grants[i], err))
			return false;
	if (deals && !count_dealing(own, err))
		return false;
	*ret_dealings = own->dealings + deals;
	return true;
}

/* Folding. */

static bool find_finished(struct sqlite *db, char **ret_boot, struct error *err)
{
	struct sql q = sql_of(db, "SELECT boot FROM pushed WHERE finished = 1 LIMIT 1");

	while (sql_next(&q))
		*ret_boot = check_strdup(sql_column_text(&q, 0));
	return sql_end(&q, err);
}

static bool add_folded(struct sqlite *db, const char *boot, size_t most, struct error *err)
{
	struct sql q = sql_of(db,
		"INSERT INTO held_grant SELECT day, apikey, '', used, used FROM held_grant WHERE boot = ?"
		" ORDER BY day, apikey LIMIT ? ON CONFLICT DO UPDATE SET"
		" granted = granted + excluded.granted, used = used + excluded.used");

	sql_text(&q, boot);
	sql_count(&q, most);
	return sql_run(&q, err);
}

static bool delete_folded(struct sqlite *db, const char *boot, size_t most, struct error *err)
{
	struct sql q = sql_of(db,
		"DELETE FROM held_grant WHERE boot = ?1 AND (day, apikey) IN"
		" (SELECT day, apikey FROM held_grant WHERE boot = ?1 ORDER BY day, apikey LIMIT ?2)");

	sql_text(&q, boot);
	sql_count(&q, most);
	return sql_run(&q, err);
}

static bool note_folded(struct sqlite *db, const char *boot, struct error *err)
{
	struct sql q = sql_of(db, "UPDATE pushed SET finished = 2 WHERE boot = ?1"
				  " AND NOT EXISTS (SELECT 1 FROM held_grant WHERE boot = ?1)");

	sql_text(&q, boot);
	return sql_run(&q, err);
}

static bool fold_boot(struct sqlite *db, const char *boot, size_t most, struct error *err)
{
	bool ok;

	if (!sqlite_begin(db, err))
		return false;
	ok = add_folded(db, boot, most, err) && delete_folded(db, boot, most, err) &&
	     note_folded(db, boot, err);
	if (!ok)
		sqlite_rollback(db);
	return ok && sqlite_commit(db, err);
}

bool ledger_sqlite_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err)
{
	struct sqlite *db = ledger_sqlite_db(ledger);
	char *boot = NULL;
	bool ok;

	ok = find_finished(db, &boot, err) && (!boot || fold_boot(db, boot, most, err));
	if (ok)
		*ret_more = boot != NULL;
	free(boot);
	return ok;
}

/* Lives. */

static bool each_life(struct sqlite *db, int64_t *ret_last, ledger_life_f *fn, void *arg, struct error *err)
{
	struct sql q = sql_of(db, "SELECT place, id, dealings, heard FROM life ORDER BY place");
	bool more = true;

	while (more && sql_next(&q)) {
		struct ledger_life life = { .dealings = sql_column_count(&q, 2),
			.heard = sql_column_int(&q, 3) != 0 };
		*ret_last = sql_column_int(&q, 0);
		if (str_copy(str_of(sql_column_text(&q, 1)), life.id, sizeof(life.id)))
			more = fn(arg, &life);
	}
	return sql_end(&q, err);
}

static bool put_life(struct sqlite *db, int64_t place, const char *id, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO life VALUES (?, ?, 0, 0)");

	sql_int(&q, place);
	sql_text(&q, id);
	return sql_run(&q, err);
}

static bool forget_lives(struct sqlite *db, int64_t place, struct error *err)
{
	struct sql q = sql_of(db, "DELETE FROM life WHERE place <= ?");

	sql_int(&q, place - LEDGER_LIVES_KEPT);
	return sql_run(&q, err);
}

bool ledger_sqlite_begin_life(
	struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct ledger_life life = { 0 };
	int64_t last = 0;

	if (!each_life(own->db, &last, fn, arg, err))
		return false;
	random_hex(life.id, 8);
	if (!put_life(own->db, last + 1, life.id, err) || !forget_lives(own->db, last + 1, err))
		return false;
	memcpy(own->life, life.id, sizeof(own->life));
	own->life_place = last + 1;
	own->dealings = 0;
	*ret_joined = false;
	(void)fn(arg, &life);
	return true;
}

bool ledger_sqlite_put_heard(struct ledger *ledger, bool heard, struct error *err)
{
	const struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct sql q = sql_of(own->db, "UPDATE life SET heard = ? WHERE place = ?");

	sql_int(&q, heard);
	sql_int(&q, own->life_place);
	return sql_run(&q, err);
}
