/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_write - files that are there whole and for good, or not at all.
 *
 * Order: temp file in the target's folder, write, fsync, rename, fsync the folder. What is found to be
 * there already is replaced all the same: neither its bytes nor its durability can be told from its name and
 * size, and a sync that succeeds says nothing about one that failed before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "worker/storage/fs_priv.h"

#define COPY_STEP (256u * 1024)

/* ---- the temp file ---- */

/* False: somebody who sweeps took it for a dead one's, between our open and our lock. */
static bool hold(int fd)
{
	struct stat st;

	return !(flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) && fstat(fd, &st) == 0 &&
	       st.st_nlink > 0;
}

static int try_create(const char *folder, struct fs_temp *temp)
{
	char random[25];

	random_hex(random, 12);
	(void)snprintf(temp->path, sizeof(temp->path), "%s/" FS_TEMP "%s", folder, random);
	return fs_at_open(temp->store, temp->path, O_RDWR | O_CREAT | O_EXCL, FS_FILE_MODE);
}

static int create_temp(const char *folder, struct fs_temp *temp)
{
	int fd = try_create(folder, temp);

	while (fd >= 0 && !hold(fd)) {
		(void)close(fd);
		fd = try_create(folder, temp);
	}
	return fd;
}

/* Folders are made only when they are missing. */
bool fs_temp_new(struct store *store, const struct fs_path *target, struct fs_temp *ret, struct error *err)
{
	ret->store = store;
	ret->fd = create_temp(target->folder, ret);
	if (ret->fd < 0 && errno == ENOENT) {
		if (!fs_make_folders(store, target->folder, err))
			return false;
		ret->fd = create_temp(target->folder, ret);
	}
	if (ret->fd < 0)
		return fs_error(err, "create", ret->path);
	return true;
}

bool fs_temp_write(struct store *store, const struct fs_path *target, struct str bytes, struct fs_temp *ret,
	struct error *err)
{
	return fs_temp_new(store, target, ret, err) &&
	       (file_write_all(ret->fd, bytes.at, bytes.len, err) || error_add(err, "%s", target->text));
}

void fs_temp_fini(struct fs_temp *temp)
{
	if (temp->fd >= 0)
		(void)close(temp->fd);
	if (temp->path[0])
		(void)fs_at_unlink(temp->store, temp->path);
	*temp = (struct fs_temp){ .fd = -1 };
}

bool fs_temp_sync(struct fs_temp *temp, struct error *err)
{
	return fsync(temp->fd) == 0 || fs_error(err, "sync", temp->path);
}

bool fs_temp_rename(struct fs_temp *temp, const struct fs_path *target, struct error *err)
{
	if (!fs_at_rename(temp->store, temp->path, target->text, 0))
		return fs_error(err, "rename to", target->text);
	temp->path[0] = '\0';
	return true;
}

/* ---- small objects ---- */

bool fs_put(struct store *store, const char *key, const struct digest *digest, struct str bytes,
	struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };
	struct fs_path target;

	(void)digest;
	return fs_path_of(store, key, &target, err) && fs_temp_write(store, &target, bytes, &temp, err) &&
	       fs_temp_sync(&temp, err) && fs_temp_rename(&temp, &target, err) &&
	       fs_sync_folder(store, target.folder, err);
}

static bool read_small(int fd, size_t most, struct buf *into, struct error *err)
{
	char *at = buf_reserve(into, most + 1);

	for (ssize_t n = 1; at && n && into->len <= most;) {
		n = read(fd, at + into->len, most + 1 - into->len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return error_sys(err, "read");
		else
			buf_grew(into, (size_t)n);
	}
	return at && into->len <= most;
}

/* One that cannot be read at once is as one that differs: it is written again. */
static bool has_bytes(const struct store *store, const struct fs_path *path, struct str bytes)
{
	AUTO_FINI(buf) there = buf_limit(bytes.len);
	char *at = buf_reserve(&there, bytes.len);
	struct stat st;
	AUTO_FD fd = -1;

	return at && fs_open_file(store, path->text, &fd, &st, NULL) && st.st_size == (off_t)bytes.len &&
	       read(fd, at, bytes.len) == (ssize_t)bytes.len && str_equal(str_from(at, bytes.len), bytes);
}

/* *ret_put false: something is there. */
static bool put_new(
	struct store *store, const struct fs_path *target, struct str bytes, bool *ret_put, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };

	if (!fs_temp_write(store, target, bytes, &temp, err))
		return false;
	*ret_put = fs_at_rename(store, temp.path, target->text, RENAME_NOREPLACE);
	if (*ret_put)
		temp.path[0] = '\0';
	else if (errno == EINVAL || errno == ENOSYS)
		*ret_put = fs_at_link(store, temp.path, target->text);
	return *ret_put || errno == EEXIST || errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK ||
	       fs_error(err, "link to", target->text);
}

