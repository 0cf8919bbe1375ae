/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head - the head of a request, read as RFC 9112 writes it and in no other way.
 *
 *     "GET /v2/ HTTP/1.1\r\n"  "Host: x\r\n" ... "\r\n"
 *
 * What two readers could understand differently is refused rather than repaired, so that nothing behind a proxy is one
 * request to it and two to us: lines end with CR LF, one blank stands between the parts of the first line, a field's name is
 * a token right before its colon, no line is folded, there is no NUL and no other control character, HTTP/1.1 names one Host,
 * and the end of the body is said once: by one Content-Length or by one "Transfer-Encoding: chunked".
 *
 * http_head_find() looks for the end as bytes arrive and tells faults that need no end: it reads each byte once, however
 * many steps they come in. http_head_parse() then cuts the whole head up in place.
 *
 * Limits  the head 16 KiB and 100 lines (431), the target 8 KiB (414), the method 32 bytes, Content-Length 2^62 (413).
 * Source  RFC 9112, 2.2, 3, 5, 6; RFC 9110, 5.5, 5.6.2, 7.2.
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/http.h"

#define HTTP_HEAD_MAX   ((size_t)16 * 1024)
#define HTTP_TARGET_MAX ((size_t)8 * 1024)
#define HTTP_METHOD_MAX ((size_t)32)
#define HTTP_FIELDS_MAX 100u
#define HTTP_LENGTH_MAX ((uint64_t)1 << 62)

/* Why not: a status and a sentence. Status 0: nothing is wrong. */
struct http_refusal {
	unsigned status;
	const char *why;
};

struct http_field {
	const char *name, *value; /* terminated, blanks around the value cut */
	size_t name_len;
};

struct http_head {
	enum http_method method;
	unsigned minor;      /* of HTTP/1.<minor>: 0 or 1; later ones are 1 */
	struct str target;   /* as it came; a NUL follows */
	int64_t length;      /* of the body: 0 none, -1 chunked */
	bool expects;        /* 100-continue, and there is a body */
	bool close;          /* the client wants the connection closed, or cannot keep it */
	size_t fields_len;
	struct http_field fields[HTTP_FIELDS_MAX];
};

enum http_head_step { HTTP_HEAD_MORE, HTTP_HEAD_WHOLE, HTTP_HEAD_BAD };

/* `bytes` begin with the head. *at is where looking goes on: 0 at the first call, kept by the caller. WHOLE: *ret_len bytes
 * are the head. BAD: *ret_why. */
enum http_head_step http_head_find(struct str bytes, size_t *at, size_t *ret_len, struct http_refusal *ret_why);

/* A whole head of `len` bytes; they are changed, and *ret points into them. False: *ret_why. */
bool http_head_parse(char *text, size_t len, struct http_head *ret, struct http_refusal *ret_why) MUST_CHECK;

/* The value of the first field of that name (case does not matter), or NULL. */
const char *http_head_field(const struct http_head *head, const char *name, size_t name_len);
unsigned    http_head_count(const struct http_head *head, const char *name, size_t name_len);
