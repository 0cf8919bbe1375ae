/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_driver - what a driver fills in; for worker/storage alone.
 *
 * store.c checks arguments, turns names and digests into keys relative to the root
 * ("library/nginx/index.json"), and calls these. A driver embeds `struct store` first.
 */
#pragma once

#include <stdatomic.h>

#include "worker/storage/store.h"

#define STORE_KEY_MAX 1024

typedef bool store_driver_object_f(void *arg, struct str name, uint64_t size, int64_t changed_s);

struct store_driver {
	/* Of a store that is made of several (store_roots.c), which fills in free() and these alone: the root that a repository lies in, whatever
	 * its name is; each root; and the catalog. */
	struct store *(*root_of)(const struct store *store, struct str name);
	size_t (*roots_len)(const struct store *store);
	struct store *(*root_at)(const struct store *store, size_t at, const char **ret_path);
	bool (*catalog)(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg, bool *ret_more, struct error *err);
	bool has_files; /* source() opens one */
	void (*free)(struct store *store);
	bool (*get)(struct store *store, const char *key, struct buf *into, struct store_version *ret_version, struct error *err);
	enum store_step (*get_if_changed)(struct store *store, const char *key, const struct store_version *version,
					  struct buf *into, struct store_version *ret_version, struct error *err);
	/* expected NULL: whatever is there is replaced. */
	enum store_step (*put_if)(struct store *store, const char *key, struct str bytes, const struct store_version *expected,
				  struct store_version *ret_version, struct error *err);
	/* Writing an index that holds a log, where that ends the log; NULL: put_if does. */
	enum store_step (*put_index)(struct store *store, const char *key, struct str bytes, const struct store_version *expected,
				     const struct store_log_place *log, struct store_version *ret_version, struct error *err);
	/* NULL: this store keeps no logs. */
	enum store_step (*log_get)(struct store *store, const char *index_key, const struct store_version *index,
				   struct store_log_place *place, struct buf *into, struct error *err);
	/* Records up to a place go. NULL: a log ends by folding. */
	bool (*log_remove)(struct store *store, const char *index_key, const struct store_log_place *upto, struct error *err);
	bool (*put_lazy)(struct store *store, const char *key, struct str bytes, bool listed, uint64_t *ret_era, struct error *err);
	bool (*put_again)(struct store *store, const char *key, struct str bytes, struct error *err);
	uint64_t (*era)(const struct store *store);
	bool (*sync)(struct store *store, uint64_t era, struct error *err);
	enum store_step (*log_append)(struct store *store, const char *index_key, const struct store_version *expected,
				      struct store_log_place *place, struct str frames, struct error *err);
	bool (*size)(struct store *store, const char *key, uint64_t *ret_size, struct error *err);
	/* digest: what the bytes have, for the store to verify. An object that is there may be left as it is. */
	bool (*put)(struct store *store, const char *key, const struct digest *digest, struct str bytes, struct error *err);
	bool (*put_file)(struct store *store, const char *key, const struct digest *digest, int fd, const char *path, uint64_t size,
			 struct error *err);
	/* put() unless an object of that size is there, and what is sent while it comes: store_push_...(). NULL: this store takes files alone. */
	bool (*put_new)(struct store *store, const char *key, const struct digest *digest, struct str bytes, struct error *err);
	uint64_t (*push_part)(const struct store *store, uint64_t size);
	bool (*push_begin)(struct store *store, const char *key, uint64_t size, struct store_push **ret, struct error *err);
	bool (*push_send)(struct store_push *push, unsigned at, struct str bytes, uint32_t sum, struct error *err);
	bool (*push_finish)(struct store_push *push, struct error *err);
	void (*push_give_up)(struct store_push *push);
	void (*push_free)(struct store_push *push);
	bool (*abandoned)(struct store *store, const struct pace *pace, const struct would *dry, uint64_t *ret_ended, struct error *err);
	/* The folder that `key` lies in, until *ret_lock is closed: as those who change an index in it. NULL: nothing is to be locked. */
	bool (*lock)(struct store *store, const char *key, int *ret_lock, struct error *err);
	/* put() of an empty object that takes effect before until_s (the store's clock) or never; the folder is locked. */
	bool (*put_until)(struct store *store, const char *key, int64_t until_s, struct error *err);
	bool (*remove)(struct store *store, const char *key, int64_t until_s, struct error *err); /* store_blob_delete() */
	/* store_blobs_delete() */
	bool (*remove_all)(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone, struct error *err);
	int64_t (*clock_ms)(const struct store *store); /* NULL: the wall clock */
	bool (*copy)(struct store *store, const char *from, const char *to, const struct digest *digest, struct error *err);
	bool (*source)(struct store *store, const char *key, const struct range *part, struct blob_source *ret, struct error *err);
	/* store_blob_answered(), store_blob_silent(); NULL: nobody sends anything. */
	enum store_again (*answered)(struct store *store, const struct store_signed *with, const struct store_answer *answer);
	void (*silent)(struct store *store, const struct store_signed *with, const struct error *why);
	/* A URL that opens it to whoever has it; NULL: this store has none. */
	bool (*link)(struct store *store, const char *key, unsigned seconds, struct buf *into, struct error *err);
	/* Keys directly under `folder` ("_catalog/"), without it, in byte order. */
	bool (*list)(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn, void *arg,
		     bool *ret_more, struct error *err);
	/* Keys under `folder` and the folders in it, with sizes and times. NULL: `list`, and `look` has them. */
	bool (*objects)(struct store *store, const char *folder, struct str after, size_t n, store_driver_object_f *fn, void *arg,
			bool *ret_more, struct error *err);
	bool (*look)(struct store *store, const char *key, uint64_t *ret_size, int64_t *ret_changed_s, struct error *err);
	/* Names of folders directly under `folder` ("" or "library/"), in any order; fn false stops. */
	bool (*folders)(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err);
	/* Temp files that killed processes left; NULL: there are none. */
	bool (*sweep)(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace, const struct would *dry, uint64_t *ret_removed,
		      struct error *err);
	/* Bytes of a repository's folder, and how long its locks were waited for; NULL: not known. */
	bool (*usage)(struct store *store, const char *folder, const struct pace *pace, struct store_usage *ret, struct error *err);
	/* store_dedupe(), store_saved(); NULL: nothing is shared. */
	bool (*dedupe)(struct store *store, bool always, const struct pace *pace, const struct would *dry, struct store_dedupe *ret, struct error *err);
	uint64_t (*saved)(const struct store *store);
	struct histogram *(*lock_waits)(struct store *store);
	/* store_reading_...() */
	bool (*reading_new)(struct store *store, const char *key, const struct digest *digest, struct store_reading **ret, struct error *err);
	void (*reading_free)(struct store_reading *reading);
	bool (*reading_next)(struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err);
	void (*reading_again)(struct store_reading *reading);
	bool (*set_aside)(struct store_reading *reading, bool aside, struct error *err);
	bool (*aside_trim)(struct store *store, const struct pace *pace, uint64_t *ret_removed, struct error *err); /* NULL: nothing is kept */
	bool (*check)(struct store *store, struct error *err);
	int64_t (*silent_ms)(const struct store *store); /* NULL: 0 */
	uint64_t (*requests)(const struct store *store);
	uint64_t (*errors)(const struct store *store); /* NULL: there are none to tell */
};

struct store {
	uint32_t magic;
	const struct store_driver *driver;
	char *place;
	const struct store *above; /* that it is a root of; NULL: it is alone */
	store_missing_f *missing; /* or NULL */
	void *missing_arg;
};
/* Is this repository this root's? "a/" stands for all below. */
static inline bool store_owns(const struct store *store, struct str name)
{
	return !store->above || store->above->driver->root_of(store->above, name) == store;
}
/* A driver embeds it first. */
struct store_push {
	struct store *store;
	bool is_there;
	atomic_bool stopped;
};
static inline void store_log_advance(struct store_log_place *place, uint64_t steps, uint64_t bytes)
{
	place->at += steps;
	place->bytes += bytes;
}
/* store.c: the key of the marker of a repository in the catalog. */
bool store_marker_key(struct str name, char into[STORE_KEY_MAX], struct error *err) MUST_CHECK;
#define STORE_MAGIC MAGIC('S', 'T', 'O', 'R')
#define STORE_ASIDE "_aside/"     /* folder of copies of what was set aside (s3) */
#define STORE_NOTES "_moves/"     /* folder of the notes */
#define STORE_CATALOG "_catalog/" /* folder of the markers */
