/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/blob_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/map.h"
#include "common/pool.h"
#include "worker/storage/blob_cache_priv.h"

#define CACHE_MAGIC MAGIC('C', 'A', 'C', 'H')
#define FOLDER_MODE 0700
#define FILE_MODE   0600
#define ROOM_LEAST  ((uint64_t)16 * 1024 * 1024) /* on the disk, before a cache that was off is used again */

/* ---- names ---- */

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

bool blob_cache_path(
	const struct blob_cache *cache, unsigned home, const struct digest *digest, char into[PATH_MAX])
{
	char encoded[129];
	int len;

	digest_encoded(digest, encoded);
	len = snprintf(into, PATH_MAX, "%s/%s/%s/%.2s/%s", cache->folder, cache->homes[home],
		digest_algorithm(digest), encoded, encoded);
	return len > 0 && len < PATH_MAX;
}

/* Parents first; what is there is fine. */
bool blob_cache_make_home(const struct blob_cache *cache, const struct digest *digest, struct error *err)
{
	char path[PATH_MAX], encoded[129];
	const char *alg = digest_algorithm(digest);

	digest_encoded(digest, encoded);
	for (int depth = 0; depth < 3; depth++) {
		int len = depth == 0   ? snprintf(path, sizeof(path), "%s/%s", cache->folder, cache->homes[0])
			  : depth == 1 ? snprintf(path, sizeof(path), "%s/%s/%s", cache->folder,
						 cache->homes[0], alg)
				       : snprintf(path, sizeof(path), "%s/%s/%s/%.2s", cache->folder,
						 cache->homes[0], alg, encoded);
		if (len <= 0 || (size_t)len >= sizeof(path))
			return error_set(err, ERROR_INVALID, NULL, "the path is too long");
		if (mkdir(path, FOLDER_MODE) != 0 && errno != EEXIST)
			return error_sys(err, "make %s", path);
	}
	return true;
}

/* ---- entries ---- */

struct cache_entry *blob_cache_find_locked(struct blob_cache *cache, const struct digest *digest)
{
	lock_assert(&cache->lock);
	return map_find(cache->entries, key_of(digest));
}

struct cache_entry *blob_cache_add_locked(
	struct blob_cache *cache, const struct digest *digest, uint64_t size, bool to_main)
{
	struct cache_entry *entry;

	if (blob_cache_find_locked(cache, digest))
		return NULL;
	entry = xnew(struct cache_entry);
	entry->digest = *digest;
	entry->item.size = size;
	entry->item.hash = map_hash(digest->raw, hash_size(digest->alg));
	(void)map_put(cache->entries, key_of(digest), entry);
	if (to_main)
		cache_queue_add_main(&cache->queue, &entry->item);
	else
		cache_queue_add(&cache->queue, &entry->item);
	return entry;
}

/* Its file is the caller's to remove, when nobody is locked out any more. */
static void forget_locked(struct blob_cache *cache, struct cache_entry *entry, char path[PATH_MAX])
{
	lock_assert(&cache->lock);
	if (!blob_cache_path(cache, entry->home, &entry->digest, path))
		*path = 0;
	cache_queue_drop(&cache->queue, &entry->item);
	cache->used -= entry->item.size;
	(void)map_delete(cache->entries, key_of(&entry->digest));
	free(entry);
}

void blob_cache_forget(struct blob_cache *cache, const struct digest *digest)
{
	char path[PATH_MAX] = "";
	struct cache_entry *entry;

	if (!cache)
		return;
	lock_take(&cache->lock);
	entry = blob_cache_find_locked(cache, digest);
	if (entry)
		forget_locked(cache, entry, path);
	lock_drop(&cache->lock);
	if (*path)
		(void)unlink(path);
}

/* ---- room ---- */

static bool fits_locked(const struct blob_cache *cache, uint64_t size)
{
	return cache->used + size <= cache->most && map_len(cache->entries) < cache->entries_most;
}

/* True: there is room, and it is the caller's. Else *path is a file that has to go, or "": there is nobody left. */
static bool reserve_or_evict(struct blob_cache *cache, uint64_t size, char path[PATH_MAX])
{
	struct cache_item *victim;
	bool fits;

	*path = 0;
	lock_take(&cache->lock);
	fits = fits_locked(cache, size);
	victim = fits ? NULL : cache_queue_victim(&cache->queue);
	if (fits)
		cache->used += size;
	if (victim) {
		forget_locked(cache, (struct cache_entry *)victim, path);
		cache->evictions++;
	}
	lock_drop(&cache->lock);
	return fits;
}

