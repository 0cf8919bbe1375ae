/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_priv - what the files of the S3 driver share; for s3*.c and their tests alone.
 */
#pragma once

#include <stdatomic.h>

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

enum store_step s3_put_if(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version,
	struct error *err) MUST_CHECK;

/* On the server's side. */
bool s3_copy_object(struct s3_store *s3, const char *from, const char *to, struct error *err) MUST_CHECK;

/* s3_stand_in.c: an empty object under the digest of something. */
bool s3_is_stand_in(const char *key, uint64_t size);
/* It gets its bytes from another repository. ERROR_UNKNOWN: none has them; ERROR_UNAVAILABLE: not known yet. */
bool s3_restore(struct s3_store *s3, const char *key, uint64_t *ret_size, struct error *err) MUST_CHECK;
/* Before a blob of this size is deleted: what stands in for it elsewhere gets its bytes. */
bool s3_settle_stand_ins(struct s3_store *s3, const char *key, uint64_t size, struct error *err) MUST_CHECK;
bool s3_dedupe(struct store *store, bool always, const struct pace *pace, struct store_dedupe *ret,
	struct error *err) MUST_CHECK;
/* Keys of empty objects below a folder, also in deeper ones, without it. */
bool s3_list_empty(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;

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
bool s3_list(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more, struct error *err) MUST_CHECK;
bool s3_usage(struct store *store, const char *folder, const struct pace *pace, uint64_t *ret_bytes,
	struct error *err) MUST_CHECK;

enum store_step s3_log_get(struct store *store, const char *index_key, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err) MUST_CHECK;
enum store_step s3_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err) MUST_CHECK;
bool s3_log_remove(struct store *store, const char *index_key, const struct store_log_place *upto,
	struct error *err) MUST_CHECK;
