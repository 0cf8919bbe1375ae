/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_chunks - a body in chunks, taken apart as its bytes arrive.
 *
 *     "5;x=y\r\n" "hello" "\r\n"   "0\r\n"   "Trailer: x\r\n" "\r\n"
 *
 *     struct http_chunks chunks = { 0 };
 *     while (http_chunks_next(&chunks, &bytes, &data) == HTTP_CHUNKS_DATA)
 *             ... uses n of data, then http_chunks_took(&chunks, &bytes, n)
 *
 * Read as strictly as the head is: lines end with CR LF, the size is hexadecimal digits and nothing else stands before its
 * ';' or end. Extensions and trailers are bounded and dropped; trailers must look like fields.
 *
 * Limits  a chunk's line 256 bytes, all trailers 4 KiB, a chunk 2^62 bytes.
 * Source  RFC 9112, 7.1.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/http_head.h"
#include "common/str.h"

#define HTTP_CHUNK_LINE_MAX 256u
#define HTTP_TRAILERS_MAX   4096u

enum http_chunks_state {
	HTTP_CHUNKS_SIZE, /* zeroed: at the begin of a chunk's line */
	HTTP_CHUNKS_EXTENSION,
	HTTP_CHUNKS_SIZE_LF,
	HTTP_CHUNKS_BYTES,
	HTTP_CHUNKS_CR,
	HTTP_CHUNKS_LF,
	HTTP_CHUNKS_TRAILER_NAME,
	HTTP_CHUNKS_TRAILER_VALUE,
	HTTP_CHUNKS_TRAILER_LF,
	HTTP_CHUNKS_LAST_LF,
	HTTP_CHUNKS_OVER,
};

struct http_chunks {
	enum http_chunks_state state;
	uint64_t left;   /* of this chunk */
	unsigned digits; /* of its size, so far */
	unsigned name;   /* of this extension or trailer, so far */
	unsigned line;   /* bytes of this line, or of all trailers */
};

enum http_chunks_step { HTTP_CHUNKS_MORE, HTTP_CHUNKS_DATA, HTTP_CHUNKS_END, HTTP_CHUNKS_BAD };

/* Takes what frames the data off *bytes. DATA: *ret_data is at the front of *bytes. MORE: *bytes is empty. BAD: *ret_why, and
 * nothing behind it means anything. */
enum http_chunks_step http_chunks_next(
	struct http_chunks *chunks, struct str *bytes, struct str *ret_data, struct http_refusal *ret_why);
void http_chunks_took(struct http_chunks *chunks, struct str *bytes, size_t n);
