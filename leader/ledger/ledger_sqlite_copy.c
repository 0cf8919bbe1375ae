/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite_copy - copies of a ledger as an SQLite file, while it is in use and while it is not.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "leader/ledger/ledger_redis.h"
#include "leader/ledger/ledger_rows.h"
#include "leader/ledger/ledger_sqlite.h"

#define STEP_PAGES 256 /* 1 MiB: so long the ledger is not used by others */

struct ledger_copy {
	struct sqlite_copy *copy; /* of SQLite, or: */
	struct ledger_redis_copy *redis;
	char *path;
};

void ledger_sqlite_remove(const char *path)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		AUTO_FINI(buf) file = buf_limit(4096);

		buf_format(&file, "%s%s", path, endings[i]);
		if (!file.failed)
			(void)unlink(buf_text(&file));
	}
}

bool ledger_copy_new(
	struct ledger_copy **ret_copy, struct ledger *ledger, const char *path, struct error *err)
{
	AUTO(ledger_copy) *copy = xnew(struct ledger_copy);

	copy->path = check_strdup(path);
	if (ledger_is_shared(ledger)) {
		if (!ledger_redis_copy_new(&copy->redis, ledger_redis_of(ledger), path, err))
			return false;
		*ret_copy = TAKE(copy);
		return true;
	}
	ledger_sqlite_remove(path);
	if (!file_keep_private(path, err) ||
		!sqlite_copy_new(&copy->copy, ledger_sqlite_db(ledger), path, err))
		return false;
	*ret_copy = TAKE(copy);
	return true;
}

bool ledger_copy_step(struct ledger_copy *copy, bool *ret_more, struct error *err)
{
	if (copy->redis)
		return ledger_redis_copy_step(copy->redis, ret_more, err);
	return sqlite_copy_step(copy->copy, STEP_PAGES, ret_more, err);
}

static bool sync_file(const char *path, struct error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	return (fd >= 0 && fsync(fd) == 0) || error_sys(err, "%s", path);
}

bool ledger_look(const char *path, struct ledger_loaded *ret, struct error *err)
{
	AUTO(sqlite) *db = NULL;

	return sqlite_open(&db, path, err) && sqlite_check(db, err) &&
	       ledger_sqlite_prepare(db, false, ret, err);
}

bool ledger_copy_end(struct ledger_copy *copy, struct ledger_loaded *ret, struct error *err)
{
	sqlite_copy_free(TAKE(copy->copy));
	ledger_redis_copy_free(TAKE(copy->redis));
	return ledger_look(copy->path, ret, err) && sync_file(copy->path, err);
}

void ledger_copy_free(struct ledger_copy *copy)
{
	if (!copy)
		return;
	sqlite_copy_free(copy->copy);
	ledger_redis_copy_free(copy->redis);
	free(copy->path);
	free(copy);
}

bool ledger_copy_folder(const char *folder, const char *path, struct ledger_loaded *ret, struct error *err)
{
	struct ledger *ledger = NULL;
	AUTO(ledger_copy) *copy = NULL;
	bool ok, more = true;

	if (!ledger_open_sqlite(&ledger, folder, err))
		return false;
	ok = ledger_copy_new(&copy, ledger, path, err);
	while (ok && more)
		ok = ledger_copy_step(copy, &more, err);
	ok = ok && ledger_copy_end(copy, ret, err);
	ledger_copy_free(TAKE(copy));
	ledger_close(ledger);
	return ok;
}
