/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_priv - what the files of the S3 driver share; for s3*.c and their tests alone.
 */
#pragma once

#include <stdatomic.h>

#include "common/list.h"
#include "common/lock.h"
#include "proto/name.h"
#include "s3/s3_client.h"
#include "worker/storage/store_driver.h"

#define S3_MIB           (1024 * 1024ULL)
#define S3_PARTS_MAX     10000
#define S3_PART_MIN      (5 * S3_MIB) /* S3 refuses smaller ones, but for the last */
#define S3_PART_MAX      (5 * 1024 * S3_MIB)
#define S3_COPY_MAX      (5 * 1024 * S3_MIB) /* one CopyObject takes no more */
#define S3_PARALLEL_MAX  32
#define S3_LATE_STALL_MS 300000 /* copies and completions may take long without a byte */

/* How a store wants the ETag in If-Match: RFC 9110 says quoted, radosgw takes it unquoted alone,
 * most take both. Found out by the first write that succeeds. */
enum s3_quoting { S3_QUOTING_UNKNOWN, S3_UNQUOTED, S3_QUOTED };

struct s3_store {
	struct store store;
	struct s3_client client;
	uint64_t single_put_max, part_size;
	unsigned parallel;
	uint64_t copy_whole_max, copy_part_size; /* a copy that is larger goes by parts */
	unsigned copy_parallel;
	atomic_int quoting; /* enum s3_quoting */
	struct {
		struct lock lock; /* one search at a time */
		atomic_bool restored; /* the bucket has the mark */
		char hint[NAME_MAX_LEN + 1]; /* repository */
		char lost[STORE_KEY_MAX];
		int64_t lost_ms;
	} stand_in; /* s3_stand_in.c */
	atomic_bool signs;  /* parts: this store looks at no sum beside the signature, or takes none without one (s3_push.c) */
	atomic_bool deletes_singly; /* it does not take DeleteObjects as we send it (s3_remove_all.c) */
	int64_t abandoned_ms, renew_ms;
	atomic_bool sums;   /* parts: it has said of one that it looked at its sum */
	struct lock lock;
	struct list pushes; /* under way in this process; under the lock */
};
struct s3_store *s3_store_of(struct store *store);

/* The ETag of an answer without its quotes, and its Date; false when there is none or it is over-long. */
bool s3_read_etag(const struct http_result *result, struct store_version *ret) MUST_CHECK;
/* HEAD. ERROR_UNKNOWN when absent; ret_version may be NULL. */
bool s3_head(struct s3_store *s3, const char *key, uint64_t *ret_size, struct store_version *ret_version,
	struct error *err) MUST_CHECK;
bool s3_get(struct store *store, const char *key, struct buf *into, struct store_version *ret_version,
	struct error *err) MUST_CHECK;

bool s3_remove(struct store *store, const char *key, int64_t until_s, struct error *err) MUST_CHECK;
/* s3_remove_all.c */
bool s3_remove_all(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone, struct error *err) MUST_CHECK;

enum store_step s3_put_if(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version,
	struct error *err) MUST_CHECK;

/* The same, and says this of what it writes. */
enum store_step s3_put_if_with(struct store *store, const char *key, struct str bytes, const struct s3_header *more,
	const struct store_version *expected, struct store_version *ret_version, struct error *err) MUST_CHECK;

/* s3_aside.c. An empty object with this header stands where a rotten one was: it is none. */
#define S3_ASIDE "x-amz-meta-zot-aside"
bool s3_says_aside(const struct http_result *result); /* s3.c */
bool s3_error_aside(const char *key, struct error *err);
bool s3_reading_new(struct store *store, const char *key, const struct digest *digest, struct store_reading **ret, struct error *err) MUST_CHECK;
void s3_reading_free(struct store_reading *reading);
bool s3_reading_next(struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err) MUST_CHECK;
void s3_reading_again(struct store_reading *reading);
bool s3_set_aside(struct store_reading *reading, bool aside, struct error *err) MUST_CHECK;
bool s3_aside_trim(struct store *store, const struct pace *pace, uint64_t *ret_removed, struct error *err) MUST_CHECK;

/* On the server's side. */
bool s3_copy_object(struct s3_store *s3, const char *from, const char *to, struct error *err) MUST_CHECK;

