/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/merge.h"

#include <stdlib.h>

#include "common/check.h"

struct merge {
	const struct merge_part *parts;
	merge_compare_f *compare;
	size_t *at;   /* of each part: its next item */
	size_t *heap; /* places of parts that have one, the smallest first */
	size_t heap_len;
};

static const void *item_of(const struct merge *merge, size_t part)
{
	return merge->parts[part].items[merge->at[part]];
}

/* Of equal ones the first part's. */
static bool is_before(const struct merge *merge, size_t a, size_t b)
{
	int order = merge->compare(item_of(merge, a), item_of(merge, b));

	return order < 0 || (order == 0 && a < b);
}

static void sift_down(struct merge *merge, size_t at)
{
	for (;;) {
		size_t first = at;

		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < merge->heap_len; child++)
			if (is_before(merge, merge->heap[child], merge->heap[first]))
				first = child;
		if (first == at)
			return;
		size_t part = merge->heap[at];
		merge->heap[at] = merge->heap[first];
		merge->heap[first] = part;
		at = first;
	}
}

/* False: a part has something, and none of it is here. */
static bool begin(struct merge *merge, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!merge->parts[i].len && merge->parts[i].more)
			return false;
		if (merge->parts[i].len)
			merge->heap[merge->heap_len++] = i;
	}
	for (size_t i = merge->heap_len / 2; i-- > 0;)
		sift_down(merge, i);
	return true;
}

/* Passes the smallest. False: what comes next is not known. */
static bool pass(struct merge *merge)
{
	size_t part = merge->heap[0];

	if (++merge->at[part] == merge->parts[part].len) {
		if (merge->parts[part].more)
			return false;
		merge->heap[0] = merge->heap[--merge->heap_len];
	}
	sift_down(merge, 0);
	return true;
}

static bool run(struct merge *merge, size_t n, merge_take_f *take, void *arg)
{
	const void *last = NULL;

	for (size_t taken = 0; merge->heap_len;) {
		const void *item = item_of(merge, merge->heap[0]);

		if (!last || merge->compare(last, item) != 0) {
			if (taken == n || !take(arg, item))
				return true;
			last = item;
			taken++;
		}
		if (!pass(merge))
			return true;
	}
	return false;
}

bool merge_parts(const struct merge_part *parts, size_t len, merge_compare_f *compare, size_t n,
	merge_take_f *take, void *arg)
{
	struct merge merge = { .parts = parts, .compare = compare };
	bool more;

	merge.at = xnew_array(size_t, len + 1);
	merge.heap = xnew_array(size_t, len + 1);
	more = !begin(&merge, len) || run(&merge, n, take, arg);
	free(merge.at);
	free(merge.heap);
	return more;
}

bool merge_is_sorted(const struct merge_part *part, const void *after, merge_compare_f *compare)
{
	for (size_t i = 0; i < part->len; i++) {
		if (after && compare(after, part->items[i]) >= 0)
			return false;
		after = part->items[i];
	}
	return true;
}
