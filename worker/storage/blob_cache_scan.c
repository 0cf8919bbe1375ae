/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_cache_scan - what lies in the folder of a cache: found at start, and read through where it is doubtful.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "common/file_lock.h"
#include "common/log.h"
#include "worker/storage/blob_cache_priv.h"

#define FOLDER_MODE 0700
#define BOOT_FILE   "/proc/sys/kernel/random/boot_id"
#define BOOT_MARK   "boot-"
#define ENDING      ".part"
#define READ_BYTES  ((size_t)256 * 1024)

static bool join(char into[PATH_MAX], const char *folder, const char *name)
{
	int len = snprintf(into, PATH_MAX, "%s/%s", folder, name);

	return len > 0 && len < PATH_MAX;
}

/* Everything in a folder; fn false stops. A folder that is not there has nothing. */
typedef bool each_f(void *arg, const char *folder, const char *name);
static bool each(const char *path, each_f *fn, void *arg)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	bool go_on = true;

	if (!folder)
		return true;
	while (go_on && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			go_on = fn(arg, path, entry->d_name);
	(void)closedir(folder);
	return go_on;
}

/* ---- looking for entries ---- */

struct scan {
	struct blob_cache *cache;
	unsigned home;
	enum hash_kind alg;
	uint64_t found;
};

static bool add_found(struct scan *scan, const struct digest *digest, uint64_t size, struct error *err)
{
	struct blob_cache *cache = scan->cache;
	struct cache_entry *entry;

	/* Filled since the start: nobody has to make room for it. */
	lock_take(&cache->lock);
	entry = blob_cache_find_locked(cache, digest);
	lock_drop(&cache->lock);
	if (entry)
		return true;
	if (!blob_cache_reserve(cache, size, err))
		return false;
	lock_take(&cache->lock);
	entry = blob_cache_add_locked(cache, digest, size, true);
	if (entry) {
		entry->home = (uint8_t)scan->home;
		entry->doubtful = scan->home != 0;
		scan->found++;
	} else {
		cache->used -= size;
	}
	lock_drop(&cache->lock);
	return true;
}

