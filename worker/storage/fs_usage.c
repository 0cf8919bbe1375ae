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

static bool add_folder(struct store *store, const char *key, uint64_t *sum, struct error *err)
{
	const struct dirent *entry;
	struct fs_path path;
	struct stat st;
	DIR *dir;

	if (!fs_path_of(store, key, &path, err))
		return false;
	dir = fs_at_opendir(store, path.text);
	if (!dir)
		return errno == ENOENT || fs_error(err, "open", path.text);
	while ((entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			*sum += (uint64_t)st.st_size;
	(void)closedir(dir);
	return true;
}

bool fs_usage(struct store *store, const char *folder, uint64_t *ret_bytes, struct error *err)
{
	static const char *const parts[] = { "", "/blobs/sha256", "/blobs/sha512" };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char key[STORE_KEY_MAX];

		(void)snprintf(key, sizeof(key), "%s%s", folder, parts[i]);
		if (!add_folder(store, key, &sum, err))
			return false;
	}
	*ret_bytes = sum;
	return true;
}
