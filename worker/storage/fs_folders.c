/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_folders - a file is durable under its name when its folder is synced, and each folder above it in its
 * own parent.
 *
 * Who made a folder, whether its sync succeeded, or is still under way in another thread or process, can't be
 * told from its being there. So the folders above are synced once by each process, by whoever first
 * acknowledges something in them; then that is remembered. Bounded: a folder that is forgotten is synced
 * again.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/map.h"
#include "worker/storage/fs_priv.h"

#define PLACES 8192u

struct fs_folders {
	atomic_uint_least64_t
		durable[PLACES]; /* keys of folders that are synced into their parents; 0 = none */
};

struct fs_folders *fs_folders_new(void)
{
	return xnew(struct fs_folders);
}

void fs_folders_free(struct fs_folders *folders)
{
	free(folders);
}

static uint64_t key_of(struct str folder)
{
	uint64_t key = map_hash(folder.at, folder.len);

	return key ? key : 1;
}

static bool is_known(struct fs_folders *folders, uint64_t key)
{
	return atomic_load_explicit(&folders->durable[key % PLACES], memory_order_acquire) == key;
}

static void know(struct fs_folders *folders, uint64_t key)
{
	atomic_store_explicit(&folders->durable[key % PLACES], key, memory_order_release);
}

static void forget(struct fs_folders *folders, uint64_t key)
{
	if (is_known(folders, key))
		know(folders, 0);
}

/* ---- making ---- */

/* ERROR_UNKNOWN: its parent is missing. */
static bool make_one(struct store *store, struct str folder, struct error *err)
{
	AUTO_STR *path = str_dup(folder);
	struct stat st;

	if (fs_at_mkdir(store, path, FS_FOLDER_MODE)) {
		forget(fs_folders_of(store), key_of(folder));
		return true;
	}
	if (errno == EEXIST && fs_at_stat(store, path, &st)) {
		if (S_ISDIR(st.st_mode))
			return true;
		errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
	}
	return fs_error(err, "make folder", path);
}

bool fs_make_folders(struct store *store, const char *folder, struct error *err)
{
	size_t root = strlen(store->place);

	for (const char *at = strchr(folder + root + 1, '/'); at; at = strchr(at + 1, '/'))
		if (!make_one(store, str_from(folder, (size_t)(at - folder)), err))
			return false;
	return make_one(store, str_of(folder), err);
}

/* ---- syncing ---- */

bool fs_sync_one(const struct store *store, const char *folder, struct error *err)
{
	return fs_at_sync(store, folder) || fs_error(err, "sync folder", folder);
}

/* From the root down, so that what is known is durable in all that it lies in. */
static bool sync_above(struct store *store, struct str path, struct error *err)
{
	uint64_t key = key_of(path);
	AUTO_STR *above = NULL;
	struct str parent, name;

	if (path.len <= strlen(store->place) || is_known(fs_folders_of(store), key))
		return true;
	CHECK(str_split_last(path, '/', &parent, &name));
	if (!sync_above(store, parent, err))
		return false;
	above = str_dup(parent);
	if (!fs_sync_one(store, above, err))
		return false;
	know(fs_folders_of(store), key);
	return true;
}

bool fs_sync_folder(struct store *store, const char *folder, struct error *err)
{
	return fs_sync_one(store, folder, err) && sync_above(store, str_of(folder), err);
}
