/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - growing bytes with a limit that is named at the start.
 *
 *     AUTO_FINI(buf) b = buf_limit(64 * 1024);
 *     buf_format(&b, "tag %s", tag);
 *     if (b.failed) ...                                  once, at the end
 *
 * Failing is sticky: an append that would pass the limit (or that finds no memory) marks the
 * buffer and later appends do nothing. The bytes are always followed by one NUL that does not
 * count, so buf_text() is a C string.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "common/error.h"
#include "common/str.h"

struct buf {
	char *at;
	size_t len, room, max;
	bool failed;
};

static inline struct buf buf_limit(size_t max) { return (struct buf){ .max = max }; }
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* empty again, memory kept, failed forgotten */

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_add(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_decimal(struct buf *b, uint64_t number); /* as %PRIu64, at a tenth of what printf takes */
void buf_format(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_vformat(struct buf *b, const char *format, va_list args) PRINTF(2, 0);
/* Room for len more bytes, or NULL (then failed). buf_grew() says how many were used. */
char *buf_reserve(struct buf *b, size_t len);
void  buf_grew(struct buf *b, size_t len);
/* Percent-encodes all but RFC 3986 unreserved characters and those in `keep`. */
void buf_url(struct buf *b, struct str s, const char *keep);
void buf_base64(struct buf *b, const void *bytes, size_t len);
/* Appends the decoded bytes; false when s is not base64 (standard alphabet, padded or not). */
bool buf_unbase64(struct buf *b, struct str s) MUST_CHECK;

static inline struct str buf_str(const struct buf *b) { return (struct str){ b->at, b->len }; }
const char *buf_text(const struct buf *b); /* never NULL */
/* The bytes, now the caller's (free() them); the buffer is empty. Never NULL. */
char *buf_take(struct buf *b, size_t *ret_len);
/* ERROR_TOO_LARGE naming `what` when the buffer failed. */
bool buf_check(const struct buf *b, const char *what, struct error *err) MUST_CHECK;
