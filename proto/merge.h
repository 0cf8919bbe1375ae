/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge - sorted parts of one whole, put together in one order without doubles, up to a number of items.
 *
 *     a c f      \
 *     b c, more   >  a b c, more    the second part ends at c, and has others behind it that nobody has seen: what comes after c is not known
 *     d          /
 *
 * The items are the caller's, of whatever kind; what `compare` calls equal is one item, and the first part that has it gives it. Pages by value
 * follow: the next one asks each part for what is behind the last item.
 * Cost    log2(parts) comparisons for each item that is passed; a word of memory for each part, twice.
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct merge_part {
	const void *const *items; /* ascending, each once: merge_is_sorted() */
	size_t len;
	bool more; /* there are others behind the last, which are not here */
};
/* A total order: below 0, 0, above 0, as strcmp(). */
typedef int merge_compare_f(const void *a, const void *b);
/* False: it was not taken, and nothing behind it is wanted. */
typedef bool merge_take_f(void *arg, const void *item);

/* Gives at most n items, in order. True: there are others behind them, or may be. A part without items that has more is the end of all. */
bool merge_parts(const struct merge_part *parts, size_t len, merge_compare_f *compare, size_t n, merge_take_f *take, void *arg);
/* Of what came from outside. `after`: an item that all must be behind, or NULL. */
bool merge_is_sorted(const struct merge_part *part, const void *after, merge_compare_f *compare);
