/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_sweep - temp files of processes that were killed are removed.
 *
 * Several workers may write to one folder, on several machines. Each holds a lock (flock(2)) on its temp
 * file as long as it is one, and the kernel drops the locks of a process that dies; so a temp file that can
 * be locked belongs to nobody. Network file systems keep these locks on their server; where a mount keeps
 * them on each machine alone, writing an index is not safe either (fs_put_if.c). Besides, files that are
 * younger than our process are left alone.
 *
 * The walk reads each folder of the store, so it is not made at each start: only when this worker was killed,
 * or when nobody made it for a day. Two that walk at once do no harm.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

#include "common/check.h"
#include "worker/storage/fs_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/would.h"

#define STAMP       STORE_CATALOG ".swept"
#define STAMP_FOR_S (24 * 60 * 60)

/* Folders that are still to be read. */
struct folders {
	char **at;
	size_t len, room;
};

struct sweep {
	const struct store *store;
	struct folders folders;
	int64_t before_s;
	const struct would *dry;
	uint64_t removed;
};

static void push(struct folders *folders, const char *parent, const char *name)
{
	size_t size = strlen(parent) + strlen(name) + 2;
	char *path = xnew_array(char, size);

	(void)snprintf(path, size, "%s/%s", parent, name);
	if (folders->len == folders->room) {
		folders->room = folders->room ? folders->room * 2 : 64;
		folders->at = reallocarray(folders->at, folders->room, sizeof(char *));
		CHECK(folders->at);
	}
	folders->at[folders->len++] = path;
}

static void folders_fini(struct folders *folders)
{
	while (folders->len)
		free(folders->at[--folders->len]);
	free(folders->at);
}

static bool remove_or_tell(const struct sweep *sweep, const char *path, int folder, const char *name)
{
	AUTO_FINI(buf) file = buf_limit(2 * STORE_KEY_MAX);

	if (!sweep->dry)
		return unlinkat(folder, name, 0) == 0;
	buf_format(&file, "%s/%s", path, name);
	would_tell(sweep->dry, buf_text(&file));
	return true;
}

/* What was renamed between the look and the lock is not removed: its temp name is gone. */
static void sweep_temp(struct sweep *sweep, const char *path, int folder, const char *name)
{
	AUTO_FD fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_mtim.tv_sec > sweep->before_s)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && remove_or_tell(sweep, path, folder, name))
		sweep->removed++;
}

static bool is_folder(int folder, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* A folder that is gone meanwhile, or not ours to read, is passed over. */
static bool sweep_folder(struct sweep *sweep, const char *path, const struct pace *pace)
{
	DIR *dir = fs_at_opendir(sweep->store, path);
	const struct dirent *entry;

	if (!dir)
		return true;
	while (pace_go_on(pace) && (entry = readdir(dir))) {
		if (str_starts(str_of(entry->d_name), FS_TEMP))
			sweep_temp(sweep, path, dirfd(dir), entry->d_name);
		else if (!is_dots(entry->d_name) && is_folder(dirfd(dir), entry))
			push(&sweep->folders, path, entry->d_name);
	}
	(void)closedir(dir);
	return pace_go_on(pace);
}

static bool is_due(struct store *store, struct fs_path *stamp, bool *ret_due, struct error *err)
{
	struct stat st;

	if (!fs_path_of(store, STAMP, stamp, err))
		return false;
	*ret_due = !fs_at_stat(store, stamp->text, &st) || time(NULL) - st.st_mtim.tv_sec > STAMP_FOR_S;
	return true;
}

bool fs_sweep(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace,
	const struct would *dry, uint64_t *ret_removed, struct error *err)
{
	struct sweep sweep = { .store = store, .before_s = before_s, .dry = dry };
	struct fs_path stamp;
	bool due, whole = true;

	*ret_removed = 0;
	if (!is_due(store, &stamp, &due, err))
		return false;
	if (!due && !was_killed)
		return true;
	push(&sweep.folders, store->place, ".");
	while (whole && sweep.folders.len) {
		AUTO_STR *path = sweep.folders.at[--sweep.folders.len];

		whole = sweep_folder(&sweep, path, pace);
	}
	folders_fini(&sweep.folders);
	*ret_removed = sweep.removed;
	return !whole || dry || fs_put(store, STAMP, NULL, STR(""), err);
}
