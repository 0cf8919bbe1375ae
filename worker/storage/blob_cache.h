/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_cache - copies of blobs of a bucket on this worker's own disk, known by their digests.
 *
 *   <folder>/cache.lock                             one process has the folder
 *   <folder>/fill/<random>.part                     what is being filled; emptied at start
 *   <folder>/<boot>/<alg>/<2 digits>/<encoded>      an entry; <boot>: that of the machine in which it was verified
 *
 * Whether somebody may have a blob is not asked here: an entry says what the bytes are, not whose (registry_has_seen()).
 *
 * An entry is renamed into place when its digest was verified. Nothing is synced: a process that is killed leaves whole entries, since the
 * page cache outlives it. What a machine leaves that went down is in the folder of an earlier boot: such an entry is doubtful, and is
 * read through once, in the background, before it is used again. So is nothing believed for its size alone.
 *
 * Bounds   bytes, those that are being filled included (files that are just being sent go with their last reader); entries, for which
 *          there are some 200 bytes of memory each. Who goes: cache_queue.h. A blob of more than half of the bytes is not kept.
 * Trouble  a disk that cannot be read or written turns the cache off, which is told once: all requests are served as without one.
 *          After BLOB_CACHE_RETRY_MS whoever fills an entry tries again.
 *
 * Thread  any. blob_cache_get() opens a file; all but it and the questions wait for disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/digest.h"

#define BLOB_CACHE_RETRY_MS 60000
#define BLOB_CACHE_ENTRIES  262144

struct pool;
struct blob_cache;

struct blob_cache_settings {
	const char *folder; /* borrowed until it was opened */
	uint64_t bytes;
	size_t entries;     /* 0: BLOB_CACHE_ENTRIES */
	struct pool *pool;  /* for its background; borrowed */
	int64_t wait_ms;    /* for another process that is about to end */
};
/* What lies in the folder is found in the background. ERROR_CONFLICT: another process has the folder. Where the disk does not work it is
 * true, and the cache is off. */
bool blob_cache_open(struct blob_cache **ret, const struct blob_cache_settings *settings, struct error *err) MUST_CHECK;
/* Its jobs end soon. NULL is fine, here and below. */
void blob_cache_stop(struct blob_cache *cache);
void blob_cache_free(struct blob_cache *cache); /* waits for its jobs: the pool has run them, or runs */
AUTO_DEFINE(blob_cache)

/* Is it there? Then it is open, and has been used. */
bool blob_cache_get(struct blob_cache *cache, const struct digest *digest, int *ret_fd, uint64_t *ret_size) MUST_CHECK;
/* Is there an entry? Asks no disk, and is no use of it. */
bool blob_cache_has(struct blob_cache *cache, const struct digest *digest);
/* It is to be kept, as far as can be said now. */
bool blob_cache_takes(struct blob_cache *cache, uint64_t size);

/* One that is being filled, by one thread at a time. */
struct cache_file {
	struct blob_cache *cache;
	struct digest digest;
	uint64_t size;
	int fd; /* to read, too */
	char *path;
};
/* Makes room. ERROR_FULL: it is not for this cache. ERROR_UNAVAILABLE: the cache is off. */
bool cache_file_new(struct blob_cache *cache, const struct digest *digest, uint64_t size, struct cache_file **ret,
	struct error *err) MUST_CHECK;
bool cache_file_write(struct cache_file *file, struct str bytes, uint64_t at, struct error *err) MUST_CHECK;
/* All is there, and verified: it is an entry from now on. False: it is none, and the cache is off. */
bool cache_file_keep(struct cache_file *file, struct error *err) MUST_CHECK;
void cache_file_free(struct cache_file *file); /* what was not kept is gone */

/* A verified file on the same file system becomes an entry, under a second name; else, or where it is one, nothing happens. */
void blob_cache_adopt(struct blob_cache *cache, const struct digest *digest, const char *path, uint64_t size);
/* An entry could not be read. */
void blob_cache_failed(struct blob_cache *cache, const struct digest *digest, const struct error *err);
/* It is no entry any more. */
void blob_cache_forget(struct blob_cache *cache, const struct digest *digest);

/* For /readyz. False: it is off, and why. */
bool blob_cache_check(struct blob_cache *cache, struct error *err) MUST_CHECK;
struct blob_cache_stats {
	uint64_t bytes, entries;   /* now */
	uint64_t most;
	uint64_t evictions, adopted, doubted; /* since the start; doubted: entries of an earlier boot that were read through */
	bool on;
};
struct blob_cache_stats blob_cache_stats(struct blob_cache *cache);
