/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/fs_at.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "worker/storage/fs_priv.h"

#define TRIES_MAX 100
#define ALWAYS    (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define FOLDER    (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- one path ---- */

/* Not to create: that is done in the folder, where openat(2) follows no link either. */
static int try_openat2(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	int fd;

	/* EAGAIN: something was renamed while it looked, and it can't tell that nothing was left. */
	for (unsigned n = 0; (fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how))) < 0; n++)
		if (errno != EAGAIN || n == TRIES_MAX)
			break;
	return fd;
}

bool fs_at_has_openat2(int root)
{
	AUTO_FD fd = try_openat2(root, ".", FOLDER);

	return fd >= 0;
}

/* A link where a folder should be is told as openat2() tells one that lies further up. */
static int folder_error(int folder, const char *name)
{
	struct stat st;

	if (errno == ENOTDIR)
		errno = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) ? ELOOP
												    : ENOTDIR;
	return -1;
}

static int open_folder_at(int folder, const char *name)
{
	int fd;

	if (!strcmp(name, "..")) {
		errno = EXDEV;
		return -1;
	}
	fd = openat(folder, name, FOLDER);
	return fd >= 0 ? fd : folder_error(folder, name);
}

/* The folder that the last component lies in. */
static int walk(int root, char *path, const char **ret_name)
{
	int folder = openat(root, ".", FOLDER);
	char *slash;

	for (; folder >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		int above = folder;

		*slash = '\0';
		folder = open_folder_at(above, path);
		(void)close(above);
	}
	*ret_name = path;
	return folder;
}

static int open_by_walking(int root, const char *path, int flags)
{
	char copy[PATH_MAX];
	const char *name;
	AUTO_FD folder = -1;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	folder = walk(root, copy, &name);
	if (folder < 0)
		return -1;
	return flags & O_PATH ? open_folder_at(folder, name) : openat(folder, name, flags);
}

/* "." for the root itself. */
static const char *below(const struct store *store, const char *path)
{
	size_t len = strlen(store->place);

	CHECK(strncmp(path, store->place, len) == 0);
	path += len;
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

static int open_below(const struct store *store, const char *path, int flags)
{
	int root = fs_root_fd(store), fd;

	path = below(store, path);
	fd = (fs_walks(store) ? open_by_walking : try_openat2)(root, path, flags);
	return fd >= 0 || !(flags & O_DIRECTORY) ? fd : folder_error(root, path);
}

/* The folder of the last component, and its name. */
static int open_parent(const struct store *store, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	CHECK(slash && slash >= path + strlen(store->place) && (size_t)(slash - path) < sizeof(folder));
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	*ret_name = slash + 1;
	return open_below(store, folder, FOLDER);
}

/* ---- the calls ---- */

static int create(const struct store *store, const char *path, int flags, mode_t mode)
{
	const char *name;
	AUTO_FD folder = open_parent(store, path, &name);

	return folder < 0 ? -1 : openat(folder, name, flags, mode);
}

int fs_at_open(const struct store *store, const char *path, int flags, mode_t mode)
{
	flags |= ALWAYS;
	return flags & O_CREAT ? create(store, path, flags, mode) : open_below(store, path, flags);
}

DIR *fs_at_opendir(const struct store *store, const char *path)
{
	int fd = fs_at_open(store, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !dir)
		(void)close(fd);
	return dir;
}

bool fs_at_stat(const struct store *store, const char *path, struct stat *ret)
{
	const char *name;
	AUTO_FD folder = open_parent(store, path, &name);

	return folder >= 0 && fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

bool fs_at_mkdir(const struct store *store, const char *path, mode_t mode)
{
	const char *name;
	AUTO_FD folder = open_parent(store, path, &name);

	return folder >= 0 && mkdirat(folder, name, mode) == 0;
}

bool fs_at_unlink(const struct store *store, const char *path)
{
	const char *name;
	AUTO_FD folder = open_parent(store, path, &name);

	return folder >= 0 && unlinkat(folder, name, 0) == 0;
}

bool fs_at_rename(const struct store *store, const char *from, const char *to, unsigned flags)
{
	const char *old = NULL, *new = NULL;
	AUTO_FD source = open_parent(store, from, &old);
	AUTO_FD target = source >= 0 ? open_parent(store, to, &new) : -1;

	return target >= 0 && renameat2(source, old, target, new, flags) == 0;
}

bool fs_at_link(const struct store *store, const char *from, const char *to)
{
	const char *old = NULL, *new = NULL;
	AUTO_FD source = open_parent(store, from, &old);
	AUTO_FD target = source >= 0 ? open_parent(store, to, &new) : -1;

	return target >= 0 && linkat(source, old, target, new, 0) == 0;
}

bool fs_at_move_in(const struct store *store, const char *from, const char *to)
{
	const char *name;
	AUTO_FD folder = open_parent(store, to, &name);

	return folder >= 0 && renameat(AT_FDCWD, from, folder, name) == 0;
}

bool fs_at_sync(const struct store *store, const char *path)
{
	AUTO_FD fd = fs_at_open(store, path, O_RDONLY | O_DIRECTORY, 0);

	return fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
}
