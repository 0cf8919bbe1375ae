/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_log - what the store asks of index.log: what is new, one batch more, and what a fold does before and
 * after.
 *
 * Readers hold no lock, as long as nothing is in doubt: then they take what is marked. Whoever reads a log
 * from its beginning and finds more than that settles it first, for what a power cut left may have been
 * acknowledged. Who followed it from a place has seen everything that was acknowledged before.
 */
#include <errno.h>
#include <fcntl.h>

#include "common/file.h"
#include "worker/storage/fs_log.h"

/* ---- reading ---- */

static void move_behind(struct store_log_place *place, const struct fs_log_tail *tail)
{
	store_log_advance(place, tail->marked, tail->marked);
	memcpy(place->chain, tail->chain.sum, sizeof(place->chain));
}

static bool can_not_be_written(const struct error *err)
{
	return err->sys == EROFS || err->sys == EACCES || err->sys == EPERM;
}

/* On a disk that takes no writes nothing can be settled, and nobody can change it either: what is whole
 * counts. */
static enum store_step read_as_it_is(struct store *store, const char *index_key,
	struct store_log_place *place, struct buf *into, struct error *err)
{
	AUTO_FINI(fs_log_tail) tail = { .marked = 0 };
	AUTO_FINI(fs_log) log = { .fd = -1 };
	enum store_step step;

	buf_clear(into);
	if (!fs_log_open(store, index_key, place->generation, false, &log, err))
		return STORE_FAILED;
	if (log.kind == FS_LOG_ABSENT || log.kind == FS_LOG_OTHER)
		return STORE_OK;
	step = fs_log_tail_read(&log, place, &tail, into, err);
	if (step != STORE_OK)
		return step;
	buf_add(into, fs_log_tail_pending(&tail));
	move_behind(place, &tail);
	return buf_check(into, "index.log", err) ? STORE_OK : STORE_FAILED;
}

/* With the lock, until nothing is in doubt. SAME: somebody holds it, and we do not wait. */
static enum store_step settle_and_read(struct store *store, const char *index_key,
	const struct store_version *index, bool wait, struct store_log_place *place, struct buf *into,
	struct error *err)
{
	AUTO_FINI(fs_log_tail) tail = { .marked = 0 };
	AUTO_FINI(fs_log) log = { .fd = -1 };
	struct store_version version;
	struct fs_path path;
	struct stat there;
	struct error cause;
	enum store_step step;
	AUTO_FD lock = -1;

	if (!fs_path_of(store, index_key, &path, err) ||
		!fs_lock_folder(store, path.folder, wait, &lock, err))
		return STORE_FAILED;
	if (lock < 0)
		return STORE_SAME;
	if (!fs_look(store, &path, &there, &version, err))
		return STORE_FAILED;
	buf_clear(into);
	if (strcmp(version.text, index->text) != 0)
		return STORE_CONFLICT;
	if (!fs_log_open(store, index_key, place->generation, true, &log, &cause)) {
		if (can_not_be_written(&cause))
			return read_as_it_is(store, index_key, place, into, err);
		if (err)
			*err = cause;
		return STORE_FAILED;
	}
	if (place->at && (log.kind == FS_LOG_ABSENT || log.kind == FS_LOG_OTHER))
		return STORE_CONFLICT;
	if (log.kind == FS_LOG_ABSENT)
		return STORE_OK;
	if (log.kind == FS_LOG_OTHER)
		return fs_log_dispose(store, &log, place, err) ? STORE_OK : STORE_FAILED;
	step = fs_log_tail_read(&log, place, &tail, into, err);
	if (step != STORE_OK)
		return step;
	if (!fs_log_settle(store, &log, place, &tail, into, err))
		return STORE_FAILED;
	move_behind(place, &tail);
	return STORE_OK;
}

enum store_step fs_log_get(struct store *store, const char *index_key, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err)
{
	AUTO_FINI(fs_log_tail) tail = { .marked = 0 };
	AUTO_FINI(fs_log) log = { .fd = -1 };
	enum store_step step;

