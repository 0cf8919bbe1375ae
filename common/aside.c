/* SPDX-License-Identifier: Apache-2.0 */
#include "common/aside.h"

#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"

/* Names of one length, so that the order of texts is that of time. No colons: other programs take them for a host. */
static void put_time(struct buf *into)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_wall_ms(), text);
	for (const char *at = text; *at; at++)
		if (*at != ':')
			buf_putc(into, *at);
}

/* The first of those that begin so; how many there are. */
static size_t find_oldest(DIR *folder, const char *beginning, char ret_name[256])
{
	size_t found = 0;

	rewinddir(folder);
	for (const struct dirent *entry; (entry = readdir(folder));) {
		if (!str_starts(str_of(entry->d_name), beginning))
			continue;
		if (!found++ || strcmp(entry->d_name, ret_name) < 0)
			(void)snprintf(ret_name, 256, "%s", entry->d_name);
	}
	return found;
}

static void remove_old(const char *folder_path, const char *beginning)
{
	DIR *folder = opendir(folder_path);
	char name[256];

	if (!folder)
		return;
	while (find_oldest(folder, beginning, name) > ASIDE_MOST)
		if (unlinkat(dirfd(folder), name, 0) != 0)
			break;
	(void)closedir(folder);
}

static bool is_file(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return error_sys(err, "%s", path);
	return S_ISREG(st.st_mode) || error_set(err, ERROR_INVALID, NULL, "%s: is no file", path);
}

bool aside_keep(const char *path, const char *word, struct buf *name, struct error *err)
{
	AUTO_FINI(buf) beginning = buf_limit(4096);
	AUTO_STR *for_folder = check_strdup(path);
	AUTO_STR *for_name = check_strdup(path);
	const char *folder = dirname(for_folder);
	size_t before = name->len;

	buf_format(&beginning, "%s.%s-", basename(for_name), word);
	buf_format(name, "%s.%s-", path, word);
	put_time(name);
	if (!buf_check(name, path, err) || !buf_check(&beginning, path, err))
		return false;
	if (!is_file(path, err))
		return false;
	if (link(path, buf_text(name) + before) != 0 && rename(path, buf_text(name) + before) != 0)
		return error_sys(err, "rename %s", path);
	remove_old(folder, buf_text(&beginning));
	return file_sync_parent(str_of(path), err);
}
