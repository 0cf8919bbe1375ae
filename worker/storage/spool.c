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

#include "common/check.h"
#include "common/file.h"
#include "common/str.h"

#define FOLDER_MODE 0700
#define FILE_MODE   0600
#define ENDING      ".upload"

struct spool {
	char *folder;
	int fd; /* of the folder, locked while we live */
	uint64_t limit;
	_Atomic uint64_t used;
};

/* ---- the folder ---- */

/* Two processes on one spool would remove each other's files. */
static bool lock_folder(const char *folder, int *ret_fd, struct error *err)
{
	AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, "open the spool folder %s", folder);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
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

bool spool_open(struct spool **ret_spool, const char *folder, uint64_t limit, struct error *err)
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
	*ret_spool = spool;
	return true;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	(void)close(spool->fd);
	free(spool->folder);
	free(spool);
}

uint64_t spool_used(const struct spool *spool)
{
	return atomic_load(&spool->used);
}

uint64_t spool_limit(const struct spool *spool)
{
	return spool->limit;
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

	if (!*name || *name == '.' || strchr(name, '/'))
		return error_set(err, ERROR_INVALID, NULL, "%.64s is no name for a spool file", name);
	(void)snprintf(path, size, "%s/%s" ENDING, spool->folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return error_sys(err, "create %s", path);
	*ret = xnew(struct spool_file);
	**ret = (struct spool_file){ .spool = spool, .fd = TAKE_FD(fd), .path = TAKE(path) };
	return true;
}

static bool write_at(int fd, const char *at, size_t len, uint64_t offset, struct error *err)
{
	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "write to the spool");
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

bool spool_file_append(struct spool_file *file, const void *bytes, size_t len, struct error *err)
{
	if (!reserve(file, len, err))
		return false;
	if (!write_at(file->fd, bytes, len, file->size, err)) {
		/* What could not be cut off stays reserved, since it still takes its room. */
		if (ftruncate(file->fd, (off_t)file->size) == 0)
			give_back(file, file->size);
		return false;
	}
	file->size += len;
	return true;
}

bool spool_file_truncate(struct spool_file *file, uint64_t size, struct error *err)
{
	CHECK(size <= file->size);
	if (ftruncate(file->fd, (off_t)size) != 0)
		return error_sys(err, "cut %s", file->path);
	file->size = size;
	give_back(file, size);
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
