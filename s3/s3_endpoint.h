/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_endpoint - where the bucket is, and what an object's URL is made of.
 *
 *     https://s3.example.com:9000 /bucket /zot/ library/nginx/index.json     path style
 *     https://bucket.s3.example.com:9000 / zot/ library/nginx/index.json     bucket in the host
 *     `------------ origin -----------'`-- root --'`------- key ----------'
 *
 * Thread  any; immutable after s3_endpoint_init().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

struct s3_settings {
	const char *endpoint;     /* "http://127.0.0.1:9000", "https://s3.eu-west-3.amazonaws.com"; NULL: AWS of the region */
	const char *region, *bucket;
	const char *prefix;       /* "" or "zot/zot": without slashes at the ends */
	const char *access_key, *secret_key, *session_token; /* NULL: from the identity */
	const struct s3_identity *identity; /* s3_identity.h; or NULL */
	bool path_style;          /* http://endpoint/bucket/key; false: bucket in the host */
	bool insecure;            /* certificate not verified */
	const char *ca_file;
	unsigned retries;         /* 0 = 4 */
	/* How a store puts what is large; others send it in one PUT. */
	uint64_t single_put_max;  /* 0 = 64 MiB */
	uint64_t part_size;       /* 0 = 16 MiB; grows so that 10,000 parts suffice */
	unsigned parallel;        /* parts at a time, 0 = 4 */
	uint64_t copy_whole_max;  /* larger ones are copied by parts; 0 = 5 GiB, and no more */
	uint64_t copy_part_size;  /* 0 = 512 MiB */
	unsigned copy_parallel;   /* 0 = 4 */
	/* Which of AWS' hosts, where endpoint is NULL. */
	bool dual_stack, accelerate, fips;
	/* Objects that are made; NULL: as the bucket says. */
	const char *encryption;   /* x-amz-server-side-encryption: "AES256", "aws:kms" */
	const char *encryption_key;
	const char *acl;
	const char *storage_class;
	const char *storage_class_below; /* only for keys with this in them: what is small and often written has no use for one */
	const char *user_agent;
	const char *redirect_endpoint; /* that clients are sent to; NULL: endpoint */
	bool v2;                  /* signatures of version 2 (s3_v2.h) */
	int64_t renew_ms;         /* a blob that is older is written again by who pushes it, so that it is young; 0: never */
	int64_t abandoned_ms;     /* a multipart upload that is older is nobody's any more; 0 = a day */
};

struct s3_endpoint {
	char *origin;     /* "https://host:port", the port only when it is not the scheme's */
	const char *host; /* the part of origin behind "://": the Host header */
	char *bucket;
	char *bucket_path; /* "/bucket" or "/" */
	char *root;        /* path before keys, percent-encoded, "/" at its end */
	char *prefix;      /* "" or "zot/", not encoded */
	bool tls;
};
bool s3_endpoint_init(
	struct s3_endpoint *endpoint, const struct s3_settings *settings, struct error *err) MUST_CHECK;
void s3_endpoint_fini(struct s3_endpoint *endpoint);
/* Appends the encoded path of a key below the root; key NULL: of the bucket. */
void s3_endpoint_path(const struct s3_endpoint *endpoint, const char *key, struct buf *into);