bool fs_put_lazy(struct store *store, const char *key, struct str bytes, bool listed, uint64_t *ret_era,
	struct error *err)
{
	uint64_t era = store_era(store, STR_NONE);
	struct fs_path target;
	struct stat st;
	bool put = false;

	*ret_era = 0;
	if (!fs_path_of(store, key, &target, err))
		return false;
	if (!listed && !fs_at_stat(store, target.text, &st) && !put_new(store, &target, bytes, &put, err))
		return false;
	if (put)
		*ret_era = era;
	return put || (listed && has_bytes(store, &target, bytes)) || fs_put(store, key, NULL, bytes, err);
}

bool fs_put_again(struct store *store, const char *key, struct str bytes, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };
	struct fs_path target;

	return fs_path_of(store, key, &target, err) && fs_temp_write(store, &target, bytes, &temp, err) &&
	       fs_temp_rename(&temp, &target, err);
}

/* ---- files ---- */

static bool copy_step(int from, int to, char *at, uint64_t offset, size_t want, struct error *err)
{
	ssize_t n;

	for (size_t done = 0; done < want; done += (size_t)n) {
		do
			n = pread(from, at + done, want - done, (off_t)(offset + done));
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return error_sys(err, "read");
		if (n == 0)
			return error_set(err, ERROR_INTERNAL, NULL, "the file is shorter than was said");
	}
	return file_write_all(to, at, want, err);
}

static bool copy_bytes(int from, int to, uint64_t size, struct error *err)
{
	AUTO_STR *step = xnew_array(char, COPY_STEP);

	for (uint64_t done = 0; done < size;) {
		size_t want = size - done < COPY_STEP ? (size_t)(size - done) : COPY_STEP;

		if (!copy_step(from, to, step, done, want, err))
			return false;
		done += want;
	}
	return true;
}

static bool copy_file(
	struct store *store, int from, uint64_t size, const struct fs_path *target, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };

	if (!fs_temp_new(store, target, &temp, err))
		return false;
	if (!copy_bytes(from, temp.fd, size, err))
		return error_add(err, "copy to %s", target->text);
	return fs_temp_sync(&temp, err) && fs_temp_rename(&temp, target, err) &&
	       fs_sync_folder(store, target->folder, err);
}

/* Its pages look as if they were written from now on, so this file must not be tried again. */
static bool final_error(struct error *err, const char *path)
{
	(void)fs_error(err, "sync", path);
	if (err && err->kind == ERROR_UNAVAILABLE)
		err->kind = ERROR_INTERNAL;
	return false;
}

/* *ret_moved false: it has to be copied. */
static bool try_move(struct store *store, int fd, const char *path, uint64_t size,
	const struct fs_path *target, bool *ret_moved, struct error *err)
{
	struct stat st, named;

	if (fstat(fd, &st) != 0)
		return fs_error(err, "stat", path ? path : "the spool file");
	*ret_moved = false;
	if (!path || (uint64_t)st.st_size != size || lstat(path, &named) != 0 || named.st_ino != st.st_ino ||
		named.st_dev != st.st_dev)
		return true;
	if (fsync(fd) != 0)
		return final_error(err, path);
	*ret_moved = fs_at_move_in(store, path, target->text);
	if (*ret_moved || errno != ENOENT)
		return true;
	if (!fs_make_folders(store, target->folder, err))
		return false;
	*ret_moved = fs_at_move_in(store, path, target->text);
	return true;
}

