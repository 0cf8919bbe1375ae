/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_reply - answers that many endpoints give; the only place that turns an error into one.
 *
 * A 503 names a pause (Retry-After: 1). Thread  any.
 */
#pragma once

#include "common/http_server.h"
#include "proto/digest.h"

/* The status of the error's code and kind (proto/oci_error.h), and an OCI error body. */
struct http_response *oci_reply_error(const struct error *err);
/* The same under another status. */
struct http_response *oci_reply_status(unsigned status, const struct error *err);
/* The same with the error's text as its message, where people are to see it: docker shows no details. */
struct http_response *oci_reply_saying(unsigned status, const struct error *err);
/* 429, with zot's detail {"limit":"N"}: there may be so many, and are. */
struct http_response *oci_reply_limit(uint64_t limit);
/* 503 with this pause. */
struct http_response *oci_reply_later(unsigned retry_after_s, const struct error *err);
/* ERROR_UNKNOWN without a code of its own becomes this code. */
struct http_response *oci_reply_unknown(struct error *err, const char *code);
/* JSON: the buffer's bytes, or 500 when it failed. */
struct http_response *oci_reply_json(unsigned status, const char *media_type, struct buf *body);
/* Warning: 299 - "text", for the people who use the client (distribution-spec, "Warnings"). Text of ours, printable and
 * without quotes; the specification allows 4096 bytes for all warnings of an answer. */
#define OCI_WARNING_MAX 512
void oci_reply_warning(struct http_response *response, const char *format, ...) PRINTF(2, 3);
/* Docker-Content-Digest. */
void oci_reply_digest(struct http_response *response, const struct digest *digest);
/* ETag: the digest in quotes. */
void oci_reply_etag(struct http_response *response, const struct digest *digest);