bool blob_cache_reserve(struct blob_cache *cache, uint64_t size, struct error *err)
{
	char path[PATH_MAX];

	if (size > cache->most / 2)
		return error_set(err, ERROR_FULL, NULL, "the blob is larger than half of the cache");
	while (!reserve_or_evict(cache, size, path)) {
		if (!*path)
			return error_set(err, ERROR_FULL, NULL, "all of the cache is being filled");
		(void)unlink(path);
	}
	return true;
}

void blob_cache_give_back(struct blob_cache *cache, uint64_t size)
{
	lock_take(&cache->lock);
	cache->used -= size;
	lock_drop(&cache->lock);
}

/* ---- trouble ---- */

void blob_cache_turn_off(struct blob_cache *cache, const struct error *err)
{
	bool was_on;

	lock_take(&cache->lock);
	was_on = !cache->off;
	cache->off = true;
	cache->retry_ms = clock_ms() + BLOB_CACHE_RETRY_MS;
	if (was_on)
		(void)snprintf(cache->why, sizeof(cache->why), "%s", err->text);
	lock_drop(&cache->lock);
	if (was_on)
		log_warn("cache.off", "folder=%s error=%s blobs are served from the bucket",
			log_quote(str_of(cache->folder)), log_quote(str_of(err->text)));
}

/* True: it may be tried. */
static bool is_due(struct blob_cache *cache, bool *ret_off)
{
	bool due;

	lock_take(&cache->lock);
	*ret_off = cache->off;
	due = !cache->off || clock_ms() >= cache->retry_ms;
	if (cache->off && due)
		cache->retry_ms = clock_ms() + BLOB_CACHE_RETRY_MS;
	lock_drop(&cache->lock);
	return due;
}

static bool try_again(struct blob_cache *cache, struct error *err)
{
	if (!blob_cache_take_folder(cache, err) || !file_try_folder(cache->folder, ROOM_LEAST, err))
		return false;
	lock_take(&cache->lock);
	cache->off = false;
	lock_drop(&cache->lock);
	log_info("cache.on", "folder=%s", log_quote(str_of(cache->folder)));
	return true;
}

/* Is it on, or can it be turned on again? */
static bool ensure_on(struct blob_cache *cache, struct error *err)
{
	bool off;

	if (!is_due(cache, &off))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "the cache is off");
	return !off || try_again(cache, err);
}

/* ---- reading ---- */

static bool open_entry(const char *path, uint64_t size, int *ret_fd)
{
	AUTO_FD fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
		errno = ENOENT;
		return false;
	}
	*ret_fd = TAKE_FD(fd);
	return true;
}

static bool find_path(
	struct blob_cache *cache, const struct digest *digest, char path[PATH_MAX], uint64_t *ret_size)
{
	struct cache_entry *entry;
	bool found = false, doubt = false;

	lock_take(&cache->lock);
	entry = cache->off ? NULL : blob_cache_find_locked(cache, digest);
	if (entry && entry->doubtful) {
		doubt = !entry->checking;
		entry->checking = true;
	} else if (entry && blob_cache_path(cache, entry->home, digest, path)) {
		*ret_size = entry->item.size;
		cache_queue_use(&entry->item);
		found = true;
	}
	lock_drop(&cache->lock);
	if (doubt)
		blob_cache_doubt(cache, digest);
	return found;
}

void blob_cache_failed(struct blob_cache *cache, const struct digest *digest, const struct error *err)
{
	blob_cache_turn_off(cache, err);
	blob_cache_forget(cache, digest);
}

/* A process or a disk that is out of what it needs is no reason to forget. */
static bool is_gone(int number)
{
	return number == ENOENT || number == ELOOP || number == ENOTDIR;
}

bool blob_cache_get(struct blob_cache *cache, const struct digest *digest, int *ret_fd, uint64_t *ret_size)
{
	char path[PATH_MAX];
	struct error err;

	if (!cache || !find_path(cache, digest, path, ret_size))
		return false;
	if (open_entry(path, *ret_size, ret_fd))
		return true;
	if (is_gone(errno))
		blob_cache_forget(cache, digest);
	else if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && !error_sys(&err, "open %s", path))
		blob_cache_failed(cache, digest, &err);
	return false;
}

