/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs - the driver for a folder: an object is a file, its key the path.
 *
 *     get, get_if_changed, size, source   here        put, put_file, copy, remove, look   fs_write.c
 *     put_if                              fs_put_if.c list                          fs_list.c
 *     reading_..., set_aside              fs_aside.c
 *
 * Files are replaced by rename, never written in place: who has one open reads one whole version.
 * Nothing is walked before the first answer, however large the folder is; fs_sweep.c looks for temp files
 * later.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statfs.h>

#include "common/check.h"
#include "common/file.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "worker/storage/fs_names.h"
#include "worker/storage/fs_priv.h"

#define FREE_LEAST ((uint64_t)16 * 1024 * 1024)

struct fs_store {
	struct store store;
	struct fs_names_cache *names;
	struct fs_folders *folders;
	struct histogram lock_waits;
	struct lock sync_lock; /* one at a time: an error is told to one of those who ask */
	int root_fd; /* open from the start: all is reached from it, and errors of syncs since then are told */
	bool walks, dedupe;
	atomic_uint_least64_t era;
	atomic_int_least64_t saved; /* bytes, by links */
};

struct fs_names_cache *fs_names_of(struct store *store)
{
	return ((struct fs_store *)OBJ_CAST(store, STORE_MAGIC, store))->names;
}

struct fs_folders *fs_folders_of(struct store *store)
{
	return ((struct fs_store *)OBJ_CAST(store, STORE_MAGIC, store))->folders;
}

struct histogram *fs_lock_waits(struct store *store)
{
	return &((struct fs_store *)OBJ_CAST(store, STORE_MAGIC, store))->lock_waits;
}

int fs_root_fd(const struct store *store)
{
	CHECK(store->magic == STORE_MAGIC);
	return ((const struct fs_store *)store)->root_fd;
}

bool fs_walks(const struct store *store)
{
	return ((const struct fs_store *)store)->walks;
}

/* ---- paths ---- */

static void add_component(struct buf *path, struct str component)
{
	while (component.len > NAME_MAX) {
		buf_add(path, str_from(component.at, FS_PIECE));
		buf_putc(path, FS_PIECE_MARK);
		buf_putc(path, '/');
		component = str_from(component.at + FS_PIECE, component.len - FS_PIECE);
	}
	buf_add(path, component);
}

bool fs_path_of(const struct store *store, const char *key, struct fs_path *ret, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX - 1);
	struct str rest = str_of(key), component, folder, file;

	CHECK(store->magic == STORE_MAGIC);
	buf_puts(&path, store->place);
	buf_putc(&path, '/');
	while (str_until(&rest, '/', &component)) {
		add_component(&path, component);
		buf_putc(&path, '/');
	}
	add_component(&path, rest);
	if (path.failed)
		return error_set(err, ERROR_INVALID, NULL, "the path of %.100s is too long", key);
	CHECK(str_split_last(buf_str(&path), '/', &folder, &file));
	CHECK(str_copy(buf_str(&path), ret->text, sizeof(ret->text)));
	CHECK(str_copy(folder, ret->folder, sizeof(ret->folder)));
	return true;
}

bool fs_error(struct error *err, const char *what, const char *path)
{
	int sys = errno;

	if (sys == ELOOP)
		(void)error_set(err, ERROR_INTERNAL, NULL,
			"%s %s: a symbolic link lies in it, which is not followed below the storage folder",
			what, path);
	else
		(void)error_sys(err, "%s %s", what, path);
	if (!err)
		return false;
	err->sys = sys;
	if (sys == ENOTDIR)
		err->kind = ERROR_UNKNOWN;
	else if (sys == EIO)
		err->kind = ERROR_UNAVAILABLE;
	return false;
}

/* ---- reading ---- */

void fs_version_of(const struct stat *st, struct store_version *ret)
{
	(void)snprintf(ret->text, sizeof(ret->text),
		"%" PRIx64 ":%" PRIx64 ":%" PRIx64 ".%lx:%" PRIx64 ".%lx", (uint64_t)st->st_ino,
		(uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec);
}

/* What is behind a link is no object of this store. */
static bool not_ours(struct error *err)
{
	if (err && err->sys == ELOOP)
		err->kind = ERROR_UNKNOWN;
	return false;
}

bool fs_open_file(
	const struct store *store, const char *path, int *ret_fd, struct stat *ret_st, struct error *err)
{
	AUTO_FD fd = fs_at_open(store, path, O_RDONLY, 0);

	if (fd < 0)
		return fs_error(err, "open", path) || not_ours(err);
	if (fstat(fd, ret_st) != 0)
		return fs_error(err, "stat", path);
	if (!S_ISREG(ret_st->st_mode))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is not a regular file", path);
	if (fs_is_aside(ret_st))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is rotten, and was set aside", path);
	*ret_fd = TAKE_FD(fd);
	return true;
}

/* Files do not change once they have their name, so one that ends early was damaged by others. */
static bool read_whole(int fd, const char *path, const struct stat *st, struct buf *into, struct error *err)
{
	uint64_t size = (uint64_t)st->st_size;
	char *at;

	buf_clear(into);
	if (size > into->max || !(at = buf_reserve(into, (size_t)size)))
		return error_set(err, ERROR_TOO_LARGE, NULL, "%s is over %zu bytes", path, into->max);
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, at + done, (size_t)size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fs_error(err, "read", path);
		if (n == 0)
			return error_set(err, ERROR_INTERNAL, NULL, "read %s: the file became shorter", path);
		done += (size_t)n;
	}
	buf_grew(into, (size_t)size);
	return true;
}