bool fs_put_file(struct store *store, const char *key, const struct digest *digest, int fd, const char *path,
	uint64_t size, struct error *err)
{
	struct fs_path target;
	bool moved = false, replace;

	(void)digest;
	if (!fs_path_of(store, key, &target, err))
		return false;
	if (fs_dedupe_link(store, key, fd, size, &target, &replace))
		return fs_sync_folder(store, target.folder, err);
	if (!try_move(store, fd, path, size, &target, &moved, err))
		return false;
	if (moved ? !fs_sync_folder(store, target.folder, err) : !copy_file(store, fd, size, &target, err))
		return false;
	if (path && !moved)
		(void)unlink(path);
	if (size > STORE_LAZY_MAX)
		fs_dedupe_keep(store, key, &target, replace);
	return true;
}

/* ---- mount and delete ---- */

bool fs_link_over(const struct store *store, const struct fs_path *source, const struct fs_path *target)
{
	char temp[PATH_MAX + 40], random[25];
	int failed;
	bool ok;

	if (fs_at_link(store, source->text, target->text))
		return true;
	if (errno != EEXIST)
		return false;
	random_hex(random, 12);
	(void)snprintf(temp, sizeof(temp), "%s/" FS_TEMP "%s", target->folder, random);
	ok = fs_at_link(store, source->text, temp) && fs_at_rename(store, temp, target->text, 0);
	failed = errno;
	/* rename() leaves both where they are one file. */
	(void)fs_at_unlink(store, temp);
	errno = failed;
	return ok;
}

/* It may be a manifest that was put lazily: its bytes are in the log of that repository alone, and a sync
 * that failed before would be told to nobody. So it is written anew, if it is what it should be. */
static bool copy_small(struct store *store, int from, const struct fs_path *source, const char *to,
	const struct digest *digest, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(STORE_LAZY_MAX + 1);
	struct digest found;

	if (!read_small(from, STORE_LAZY_MAX, &bytes, err))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s cannot be read", source->text);
	found = digest_of(digest->alg, buf_str(&bytes));
	if (!digest_equal(&found, digest))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is damaged", source->text);
	return fs_put(store, to, digest, buf_str(&bytes), err);
}

bool fs_copy(
	struct store *store, const char *from, const char *to, const struct digest *digest, struct error *err)
{
	struct fs_path source, target;
	struct stat st;
	AUTO_FD fd = -1;
	bool full;

	if (!fs_path_of(store, from, &source, err) || !fs_path_of(store, to, &target, err) ||
		!fs_open_file(store, source.text, &fd, &st, err))
		return false;
	if (st.st_size <= STORE_LAZY_MAX)
		return copy_small(store, fd, &source, to, digest, err);
	if (!fs_make_folders(store, target.folder, err))
		return false;
	if (fs_link_over(store, &source, &target)) {
		fs_dedupe_count(store, st.st_size);
		return fs_sync_folder(store, target.folder, err);
	}
	full = errno == EMLINK;
	/* Another file system, too many links, or one without hard links. */
	if (errno != EXDEV && errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP)
		return fs_error(err, "link", target.text);
	if (!copy_file(store, fd, (uint64_t)st.st_size, &target, err))
		return false;
	if (full)
		fs_dedupe_keep(store, to, &target, true);
	return true;
}

bool fs_lock_repository(struct store *store, const struct fs_path *path, int *ret_lock, struct error *err)
{
	char folder[PATH_MAX];
	char *blobs;

	(void)snprintf(folder, sizeof(folder), "%s", path->folder);
	blobs = strstr(folder, "/blobs/");
	for (char *next = blobs; next; next = strstr(next + 1, "/blobs/"))
		blobs = next;
	if (!blobs)
		return true;
	*blobs = '\0';
	return fs_lock_folder(store, folder, true, ret_lock, err);
}

