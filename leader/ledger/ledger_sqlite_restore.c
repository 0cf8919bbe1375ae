/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_restore - another ledger takes the place of the one in a folder.
 *
 *     leader.db.restoring   made, checked, of a higher generation, closed, synced
 *     leader.db             has a second name, leader.db.before-<time>; its log has that one alone
 *     leader.db.restoring   --> leader.db
 *
 * Who dies in between is begun anew: there always is a leader.db, at worst the old one without its log, which workers refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "leader/ledger/ledger_sqlite.h"

#define COPY_BYTES (1024 * 1024)

struct restoring {
	char made[512], place[512];
};

static bool name_paths(const char *folder, struct restoring *restoring, struct error *err)
{
	int made = snprintf(restoring->made, sizeof(restoring->made), "%s/leader.db.restoring", folder);
	int place = snprintf(restoring->place, sizeof(restoring->place), "%s/leader.db", folder);

	return (made < (int)sizeof(restoring->made) && place > 0) ||
	       error_set(err, ERROR_INVALID, NULL, "the path of the folder is too long");
}

static void beside(const char *path, const char *ending, struct buf *into)
{
	buf_clear(into);
	buf_format(into, "%s%s", path, ending);
}

/* A copy of what was given. */

static bool pour(int from, int into, struct error *err)
{
	AUTO_FINI(buf) piece = buf_limit(COPY_BYTES);
	char *room = buf_reserve(&piece, COPY_BYTES);
	ssize_t got = 1;

	while (got > 0) {
		got = read(from, room, COPY_BYTES);
		if (got < 0)
			return error_sys(err, "read");
		if (got > 0 && !file_write_all(into, room, (size_t)got, err))
			return false;
	}
	return fsync(into) == 0 || error_sys(err, "fsync");
}

static bool copy_file(const char *from, const char *to, bool required, struct error *err)
{
	AUTO_FD in = open(from, O_RDONLY | O_CLOEXEC);
	AUTO_FD out = -1;

	if (in < 0)
		return (!required && errno == ENOENT) || error_sys(err, "%s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return error_sys(err, "%s", to);
	return pour(in, out, err) || error_add(err, "%s", to);
}

static bool copy_given(const char *file, const char *to, struct error *err)
{
	AUTO_FINI(buf) log = buf_limit(4096);
	AUTO_FINI(buf) its = buf_limit(4096);

	beside(file, "-wal", &log);
	beside(to, "-wal", &its);
	return copy_file(file, to, true, err) && copy_file(buf_text(&log), buf_text(&its), false, err);
}

/* The generation. */

static uint64_t next_generation(uint64_t generation)
{
	uint64_t now = (uint64_t)clock_wall_ms();

	return generation + 1 > now ? generation + 1 : now;
}

static bool raise_generation(struct sqlite *db, struct ledger_loaded *loaded, struct error *err)
{
	struct sql q = sql_of(db, "UPDATE cluster SET generation = ?");

	loaded->history.generation = next_generation(loaded->history.generation);
	sql_count(&q, loaded->history.generation);
	return sql_run(&q, err);
}

/* The place. */

static bool move(const char *from, const char *to, struct error *err)
{
	return rename(from, to) == 0 || errno == ENOENT || error_sys(err, "rename %s", from);
}

/* Where a file system has no second names there is none at its place for a moment. */
static bool keep_as(const char *from, const char *to, struct error *err)
{
	return link(from, to) == 0 || move(from, to, err);
}

static bool put_aside(const struct restoring *restoring, struct ledger_restored *ret, struct error *err)
{
	AUTO_FINI(buf) log = buf_limit(1024);
	AUTO_FINI(buf) its = buf_limit(1024);

	ret->aside[0] = '\0';
	if (access(restoring->place, F_OK) != 0)
		return true;
	(void)snprintf(
		ret->aside, sizeof(ret->aside), "%s.before-%" PRId64, restoring->place, clock_wall_ms());
	beside(restoring->place, "-wal", &log);
	beside(ret->aside, "-wal", &its);
	return move(buf_text(&log), buf_text(&its), err) && keep_as(restoring->place, ret->aside, err);
}

static bool take_place(
	const char *folder, const struct restoring *restoring, struct ledger_restored *ret, struct error *err)
{
	if (!put_aside(restoring, ret, err))
		return false;
	if (rename(restoring->made, restoring->place) != 0)
		return error_sys(err, "rename %s", restoring->made);
	return file_sync_folder(folder, err);
}

bool ledger_sqlite_take_place(const char *folder, struct ledger_restored *ret, struct error *err)
{
	struct restoring restoring;

	return name_paths(folder, &restoring, err) && take_place(folder, &restoring, ret, err);
}

/* From a backup. */

static bool make_of_file(
	const struct restoring *restoring, const char *file, struct ledger_loaded *ret, struct error *err)
{
	AUTO(sqlite) *db = NULL;

	return copy_given(file, restoring->made, err) && sqlite_open(&db, restoring->made, err) &&
	       sqlite_check(db, err) && ledger_sqlite_prepare(db, false, ret, err) &&
	       raise_generation(db, ret, err);
}

/* From a worker's state. */

static bool put_all(struct sqlite *db, const struct state *state, struct error *err)
{
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < state_count(state, (enum entity_kind)kind); i++) {
			const struct entity *entity = state_at(state, (enum entity_kind)kind, i);

			if (!ledger_sqlite_put_entity(db, entity, entity_revision(entity), err))
				return false;
		}
	}
	return true;
}

