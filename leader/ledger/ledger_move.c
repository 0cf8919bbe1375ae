/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_move - one ledger becomes another one: SQLite in a folder, Redis, either way.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "leader/ledger/ledger_redis.h"
#include "leader/ledger/ledger_rows.h"
#include "leader/ledger/ledger_sqlite.h"

struct path {
	char text[640];
};

static struct path path_in(const char *folder, const char *name)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "%.500s/%s", folder, name);
	return path;
}

/* Sums. */

static bool sums_of_file(const char *path, struct ledger_sums *ret, struct error *err)
{
	AUTO(sqlite) *db = NULL;

	return sqlite_open(&db, path, err) && ledger_sqlite_sums(db, ret, err);
}

static bool compare(
	const struct ledger_sums *a, const struct ledger_sums *b, uint64_t *ret_rows, struct error *err)
{
	static const char *const names[LEDGER_TABLES] = { "entities", "pairs", "names of keys", "members",
		"boots", "grants", "usage", "repositories", "audit", "lives" };
	uint64_t rows = 0;

	for (size_t i = 0; i < LEDGER_TABLES; i++) {
		if (a->count[i] != b->count[i] || a->sum[i] != b->sum[i])
			return error_set(err, ERROR_INTERNAL, NULL,
				"the copy is not the same: of %s %" PRIu64 " rows were read, and %" PRIu64
				" when it was read again",
				names[i], a->count[i], b->count[i]);
		rows += a->count[i];
	}
	*ret_rows = rows;
	return true;
}

/* Redis into a file. */

static bool copy_into(struct ledger_redis *own, const char *path, struct error *err)
{
	struct ledger_redis_copy *copy;
	bool more = true, ok;

	if (!ledger_redis_copy_new(&copy, own, path, err))
		return false;
	for (ok = true; ok && more;)
		ok = ledger_redis_copy_step(copy, &more, err);
	ledger_redis_copy_free(copy);
	return ok;
}

/* What lies in Redis now has these sums. */
static bool verify(struct ledger_redis *own, const char *folder, const struct ledger_sums *wanted,
	uint64_t *ret_rows, struct error *err)
{
	struct path again = path_in(folder, "leader.db.verifying");
	struct ledger_sums sums;
	bool ok = copy_into(own, again.text, err) && sums_of_file(again.text, &sums, err) &&
		  compare(wanted, &sums, ret_rows, err);

	ledger_sqlite_remove(again.text);
	return ok;
}

/* Nobody else. */

static bool is_alone(struct ledger_redis *own, struct error *err)
{
	struct ledger_redis_place head;
	bool others = false;

	if (!ledger_redis_head(own, &head, err))
		return false;
	if (*head.mark && !ledger_redis_others(own, &others, err))
		return false;
	return !others ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "a leader uses the ledger in Redis at %s: stop all of them", redis_where(own->redis));
}

static bool is_free(struct ledger_redis *own, bool replace, struct error *err)
{
	struct ledger_redis_place head;

	if (!ledger_redis_head(own, &head, err))
		return false;
	return !head.n || replace ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "Redis at %s has something under \"%s\": --replace replaces it",
		       redis_where(own->redis), own->prefix);
}

/* To Redis. */

static bool fill(struct ledger_redis *own, struct ledger *from, const char *folder, struct ledger_moved *ret,
	struct error *err)
{
	struct ledger_sums sums;
	struct ledger_whole whole;

	if (!ledger_sqlite_whole(ledger_sqlite_db(from), &whole, err) ||
		!ledger_sqlite_sums(ledger_sqlite_db(from), &sums, err) ||
		!ledger_redis_fill(own, ledger_sqlite_db(from), err) ||
		!verify(own, folder, &sums, &ret->rows, err))
		return false;
	ret->loaded = whole.loaded;
	return true;
}

bool ledger_move_to_redis(const char *folder, const struct ledger_redis_settings *to, bool replace,
	struct ledger_moved *ret, struct error *err)
{
	struct path file = path_in(folder, "leader.db");
	struct ledger_redis *own = NULL;
	struct ledger *from;
	bool ok;

