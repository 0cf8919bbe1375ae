/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str - questions, cursor verbs and copies over borrowed bytes.
 */
#include "common/str.h"

#include <strings.h>

#include "common/check.h"

#define DISTANCE_LEN_MAX 128 /* longer texts are never near each other */

static bool bytes_equal(const char *a, const char *b, size_t len)
{
	return len == 0 || memcmp(a, b, len) == 0;
}

bool str_is_nocase(struct str s, const char *text)
{
	size_t len = strlen(text);

	return s.len == len && (len == 0 || strncasecmp(s.at, text, len) == 0);
}

bool str_equal(struct str a, struct str b)
{
	return a.len == b.len && bytes_equal(a.at, b.at, a.len);
}

int str_compare(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.at, b.at, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && bytes_equal(s.at, prefix, len);
}

bool str_ends(struct str s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && (len == 0 || bytes_equal(s.at + s.len - len, suffix, len));
}

static void advance(struct str *s, size_t len)
{
	if (len == 0)
		return;
	s->at += len;
	s->len -= len;
}

bool str_skip(struct str *s, const char *literal)
{
	if (!str_starts(*s, literal))
		return false;
	advance(s, strlen(literal));
	return true;
}

bool str_until(struct str *s, char delim, struct str *ret)
{
	const char *hit = s->len ? memchr(s->at, delim, s->len) : NULL;

	if (!hit)
		return false;
	*ret = str_from(s->at, (size_t)(hit - s->at));
	advance(s, ret->len + 1);
	return true;
}

bool str_next(struct str *s, char delim, struct str *ret)
{
	struct str item = *s;

	if (s->len == 0)
		return false;
	if (!str_until(s, delim, &item))
		advance(s, s->len);
	*ret = str_trim(item);
	return true;
}

bool str_number(struct str *s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;
	size_t len = 0;

	for (; len < s->len && s->at[len] >= '0' && s->at[len] <= '9'; len++) {
		unsigned digit = (unsigned)(s->at[len] - '0');

		if (n > max / 10 || digit > max - n * 10)
			return false;
		n = n * 10 + digit;
	}
	if (len == 0)
		return false;
	advance(s, len);
	*ret = n;
	return true;
}

bool str_to_number(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t n;

	if (!str_number(&s, max, &n) || s.len)
		return false;
	*ret = n;
	return true;
}

bool str_split_last(struct str s, char delim, struct str *ret_head, struct str *ret_tail)
{
	const char *hit = s.len ? memrchr(s.at, delim, s.len) : NULL;
	size_t head;

	if (!hit)
		return false;
	head = (size_t)(hit - s.at);
	*ret_head = str_from(s.at, head);
	*ret_tail = str_from(hit + 1, s.len - head - 1);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.at[0]))
		advance(&s, 1);
	while (s.len && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

/* Of more than one byte. The first bounds the second, which keeps out overlong forms and surrogates. */
static const struct utf8_form {
	uint8_t first, last, len, min, max;
} utf8_forms[] = {
	{ 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f },
	{ 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf },
	{ 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct utf8_form *utf8_form_of(uint8_t first)
{
	for (size_t i = 0; i < sizeof(utf8_forms) / sizeof(utf8_forms[0]); i++) {
		if (first >= utf8_forms[i].first && first <= utf8_forms[i].last)
			return &utf8_forms[i];
	}
	return NULL;
}

size_t str_utf8_len(struct str s)
{
	const uint8_t *at = (const uint8_t *)s.at;
	const struct utf8_form *form;

	if (!s.len || at[0] < 0x80)
		return s.len > 0;
	form = utf8_form_of(at[0]);
	if (!form || form->len > s.len)
		return 0;
	if (at[1] < form->min || at[1] > form->max)
		return 0;
	for (size_t i = 2; i < form->len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return form->len;
}

bool str_is_utf8(struct str s)
{
	size_t at = 0;

	while (at < s.len) {
		size_t len = (uint8_t)s.at[at] < 0x80 ? 1 : str_utf8_len(str_from(s.at + at, s.len - at));

		if (!len)
			return false;
		at += len;
	}
	return true;
}

bool str_copy(struct str s, char *into, size_t size)
{
	if (s.len >= size)
		return false;
	if (s.len)
		memcpy(into, s.at, s.len);
	into[s.len] = '\0';
	return true;
}

char *str_dup(struct str s)
{
	return check_strndup(s.at, s.len);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned n = a < b ? a : b;

	return n < c ? n : c;
}

/* Levenshtein, one row of the matrix at a time; a row that is over the bound everywhere ends it. */
unsigned str_distance(struct str a, struct str b, unsigned max)
{
	unsigned row[DISTANCE_LEN_MAX + 1];
	size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;

	if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX || gap > max)
		return max + 1;
	for (unsigned j = 0; j <= b.len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0], best = row[0] = i;

		for (unsigned j = 1; j <= b.len; j++) {
			unsigned above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a.at[i - 1] != b.at[j - 1]));
			diagonal = above;
			best = row[j] < best ? row[j] : best;
		}
		if (best > max)
			return max + 1;
	}
	return row[b.len] <= max ? row[b.len] : max + 1;
}

/* Near is: at most one edit in three characters. */
const char *str_nearest(struct str s, const char *const *candidates, size_t n)
{
	unsigned best = 2 + (unsigned)((s.len < DISTANCE_LEN_MAX ? s.len : DISTANCE_LEN_MAX) / 3);
	const char *nearest = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned distance = str_distance(s, str_of(candidates[i]), best - 1);

		if (distance >= best)
			continue;
		nearest = candidates[i];
		best = distance;
		if (best == 0)
			break;
	}
	return nearest;
}

/* The digits lie at the end of `into`. */
struct str str_decimal(uint64_t number, char into[STR_DECIMAL])
{
	char *at = into + STR_DECIMAL;

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	return str_from(at, (size_t)(into + STR_DECIMAL - at));
}

void str_hex(const uint8_t *bytes, size_t len, char *into)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		into[2 * i] = digits[bytes[i] >> 4];
		into[2 * i + 1] = digits[bytes[i] & 15];
	}
	into[2 * len] = '\0';
}

/* Without branches, which random digits mispredict. */
static bool is_hex_digit(uint8_t c)
{
	static const uint64_t digits[] = { UINT64_C(0x3ff) << '0', UINT64_C(0x3f) << ('a' - 64), 0, 0 };

	return digits[c >> 6] >> (c & 63) & 1;
}

/* Of one that is. */
static unsigned hex_value(char c)
{
	return (unsigned)(c & 15) + 9u * ((unsigned)c >> 6);
}

bool str_unhex(struct str s, uint8_t *into, size_t len)
{
	if (s.len / 2 != len || s.len % 2)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_hex_digit((uint8_t)s.at[i]))
			return false;
	}
	for (size_t i = 0; i < len; i++)
		into[i] = (uint8_t)(hex_value(s.at[2 * i]) << 4 | hex_value(s.at[2 * i + 1]));
	return true;
}
