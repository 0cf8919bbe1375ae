/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str - a borrowed view of bytes, not terminated, passed by value.
 *
 * Parsing is small verbs over a cursor: each takes what it needs from the front of *s and moves
 * it on, each has a bound, each returns false and leaves *s as it was when the text is not so.
 *
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"

struct str {
	const char *at;
	size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_ARGS(s) (int)(s).len, (s).at          /* for "%.*s" */

static inline struct str str_of(const char *text) /* NULL gives STR_NONE */
{
	return (struct str){ text, text ? strlen(text) : 0 };
}
static inline struct str str_from(const void *at, size_t len) { return (struct str){ at, len }; }

/* Questions. */
static inline bool str_is(struct str s, const char *text) /* of a literal the compiler knows the length */
{
	size_t len = strlen(text);

	return s.len == len && (!len || !memcmp(s.at, text, len));
}
bool str_is_nocase(struct str s, const char *text);
bool str_equal(struct str a, struct str b);
int  str_compare(struct str a, struct str b); /* byte order, shorter first */
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);

/* Cursor verbs. */
bool str_skip(struct str *s, const char *literal);
/* All up to the first `delim`, which is taken too; false when there is none. */
bool str_until(struct str *s, char delim, struct str *ret);
/* The next item of a `delim` separated list, blanks around it cut; false at the end. */
bool str_next(struct str *s, char delim, struct str *ret);
/* Decimal digits, at most `max`; no sign, no blanks. */
bool str_number(struct str *s, uint64_t max, uint64_t *ret);
/* The whole text is one number. */
bool str_to_number(struct str s, uint64_t max, uint64_t *ret);
/* The last `delim` splits s: *ret_head before it, *ret_tail after it. */
bool str_split_last(struct str s, char delim, struct str *ret_head, struct str *ret_tail);
struct str str_trim(struct str s);
/* Bytes of the UTF-8 character (RFC 3629) at the front of s; 0 when there is none. */
size_t str_utf8_len(struct str s);
bool   str_is_utf8(struct str s);

/* Copies, terminated. False when it does not fit (nothing is written). */
bool  str_copy(struct str s, char *into, size_t size) MUST_CHECK;
char *str_dup(struct str s); /* heap; the caller owns */

/* Edit distance with a small bound, for "did you mean"; returns max + 1 when it is over max. */
unsigned str_distance(struct str a, struct str b, unsigned max);
/* The candidate nearest to s among n texts, or NULL when none is near. */
const char *str_nearest(struct str s, const char *const *candidates, size_t n);
#define STR_DECIMAL 20 /* digits of 64 bits */
struct str str_decimal(uint64_t number, char into[STR_DECIMAL]);

/* hex. */
void str_hex(const uint8_t *bytes, size_t len, char *into);          /* 2*len + 1 bytes, lower case */
bool str_unhex(struct str s, uint8_t *into, size_t len) MUST_CHECK;  /* exactly len bytes, lower case only */
