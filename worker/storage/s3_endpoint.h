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

#include "worker/storage/store.h"

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
	struct s3_endpoint *endpoint, const struct store_s3_settings *settings, struct error *err) MUST_CHECK;
void s3_endpoint_fini(struct s3_endpoint *endpoint);
/* Appends the encoded path of a key below the root; key NULL: of the bucket. */
void s3_endpoint_path(const struct s3_endpoint *endpoint, const char *key, struct buf *into);