/* What does not fit, and cannot: of a cache that was larger before. What is no entry of ours is left alone. */
static bool on_file(void *arg, const char *folder, const char *name)
{
	struct scan *scan = arg;
	char text[DIGEST_TEXT_SIZE], path[PATH_MAX];
	struct digest digest = { .alg = scan->alg };
	struct stat st;
	struct error err;

	(void)snprintf(text, sizeof(text), "%s:%.128s", digest_algorithm(&digest), name);
	if (!digest_parse(str_of(text), &digest, NULL) || !join(path, folder, name) ||
		lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return !atomic_load(&scan->cache->stopping);
	if (!add_found(scan, &digest, (uint64_t)st.st_size, &err))
		(void)unlink(path);
	return !atomic_load(&scan->cache->stopping);
}

/* Empty ones of boots before go. In that of this boot a fill may be about to end. */
static void remove_empty(const struct scan *scan, const char *path)
{
	if (scan->home != 0)
		(void)rmdir(path);
}

static bool on_shelf(void *arg, const char *folder, const char *name)
{
	char path[PATH_MAX];
	bool go_on = !join(path, folder, name) || each(path, on_file, arg);

	remove_empty(arg, path);
	return go_on;
}

static bool on_algorithm(void *arg, const char *folder, const char *name)
{
	struct scan *scan = arg;
	char path[PATH_MAX];
	bool go_on = true;

	if (!digest_algorithm_parse(str_of(name), &scan->alg) || !join(path, folder, name))
		return true;
	go_on = each(path, on_shelf, scan);
	remove_empty(scan, path);
	return go_on;
}

static void scan_job(void *arg)
{
	struct scan scan = { .cache = arg };
	struct blob_cache *cache = arg;
	char path[PATH_MAX];

	for (; scan.home < cache->homes_len && !atomic_load(&cache->stopping); scan.home++) {
		if (!join(path, cache->folder, cache->homes[scan.home]))
			continue;
		(void)each(path, on_algorithm, &scan);
		remove_empty(&scan, path);
	}
	log_info("cache.found", "folder=%s entries=%llu", log_quote(str_of(cache->folder)),
		(unsigned long long)scan.found);
	blob_cache_job_over(cache);
}

/* ---- taking the folder ---- */

static bool is_boot(const char *name)
{
	struct str id = str_of(name);

	return str_skip(&id, BOOT_MARK) && id.len && id.len < sizeof(((struct blob_cache *)0)->homes[0]) - 6;
}

/* Where the system does not say which boot it is, each start is one: then all entries are doubtful. */
static void name_boot(char into[40])
{
	AUTO_FINI(buf) text = buf_limit(64);
	char random[33];
	struct str id = STR_NONE;

	if (file_read(BOOT_FILE, &text, NULL))
		id = str_trim(buf_str(&text));
	random_hex(random, 16);
	if (!id.len || id.len > 32 + 4)
		id = str_from(random, 32);
	into[0] = 0;
	for (size_t i = 0, at = 0; i < id.len && at < 32; i++)
		if (id.at[i] != '-')
			into[at++] = id.at[i], into[at] = 0;
}

static bool on_home(void *arg, const char *folder, const char *name)
{
	struct blob_cache *cache = arg;

	(void)folder;
	if (is_boot(name) && strcmp(name, cache->homes[0]) != 0 && cache->homes_len < BLOB_CACHE_HOMES)
		(void)snprintf(cache->homes[cache->homes_len++], sizeof(cache->homes[0]), "%s", name);
	return true;
}

static bool on_part(void *arg, const char *folder, const char *name)
{
	char path[PATH_MAX];

	(void)arg;
	if (str_ends(str_of(name), ENDING) && join(path, folder, name))
		(void)unlink(path);
	return true;
}

/* One that knows no locks has nobody else in it who would know. */
static bool lock_it(struct blob_cache *cache, struct error *err)
{
	struct error why;

	if (file_lock_folder(cache->folder, "cache.lock", cache->wait_ms, &cache->lock_fd, &why))
		return true;
	if (err)
		*err = why;
	return false;
}

bool blob_cache_take_folder(struct blob_cache *cache, struct error *err)
{
	char fill[PATH_MAX], boot[40];

	if (cache->has_folder)
		return true;
	if (!file_make_folders(cache->folder, FOLDER_MODE, err) ||
		(cache->lock_fd < 0 && !lock_it(cache, err)))
		return false;
	if (!join(fill, cache->folder, "fill"))
		return error_set(err, ERROR_INVALID, NULL, "the path of the cache is too long");
	if (mkdir(fill, FOLDER_MODE) != 0 && errno != EEXIST)
		return error_sys(err, "make %s", fill);
	(void)each(fill, on_part, NULL);
	name_boot(boot);
	(void)snprintf(cache->homes[0], sizeof(cache->homes[0]), BOOT_MARK "%.32s", boot);
	cache->homes_len = 1;
	(void)each(cache->folder, on_home, cache);
	cache->has_folder = true;
	blob_cache_push(cache, scan_job, cache);
	return true;
}

/* ---- doubtful entries ---- */

struct doubt {
	struct blob_cache *cache;
	struct digest digest;
};

static bool reads_as(struct blob_cache *cache, const char *path, const struct digest *digest)
{
	AUTO_FD fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(hasher) *hasher = hasher_new(digest->alg);
	AUTO_STR *bytes = check_alloc(1, READ_BYTES);
	struct digest found;
	ssize_t got;

	if (fd < 0)
		return false;
	while ((got = read(fd, bytes, READ_BYTES)) > 0 && !atomic_load(&cache->stopping))
		hasher_add(hasher, bytes, (size_t)got);
	found = digest_of_hasher(digest->alg, hasher);
	return got == 0 && digest_equal(&found, digest);
}

/* It moves to those of this boot. Where the disk refuses that it stays doubtful. */
static void believe(struct doubt *doubt, const char *from)
{
	struct blob_cache *cache = doubt->cache;
	struct cache_entry *entry;
	char to[PATH_MAX];
	struct error err;
	bool moved = blob_cache_path(cache, 0, &doubt->digest, to) &&
		     blob_cache_make_home(cache, &doubt->digest, &err) && rename(from, to) == 0;

	lock_take(&cache->lock);
	entry = blob_cache_find_locked(cache, &doubt->digest);
	if (entry && moved) {
		entry->home = 0;
		entry->doubtful = false;
	}
	cache->doubted++;
	lock_drop(&cache->lock);
}

static void doubt_job(void *arg)
{
	struct doubt *doubt = arg;
	struct blob_cache *cache = doubt->cache;
	char path[PATH_MAX] = "";
	struct cache_entry *entry;
	bool right = false;

	lock_take(&cache->lock);
	entry = blob_cache_find_locked(cache, &doubt->digest);
	if (entry && entry->doubtful && !blob_cache_path(cache, entry->home, &doubt->digest, path))
		*path = 0;
	lock_drop(&cache->lock);
	if (*path && !atomic_load(&cache->stopping)) {
		right = reads_as(cache, path, &doubt->digest);
		if (right)
			believe(doubt, path);
		else if (!atomic_load(&cache->stopping))
			blob_cache_forget(cache, &doubt->digest);
	}
	free(doubt);
	blob_cache_job_over(cache);
}

void blob_cache_doubt(struct blob_cache *cache, const struct digest *digest)
{
	struct doubt *doubt = xnew(struct doubt);

	*doubt = (struct doubt){ cache, *digest };
	blob_cache_push(cache, doubt_job, doubt);
}