bool fs_lock_of(struct store *store, const char *key, int *ret_lock, struct error *err)
{
	struct fs_path path;

	return fs_path_of(store, key, &path, err) && fs_make_folders(store, path.folder, err) &&
	       fs_lock_folder(store, path.folder, true, ret_lock, err);
}

bool fs_put_until(struct store *store, const char *key, int64_t until_s, struct error *err)
{
	const struct digest ignored = { .alg = HASH_SHA256 };
	AUTO_FD lock = -1;

	if (!fs_lock_of(store, key, &lock, err))
		return false;
	if (clock_wall_s() >= until_s)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "%s comes too late", key);
	return fs_put(store, key, &ignored, STR(""), err);
}

bool fs_remove(struct store *store, const char *key, int64_t until_s, struct error *err)
{
	struct fs_path path;
	struct stat gone;
	AUTO_FD lock = -1;

	if (!fs_path_of(store, key, &path, err) || !fs_lock_repository(store, &path, &lock, err))
		return false;
	if (clock_wall_s() >= until_s)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "the removal of %s came too late", path.text);
	if (!fs_at_stat(store, path.text, &gone) || !fs_at_unlink(store, path.text))
		return fs_error(err, "remove", path.text);
	if (!fs_sync_folder(store, path.folder, err))
		return false;
	fs_dedupe_drop(store, key, &gone);
	return true;
}

bool fs_look_at(
	struct store *store, const char *key, uint64_t *ret_size, int64_t *ret_changed_s, struct error *err)
{
	struct fs_path path;
	struct stat st;

	if (!fs_path_of(store, key, &path, err))
		return false;
	if (!fs_at_stat(store, path.text, &st))
		return fs_error(err, "look at", path.text);
	*ret_size = (uint64_t)st.st_size;
	*ret_changed_s = st.st_ctim.tv_sec;
	return true;
}

/* ---- many ---- */

#define REMOVE_STEP 32 /* for so many the folder is locked, and whoever changes the index waits */

static bool remove_one(struct store *store, const char *key, bool *ret_gone, struct error *err)
{
	struct fs_path path;
	struct stat gone;

	if (!fs_path_of(store, key, &path, err))
		return false;
	if (!fs_at_stat(store, path.text, &gone) || !fs_at_unlink(store, path.text)) {
		*ret_gone = errno == ENOENT;
		return *ret_gone || fs_error(err, "remove", path.text);
	}
	*ret_gone = true;
	fs_dedupe_drop(store, key, &gone);
	return true;
}

/* False: one could not be removed, or the time is over. */
static bool remove_step(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone,
	struct error *err)
{
	struct fs_path first;
	AUTO_FD lock = -1;
	bool ok = fs_path_of(store, keys[0], &first, err) && fs_lock_repository(store, &first, &lock, err);

	for (size_t at = 0; ok && at < len; at++)
		ok = clock_wall_s() < until_s ? remove_one(store, keys[at], &gone[at], err)
					      : error_set(err, ERROR_UNAVAILABLE, NULL,
							"the removal of %s came too late", keys[at]);
	return ok;
}

/* Those of one algorithm stand together. */
static bool sync_folders(struct store *store, const char *const *keys, size_t len, struct error *err)
{
	char last[PATH_MAX] = "";
	struct fs_path path;

	for (size_t at = 0; at < len; at++) {
		if (!fs_path_of(store, keys[at], &path, err))
			return false;
		if (strcmp(path.folder, last) == 0)
			continue;
		if (!fs_sync_folder(store, path.folder, err))
			return false;
		(void)snprintf(last, sizeof(last), "%s", path.folder);
	}
	return true;
}

bool fs_remove_all(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone,
	struct error *err)
{
	size_t done = 0;
	bool ok = true;

	for (size_t n; ok && done < len; done += n) {
		n = len - done < REMOVE_STEP ? len - done : REMOVE_STEP;
		ok = remove_step(store, keys + done, n, until_s, gone + done, err);
	}
	/* What was unlinked may come back by a power cut while its folder is not synced. */
	if (!sync_folders(store, keys, done, ok ? err : NULL)) {
		memset(gone, 0, len * sizeof(*gone));
		return false;
	}
	return ok;
}
