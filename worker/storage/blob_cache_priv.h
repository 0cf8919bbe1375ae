/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_cache_priv - what the files of the cache share; for blob_cache*.c alone.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>

#include "common/lock.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/cache_queue.h"

#define BLOB_CACHE_HOMES 64 /* folders of boots; of older ones nothing is known */

struct cache_entry {
	struct cache_item item; /* first */
	struct digest digest;
	uint8_t home;  /* in homes[] */
	bool doubtful; /* of an earlier boot, not read through yet */
	bool checking;
};

struct blob_cache {
	uint32_t magic;
	char *folder;
	uint64_t most;
	size_t entries_most;
	int64_t wait_ms;
	struct pool *pool;
	atomic_bool stopping;
	struct lock lock; /* guards what follows */
	int lock_fd;      /* -1: the folder is not ours yet */
	bool has_folder;
	struct map *entries; /* struct cache_entry by digest_key() */
	struct cache_queue queue;
	uint64_t used; /* entries, and what is being filled */
	char homes[BLOB_CACHE_HOMES][40]; /* the first is that of this boot */
	unsigned homes_len;
	bool off;
	int64_t retry_ms;
	char why[ERROR_TEXT_MAX];
	unsigned jobs; /* of the pool, that have the cache */
	pthread_cond_t no_jobs;
	uint64_t evictions, adopted, doubted;
};

/* Of an entry, or of one to come. False: it is too long. */
bool blob_cache_path(const struct blob_cache *cache, unsigned home, const struct digest *digest, char into[PATH_MAX]) MUST_CHECK;
/* The folder in which it is to lie is made. */
bool blob_cache_make_home(const struct blob_cache *cache, const struct digest *digest, struct error *err) MUST_CHECK;
struct cache_entry *blob_cache_find_locked(struct blob_cache *cache, const struct digest *digest);
/* A new one, in main or as a newcomer; its bytes are counted already. NULL: there is one. */
struct cache_entry *blob_cache_add_locked(struct blob_cache *cache, const struct digest *digest, uint64_t size, bool to_main);
/* Room for so many bytes, and one entry more, which are counted from now on. Waits for disk. */
bool blob_cache_reserve(struct blob_cache *cache, uint64_t size, struct error *err) MUST_CHECK;
void blob_cache_give_back(struct blob_cache *cache, uint64_t size);
/* It does not work. */
void blob_cache_turn_off(struct blob_cache *cache, const struct error *err);

/* blob_cache_scan.c: the folder is made ours, and what lies in it is looked for. */
bool blob_cache_take_folder(struct blob_cache *cache, struct error *err) MUST_CHECK;
/* A job of ours, in the background of the pool; its last act is to say that it is over. */
void blob_cache_push(struct blob_cache *cache, void (*run)(void *arg), void *arg);
void blob_cache_job_over(struct blob_cache *cache);
/* A doubtful one is read through on the pool. */
void blob_cache_doubt(struct blob_cache *cache, const struct digest *digest);
