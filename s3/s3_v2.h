/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_v2 - AWS Signature Version 2, for appliances that know no other.
 *
 *     string to sign = method, Content-MD5, Content-Type, date, x-amz-... headers, /bucket/key?subresources
 *     signature      = base64(HMAC-SHA1(secret, string to sign))
 *
 * The body is not in it: Content-MD5 is, which the store compares. AWS itself refuses this in regions made since 2014.
 *
 * Source  "Signing and Authenticating REST Requests (AWS signature version 2)", S3 API Reference.
 * Thread  any; pure.
 */
#pragma once

#include "s3/s3_sign.h"

struct s3_v2_request {
	const char *method;
	const char *bucket; /* where the path does not begin with it, that is where it is in the host; else NULL */
	const char *path;   /* percent-encoded, as it will be sent */
	struct str query;   /* percent-encoded */
	int64_t wall_s;     /* the store's clock */
};

/* Adds x-amz-date, x-amz-security-token and Authorization; Content-MD5, Content-Type and x-amz-... that are there are signed. */
bool s3_v2_sign(const struct s3_keys *keys, const struct s3_v2_request *request, struct http_headers *headers,
		struct error *err) MUST_CHECK;
/* Appends the query that opens this request to anybody until then. */
bool s3_v2_sign_url(const struct s3_keys *keys, const struct s3_v2_request *request, int64_t until_s, struct buf *into,
		    struct error *err) MUST_CHECK;
