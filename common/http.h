/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - the words that server and client share: methods, header lists, URL queries.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/str.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };
const char      *http_method_name(enum http_method method); /* HTTP_OTHER gives "OTHER" */
enum http_method http_method_parse(struct str name);
const char      *http_status_text(unsigned status);
bool             http_is_token_char(char c); /* of names of fields and methods (RFC 9110, 5.6.2) */

/* Repeated headers are kept, in order: clients send several Accept lines. */
struct http_headers;
struct http_headers *http_headers_new(void);
void http_headers_free(struct http_headers *headers);
AUTO_DEFINE(http_headers)
/* False when name or value has a character that may not be in a header, or the list is over
 * 64 KiB or 200 lines. Blanks around the value are cut. */
bool http_headers_add(struct http_headers *headers, struct str name, struct str value) MUST_CHECK;
/* The first of that name, NULL when absent; case of the name does not matter. */
const char *http_headers_find(const struct http_headers *headers, const char *name);
size_t      http_headers_len(const struct http_headers *headers);
void        http_headers_at(const struct http_headers *headers, size_t at, const char **ret_name, const char **ret_value);

/* Connection, Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade, Proxy-*, (RFC 9110, 7.6.1). */
bool http_header_is_hop(struct str name);

/* "Fri, 20 Nov 2026 12:34:56 GMT", the one form that is written today (RFC 9110, 5.6.7). */
bool http_date_parse(struct str text, int64_t *ret_wall_s) MUST_CHECK;

/* Appends the Authorization of "<user>:<password>" (RFC 7617). */
void http_basic(struct str login, struct buf *into);

/* Accept, Accept-Encoding, or NULL: the token is in it, and its q is not 0. */
bool http_accepts(const char *header, const char *token);

/* Percent-decoding; false on a broken escape or %00. '+' is a blank only in queries. */
bool http_unescape(struct str s, bool plus_is_blank, struct buf *into) MUST_CHECK;

/* A query string, decoded parameter by parameter: for (struct str q = query; http_query_next(&q, &name, &value);)
 * name and value still percent-encoded. */
bool http_query_next(struct str *query, struct str *ret_name, struct str *ret_value);
/* Number of parameters of that name; the first one's decoded value appended to *into (if not NULL),
 * which is marked failed when the value is broken (http_unescape) or too long. */
unsigned http_query_get(struct str query, const char *name, struct buf *into);