/* An index that is a link or a pipe is not one that is missing: nobody is to begin a new one. */
static void tell_strange_index(const char *key, struct error *err)
{
	bool strange = err && err->kind == ERROR_UNKNOWN && err->sys != ENOENT && err->sys != ENOTDIR;

	if (strange && str_ends(str_of(key), "/index.json"))
		err->kind = ERROR_INTERNAL;
}

/* `unless` NULL: read in any case. */
static enum store_step get_unless(const struct store *store, const char *key,
	const struct store_version *unless, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	struct store_version version;
	struct fs_path path;
	struct stat st;
	AUTO_FD fd = -1;

	if (!fs_path_of(store, key, &path, err))
		return STORE_FAILED;
	if (!fs_open_file(store, path.text, &fd, &st, err)) {
		tell_strange_index(key, err);
		return STORE_FAILED;
	}
	fs_version_of(&st, &version);
	if (unless && strcmp(unless->text, version.text) == 0)
		return STORE_SAME;
	if (!read_whole(fd, path.text, &st, into, err))
		return STORE_FAILED;
	if (ret_version)
		*ret_version = version;
	return STORE_OK;
}

static bool get(struct store *store, const char *key, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	return get_unless(store, key, NULL, into, ret_version, err) == STORE_OK;
}

static enum store_step get_if_changed(struct store *store, const char *key,
	const struct store_version *version, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	return get_unless(store, key, version, into, ret_version, err);
}

static bool size(struct store *store, const char *key, uint64_t *ret_size, struct error *err)
{
	struct fs_path path;
	struct stat st;

	if (!fs_path_of(store, key, &path, err))
		return false;
	if (!fs_at_stat(store, path.text, &st))
		return fs_error(err, "stat", path.text) || not_ours(err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is not a regular file", path.text);
	if (fs_is_aside(&st))
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is rotten, and was set aside", path.text);
	*ret_size = (uint64_t)st.st_size;
	return true;
}

static bool source(struct store *store, const char *key, const struct range *part, struct blob_source *ret,
	struct error *err)
{
	struct fs_path path;
	struct stat st;
	int fd;

	(void)part;
	if (!fs_path_of(store, key, &path, err) || !fs_open_file(store, path.text, &fd, &st, err))
		return false;
	*ret = (struct blob_source){ .fd = fd, .size = (uint64_t)st.st_size };
	return true;
}

/* ---- syncing ---- */

static struct fs_store *fs_of(struct store *store)
{
	return (struct fs_store *)OBJ_CAST(store, STORE_MAGIC, store);
}

static uint64_t era(const struct store *store)
{
	CHECK(store->magic == STORE_MAGIC);
	return atomic_load(&((const struct fs_store *)store)->era);
}

static bool sync_locked(struct fs_store *fs, uint64_t since, struct error *err)
{
	lock_assert(&fs->sync_lock);
	if (atomic_load(&fs->era) != since)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "a sync of %s failed before", fs->store.place);
	if (syncfs(fs->root_fd) == 0)
		return true;
	(void)fs_error(err, "sync", fs->store.place);
	log_error("store.sync",
		"place=%s error=%s what=\"manifests that were written lately are written again\"",
		log_quote(str_of(fs->store.place)), log_quote(str_of(err ? err->text : "")));
	atomic_fetch_add(&fs->era, 1);
	return false;
}

static bool sync_since(struct store *store, uint64_t since, struct error *err)
{
	struct fs_store *fs = fs_of(store);
	bool ok;

	lock_take(&fs->sync_lock);
	ok = sync_locked(fs, since, err);
	lock_drop(&fs->sync_lock);
	return ok;
}

/* ---- what is shared ---- */

bool fs_dedupes(const struct store *store)
{
	return ((const struct fs_store *)store)->dedupe;
}