static bool put_history(struct sqlite *db, const struct state *state, struct error *err)
{
	const struct history *history = state_history(state);
	struct sql pair = sql_of(db, "INSERT INTO pair VALUES (?, ?)");
	struct sql q = sql_of(db, "UPDATE cluster SET id = ?, generation = ?");

	sql_count(&pair, state_revision(state));
	sql_bytes(&pair, str_from((const char *)state_digest(state), STATE_DIGEST_BYTES));
	if (!sql_run(&pair, err))
		return false;
	if (!*history->cluster)
		return true;
	sql_text(&q, history->cluster);
	sql_count(&q, history->generation);
	return sql_run(&q, err);
}

static bool write_state(struct sqlite *db, const struct state *state, struct error *err)
{
	if (!sqlite_begin(db, err))
		return false;
	if (!put_all(db, state, err) || !put_history(db, state, err) ||
		!ledger_sqlite_put_number(db, "revision", state_revision(state), err) ||
		!ledger_sqlite_put_number(db, "forgotten", state_revision(state), err)) {
		sqlite_rollback(db);
		return false;
	}
	return sqlite_commit(db, err);
}

static bool make_of_state(const struct restoring *restoring, const struct state *state,
	struct ledger_loaded *ret, struct error *err)
{
	AUTO(sqlite) *db = NULL;
	struct ledger_loaded empty;

	return file_keep_private(restoring->made, err) && sqlite_open(&db, restoring->made, err) &&
	       ledger_sqlite_prepare(db, true, &empty, err) && write_state(db, state, err) &&
	       ledger_sqlite_prepare(db, false, ret, err) && raise_generation(db, ret, err) &&
	       sqlite_check(db, err);
}

/* Either of them. */

struct source {
	const char *file; /* NULL: of the state */
	const struct state *state;
};

static bool make(const struct restoring *restoring, const struct source *source, struct ledger_loaded *ret,
	struct error *err)
{
	if (source->file)
		return make_of_file(restoring, source->file, ret, err) || error_add(err, "%s", source->file);
	return make_of_state(restoring, source->state, ret, err);
}

static bool restore(
	const char *folder, const struct source *source, struct ledger_restored *ret, struct error *err)
{
	struct restoring restoring;
	AUTO_FD lock = -1;
	bool ok;

	if (!name_paths(folder, &restoring, err) || !file_make_folders(folder, 0700, err) ||
		!ledger_sqlite_lock(folder, &lock, err))
		return false;
	ledger_sqlite_remove(restoring.made);
	ok = make(&restoring, source, &ret->loaded, err) && take_place(folder, &restoring, ret, err);
	if (!ok)
		ledger_sqlite_remove(restoring.made);
	return ok;
}

bool ledger_restore(const char *folder, const char *file, struct ledger_restored *ret, struct error *err)
{
	const struct source source = { .file = file };

	return restore(folder, &source, ret, err);
}

bool ledger_restore_state(
	const char *folder, const struct state *state, struct ledger_restored *ret, struct error *err)
{
	const struct source source = { .state = state };

	return restore(folder, &source, ret, err);
}
