/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/patterns.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "proto/glob.h"

struct item {
	char *pattern;
	bool literal; /* no wildcard: it is a name */
	void *value;
};

struct patterns {
	atomic_uint refs;
	struct map *items;    /* by pattern */
	struct item **sorted; /* those with a wildcard: longest first, then by text */
	size_t sorted_len;
};

struct patterns *patterns_new(void)
{
	struct patterns *patterns = xnew(struct patterns);

	atomic_init(&patterns->refs, 1);
	patterns->items = map_new();
	return patterns;
}

struct patterns *patterns_ref(struct patterns *patterns)
{
	CHECK(patterns->sorted);
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
	free(patterns->sorted);
	free(patterns);
}

void *patterns_put(struct patterns *patterns, struct str pattern, void *value)
{
	struct item *item = map_find(patterns->items, pattern);
	void *before = item ? item->value : NULL;

	CHECK(value && !patterns->sorted);
	if (!item) {
		item = xnew(struct item);
		item->pattern = check_strndup(pattern.at, pattern.len);
		item->literal = !strpbrk(item->pattern, "*?[{\\");
		(void)map_put(patterns->items, pattern, item);
	}
	item->value = value;
	return before;
}

static int longer_first(const void *a, const void *b)
{
	const struct item *left = *(struct item *const *)a, *right = *(struct item *const *)b;
	size_t left_len = strlen(left->pattern), right_len = strlen(right->pattern);

	if (left_len != right_len)
		return left_len > right_len ? -1 : 1;
	return strcmp(left->pattern, right->pattern);
}

void patterns_settle(struct patterns *patterns)
{
	void *value;

	CHECK(!patterns->sorted);
	patterns->sorted = xnew_array(struct item *, map_len(patterns->items) + 1);
	for (size_t at = 0; map_next(patterns->items, &at, NULL, &value);) {
		struct item *item = value;

		if (!item->literal)
			patterns->sorted[patterns->sorted_len++] = item;
	}
	if (patterns->sorted_len)
		qsort(patterns->sorted, patterns->sorted_len, sizeof(*patterns->sorted), longer_first);
}

static const struct item *find_literal(const struct patterns *patterns, struct str name)
{
	const struct item *item = map_find(patterns->items, name);

	return item && item->literal ? item : NULL;
}

void *patterns_find(const struct patterns *patterns, struct str name)
{
	const struct item *literal = find_literal(patterns, name);

	CHECK(patterns->sorted);
	for (size_t i = 0; i < patterns->sorted_len; i++) {
		struct str pattern = str_of(patterns->sorted[i]->pattern);

		if (literal && pattern.len <= name.len)
			break;
		if (glob_match(pattern, name))
			return patterns->sorted[i]->value;
	}
	return literal ? literal->value : NULL;
}

void patterns_each_match(const struct patterns *patterns, struct str name, patterns_match_f *fn, void *arg)
{
	const struct item *literal = find_literal(patterns, name);

	CHECK(patterns->sorted);
	if (literal)
		fn(arg, literal->value);
	for (size_t i = 0; i < patterns->sorted_len; i++)
		if (glob_match(str_of(patterns->sorted[i]->pattern), name))
			fn(arg, patterns->sorted[i]->value);
}

bool patterns_next(const struct patterns *patterns, size_t *at, void **ret_value)
{
	void *value;

	if (!map_next(patterns->items, at, NULL, &value))
		return false;
	*ret_value = ((struct item *)value)->value;
	return true;
}
