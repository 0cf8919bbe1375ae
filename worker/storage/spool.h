/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool - files of uploads under way, on the worker's own disk, together at most `limit` bytes.
 *
 * Space is reserved before bytes are written, so that a full spool is told (ERROR_FULL, 507) to the
 * one upload that would pass the limit. Where files stay on this disk as blobs, the disk begins to write each large append at once instead of
 * at the fsync. The first SPOOL_CACHED_MOST bytes of a file go through the page cache, where its first reader finds them; behind them
 * large appends from memory that is aligned to SPOOL_ALIGN go past it where the file system can do that (O_DIRECT): a large push does not push
 * out what others read. The folder is emptied when the spool is opened: sessions do
 * not outlive their worker's process.
 * Thread  any; one file belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct pace;
struct would;
struct spool;
struct spool_file {
	struct spool *spool;
	int fd;
	char *path;
	uint64_t size, reserved;
	bool direct;            /* private */
};
#define SPOOL_ALIGN 4096u
#define SPOOL_CACHED_MOST ((uint64_t)16 * 1024 * 1024)
/* stays: files become blobs where they are, and are not copied to another store. */
bool spool_open(struct spool **ret_spool, const char *folder, uint64_t limit, bool stays, struct error *err) MUST_CHECK;
/* The process that had this folder before us did not end it (spool_free): it was killed. */
bool spool_was_left(const struct spool *spool);
void spool_free(struct spool *spool);
AUTO_DEFINE(spool)
/*
 * Files that killed processes left in the spools under `parent` (a folder with a spool in each of its folders), and that will not be
 * emptied by their owner if it does not come back. A spool whose owner lives is locked, and left alone; the lock is
 * taken for one file at a time, so that an owner who starts just then has to wait for a moment only.
 */
bool spool_sweep(const char *parent, const struct pace *pace, const struct would *dry, uint64_t *ret_removed, struct error *err) MUST_CHECK;
bool spool_file_new(struct spool *spool, const char *name, struct spool_file **ret, struct error *err) MUST_CHECK;
bool spool_file_append(struct spool_file *file, const void *bytes, size_t len, struct error *err) MUST_CHECK;
/* All is appended: fd may be read and written as any other. */
void spool_file_settle(struct spool_file *file);
void spool_file_free(struct spool_file *file); /* closes, removes if it is still there, gives the space back */
AUTO_DEFINE(spool_file)
/* Files can be made, there is room on the disk (file_try_folder) and below the limit. Thread  pool. */
bool spool_check(struct spool *spool, uint64_t least, struct error *err) MUST_CHECK;
/* Thread  any. False (UNAVAILABLE): it could not be written to some seconds ago, and nobody has tried since. */
bool spool_is_usable(struct spool *spool, struct error *err) MUST_CHECK;
uint64_t spool_used(const struct spool *spool);
uint64_t spool_limit(const struct spool *spool);
/* Bytes that all uploads can have together: the limit, or what they have and is free on the disk, where that is less. */
uint64_t spool_capacity(const struct spool *spool);
