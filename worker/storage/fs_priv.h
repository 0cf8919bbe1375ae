/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_priv - what the files of the fs driver share.
 */
#pragma once

#include <limits.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "worker/storage/fs_at.h"
#include "worker/storage/store_driver.h"

#define FS_FOLDER_MODE 0700
#define FS_FILE_MODE   0600
#define FS_TEMP        ".tmp-"
/* A component of a key that is longer than file names may be is cut into pieces of this length; each
 * but the last is a folder whose name ends with the mark, which no key holds. */
#define FS_PIECE      200
#define FS_PIECE_MARK '~'

struct fs_path {
	char text[PATH_MAX];   /* the file */
	char folder[PATH_MAX]; /* that it lies in */
};

/* fs.c */
struct histogram *fs_lock_waits(struct store *store);
bool fs_path_of(
	const struct store *store, const char *key, struct fs_path *ret, struct error *err) MUST_CHECK;
/* error_sys() with the kinds that callers of a store tell apart; of a path through a symbolic link (fs_at.h) ERROR_INTERNAL. */
bool fs_error(struct error *err, const char *what, const char *path);
void fs_version_of(const struct stat *st, struct store_version *ret);
/* To be read. ERROR_UNKNOWN: there is none, or it is something else: no regular file, or reached through a link; or it was set aside. */
bool fs_open_file(const struct store *store, const char *path, int *ret_fd, struct stat *ret_st, struct error *err) MUST_CHECK;
int fs_root_fd(const struct store *store);
bool fs_walks(const struct store *store); /* folder by folder: there is no openat2(2) */

/* fs_folders.c: folders are made unsynced; what is put into one is durable when the folder and all above it are. */
struct fs_folders;
struct fs_folders *fs_folders_new(void);
void fs_folders_free(struct fs_folders *folders);
struct fs_folders *fs_folders_of(struct store *store); /* fs.c */
bool fs_make_folders(struct store *store, const char *folder, struct error *err) MUST_CHECK;
bool fs_sync_folder(struct store *store, const char *folder, struct error *err) MUST_CHECK;
/* Without those above it. */
bool fs_sync_one(const struct store *store, const char *folder, struct error *err) MUST_CHECK;

/* fs_write.c: temp file beside the target, write, fsync, rename, fsync the folder. It is locked (fs_sweep.c). */
struct fs_temp {
	const struct store *store;
	char path[PATH_MAX + 40];
	int fd;
};
bool fs_temp_new(struct store *store, const struct fs_path *target, struct fs_temp *ret, struct error *err) MUST_CHECK;
/* With these bytes in it. */
bool fs_temp_write(
	struct store *store, const struct fs_path *target, struct str bytes, struct fs_temp *ret, struct error *err) MUST_CHECK;
/* Closes; removes the file if it was not renamed. */
void fs_temp_fini(struct fs_temp *temp);
/* Content and times are on the disk; the name is not yet. */
bool fs_temp_sync(struct fs_temp *temp, struct error *err) MUST_CHECK;
bool fs_temp_rename(struct fs_temp *temp, const struct fs_path *target, struct error *err) MUST_CHECK;

bool fs_put(struct store *store, const char *key, const struct digest *digest, struct str bytes,
	struct error *err) MUST_CHECK;
bool fs_put_again(struct store *store, const char *key, struct str bytes, struct error *err) MUST_CHECK;
bool fs_put_lazy(struct store *store, const char *key, struct str bytes, bool listed, uint64_t *ret_era,
	struct error *err) MUST_CHECK;

bool fs_put_file(struct store *store, const char *key, const struct digest *digest, int fd, const char *path,
	uint64_t size, struct error *err) MUST_CHECK;
bool fs_copy(struct store *store, const char *from, const char *to, const struct digest *digest,
	struct error *err) MUST_CHECK;
bool fs_put_until(struct store *store, const char *key, int64_t until_s, struct error *err) MUST_CHECK;
bool fs_lock_of(struct store *store, const char *key, int *ret_lock, struct error *err) MUST_CHECK;
bool fs_remove(struct store *store, const char *key, int64_t until_s, struct error *err) MUST_CHECK;
/* The lock is let go between every few of them; the folders are synced at the end. */
bool fs_remove_all(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone, struct error *err) MUST_CHECK;
/* Its time of change is that of the inode: of whatever gave the file a name, too. */
bool fs_look_at(struct store *store, const char *key, uint64_t *ret_size, int64_t *ret_changed_s, struct error *err) MUST_CHECK;

