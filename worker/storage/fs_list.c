/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_list - the names in a folder in byte order, though the file system keeps no order.
 *
 * What can be kept in memory is (fs_names.h). Else one pass keeps the smallest names behind `after` in a heap
 * whose top is the largest of them, so memory is bounded by the page, not by the folder. Names longer than
 * file names may be lie in folders of pieces.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/check.h"
#include "worker/storage/fs_names.h"
#include "worker/storage/fs_priv.h"

#define PAGE_MAX  4096
#define DEPTH_MAX (STORE_KEY_MAX / FS_PIECE + 1)

struct page {
	const struct store *store;
	char **names; /* a heap while it fills, then sorted */
	size_t len, room;
	struct str after;
	bool more; /* at least one name behind `after` was left out */
};

/* ---- the heap ---- */

static void swap_names(struct page *page, size_t a, size_t b)
{
	char *name = page->names[a];

	page->names[a] = page->names[b];
	page->names[b] = name;
}

static bool is_larger(const struct page *page, size_t a, size_t b)
{
	return strcmp(page->names[a], page->names[b]) > 0;
}

static void sift_down(struct page *page)
{
	for (size_t at = 0;;) {
		size_t largest = at;

		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < page->len; child++) {
			if (is_larger(page, child, largest))
				largest = child;
		}
		if (largest == at)
			return;
		swap_names(page, at, largest);
		at = largest;
	}
}

