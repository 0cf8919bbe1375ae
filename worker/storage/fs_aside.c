/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_aside - a rotten file is set aside where it lies: by a mark on the file, not on its name.
 *
 *     the mark   the sticky bit, on a regular file that nobody may execute; Linux gives it no meaning there
 *
 * A push replaces a blob by a rename, and asks nobody: between the moment in which a file was found rotten and a rename that would take it away the name
 * may have become that of a new, good file, which a client was told of. The mark is set through the descriptor that the rotten bytes were read from,
 * so it is on them, under each name that they have (links that share a blob), and on nothing else. It is one system call: a process that is
 * killed has set it or has not. What is marked is not opened any more (fs_open_file()), so it is answered as absent; the next push, mount or fetch
 * of the blob renames over it, and then it is gone.
 *
 * Copies of the folder keep the mark if they keep modes. Without it the file is found again.
 *
 * Files that are executable are none that we made: somebody changed the modes of all, sticky bit included. They do not count as marked.
 */
#include <errno.h>
#include <fcntl.h>

#include "common/check.h"
#include "common/clock.h"
#include "worker/storage/fs_priv.h"

#define EXECUTE (S_IXUSR | S_IXGRP | S_IXOTH)
#define MODE    07777

struct fs_reading {
	struct store_reading reading; /* first */
	char *path;
	int fd;
	uint64_t at;
};

bool fs_is_aside(const struct stat *st)
{
	return (st->st_mode & S_ISVTX) && !(st->st_mode & EXECUTE);
}

static struct fs_reading *of(struct store_reading *reading)
{
	return (struct fs_reading *)reading;
}

bool fs_reading_new(struct store *store, const char *key, const struct digest *digest,
	struct store_reading **ret, struct error *err)
{
	struct fs_reading *reading;
	struct fs_path path;
	struct stat st;
	AUTO_FD fd = -1;

	(void)digest;
	if (!fs_path_of(store, key, &path, err))
		return false;
	fd = fs_at_open(store, path.text, O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st) != 0)
		return fs_error(err, "open", path.text);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is not a regular file", path.text);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	reading = xnew(struct fs_reading);
	reading->reading = (struct store_reading){
		.size = (uint64_t)st.st_size, .written_s = st.st_mtim.tv_sec, .aside = fs_is_aside(&st)
	};
	reading->path = check_strdup(path.text);
	reading->fd = TAKE_FD(fd);
	*ret = &reading->reading;
	return true;
}

void fs_reading_free(struct store_reading *reading)
{
	(void)close(of(reading)->fd);
	free(of(reading)->path);
	free(reading);
}

bool fs_reading_next(
	struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err)
{
	struct fs_reading *fs = of(reading);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fs->fd, into + done, len - done, (off_t)(fs->at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fs_error(err, "read", fs->path);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	fs->at += done;
	*ret_len = done;
	return true;
}

/* What a bad moment of the memory made of it is forgotten. */
void fs_reading_again(struct store_reading *reading)
{
	(void)posix_fadvise(of(reading)->fd, 0, 0, POSIX_FADV_DONTNEED);
	of(reading)->at = 0;
}

static bool is_as_it_was(const struct store_reading *reading, const struct stat *st)
{
	return (uint64_t)st->st_size == reading->size && st->st_mtim.tv_sec == reading->written_s;
}

/* Some file systems forget the bit in silence. */
bool fs_set_aside(struct store_reading *reading, bool aside, struct error *err)
{
	const struct fs_reading *fs = of(reading);
	struct stat st;
	mode_t mode;

	if (fstat(fs->fd, &st) != 0)
		return fs_error(err, "stat", fs->path);
	if (!is_as_it_was(reading, &st))
		return error_set(err, ERROR_CONFLICT, NULL, "%s was written just now", fs->path);
	mode = (st.st_mode & MODE & ~(mode_t)(EXECUTE | S_ISVTX)) | (aside ? S_ISVTX : 0);
	if (fchmod(fs->fd, mode) != 0)
		return fs_error(err, "mark", fs->path);
	if (fsync(fs->fd) != 0)
		return fs_error(err, "sync", fs->path);
	return (fstat(fs->fd, &st) == 0 && fs_is_aside(&st) == aside) ||
	       error_set(err, ERROR_INTERNAL, NULL, "the file system of %s does not keep the mark", fs->path);
}
