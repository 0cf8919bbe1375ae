/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file - files that are there whole, or not at all.
 *
 * Order of a durable write: temp file beside the target, write, fsync, rename, fsync the folder.
 *
 * Thread  any that may block.
 */
#pragma once

#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

/* The whole file into *into; ERROR_UNKNOWN when absent, ERROR_TOO_LARGE over the buffer's limit. */
bool file_read(const char *path, struct buf *into, struct error *err) MUST_CHECK;
bool file_write_durable(const char *path, struct str bytes, mode_t mode, struct error *err) MUST_CHECK;
/*
 * Files with secrets in them are 0600 whatever the umask: nobody but the owner reads or writes them.
 *
 * file_keep_private makes the file when it is absent, empty; file_tighten leaves it absent. One that others may read is
 * tightened, and the log says so; where that is refused (it is another user's) the log warns.
 */
bool file_keep_private(const char *path, struct error *err) MUST_CHECK;
void file_tighten(const char *path);
/* All of the bytes, whatever write(2) takes at a time. */
bool file_write_all(int fd, const void *bytes, size_t len, struct error *err) MUST_CHECK;
/* The same at an offset. When it fails errno is the write's. */
bool file_write_at(int fd, const void *bytes, size_t len, uint64_t offset, struct error *err) MUST_CHECK;
/* Are the first len bytes of both the same? False also when one can't be read. */
bool file_equal(int a, int b, uint64_t len);
bool file_sync_folder(const char *path, struct error *err) MUST_CHECK;
/* The folder in which this lies. */
bool file_sync_parent(struct str path, struct error *err) MUST_CHECK;
/* mkdir -p; each new folder's parent is synced. */
bool file_make_folders(const char *path, mode_t mode, struct error *err) MUST_CHECK;
/*
 * Can a file be made and filled in this folder, and are `least` bytes free on its file system (of a small one a sixteenth)? Makes
 * and removes a file `.tmp-...`; nothing is synced. ERROR_FULL no room, ERROR_UNAVAILABLE anything else.
 */
bool file_try_folder(const char *path, uint64_t least, struct error *err) MUST_CHECK;
/* Raises the limit of open descriptors as far as the system lets us; what it is now. */
uint64_t file_raise_limit(void);
/* poll(2) for one descriptor; within_ms -1 = for ever. */
bool file_wait_readable(int fd, int within_ms);
