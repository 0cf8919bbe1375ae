/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool - what is reserved is counted in one atomic number; files know what they have of it.
 *
 * Only files with our ending are removed when the folder is emptied: a folder that was named by mistake
 * loses nothing of its own.
 */
#include "worker/storage/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/file_lock.h"
#include "common/str.h"
#include "worker/storage/pace.h"
#include "worker/storage/would.h"

#define BROKEN_MS    5000 /* for so long nobody tries again but who has bytes */
#define FOLDER_MODE  0700
#define FILE_MODE    0600
#define ENDING       ".upload"
#define RUNNING      "running" /* is there while a process has the folder */
#define LOCK_WAIT_MS 1000
#define WRITE_SOON   (256u * 1024) /* of an append: less is left to the sync at the end */

struct spool {
	char *folder;
	int fd; /* of the folder, locked while we live */
	uint64_t limit;
	bool was_left;
	_Atomic uint64_t used;
	bool stays;         /* files become blobs where they are */
	atomic_bool direct; /* false once the file system said no */
	_Atomic int64_t broken_until_ms;
};

/* ---- the folder ---- */

/* Two processes on one spool would remove each other's files. */
static bool lock_folder(const char *folder, int *ret_fd, struct error *err)
{
	AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, "open the spool folder %s", folder);
	/* Somebody who sweeps has it for one file; an owner has it for good. */
	if (!file_lock_try(fd, LOCK_WAIT_MS)) {
		if (errno == EWOULDBLOCK)
			return error_set(err, ERROR_CONFLICT, NULL,
				"the spool folder %s is in use by another process", folder);
		return error_sys(err, "lock the spool folder %s", folder);
	}
	*ret_fd = TAKE_FD(fd);
	return true;
}

static bool empty_folder(int folder_fd, const char *path, struct error *err)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	bool ok = true;

	if (!folder)
		return error_sys(err, "open the spool folder %s", path);
	while (ok && (entry = (errno = 0, readdir(folder)))) {
		if (str_ends(str_of(entry->d_name), ENDING) && unlinkat(folder_fd, entry->d_name, 0) != 0 &&
			errno != ENOENT)
			ok = error_sys(err, "remove %s from the spool", entry->d_name);
	}
	if (ok && errno)
		ok = error_sys(err, "read the spool folder %s", path);
	(void)closedir(folder);
	return ok;
}

/* *ret_was: it was there. A folder that cannot be written is told by the first upload, not here. */
static void mark_running(int folder_fd, bool *ret_was)
{
	AUTO_FD fd = openat(folder_fd, RUNNING, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	*ret_was = fd < 0 && errno == EEXIST;
}

bool spool_open(struct spool **ret_spool, const char *folder, uint64_t limit, bool stays, struct error *err)
{
	struct spool *spool;
	AUTO_FD fd = -1;

	if (!file_make_folders(folder, FOLDER_MODE, err) || !lock_folder(folder, &fd, err) ||
		!empty_folder(fd, folder, err))
		return false;
	spool = xnew(struct spool);
	spool->folder = check_strdup(folder);
	spool->fd = TAKE_FD(fd);
	spool->limit = limit;
	mark_running(spool->fd, &spool->was_left);
	spool->stays = stays;
	atomic_store(&spool->direct, stays);
	*ret_spool = spool;
	return true;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	(void)unlinkat(spool->fd, RUNNING, 0);
	(void)close(spool->fd);
	free(spool->folder);
	free(spool);
}

bool spool_was_left(const struct spool *spool)
{
	return spool->was_left;
}

uint64_t spool_used(const struct spool *spool)
{
	return atomic_load(&spool->used);
}

uint64_t spool_limit(const struct spool *spool)
{
	return spool->limit;
}

uint64_t spool_capacity(const struct spool *spool)
{
	uint64_t used = spool_used(spool), left = UINT64_MAX;
	struct statvfs fs;

	if (fstatvfs(spool->fd, &fs) == 0)
		left = (uint64_t)fs.f_bavail * fs.f_frsize;
	return spool->limit < used || spool->limit - used < left ? spool->limit : used + left;
}

/* False: an owner has the lock, or came for it. */
static bool remove_of_dead(int folder, const char *name, const struct would *dry, uint64_t *removed)
{
	if (!str_ends(str_of(name), ENDING))
		return true;
	if (!file_lock_try(folder, 0))
		return false;
	if (dry)
		would_tell(dry, name);
	*removed += dry || unlinkat(folder, name, 0) == 0;
	(void)flock(folder, LOCK_UN);
	return true;
}

static void sweep_one(
	int parent, const char *name, const struct pace *pace, const struct would *dry, uint64_t *removed)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!folder) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while (pace_go_on(pace) && (entry = readdir(folder)) &&
		remove_of_dead(fd, entry->d_name, dry, removed))
		;
	(void)closedir(folder);
}

bool spool_sweep(const char *parent, const struct pace *pace, const struct would *dry, uint64_t *ret_removed,
	struct error *err)
{
	DIR *folder = opendir(parent);
	const struct dirent *entry;