	buf_clear(into);
	if (!fs_log_open(store, index_key, place->generation, false, &log, err))
		return STORE_FAILED;
	if (log.kind == FS_LOG_ABSENT)
		return place->at ? STORE_CONFLICT : STORE_OK;
	if (log.kind == FS_LOG_OTHER)
		return place->at ? STORE_CONFLICT
				 : settle_and_read(store, index_key, index, true, place, into, err);
	step = fs_log_tail_read(&log, place, &tail, into, err);
	if (step != STORE_OK)
		return step;
	/* Who follows has seen all that was acknowledged, unless the disk has lost a mark since; who is
	 * writing sees to that. */
	if (log.kind != FS_LOG_OLD && fs_log_tail_is_in_doubt(&tail)) {
		step = settle_and_read(store, index_key, index, !place->at, place, into, err);
		if (step != STORE_SAME)
			return step;
	}
	move_behind(place, &tail);
	return STORE_OK;
}

/* ---- appending; the folder is locked ---- */

/* OK: the log ends at this place, and nothing is in doubt. */
static enum store_step check_end(
	struct store *store, const struct fs_log *log, const struct store_log_place *place, struct error *err)
{
	AUTO_FINI(fs_log_tail) tail = { .marked = 0 };
	AUTO_FINI(buf) batches = buf_limit(STORE_LOG_MAX);
	enum store_step step = fs_log_tail_read(log, place, &tail, &batches, err);

	if (step != STORE_OK)
		return step;
	if (!fs_log_settle(store, log, place, &tail, &batches, err))
		return STORE_FAILED;
	return tail.marked ? STORE_CONFLICT : STORE_OK;
}

static enum store_step append_by_kind(struct store *store, struct fs_log *log, struct store_log_place *place,
	struct str frames, struct error *err)
{
	enum store_step step;

	switch (log->kind) {
	case FS_LOG_OTHER:
		if (!place->at && !fs_log_dispose(store, log, place, err))
			return STORE_FAILED;
		break;
	case FS_LOG_ABSENT:
		break;
	case FS_LOG_OLD:
	case FS_LOG_CLOSED:
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "the log of the index takes no more records");
		return STORE_CLOSED;
	case FS_LOG_OPEN:
		step = check_end(store, log, place, err);
		return step == STORE_OK ? fs_log_add(log, place, frames, err) : step;
	}
	return place->at ? STORE_CONFLICT : fs_log_begin(store, log, place, frames, err);
}

enum store_step fs_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err)
{
	AUTO_FINI(fs_log) log = { .fd = -1 };
	struct store_version version;
	struct fs_path index;
	struct stat there;
	AUTO_FD lock = -1;

	if (!fs_path_of(store, index_key, &index, err) ||
		!fs_lock_folder(store, index.folder, true, &lock, err) ||
		!fs_look(store, &index, &there, &version, err))
		return STORE_FAILED;
	if (strcmp(expected->text, version.text) != 0)
		return STORE_CONFLICT;
	if (!fs_log_open(store, index_key, place->generation, true, &log, err))
		return STORE_FAILED;
	return append_by_kind(store, &log, place, frames, err);
}

/* ---- folding; the folder is locked ---- */

static bool make_empty(const struct store *store, struct fs_log *log, struct error *err)
{
	log->fd = fs_at_open(store, log->path.text, O_WRONLY | O_CREAT | O_EXCL, FS_FILE_MODE);
	return log->fd >= 0 || fs_error(err, "create", log->path.text);
}

enum store_step fs_log_before_fold(
	struct store *store, const char *index_key, const struct store_log_place *place, struct error *err)
{
	AUTO_FINI(fs_log) log = { .fd = -1 };

	if (!fs_log_open(store, index_key, place->generation, true, &log, err))
		return STORE_FAILED;
	if (log.kind != FS_LOG_ABSENT && log.kind != FS_LOG_OTHER)
		return check_end(store, &log, place, err);
	if (place->at)
		return STORE_CONFLICT;
	if (log.kind == FS_LOG_OTHER && !fs_log_dispose(store, &log, place, err))
		return STORE_FAILED;
	return make_empty(store, &log, err) ? STORE_OK : STORE_FAILED;
}

void fs_log_after_fold(struct store *store, const char *index_key)
{
	AUTO_FINI(fs_log) log = { .fd = -1 };

	if (fs_log_open(store, index_key, "", false, &log, NULL) && log.kind != FS_LOG_ABSENT)
		(void)fs_at_unlink(store, log.path.text);
}
