/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_compare - two views walked side by side, in the order of digests; chunks that they share are stepped over.
 */
#include "worker/index/index_priv.h"

struct walk {
	const struct index_rows *rows;
	size_t at;
};

static bool is_over(const struct walk *walk)
{
	return walk->at >= walk->rows->len;
}

/* Behind what both share. False: both are over. */
static bool find_next(struct walk *first, struct walk *second)
{
	size_t same = 1;

	while (same && (!is_over(first) || !is_over(second))) {
		same = index_rows_shared(first->rows, first->at, second->rows, second->at);
		first->at += same;
		second->at += same;
	}
	return !is_over(first) || !is_over(second);
}

static const struct index_entry *entry_of(const struct walk *walk)
{
	const struct index_record *record = index_rows_at(walk->rows, walk->at);

	return &record->entry;
}

/* Whose turn it is: <0 the first's, >0 the second's, 0 both have it. */
static int turn(const struct walk *first, const struct walk *second)
{
	if (is_over(first))
		return 1;
	if (is_over(second))
		return -1;
	return index_compare_digests(
		&entry_of(first)->descriptor.digest, &entry_of(second)->descriptor.digest);
}

static void step(struct walk *first, struct walk *second, index_compare_f *fn, void *arg)
{
	int order = turn(first, second);

	if (order < 0)
		fn(arg, entry_of(first), false);
	else if (order > 0)
		fn(arg, entry_of(second), true);
	first->at += order <= 0;
	second->at += order >= 0;
}

void index_compare(const struct index *before, const struct index *after, index_compare_f *fn, void *arg)
{
	static const struct index_rows none;
	struct walk first = { .rows = before ? &before->records : &none },
		    second = { .rows = &after->records };

	while (find_next(&first, &second))
		step(&first, &second, fn, arg);
}

/* ---- tags ---- */

static const struct index_label *label_of(const struct walk *walk)
{
	return is_over(walk) ? NULL : index_rows_at(walk->rows, walk->at);
}

static void step_tags(struct walk *first, struct walk *second, index_compare_tags_f *fn, void *arg)
{
	const struct index_label *left = label_of(first), *right = label_of(second);
	int order = !left ? 1 : !right ? -1 : strcmp(left->tag, right->tag);

	if (order < 0)
		fn(arg, str_of(left->tag), NULL);
	else if (order > 0 || !digest_equal(&left->record->entry.descriptor.digest,
				      &right->record->entry.descriptor.digest))
		fn(arg, str_of(right->tag), &right->record->entry);
	first->at += order <= 0;
	second->at += order >= 0;
}

void index_compare_tags(
	const struct index *before, const struct index *after, index_compare_tags_f *fn, void *arg)
{
	struct walk first = { .rows = &before->labels }, second = { .rows = &after->labels };

	while (find_next(&first, &second))
		step_tags(&first, &second, fn, arg);
}

struct index *index_keep(const struct index *view)
{
	return index_draft(view);
}