bool blob_cache_has(struct blob_cache *cache, const struct digest *digest)
{
	const struct cache_entry *entry;
	bool has;

	lock_take(&cache->lock);
	entry = cache->off ? NULL : blob_cache_find_locked(cache, digest);
	has = entry && !entry->doubtful;
	lock_drop(&cache->lock);
	return has;
}

bool blob_cache_takes(struct blob_cache *cache, uint64_t size)
{
	bool on;

	if (!cache || size > cache->most / 2)
		return false;
	lock_take(&cache->lock);
	on = !cache->off || clock_ms() >= cache->retry_ms;
	lock_drop(&cache->lock);
	return on;
}

/* ---- filling ---- */

/* What went wrong is the disk's affair. */
static bool broken(struct blob_cache *cache, struct error *err)
{
	blob_cache_turn_off(cache, err);
	return false;
}

static bool make_file(struct cache_file *file, struct error *err)
{
	struct blob_cache *cache = file->cache;
	char path[PATH_MAX], random[33];

	random_hex(random, 16);
	if (snprintf(path, sizeof(path), "%s/fill/%s.part", cache->folder, random) >= PATH_MAX)
		return error_set(err, ERROR_INVALID, NULL, "the path of the cache is too long");
	file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (file->fd < 0)
		return error_sys(err, "create %s", path);
	file->path = check_strdup(path);
	return true;
}

bool cache_file_new(struct blob_cache *cache, const struct digest *digest, uint64_t size,
	struct cache_file **ret, struct error *err)
{
	struct cache_file *file;

	if (!ensure_on(cache, err) || !blob_cache_reserve(cache, size, err))
		return false;
	file = xnew(struct cache_file);
	*file = (struct cache_file){ .cache = cache, .digest = *digest, .size = size, .fd = -1 };
	if (!make_file(file, err)) {
		cache_file_free(file);
		return broken(cache, err);
	}
	*ret = file;
	return true;
}

bool cache_file_write(struct cache_file *file, struct str bytes, uint64_t at, struct error *err)
{
	return file_write_at(file->fd, bytes.at, bytes.len, at, err) || broken(file->cache, err);
}

static bool move_in(struct cache_file *file, struct error *err)
{
	char path[PATH_MAX];

	if (!blob_cache_path(file->cache, 0, &file->digest, path))
		return error_set(err, ERROR_INVALID, NULL, "the path of the cache is too long");
	if (rename(file->path, path) == 0)
		return true;
	if (errno != ENOENT || !blob_cache_make_home(file->cache, &file->digest, err))
		return error_sys(err, "rename to %s", path);
	return rename(file->path, path) == 0 || error_sys(err, "rename to %s", path);
}

bool cache_file_keep(struct cache_file *file, struct error *err)
{
	struct blob_cache *cache = file->cache;
	struct cache_entry *entry;

	if (!move_in(file, err))
		return broken(cache, err);
	lock_take(&cache->lock);
	entry = blob_cache_add_locked(cache, &file->digest, file->size, false);
	if (!entry) { /* the scan found an older one meanwhile */
		cache->used -= file->size;
		entry = blob_cache_find_locked(cache, &file->digest);
	}
	entry->home = 0;
	entry->doubtful = false;
	lock_drop(&cache->lock);
	free(TAKE(file->path));
	return true;
}

void cache_file_free(struct cache_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		(void)close(file->fd);
	if (file->path)
		(void)unlink(file->path);
	/* Kept, its bytes are the entry's. */
	if (file->path || file->fd < 0)
		blob_cache_give_back(file->cache, file->size);
	free(file->path);
	free(file);
}

/* True: the file has its second name, or cannot have one; false: the disk. */
static bool link_in(struct blob_cache *cache, const struct digest *digest, const char *from, bool *ret_there,
	struct error *err)
{
	char path[PATH_MAX];

	*ret_there = false;
	if (!blob_cache_path(cache, 0, digest, path))
		return true;
	for (int turn = 0; turn < 2; turn++) {
		if (link(from, path) == 0 || errno == EEXIST) {
			*ret_there = true;
			return true;
		}
		if (errno != ENOENT)
			break;
		if (turn == 0 && !blob_cache_make_home(cache, digest, err))
			return false;
	}
	/* Another file system, or one without second names, or the file is gone. */
	return errno == EXDEV || errno == EPERM || errno == EMLINK || errno == ENOENT ||
	       errno == EOPNOTSUPP || error_sys(err, "link %s", path);
}