	*ret = (struct ledger_moved){ .aside = "" };
	if (access(file.text, F_OK) != 0)
		return error_sys(err, "%s", file.text);
	if (!ledger_open_sqlite(&from, folder, err))
		return false;
	ok = ledger_redis_connect(&own, to, err) && is_free(own, replace, err) && is_alone(own, err) &&
	     fill(own, from, folder, ret, err);
	ledger_close(from);
	if (own)
		ledger_close(&own->ledger);
	return ok;
}

/* From Redis. */

static bool take(struct ledger_redis *own, const char *folder, struct ledger_moved *ret, struct error *err)
{
	struct path made = path_in(folder, "leader.db.restoring");
	struct ledger_restored restored = { .aside = "" };
	struct ledger_sums sums;

	if (!copy_into(own, made.text, err) || !sums_of_file(made.text, &sums, err) ||
		!verify(own, folder, &sums, &ret->rows, err) || !ledger_look(made.text, &ret->loaded, err) ||
		!ledger_sqlite_take_place(folder, &restored, err)) {
		ledger_sqlite_remove(made.text);
		return false;
	}
	memcpy(ret->aside, restored.aside, sizeof(ret->aside));
	return true;
}

bool ledger_move_from_redis(const struct ledger_redis_settings *from, const char *folder, bool replace,
	struct ledger_moved *ret, struct error *err)
{
	struct ledger_redis_settings there = *from;
	struct path file = path_in(folder, "leader.db");
	struct ledger_redis *own = NULL;
	AUTO_FD lock = -1;
	bool ok;

	there.must_exist = true;
	*ret = (struct ledger_moved){ .aside = "" };
	if (!file_make_folders(folder, 0700, err) || !ledger_sqlite_lock(folder, &lock, err))
		return false;
	if (!replace && access(file.text, F_OK) == 0)
		return error_set(err, ERROR_CONFLICT, NULL, "%s is there: --replace replaces it", file.text);
	ok = ledger_redis_connect(&own, &there, err) && is_alone(own, err) && take(own, folder, ret, err);
	if (own)
		ledger_close(&own->ledger);
	return ok;
}

/* Restoring: made in a folder beside, as for SQLite, and moved from there. */

static void keep_what_was(struct ledger_redis *own, const char *folder, struct ledger_restored *ret)
{
	struct error err;

	(void)snprintf(ret->aside, sizeof(ret->aside), "%.500s/redis.before-%" PRId64 ".db", folder,
		clock_wall_ms());
	if (copy_into(own, ret->aside, &err))
		return;
	log_warn("restore", "error=%s what=\"what Redis had could not be copied\" ignoring",
		log_quote(str_of(err.text)));
	ledger_sqlite_remove(ret->aside);
	ret->aside[0] = '\0';
}

static bool replace_in(const struct ledger_redis_settings *to, const char *folder, const char *made,
	struct ledger_restored *ret, struct error *err)
{
	struct ledger_redis *own = NULL;
	struct ledger_redis_place head;
	struct ledger_moved moved;
	bool ok = ledger_redis_connect(&own, to, err) && ledger_redis_head(own, &head, err) &&
		  is_alone(own, err);

	ret->aside[0] = '\0';
	if (ok && head.n)
		keep_what_was(own, folder, ret);
	if (own)
		ledger_close(&own->ledger);
	return ok && ledger_move_to_redis(made, to, true, &moved, err);
}

bool ledger_restore_redis(const struct ledger_redis_settings *to, const char *folder, const char *file,
	const struct state *state, struct ledger_restored *ret, struct error *err)
{
	struct path made = path_in(folder, "restoring"), db = path_in(made.text, "leader.db"),
		    lock = path_in(made.text, "leader.lock");
	struct ledger_restored restored = { .aside = "" };
	bool ok;

	if (!file_make_folders(made.text, 0700, err))
		return false;
	ledger_sqlite_remove(db.text);
	ok = file ? ledger_restore(made.text, file, &restored, err)
		  : ledger_restore_state(made.text, state, &restored, err);
	ok = ok && replace_in(to, folder, made.text, &restored, err);
	ledger_sqlite_remove(db.text);
	(void)unlink(lock.text);
	(void)rmdir(made.text);
	if (ok)
		*ret = restored;
	return ok;
}