	*ret_removed = 0;
	if (!folder)
		return errno == ENOENT || error_sys(err, "open %s", parent);
	while (pace_go_on(pace) && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			sweep_one(dirfd(folder), entry->d_name, pace, dry, ret_removed);
	(void)closedir(folder);
	return true;
}

/* A disk that is read-only, or gone: who comes now would be refused with his first byte. */
static bool note(struct spool *spool, bool works, const struct error *err)
{
	if (works)
		atomic_store(&spool->broken_until_ms, 0);
	else if (err->kind == ERROR_UNAVAILABLE)
		atomic_store(&spool->broken_until_ms, clock_ms() + BROKEN_MS);
	return works;
}

bool spool_is_usable(struct spool *spool, struct error *err)
{
	return clock_ms() >= atomic_load(&spool->broken_until_ms) ||
	       error_set(err, ERROR_UNAVAILABLE, NULL,
		       "uploads cannot be kept: the disk for them does not work");
}

static bool try_folder(struct spool *spool, uint64_t least, struct error *err)
{
	struct error cause;
	bool works = note(spool, file_try_folder(spool->folder, least, &cause), &cause);

	if (!works && err)
		*err = cause;
	return works;
}

bool spool_check(struct spool *spool, uint64_t least, struct error *err)
{
	if (spool_used(spool) >= spool->limit)
		return error_set(err, ERROR_FULL, NULL, "the spool is full: its limit is %llu bytes",
			(unsigned long long)spool->limit);
	return try_folder(spool, least, err);
}

/* ---- space ---- */

static bool reserve(struct spool_file *file, uint64_t bytes, struct error *err)
{
	struct spool *spool = file->spool;
	uint64_t used = atomic_load(&spool->used);

	do {
		if (bytes > spool->limit || used > spool->limit - bytes)
			return error_set(err, ERROR_FULL, NULL, "the spool is full: its limit is %llu bytes",
				(unsigned long long)spool->limit);
	} while (!atomic_compare_exchange_weak(&spool->used, &used, used + bytes));
	file->reserved += bytes;
	return true;
}

static void give_back(struct spool_file *file, uint64_t keep)
{
	if (file->reserved <= keep)
		return;
	atomic_fetch_sub(&file->spool->used, file->reserved - keep);
	file->reserved = keep;
}

/* ---- files ---- */

bool spool_file_new(struct spool *spool, const char *name, struct spool_file **ret, struct error *err)
{
	size_t size = strlen(spool->folder) + strlen(name) + sizeof(ENDING) + 1;
	AUTO_STR *path = xnew_array(char, size);
	AUTO_FD fd = -1;
	struct error cause;

	if (!*name || *name == '.' || strchr(name, '/'))
		return error_set(err, ERROR_INVALID, NULL, "%.64s is no name for a spool file", name);
	(void)snprintf(path, size, "%s/%s" ENDING, spool->folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0) {
		(void)note(spool, error_sys(&cause, "create %s", path), &cause);
		if (err)
			*err = cause;
		return false;
	}
	*ret = xnew(struct spool_file);
	**ret = (struct spool_file){ .spool = spool, .fd = TAKE_FD(fd), .path = TAKE(path) };
	return true;
}

/* ---- through the page cache, and past it ---- */

static bool set_direct(const struct spool_file *file, bool on)
{
	int flags = fcntl(file->fd, F_GETFL);

	return flags >= 0 && fcntl(file->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

static void begin_direct(struct spool_file *file, size_t len)
{
	if (file->direct || file->size < SPOOL_CACHED_MOST || file->size % SPOOL_ALIGN || len < WRITE_SOON ||
		!atomic_load(&file->spool->direct))
		return;
	file->direct = set_direct(file, true);
	if (!file->direct)
		atomic_store(&file->spool->direct, false);
}

void spool_file_settle(struct spool_file *file)
{
	if (file->direct)
		(void)set_direct(file, false);
	file->direct = false;
}

/* How much of this append may go past the cache: whole blocks from an aligned place to an aligned place. */
static size_t direct_len(const struct spool_file *file, const char *bytes, size_t len)
{
	bool aligned = (uintptr_t)bytes % SPOOL_ALIGN == 0 && file->size % SPOOL_ALIGN == 0;

	return file->direct && aligned ? len - len % SPOOL_ALIGN : 0;
}

/* The disk is busy from now on instead of from the sync at the end, and what waits for it stays small. Nothing is waited for, and an
 * error is told by that sync as ever. */
static void begin_writing(const struct spool_file *file, size_t at, size_t len)
{
	if (file->spool->stays && len >= WRITE_SOON)
		(void)sync_file_range(file->fd, (off_t)(file->size + at), (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static bool write_all(struct spool_file *file, const char *bytes, size_t len, struct error *err)
{
	size_t part;

	begin_direct(file, len);
	part = direct_len(file, bytes, len);
	if (part && !file_write_at(file->fd, bytes, part, file->size, err)) {
		if (errno != EINVAL)
			return false;
		/* The file system wants larger blocks than ours. */
		atomic_store(&file->spool->direct, false);
		part = 0;
	}
	if (part == len)
		return true;
	spool_file_settle(file);
	if (!file_write_at(file->fd, bytes + part, len - part, file->size + part, err))
		return false;
	begin_writing(file, part, len - part);
	return true;
}

bool spool_file_append(struct spool_file *file, const void *bytes, size_t len, struct error *err)
{
	if (!reserve(file, len, err))
		return false;
	if (!write_all(file, bytes, len, err)) {
		(void)error_add(err, "the spool");
		/* What could not be cut off stays reserved, since it still takes its room. */
		if (ftruncate(file->fd, (off_t)file->size) == 0)
			give_back(file, file->size);
		return false;
	}
	file->size += len;
	return true;
}

void spool_file_free(struct spool_file *file)
{
	if (!file)
		return;
	(void)unlink(file->path);
	(void)close(file->fd);
	give_back(file, 0);
	free(file->path);
	free(file);
}