static bool is_there(struct blob_cache *cache, const struct digest *digest)
{
	bool there;

	lock_take(&cache->lock);
	there = cache->off || blob_cache_find_locked(cache, digest);
	lock_drop(&cache->lock);
	return there;
}

void blob_cache_adopt(struct blob_cache *cache, const struct digest *digest, const char *path, uint64_t size)
{
	struct error err;
	bool there;

	if (!cache || is_there(cache, digest) || !blob_cache_reserve(cache, size, &err))
		return;
	if (!link_in(cache, digest, path, &there, &err))
		blob_cache_turn_off(cache, &err);
	lock_take(&cache->lock);
	if (there && blob_cache_add_locked(cache, digest, size, false))
		cache->adopted++;
	else
		cache->used -= size;
	lock_drop(&cache->lock);
}

/* ---- life ---- */

bool blob_cache_open(struct blob_cache **ret, const struct blob_cache_settings *settings, struct error *err)
{
	struct blob_cache *cache = xnew(struct blob_cache);
	struct error why;

	cache->magic = CACHE_MAGIC;
	cache->folder = check_strdup(settings->folder);
	cache->most = settings->bytes;
	cache->entries_most = settings->entries ? settings->entries : BLOB_CACHE_ENTRIES;
	cache->pool = settings->pool;
	cache->wait_ms = settings->wait_ms;
	cache->lock_fd = -1;
	lock_init(&cache->lock);
	CHECK(!pthread_cond_init(&cache->no_jobs, NULL));
	cache->entries = map_new();
	cache_queue_init(&cache->queue, cache->most);
	if (!blob_cache_take_folder(cache, &why)) {
		if (why.kind == ERROR_CONFLICT) {
			blob_cache_free(cache);
			if (err)
				*err = why;
			return error_add(err, "storage.cache.path: each worker needs a folder of its own");
		}
		blob_cache_turn_off(cache, &why);
	}
	*ret = cache;
	return true;
}

void blob_cache_push(struct blob_cache *cache, void (*run)(void *arg), void *arg)
{
	lock_take(&cache->lock);
	cache->jobs++;
	lock_drop(&cache->lock);
	pool_push_background(cache->pool, run, arg);
}

void blob_cache_job_over(struct blob_cache *cache)
{
	lock_take(&cache->lock);
	if (--cache->jobs == 0)
		CHECK(!pthread_cond_signal(&cache->no_jobs));
	lock_drop(&cache->lock);
}

void blob_cache_stop(struct blob_cache *cache)
{
	if (cache)
		atomic_store(&cache->stopping, true);
}

void blob_cache_free(struct blob_cache *cache)
{
	void *entry;

	if (!cache)
		return;
	CHECK(cache->magic == CACHE_MAGIC);
	blob_cache_stop(cache);
	lock_take(&cache->lock);
	while (cache->jobs)
		lock_wait(&cache->lock, &cache->no_jobs);
	lock_drop(&cache->lock);
	CHECK(!pthread_cond_destroy(&cache->no_jobs));
	for (size_t at = 0; map_next(cache->entries, &at, NULL, &entry);)
		free(entry);
	map_free(cache->entries);
	cache_queue_fini(&cache->queue);
	lock_fini(&cache->lock);
	if (cache->lock_fd >= 0)
		(void)close(cache->lock_fd);
	free(cache->folder);
	cache->magic = 0;
	free(cache);
}

bool blob_cache_check(struct blob_cache *cache, struct error *err)
{
	bool on;

	lock_take(&cache->lock);
	on = !cache->off;
	if (!on)
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "off: %s", cache->why);
	lock_drop(&cache->lock);
	return on;
}

struct blob_cache_stats blob_cache_stats(struct blob_cache *cache)
{
	struct blob_cache_stats stats;

	lock_take(&cache->lock);
	stats = (struct blob_cache_stats){ .bytes = cache->used,
		.entries = map_len(cache->entries),
		.most = cache->most,
		.evictions = cache->evictions,
		.adopted = cache->adopted,
		.doubted = cache->doubted,
		.on = !cache->off };
	lock_drop(&cache->lock);
	return stats;
}
