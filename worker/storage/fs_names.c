/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/fs_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "worker/storage/fs_priv.h"

#define NAMES_MAX 500000u
#define TEXT_MAX  ((size_t)64 * 1024 * 1024)
#define YOUNG_MS  100

struct fs_names {
	atomic_uint refs;
	char *folder;
	struct stat st;
	struct buf text; /* all names, each with its NUL */
	size_t *places;  /* in text, sorted by name */
	size_t len, room;
};

struct fs_names_cache {
	pthread_mutex_t lock;
	struct fs_names *names;
};

struct fs_names_cache *fs_names_cache_new(void)
{
	struct fs_names_cache *cache = xnew(struct fs_names_cache);

	CHECK(!pthread_mutex_init(&cache->lock, NULL));
	return cache;
}

void fs_names_cache_free(struct fs_names_cache *cache)
{
	if (!cache)
		return;
	fs_names_free(cache->names);
	(void)pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void fs_names_free(struct fs_names *names)
{
	if (!names || atomic_fetch_sub_explicit(&names->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(names->folder);
	buf_fini(&names->text);
	free(names->places);
	free(names);
}

size_t fs_names_len(const struct fs_names *names)
{
	return names->len;
}

const char *fs_names_at(const struct fs_names *names, size_t at)
{
	CHECK(at < names->len);
	return names->text.at + names->places[at];
}

size_t fs_names_after(const struct fs_names *names, struct str after)
{
	size_t low = 0, high = names->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_compare(str_of(fs_names_at(names, middle)), after) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- reading ---- */

static void add(struct fs_names *names, const char *name)
{
	if (names->len == names->room) {
		size_t room = names->room ? names->room * 2 : 64;
		size_t *places = xnew_array(size_t, room);

		if (names->len)
			memcpy(places, names->places, names->len * sizeof(*places));
		free(names->places);
		names->places = places;
		names->room = room;
	}
	names->places[names->len++] = names->text.len;
	buf_append(&names->text, name, strlen(name) + 1);
}

static int compare_places(const void *a, const void *b, void *text)
{
	const char *at = text;

	return strcmp(at + *(const size_t *)a, at + *(const size_t *)b);
}

/* False with *ret_fine true: too many, or names in pieces. */
static bool read_folder(const struct store *store, struct fs_names *names, bool *ret_fine, struct error *err)
{
	DIR *folder = fs_at_opendir(store, names->folder);
	const struct dirent *entry;
	bool kept = true;

	*ret_fine = true;
	if (!folder) {
		*ret_fine = errno == ENOENT || errno == ENOTDIR || fs_error(err, "open", names->folder);
		return *ret_fine;
	}
	while (kept && (entry = (errno = 0, readdir(folder)))) {
		if (entry->d_name[0] == '.')
			continue;
		kept = names->len < NAMES_MAX && entry->d_name[strlen(entry->d_name) - 1] != FS_PIECE_MARK;
		add(names, entry->d_name);
	}
	if (kept && errno)
		*ret_fine = fs_error(err, "read", names->folder);
	(void)closedir(folder);
	if (!*ret_fine || !kept || names->text.failed)
		return false;
	if (names->len)
		qsort_r(names->places, names->len, sizeof(*names->places), compare_places, names->text.at);
	return true;
}

/* ---- keeping ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool is_old(const struct stat *st)
{
	return clock_wall_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000) >
	       YOUNG_MS;
}

static struct fs_names *find(struct fs_names_cache *cache, const char *folder, const struct stat *st)
{
	struct fs_names *names = NULL;

	CHECK(!pthread_mutex_lock(&cache->lock));
	if (cache->names && is_same(&cache->names->st, st) && !strcmp(cache->names->folder, folder)) {
		names = cache->names;
		atomic_fetch_add_explicit(&names->refs, 1, memory_order_relaxed);
	}
	CHECK(!pthread_mutex_unlock(&cache->lock));
	return names;
}

static void keep(struct fs_names_cache *cache, struct fs_names *names)
{
	struct fs_names *before;

	atomic_fetch_add_explicit(&names->refs, 1, memory_order_relaxed);
	CHECK(!pthread_mutex_lock(&cache->lock));
	before = cache->names;
	cache->names = names;
	CHECK(!pthread_mutex_unlock(&cache->lock));
	fs_names_free(before);
}

static bool look(const struct store *store, const char *folder, struct stat *ret)
{
	AUTO_FD fd = fs_at_open(store, folder, O_RDONLY | O_DIRECTORY, 0);

	return fd >= 0 && fstat(fd, ret) == 0;
}

bool fs_names_get(const struct store *store, struct fs_names_cache *cache, const char *folder,
	struct fs_names **ret, struct error *err)
{
	AUTO(fs_names) *names = NULL;
	struct stat st = { 0 }, after = { 0 };
	bool fine, old;

	*ret = NULL;
	if (look(store, folder, &st) && (*ret = find(cache, folder, &st)))
		return true;
	old = is_old(&st);
	names = xnew(struct fs_names);
	atomic_init(&names->refs, 1);
	names->folder = check_strdup(folder);
	names->text = buf_limit(TEXT_MAX);
	names->st = st;
	if (!read_folder(store, names, &fine, err))
		return fine;
	if (old && look(store, folder, &after) && is_same(&st, &after))
		keep(cache, names);
	*ret = TAKE(names);
	return true;
}
