/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_log - index.log beside index.json: what was changed since, appended under the folder's lock.
 *
 *     ZOTLOG1 <generation, 32 hex digits>\n  frame  frame  frame ...
 *
 * The generation stands in the index.json that the log continues. One of another generation is what a crash
 * left between the writing of a new index.json and the removal of its log, or what remained when some other
 * tool wrote index.json: it is not read, and the next append begins a new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/file.h"
#include "worker/storage/frames.h"
#include "worker/storage/fs_priv.h"

#define HEAD_MARK "ZOTLOG1 "
#define HEAD_LEN  (sizeof(HEAD_MARK) - 1 + 32 + 1)

static void head_of(const char *generation, char head[HEAD_LEN + 1])
{
	(void)snprintf(head, HEAD_LEN + 1, HEAD_MARK "%.32s\n", generation);
}

/* False: absent, too short, or of another generation. */
static bool is_of(int fd, const char *generation)
{
	char wanted[HEAD_LEN + 1], there[HEAD_LEN];

	head_of(generation, wanted);
	return pread(fd, there, HEAD_LEN, 0) == (ssize_t)HEAD_LEN && memcmp(there, wanted, HEAD_LEN) == 0;
}

static bool read_from(int fd, uint64_t from, struct buf *into, struct error *err)
{
	struct stat st;
	size_t len;

	if (fstat(fd, &st) != 0)
		return error_sys(err, "stat index.log");
	if ((uint64_t)st.st_size <= from)
		return true;
	len = (size_t)((uint64_t)st.st_size - from);
	if (!buf_reserve(into, len))
		return buf_check(into, "index.log", err);
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, into->at + into->len, len - done, (off_t)(from + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "read index.log");
		if (n == 0)
			break;
		into->len += (size_t)n;
		done += (size_t)n;
	}
	return true;
}

static bool path_of_log(
	const struct store *store, const char *index_key, struct fs_path *ret, struct error *err)
{
	char key[STORE_KEY_MAX];
	size_t len = strlen(index_key) - strlen("json");

	(void)snprintf(key, sizeof(key), "%.*slog", (int)len, index_key);
	return fs_path_of(store, key, ret, err);
}

enum store_step fs_log_get(struct store *store, const char *index_key, struct store_log_place *place,
	struct buf *into, struct error *err)
{
	struct fs_path path;
	AUTO_FD fd = -1;

	buf_clear(into);
	if (!path_of_log(store, index_key, &path, err))
		return STORE_FAILED;
	fd = open(path.text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT || fs_error(err, "open", path.text) ? STORE_OK : STORE_FAILED;
	if (!is_of(fd, place->generation))
		return STORE_OK;
	if (!read_from(fd, HEAD_LEN + place->at, into, err))
		return STORE_FAILED;
	into->len = frames_len(buf_str(into));
	store_log_advance(place, into->len, into->len);
	return STORE_OK;
}

/* ---- appending; the folder is locked ---- */

/* What lies behind our place: somebody's records (then we are late), or the rest of a write that was cut. */
static enum store_step clear_tail(int fd, uint64_t place, struct error *err)
{
	AUTO_FINI(buf) tail = buf_limit(STORE_LOG_MAX);

	if (!read_from(fd, HEAD_LEN + place, &tail, err))
		return STORE_FAILED;
	if (!tail.len)
		return STORE_OK;
	if (frames_len(buf_str(&tail)))
		return STORE_CONFLICT;
	if (ftruncate(fd, (off_t)(HEAD_LEN + place)) != 0) {
		(void)error_sys(err, "cut index.log");
		return STORE_FAILED;
	}
	return STORE_OK;
}

static bool begin_log(int fd, const char *generation, struct error *err)
{
	char head[HEAD_LEN + 1];

	head_of(generation, head);
	if (ftruncate(fd, 0) != 0 || pwrite(fd, head, HEAD_LEN, 0) != (ssize_t)HEAD_LEN)
		return error_sys(err, "begin index.log");
	return true;
}

static bool write_frames(int fd, struct str frames, uint64_t place, struct error *err)
{
	if (!file_write_at(fd, frames.at, frames.len, HEAD_LEN + place, err)) {
		(void)!ftruncate(fd, (off_t)(HEAD_LEN + place));
		return error_add(err, "index.log");
	}
	return fdatasync(fd) == 0 || error_sys(err, "sync index.log");
}

static enum store_step append_locked(
	const struct fs_path *path, struct store_log_place *place, struct str frames, struct error *err)
{
	AUTO_FD fd = open(path->text, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, FS_FILE_MODE);
	enum store_step step;
	bool begun = false;

	if (fd < 0) {
		(void)fs_error(err, "open", path->text);
		return STORE_FAILED;
	}
	if (!is_of(fd, place->generation)) {
		if (place->at)
			return STORE_CONFLICT;
		if (!begin_log(fd, place->generation, err))
			return STORE_FAILED;
		begun = true;
	}
	step = clear_tail(fd, place->at, err);
	if (step != STORE_OK)
		return step;
	if (!write_frames(fd, frames, place->at, err) || (begun && !file_sync_folder(path->folder, err)))
		return STORE_FAILED;
	store_log_advance(place, frames.len, frames.len);
	return STORE_OK;
}

enum store_step fs_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err)
{
	struct store_version version;
	struct fs_path index, log;
	struct stat there;
	AUTO_FD lock = -1;

	if (!fs_path_of(store, index_key, &index, err) || !path_of_log(store, index_key, &log, err) ||
		!fs_lock_folder(store, index.folder, &lock, err) || !fs_look(&index, &there, &version, err))
		return STORE_FAILED;
	if (strcmp(expected->text, version.text) != 0)
		return STORE_CONFLICT;
	return append_locked(&log, place, frames, err);
}

/* ---- folding; the folder is locked ---- */

enum store_step fs_log_check(const struct store *store, const char *index_key,
	const struct store_log_place *place, struct error *err)
{
	struct fs_path path;
	AUTO_FD fd = -1;

	if (!path_of_log(store, index_key, &path, err))
		return STORE_FAILED;
	fd = open(path.text, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return place->at ? STORE_CONFLICT : STORE_OK;
	if (fd < 0) {
		(void)fs_error(err, "open", path.text);
		return STORE_FAILED;
	}
	if (!is_of(fd, place->generation))
		return place->at ? STORE_CONFLICT : STORE_OK;
	return clear_tail(fd, place->at, err);
}

void fs_log_remove(const struct store *store, const char *index_key)
{
	struct fs_path path;

	if (path_of_log(store, index_key, &path, NULL))
		(void)unlink(path.text);
}