/* s3_stand_in.c: an empty object under the digest of something. */
bool s3_is_stand_in(const char *key, uint64_t size);
/* It gets its bytes from another repository. ERROR_UNKNOWN: none has them; ERROR_UNAVAILABLE: not known yet. */
bool s3_restore(struct s3_store *s3, const char *key, uint64_t *ret_size, struct error *err) MUST_CHECK;
/* Before a blob of this size is deleted: what stands in for it elsewhere gets its bytes. */
/* True: nothing of another repository relies on a blob, now and for ever. */
bool s3_stand_ins_are_settled(struct s3_store *s3, bool *ret, struct error *err) MUST_CHECK;
bool s3_settle_stand_ins(struct s3_store *s3, const char *key, uint64_t size, struct error *err) MUST_CHECK;
bool s3_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry, struct store_dedupe *ret,
	struct error *err) MUST_CHECK;
/* Keys of empty objects below a folder, also in deeper ones, without it. */
bool s3_list_empty(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;
/*
 * A multipart upload at the store, for s3_multipart.c and s3_push.c. sums: each part is sent with its crc32c, which the store looks at;
 * asked for before it is created, and afterwards true only if the store said that it does.
 */
#define S3_UPLOAD_ID_ENCODED_MAX (3 * 2048)
struct s3_part {
	struct store_version etag;
	char sum[9]; /* base64; of those with sums */
};
struct s3_multipart {
	struct s3_store *s3;
	const char *key; /* borrowed */
	uint64_t size;
	unsigned n;
	bool sums;
	struct buf id;         /* percent-encoded; empty: it was not created */
	struct s3_part *parts; /* n of them */
};
void s3_multipart_init(struct s3_multipart *multi, struct s3_store *s3, const char *key, uint64_t size, uint64_t part_size);
void s3_multipart_fini(struct s3_multipart *multi);
bool s3_multipart_create(struct s3_multipart *multi, struct error *err) MUST_CHECK;
/* All parts are there. An answer that was lost is looked up: the object has the size then. */
bool s3_multipart_complete(struct s3_multipart *multi, struct error *err) MUST_CHECK;
/* Of a part whose request ends later something may stay behind. id: percent-encoded. */
bool s3_multipart_abort(struct s3_client *client, const char *key, const char *id, struct error *err) MUST_CHECK;
void s3_multipart_give_up(struct s3_multipart *multi); /* the same, and a failure is told to the log alone */

/* Is an object of this size there, and (young) not so old that it is to be written again (renew_ms)? False: it can't be told. */
bool s3_is_there(struct s3_store *s3, const char *key, uint64_t size, bool young, bool *ret_there, struct error *err) MUST_CHECK;

/* s3_push.c: store.h says what they do. */
uint64_t s3_push_part(const struct store *store, uint64_t size);
bool s3_push_begin(struct store *store, const char *key, uint64_t size, struct store_push **ret, struct error *err) MUST_CHECK;
bool s3_push_send(struct store_push *push, unsigned at, struct str bytes, uint32_t sum, struct error *err) MUST_CHECK;
bool s3_push_finish(struct store_push *push, struct error *err) MUST_CHECK;
void s3_push_give_up(struct store_push *push);
void s3_push_free(struct store_push *push);
bool s3_push_is_under_way(struct s3_store *s3, const char *key); /* in this process */
bool s3_abandoned(struct store *store, const struct pace *pace, const struct would *dry, uint64_t *ret_ended, struct error *err) MUST_CHECK;

/* A file, or an object on the server's side, by parts in parallel; all or nothing. */
bool s3_upload_file(
	struct s3_store *s3, const char *key, int fd, uint64_t size, struct error *err) MUST_CHECK;
bool s3_upload_copy(struct s3_store *s3, const char *from, const char *to, uint64_t size, uint64_t part_size,
	struct error *err) MUST_CHECK;
/* Equal parts but the last, none under `least`, as many as may be. */
uint64_t s3_part_size(uint64_t size, uint64_t least);
/* Hex sha256 of a part of a file. */
bool s3_hash_file(int fd, uint64_t offset, uint64_t len, char into[65], struct error *err) MUST_CHECK;
/* The value of x-amz-copy-source. */
void s3_copy_source(const struct s3_store *s3, const char *key, struct buf *into);

bool s3_folders(
	struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;
bool s3_objects(struct store *store, const char *folder, struct str after, size_t n, store_driver_object_f *fn, void *arg,
	bool *ret_more, struct error *err) MUST_CHECK;
bool s3_list(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more, struct error *err) MUST_CHECK;
bool s3_usage(struct store *store, const char *folder, const struct pace *pace, struct store_usage *ret,
	struct error *err) MUST_CHECK;

enum store_step s3_log_get(struct store *store, const char *index_key, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err) MUST_CHECK;
enum store_step s3_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err) MUST_CHECK;
bool s3_log_remove(struct store *store, const char *index_key, const struct store_log_place *upto,
	struct error *err) MUST_CHECK;
