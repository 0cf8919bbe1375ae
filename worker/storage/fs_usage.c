/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_usage - a repository's blobs, and the bytes of its files: each blob is looked at. One that several repositories share
 * by hard links counts in each.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "worker/storage/fs_priv.h"
#include "worker/storage/pace.h"

#define STEP 512 /* files between two questions of the pace */

/* Names of temp files begin with a dot. */
static void add_file(const char *name, uint64_t size, struct store_usage *sum)
{
	sum->bytes += size;
	sum->blobs += name[0] != '.';
}

static bool add_folder(struct store *store, const char *key, const struct pace *pace, struct store_usage *sum,
	struct error *err)
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
			add_file(entry->d_name, (uint64_t)st.st_size, sum);
		goes_on = ++seen % STEP || pace_go_on(pace);
	}
	(void)closedir(dir);
	return goes_on || error_set(err, ERROR_UNAVAILABLE, NULL, "%s: not counted to the end", path.text);
}

bool fs_usage(struct store *store, const char *folder, const struct pace *pace, struct store_usage *ret,
	struct error *err)
{
	static const char *const parts[] = { "", "/blobs/sha256", "/blobs/sha512" };
	struct store_usage sum = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char key[STORE_KEY_MAX];

		(void)snprintf(key, sizeof(key), "%s%s", folder, parts[i]);
		if (!add_folder(store, key, pace, &sum, err))
			return false;
		if (!*parts[i])
			sum.blobs = 0; /* index.json and what is beside it */
	}
	*ret = sum;
	return true;
}
