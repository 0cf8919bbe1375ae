/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_get - what the files of blob reading share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "proto/digest.h"

struct blob_source;
struct http_growing;
struct oci_call;
struct range;
struct http_response;

/* Docker-Content-Digest, ETag and the like. */
void blob_headers(struct http_response *response, const struct digest *digest);
struct http_response *blob_reply_unsatisfiable(const struct digest *digest, uint64_t size);
/* The Range header, unless it came twice or If-Range says that it does not count; or NULL. */
const char *blob_range_header(const struct oci_call *call);
/* A reply with a file: the whole blob, or this part of it. growing->broken NULL: all of it is there, and stays so. */
struct http_response *blob_reply_file(const struct oci_call *call, const struct range *part, uint64_t size,
	const struct http_growing *growing);
/* Answers from a file: conditions, HEAD, ranges. Takes its descriptor, or leaves it. broken: as in struct http_growing; NULL: the
 * connection ends. Of several ranges nobody is told. */
void blob_serve_file(struct oci_call *call, struct blob_source *source, void (*broken)(void *arg), void *arg);
/* From the cache, or along with what fills it. False: it was not answered, and the bucket is to be asked. */
bool blob_cached_serve(struct oci_call *call) MUST_CHECK;
/* Answers a HEAD; a GET is answered 304 or 412, if its range cannot be satisfied 416, else it is sent here again (307). */
void blob_start_head(struct oci_call *call);
/* A GET is answered with a URL of the store, if that has the blob. Does it do so for this call? */
bool blob_may_redirect(const struct oci_call *call);
void blob_start_redirect(struct oci_call *call);
/* A GET from a store that is asked over HTTP: streams. ranges: a Range header of which parts remain, borrowed from
 * the request; NULL: the whole. */
void blob_pull_start(struct oci_call *call, const char *ranges);
