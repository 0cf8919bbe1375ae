/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - growing by doubling up to the limit; `room` counts the NUL that always follows the bytes.
 */
#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define ROOM_MIN 64

void buf_init(struct buf *b, size_t max)
{
	*b = buf_limit(max);
}

void buf_fini(struct buf *b)
{
	free(b->at);
	*b = buf_limit(b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->at)
		b->at[0] = '\0';
}

static bool grow(struct buf *b, size_t need)
{
	size_t room = b->room < ROOM_MIN ? ROOM_MIN : b->room;
	char *at;

	while (room < need)
		room = room > SIZE_MAX / 2 ? SIZE_MAX : room * 2;
	if (room > need && b->max < room - 1)
		room = b->max + 1;
	at = realloc(b->at, room);
	if (!at)
		return false;
	b->at = at;
	b->room = room;
	return true;
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (b->failed)
		return NULL;
	if (len > b->max || b->len > b->max - len || b->len + len == SIZE_MAX ||
		(b->room < b->len + len + 1 && !grow(b, b->len + len + 1))) {
		b->failed = true;
		return NULL;
	}
	b->at[b->len] = '\0';
	return b->at + b->len;
}

void buf_grew(struct buf *b, size_t len)
{
	CHECK(b->at && len < b->room - b->len);
	b->len += len;
	b->at[b->len] = '\0';
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
	char *at;

	if (len == 0)
		return;
	at = buf_reserve(b, len);
	if (!at)
		return;
	memcpy(at, bytes, len);
	buf_grew(b, len);
}

void buf_add(struct buf *b, struct str s)
{
	buf_append(b, s.at, s.len);
}

void buf_puts(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_decimal(struct buf *b, uint64_t number)
{
	char text[STR_DECIMAL];

	buf_add(b, str_decimal(number, text));
}

void buf_format(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vformat(b, format, args);
	va_end(args);
}

void buf_vformat(struct buf *b, const char *format, va_list args)
{
	char small[512];
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(small, sizeof(small), format, args);
	if (len < 0) {
		b->failed = true;
	} else if ((size_t)len < sizeof(small)) {
		buf_append(b, small, (size_t)len);
	} else {
		char *at = buf_reserve(b, (size_t)len);

		if (at) {
			(void)vsnprintf(at, (size_t)len + 1, format, again);
			buf_grew(b, (size_t)len);
		}
	}
	va_end(again);
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

void buf_url(struct buf *b, struct str s, const char *keep)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (is_unreserved(c) || (c && keep && strchr(keep, c))) {
			buf_putc(b, c);
		} else {
			char escape[3] = { '%', digits[(uint8_t)c >> 4], digits[(uint8_t)c & 15] };

			buf_append(b, escape, sizeof(escape));
		}
	}
}

void buf_base64(struct buf *b, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t three = (uint32_t)at[i] << 16;
		char four[4];

		if (n > 1)
			three |= (uint32_t)at[i + 1] << 8;
		if (n > 2)
			three |= at[i + 2];
		four[0] = digits[three >> 18];
		four[1] = digits[three >> 12 & 63];
		four[2] = n > 1 ? digits[three >> 6 & 63] : '=';
		four[3] = n > 2 ? digits[three & 63] : '=';
		buf_append(b, four, sizeof(four));
	}
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding is cut when it makes whole groups of four; false when it is there but does not. */
static bool cut_padding(struct str *s)
{
	size_t pad = 0;

	while (pad < 2 && pad < s->len && s->at[s->len - 1 - pad] == '=')
		pad++;
	if (pad && s->len % 4)
		return false;
	s->len -= pad;
	return true;
}

static bool is_base64(struct str s)
{
	unsigned spare = s.len % 4 == 2 ? 15 : s.len % 4 == 3 ? 3 : 0;

	for (size_t i = 0; i < s.len; i++) {
		if (base64_digit(s.at[i]) < 0)
			return false;
	}
	/* The spare bits of the last digit are zero, so that each text has one spelling. */
	return s.len % 4 != 1 && (!spare || !((unsigned)base64_digit(s.at[s.len - 1]) & spare));
}

bool buf_unbase64(struct buf *b, struct str s)
{
	uint32_t bits = 0;
	unsigned have = 0;

	if (!cut_padding(&s) || !is_base64(s))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bits = (bits << 6 | (uint32_t)base64_digit(s.at[i])) & 0xffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		buf_putc(b, (char)(bits >> have & 0xff));
	}
	return true;
}

const char *buf_text(const struct buf *b)
{
	return b->at ? b->at : "";
}

char *buf_take(struct buf *b, size_t *ret_len)
{
	char *at = b->at ? b->at : check_alloc(1, 1);

	if (ret_len)
		*ret_len = b->len;
	*b = buf_limit(b->max);
	return at;
}

bool buf_check(const struct buf *b, const char *what, struct error *err)
{
	if (!b->failed)
		return true;
	return error_set(err, ERROR_TOO_LARGE, NULL, "%s is over %zu bytes", what, b->max);
}
