/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_sign - AWS Signature Version 4, in the Authorization header or in the URL.
 *
 *     canonical request = method, path, sorted query, headers, names of the headers, hash of the body
 *     string to sign    = algorithm, time, date/region/service/aws4_request, sha256 of the canonical request
 *     signing key       = HMAC chain over the secret, date, region, service, "aws4_request"
 *
 * S3 differs from the other services of AWS: the path is percent-encoded once and never normalised.
 *
 * Source  "Authenticating Requests (AWS Signature Version 4)", S3 API Reference.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/http.h"

struct s3_keys {
	const char *access_key, *secret_key;
	const char *session_token; /* or NULL */
	const char *region;
	const char *service;       /* NULL: "s3" */
};

struct s3_sign_request {
	const char *method;
	const char *host; /* as the Host header will say it: with the port, unless it is the scheme's */
	const char *path; /* percent-encoded, as it will be sent */
	struct str query; /* percent-encoded, in any order; "uploads" and "uploads=" are the same */
	const char *body; /* hex of the sha256 of the body, or S3_SIGN_NO_BODY_HASH */
	int64_t wall_s;   /* the store's clock, not ours, where they differ */
};
#define S3_SIGN_NO_BODY_HASH   "UNSIGNED-PAYLOAD"
#define S3_SIGN_EMPTY_BODY     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_SIGN_HEADERS_MAX    32
#define S3_SIGN_PARAMETERS_MAX 32

/* Adds x-amz-date, x-amz-content-sha256, x-amz-security-token and Authorization to `headers`; all
 * that is among them already is signed too, and no name may be there twice. */
bool s3_sign(const struct s3_keys *keys, const struct s3_sign_request *request, struct http_headers *headers,
	struct error *err) MUST_CHECK;
/* Appends the query that opens this request to anybody for `seconds` (at most 7 days), who sends it with these headers (NULL: none). The
 * body is not signed, unless by a Content-MD5 among them, and request->body not looked at. */
bool s3_sign_url(const struct s3_keys *keys, const struct s3_sign_request *request, const struct http_headers *headers,
	unsigned seconds, struct buf *into, struct error *err) MUST_CHECK;

/* "20130524T000000Z" */
#define S3_SIGN_TIME_SIZE 17
void s3_sign_time(int64_t wall_s, char into[S3_SIGN_TIME_SIZE]);
/* The key of one day: `date` is "20130524". */
void s3_sign_key(const struct s3_keys *keys, const char *date, uint8_t into[32]);