static void sift_up(struct page *page, size_t at)
{
	while (at && is_larger(page, at, (at - 1) / 2)) {
		swap_names(page, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void offer(struct page *page, struct str name)
{
	if (str_compare(name, page->after) <= 0)
		return;
	if (page->len < page->room) {
		page->names[page->len] = str_dup(name);
		sift_up(page, page->len++);
		return;
	}
	page->more = true;
	if (!page->room || str_compare(name, str_of(page->names[0])) >= 0)
		return;
	free(page->names[0]);
	page->names[0] = str_dup(name);
	sift_down(page);
}

static int compare_names(const void *a, const void *b)
{
	const char *const *first = a, *const *second = b;

	return strcmp(*first, *second);
}

static void page_fini(struct page *page)
{
	for (size_t i = 0; i < page->len; i++)
		free(page->names[i]);
	free(page->names);
}

/* ---- the walk ---- */

static bool walk(struct page *page, struct buf *path, struct buf *prefix, unsigned depth, struct error *err);

/* A folder of names that begin with prefix and this piece. */
static bool walk_piece(struct page *page, struct buf *path, struct buf *prefix, struct str piece,
	unsigned depth, struct error *err)
{
	size_t path_len = path->len, prefix_len = prefix->len;
	bool ok = true;

	buf_putc(path, '/');
	buf_add(path, piece);
	buf_add(prefix, str_from(piece.at, piece.len - 1));
	if (!path->failed && !prefix->failed)
		ok = walk(page, path, prefix, depth + 1, err);
	path->len = path_len;
	prefix->len = prefix_len;
	path->failed = prefix->failed = false;
	path->at[path_len] = '\0';
	return ok;
}

static bool take_entry(struct page *page, struct buf *path, struct buf *prefix, struct str name,
	unsigned depth, struct error *err)
{
	size_t prefix_len = prefix->len;

	/* ".", "..", temp files. */
	if (str_starts(name, "."))
		return true;
	if (name.at[name.len - 1] == FS_PIECE_MARK)
		return depth == DEPTH_MAX || walk_piece(page, path, prefix, name, depth, err);
	buf_add(prefix, name);
	if (!prefix->failed)
		offer(page, buf_str(prefix));
	prefix->len = prefix_len;
	prefix->failed = false;
	return true;
}

static bool walk(struct page *page, struct buf *path, struct buf *prefix, unsigned depth, struct error *err)
{
	DIR *folder = fs_at_opendir(page->store, buf_text(path));
	bool ok = true;

	if (!folder)
		return errno == ENOENT || errno == ENOTDIR || fs_error(err, "open", buf_text(path));
	while (ok) {
		const struct dirent *entry = (errno = 0, readdir(folder));

		if (!entry) {
			ok = errno == 0 || fs_error(err, "read", buf_text(path));
			break;
		}
		ok = take_entry(page, path, prefix, str_of(entry->d_name), depth, err);
	}
	(void)closedir(folder);
	return ok;
}

/* Without a slash at the end. */
static bool folder_path(const struct store *store, const char *folder, struct buf *path, struct error *err)
{
	buf_format(path, "%s/%s", store->place, folder);
	while (path->len && path->at[path->len - 1] == '/')
		path->at[--path->len] = '\0';
	return buf_check(path, "the path of a list", err);
}

static bool fill(struct page *page, struct buf *path, struct error *err)
{
	AUTO_FINI(buf) prefix = buf_limit(STORE_KEY_MAX);

	if (!walk(page, path, &prefix, 0, err))
		return false;
	if (page->len)
		qsort(page->names, page->len, sizeof(page->names[0]), compare_names);
	return true;
}

/* Hands the page on; false when the caller has had enough, and then *ret_more says whether any is left. */
static bool give(const struct page *page, store_catalog_f *fn, void *arg, bool *ret_more)
{
	for (size_t i = 0; i < page->len; i++) {
		if (!fn(arg, str_of(page->names[i]))) {
			*ret_more = page->more || i + 1 < page->len;
			return false;
		}
	}
	*ret_more = page->more;
	return true;
}

/* From the kept names. */
static void give_names(const struct fs_names *names, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more)
{
	size_t at = fs_names_after(names, after);

	for (; n && at < fs_names_len(names); n--)
		if (!fn(arg, str_of(fs_names_at(names, at++))))
			break;
	*ret_more = at < fs_names_len(names);
}

/* Of a folder of keys, whose components may lie in pieces. */
static bool key_folder_path(
	const struct store *store, const char *folder, struct buf *path, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct fs_path any;

	(void)snprintf(key, sizeof(key), "%sx", folder);
	if (!fs_path_of(store, key, &any, err))
		return false;
	buf_puts(path, any.folder);
	return buf_check(path, "the path of a list", err);
}

bool fs_list(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more, struct error *err)
{
	AUTO_STR *last = str_dup(after);
	AUTO_FINI(buf) path = buf_limit(PATH_MAX - 1);
	AUTO(fs_names) *names = NULL;
	bool more = true;

	if (!key_folder_path(store, folder, &path, err) ||
		!fs_names_get(store, fs_names_of(store), buf_text(&path), &names, err))
		return false;
	if (names) {
		give_names(names, after, n, fn, arg, ret_more);
		return true;
	}

	do {
		size_t room = n < PAGE_MAX ? n : PAGE_MAX;
		AUTO_FINI(page) page = { .store = store, .room = room, .after = str_of(last) };

		page.names = xnew_array(char *, room + 1);
		if (!fill(&page, &path, err))
			return false;
		n -= page.len;
		if (!give(&page, fn, arg, &more))
			break;
		if (page.len) {
			free(last);
			last = check_strdup(page.names[page.len - 1]);
		}
	} while (more && n);
	*ret_more = more;
	return true;
}

/* Folders directly under a folder of keys, in no order. */
bool fs_folders(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX - 1);
	const struct dirent *entry;
	bool ok = true, go_on = true;
	DIR *at;

	if (!folder_path(store, folder, &path, err))
		return false;
	at = fs_at_opendir(store, buf_text(&path));
	if (!at)
		return errno == ENOENT || errno == ENOTDIR || fs_error(err, "open", buf_text(&path));
	while (go_on && (entry = (errno = 0, readdir(at)))) {
		struct stat st;

		if (entry->d_name[0] == '.' ||
			fstatat(dirfd(at), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
			!S_ISDIR(st.st_mode))
			continue;
		go_on = fn(arg, str_of(entry->d_name));
	}
	if (go_on && errno)
		ok = fs_error(err, "read", buf_text(&path));
	(void)closedir(at);
	return ok;
}