/* There is a file at `target` already, which may be anything: it is replaced. False: errno. */
bool fs_link_over(const struct store *store, const struct fs_path *source, const struct fs_path *target);
/* The lock of the repository's folder that a blob lies in, which orders its deletion among the changes of the index. */
bool fs_lock_repository(struct store *store, const struct fs_path *path, int *ret_lock, struct error *err) MUST_CHECK;

/* fs_dedupe.c */
/* True: `target` is a name now, not yet durable, of what the index has for this key, which has the bytes of fd. False: write it as ever;
 * *ret_replace: the index has nothing that others could use. */
bool fs_dedupe_link(struct store *store, const char *key, int fd, uint64_t size, const struct fs_path *target,
	bool *ret_replace) MUST_CHECK;
/* A blob that is durable gets its name in the index. */
void fs_dedupe_keep(struct store *store, const char *key, const struct fs_path *blob, bool replace);
/* One whose name was removed; `gone` is what it was. */
void fs_dedupe_drop(struct store *store, const char *key, const struct stat *gone);
bool fs_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry, struct store_dedupe *ret, struct error *err) MUST_CHECK;
/* fs.c: is it on; what it saves. */
bool fs_dedupes(const struct store *store);
void fs_dedupe_count(struct store *store, int64_t bytes);
void fs_dedupe_set(struct store *store, uint64_t bytes);

/* fs_usage.c */
bool fs_usage(struct store *store, const char *folder, const struct pace *pace, struct store_usage *ret, struct error *err) MUST_CHECK;

/* fs_aside.c: is this file one that was set aside? */
bool fs_is_aside(const struct stat *st);
bool fs_reading_new(struct store *store, const char *key, const struct digest *digest, struct store_reading **ret, struct error *err) MUST_CHECK;
void fs_reading_free(struct store_reading *reading);
bool fs_reading_next(struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err) MUST_CHECK;
void fs_reading_again(struct store_reading *reading);
bool fs_set_aside(struct store_reading *reading, bool aside, struct error *err) MUST_CHECK;

/* fs_sweep.c */
bool fs_sweep(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace, const struct would *dry,
	uint64_t *ret_removed, struct error *err) MUST_CHECK;

/* fs_put_if.c */
enum store_step fs_put_if(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version,
	struct error *err) MUST_CHECK;
/* index.json, also only if its log ends at `log`; the log is removed. */
enum store_step fs_put_index(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, const struct store_log_place *log,
	struct store_version *ret_version, struct error *err) MUST_CHECK;
/* flock(2) of the folder, until the descriptor is closed. The wait is counted; without one *ret_fd is -1 when somebody holds it. */
bool fs_lock_folder(
	struct store *store, const char *folder, bool wait, int *ret_fd, struct error *err) MUST_CHECK;
/* What is there now; an absent file has the empty version. */
bool fs_look(const struct store *store, const struct fs_path *target, struct stat *ret_st, struct store_version *ret,
	struct error *err) MUST_CHECK;

/* fs_log.c */
enum store_step fs_log_get(struct store *store, const char *index_key, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err) MUST_CHECK;
enum store_step fs_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err) MUST_CHECK;
/* With the folder locked, before index.json is replaced: CONFLICT when there is more than up to this place. Else some log is there
 * when it returns OK, so that a fold that does not end can be told from one that did. */
enum store_step fs_log_before_fold(struct store *store, const char *index_key,
	const struct store_log_place *place, struct error *err) MUST_CHECK;
/* With the folder locked, when the new index.json is durable. */
void fs_log_after_fold(struct store *store, const char *index_key);

struct fs_names_cache;
struct fs_names_cache *fs_names_of(struct store *store); /* fs.c */

/* fs_list.c */
bool fs_folders(
	struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;
bool fs_list(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more, struct error *err) MUST_CHECK;
