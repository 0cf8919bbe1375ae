/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_usage - the bytes of a repository's files: each blob is looked at. One that several repositories share
 * by hard links counts in each.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "worker/storage/fs_priv.h"
#include "worker/storage/pace.h"

#define STEP 512 /* files between two questions of the pace */

static bool add_folder(
	struct store *store, const char *key, const struct pace *pace, uint64_t *sum, struct error *err)
{
	unsigned seen = 0;
	bool goes_on = true;
	const struct dirent *entry;
	struct fs_path path;
	struct stat st;
	DIR *dir;

	if (!fs_path_of(store, key, &path, err))
		return false;
	dir = fs_at_opendir(store, path.text);
	if (!dir)
		return errno == ENOENT || fs_error(err, "open", path.text);
	while (goes_on && (entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			*sum += (uint64_t)st.st_size;
		goes_on = ++seen % STEP || pace_go_on(pace);
	}
	(void)closedir(dir);
	return goes_on || error_set(err, ERROR_UNAVAILABLE, NULL, "%s: not counted to the end", path.text);
}

bool fs_usage(struct store *store, const char *folder, const struct pace *pace, uint64_t *ret_bytes,
	struct error *err)
{
	static const char *const parts[] = { "", "/blobs/sha256", "/blobs/sha512" };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char key[STORE_KEY_MAX];

		(void)snprintf(key, sizeof(key), "%s%s", folder, parts[i]);
		if (!add_folder(store, key, pace, &sum, err))
			return false;
	}
	*ret_bytes = sum;
	return true;
}