void fs_dedupe_count(struct store *store, int64_t bytes)
{
	atomic_fetch_add(&fs_of(store)->saved, bytes);
}

void fs_dedupe_set(struct store *store, uint64_t bytes)
{
	atomic_store(&fs_of(store)->saved, (int64_t)bytes);
}

static uint64_t saved(const struct store *store)
{
	int64_t bytes = atomic_load(&((const struct fs_store *)store)->saved);

	return bytes > 0 ? (uint64_t)bytes : 0;
}

/* ---- life ---- */

static bool check(struct store *store, struct error *err)
{
	return file_try_folder(store->place, FREE_LEAST, err) || error_add(err, "the storage folder");
}

static uint64_t requests(const struct store *store)
{
	(void)store;
	return 0;
}

static void free_store(struct store *store)
{
	struct fs_store *fs = fs_of(store);

	if (fs->root_fd >= 0)
		(void)close(fs->root_fd);
	lock_fini(&fs->sync_lock);
	fs_names_cache_free(fs->names);
	fs_folders_free(fs->folders);
	free(store->place);
	store->magic = 0;
	free(fs);
}

static const struct store_driver driver = {
	.has_files = true,
	.free = free_store,
	.get = get,
	.get_if_changed = get_if_changed,
	.put_if = fs_put_if,
	.put_index = fs_put_index,
	.log_get = fs_log_get,
	.put_lazy = fs_put_lazy,
	.put_again = fs_put_again,
	.era = era,
	.sync = sync_since,
	.log_append = fs_log_append,
	.size = size,
	.put = fs_put,
	.put_file = fs_put_file,
	.lock = fs_lock_of,
	.put_until = fs_put_until,
	.remove = fs_remove,
	.remove_all = fs_remove_all,
	.copy = fs_copy,
	.source = source,
	.list = fs_list,
	.look = fs_look_at,
	.folders = fs_folders,
	.sweep = fs_sweep,
	.usage = fs_usage,
	.dedupe = fs_dedupe,
	.saved = saved,
	.lock_waits = fs_lock_waits,
	.reading_new = fs_reading_new,
	.reading_free = fs_reading_free,
	.reading_next = fs_reading_next,
	.reading_again = fs_reading_again,
	.set_aside = fs_set_aside,
	.check = check,
	.requests = requests,
};

/* Writing an index relies on locks of folders, between all who share them. */
static bool try_locks(const char *root, int fd, struct error *err)
{
	AUTO_FD other = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool refused;

	if (other < 0)
		return fs_error(err, "open", root);
	/* A lock that somebody else holds on it just now is as good as ours. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK || fs_error(err, "lock", root) ||
		       error_add(err, "the file system of %s does not lock folders (flock)", root);
	refused = flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	(void)flock(fd, LOCK_UN);
	return refused ||
	       error_set(err, ERROR_UNAVAILABLE, NULL,
		       "the file system of %s grants one lock (flock) to two: changes would be lost", root);
}

static const char *network_of(long type)
{
	switch (type) {
	case NFS_SUPER_MAGIC:
		return "NFS";
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
		return "SMB";
	default:
		return NULL;
	}
}

static bool open_root(struct fs_store *fs, struct error *err)
{
	const char *root = fs->store.place, *network;
	struct statfs st;

	fs->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->root_fd < 0 || fstatfs(fs->root_fd, &st) != 0)
		return fs_error(err, "open", root);
	fs->walks = !fs_at_has_openat2(fs->root_fd);
	network = network_of((long)st.f_type);
	if (network)
		return error_set(err, ERROR_INVALID, NULL,
			"%s lies on %s, which has no locks of folders and may show old content: use a local "
			"disk, or a bucket",
			root, network);
	return try_locks(root, fs->root_fd, err);
}

bool store_fs_open(struct store **ret_store, const char *root, struct error *err)
{
	struct str place = str_of(root);
	struct fs_store *fs;

	if (!file_make_folders(root, FS_FOLDER_MODE, err))
		return error_add(err, "storage folder");
	while (place.len > 1 && str_ends(place, "/"))
		place.len--;
	fs = xnew(struct fs_store);
	fs->names = fs_names_cache_new();
	fs->folders = fs_folders_new();
	fs->store = (struct store){ .magic = STORE_MAGIC, .driver = &driver, .place = str_dup(place) };
	fs->root_fd = -1;
	atomic_init(&fs->era, 1);
	lock_init(&fs->sync_lock);
	if (!open_root(fs, err)) {
		free_store(&fs->store);
		return false;
	}
	*ret_store = &fs->store;
	return true;
}

void store_fs_set_dedupe(struct store *store, bool on)
{
	fs_of(store)->dedupe = on;
}
