/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/patterns.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "proto/glob.h"

#define WILDCARDS "*?[{\\"

struct item {
	char *pattern;
	bool literal; /* no wildcard: it is a name */
	void *value;  /* NULL: it is taken out */
};

/* Longest first, then by text; the end is NULL. */
struct row {
	size_t len;
	struct item *at[];
};

/* A name is looked for among the patterns that begin as it does, up to its first '/', and those that may begin with anything: of many patterns for
 * many teams these are few. */
struct patterns {
	atomic_uint refs;
	struct patterns *base; /* that this one is over, or NULL */
	struct map *items;     /* by pattern */
	struct map *
		begin; /* the text before the first '/', where no wildcard is in it -> struct row *; NULL until it is settled */
	struct row *any; /* all others with a wildcard */
};

struct patterns *patterns_new(void)
{
	struct patterns *patterns = xnew(struct patterns);

	atomic_init(&patterns->refs, 1);
	patterns->items = map_new();
	return patterns;
}

struct patterns *patterns_over(struct patterns *base)
{
	struct patterns *patterns = patterns_new();

	CHECK(!base->base);
	patterns->base = patterns_ref(base);
	return patterns;
}

struct patterns *patterns_ref(struct patterns *patterns)
{
	CHECK(patterns->begin);
	atomic_fetch_add_explicit(&patterns->refs, 1, memory_order_relaxed);
	return patterns;
}

void patterns_free(struct patterns *patterns)
{
	void *value;

	if (!patterns || atomic_fetch_sub_explicit(&patterns->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t at = 0; map_next(patterns->items, &at, NULL, &value);) {
		struct item *item = value;

		free(item->pattern);
		free(item);
	}
	map_free(patterns->items);
	for (size_t at = 0; patterns->begin && map_next(patterns->begin, &at, NULL, &value);)
		free(value);
	map_free(patterns->begin);
	free(patterns->any);
	patterns_free(patterns->base);
	free(patterns);
}

static struct item *item_of(struct patterns *patterns, struct str pattern)
{
	struct item *item = map_find(patterns->items, pattern);

	CHECK(!patterns->begin);
	if (!item) {
		item = xnew(struct item);
		item->pattern = check_strndup(pattern.at, pattern.len);
		item->literal = !strpbrk(item->pattern, WILDCARDS);
		(void)map_put(patterns->items, pattern, item);
	}
	return item;
}

void *patterns_put(struct patterns *patterns, struct str pattern, void *value)
{
	struct item *item = item_of(patterns, pattern);
	void *before = item->value;

	CHECK(value);
	item->value = value;
	return before;
}

void patterns_take_out(struct patterns *patterns, struct str pattern)
{
	struct item *item = item_of(patterns, pattern);

	CHECK(patterns->base && !item->value);
}

static int longer_first(const void *a, const void *b)
{
	const struct item *left = *(struct item *const *)a, *right = *(struct item *const *)b;
	size_t left_len = strlen(left->pattern), right_len = strlen(right->pattern);

	if (left_len != right_len)
		return left_len > right_len ? -1 : 1;
	return strcmp(left->pattern, right->pattern);
}

/* What a name that matches begins with, up to its first '/'; none where it may begin otherwise. */
static struct str beginning(const struct item *item)
{
	size_t len = strcspn(item->pattern, "/" WILDCARDS);

	return item->pattern[len] == '/' ? str_from(item->pattern, len) : STR_NONE;
}

static bool begin_equal(struct str a, struct str b)
{
	return !a.at == !b.at && str_equal(a, b);
}

static int by_beginning(const void *a, const void *b)
{
	struct str left = beginning(*(struct item *const *)a), right = beginning(*(struct item *const *)b);
	int order = !!left.at - !!right.at;

	if (!order)
		order = str_compare(left, right);
	return order ? order : longer_first(a, b);
}

static struct row *row_new(struct item *const *items, size_t len)
{
	struct row *row = check_alloc(1, sizeof(*row) + (len + 1) * sizeof(*items));

	for (; row->len < len; row->len++)
		row->at[row->len] = items[row->len];
	return row;
}

static size_t collect(const struct patterns *patterns, struct item **into)
{
	size_t len = 0;
	void *value;

	for (size_t at = 0; map_next(patterns->items, &at, NULL, &value);)
		if (!((struct item *)value)->literal && ((struct item *)value)->value)
			into[len++] = value;
	return len;
}

void patterns_settle(struct patterns *patterns)
{
	struct item **sorted = xnew_array(struct item *, map_len(patterns->items) + 1);
	size_t len = collect(patterns, sorted), end;

	CHECK(!patterns->begin);
	patterns->begin = map_new();
	if (len)
		qsort(sorted, len, sizeof(*sorted), by_beginning);
	for (size_t at = 0; at < len; at = end) {
		struct str begin = beginning(sorted[at]);

		for (end = at + 1; end < len && begin_equal(begin, beginning(sorted[end]));)
			end++;
		struct row *row = row_new(sorted + at, end - at);
		if (begin.at)
			(void)map_put(patterns->begin, begin, row);
		else
			patterns->any = row;
	}
	free(sorted);
}

/* ---- asking ---- */

/* The rows that a name is looked for in, as one: two of its own, two of the one below. */
#define ROWS 4
struct walk {
	const struct patterns *patterns;
	struct item *const *rows[ROWS];
};

static struct item *const *row_of(const struct row *row)
{
	static struct item *const none[1];

	return row ? row->at : none;
}

/* "team/" and then ** has "team" too. */
static struct walk walk_of(const struct patterns *patterns, struct str name)
{
	const struct patterns *base = patterns->base;
	struct str rest = name, begin = name;

	CHECK(patterns->begin);
	(void)str_until(&rest, '/', &begin);
	return (struct walk){ patterns, { row_of(map_find(patterns->begin, begin)), row_of(patterns->any),
						row_of(base ? map_find(base->begin, begin) : NULL),
						row_of(base ? base->any : NULL) } };
}

static const struct item *walk_any(struct walk *walk, bool *ret_below)
{
	struct item *const **next = NULL;

	for (unsigned i = 0; i < ROWS; i++) {
		struct item *const **row = &walk->rows[i];

		if (**row && (!next || longer_first(*row, *next) < 0)) {
			next = row;
			*ret_below = i >= ROWS / 2;
		}
	}
	return next ? *(*next)++ : NULL;
}

static bool is_covered(const struct patterns *patterns, const struct item *item)
{
	return map_find(patterns->items, str_of(item->pattern));
}

static const struct item *walk_next(struct walk *walk)
{
	const struct item *item;
	bool below;

	while ((item = walk_any(walk, &below)) && below && is_covered(walk->patterns, item))
		;
	return item;
}

static const struct item *find_literal(const struct patterns *patterns, struct str name)
{
	const struct item *item = map_find(patterns->items, name);

	if (!item && patterns->base)
		item = map_find(patterns->base->items, name);
	return item && item->literal && item->value ? item : NULL;
}

void *patterns_find(const struct patterns *patterns, struct str name)
{
	const struct item *literal = find_literal(patterns, name), *item;
	struct walk walk = walk_of(patterns, name);

	while ((item = walk_next(&walk))) {
		struct str pattern = str_of(item->pattern);

		if (literal && pattern.len <= name.len)
			break;
		if (glob_match(pattern, name))
			return item->value;
	}
	return literal ? literal->value : NULL;
}

void patterns_each_match(const struct patterns *patterns, struct str name, patterns_match_f *fn, void *arg)
{
	const struct item *literal = find_literal(patterns, name), *item;
	struct walk walk = walk_of(patterns, name);

	if (literal)
		fn(arg, literal->value);
	while ((item = walk_next(&walk)))
		if (glob_match(str_of(item->pattern), name))
			fn(arg, item->value);
}

bool patterns_next(const struct patterns *patterns, size_t *at, void **ret_value)
{
	void *value;

	while (map_next(patterns->items, at, NULL, &value)) {
		*ret_value = ((struct item *)value)->value;
		if (*ret_value)
			return true;
	}
	return false;
}
