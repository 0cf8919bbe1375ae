/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_apply - what a push and a deletion do to a view.
 */
#include <string.h>

#include "worker/index/index_priv.h"

static bool unknown(struct error *err)
{
	return error_set(err, ERROR_UNKNOWN, "MANIFEST_UNKNOWN", "the repository has no such manifest");
}

/* Content never differs under one digest, but the media type it is served with may be set anew. */
static bool is_same(const struct index_record *record, const struct descriptor *descriptor)
{
	const struct descriptor *there = &record->entry.descriptor;

	return record->complete && there->size == descriptor->size &&
	       there->has_subject == descriptor->has_subject &&
	       strcmp(there->media_type, descriptor->media_type) == 0;
}

/* When something was pushed is known from its first push on, or from the first since statistics are kept. */
static bool tells_more(const struct index_push *before, const struct index_change *change)
{
	return !before->at_ms && change->pushed_ms;
}

static struct index_push push_of(const struct index_push *before, const struct index_change *change)
{
	return before && before->at_ms ? index_push_ref(before)
				       : index_push_new(change->pushed_ms, change->pushed_by);
}

static struct index_record *put_record(
	struct index *index, const struct index_change *change, bool *ret_changed)
{
	struct index_record *before = index_record_find(index, &change->descriptor->digest);
	AUTO(index_record) *record = NULL;

	if (before && is_same(before, change->descriptor) && !tells_more(&before->pushed, change))
		return before;
	record = index_record_new(change->descriptor, true);
	record->pushed = push_of(before ? &before->pushed : NULL, change);
	if (before) {
		record->foreign = annotations_copy(before->foreign, before->foreign_len);
		record->foreign_len = before->foreign_len;
		index_record_measure(record);
	}
	index_set_record(index, record);
	*ret_changed = true;
	return record; /* the view holds it */
}

/* NULL: it would say nothing new. */
static struct index_label *label_of(const struct index_label *before, struct str tag,
	struct index_record *record, const struct index_change *change)
{
	bool same = before && before->record == record;
	struct index_label *label;

	if (same && !tells_more(&before->pushed, change))
		return NULL;
	label = same ? index_label_again(before, record) : index_label_new(tag, record);
	index_push_fini(&label->pushed);
	label->pushed = index_push_new(change->pushed_ms, change->pushed_by);
	return label;
}

static void put(struct index *index, const struct index_change *change, bool *ret_changed)
{
	struct index_record *record = put_record(index, change, ret_changed);

	index_memo_fill(&index->memo);
	for (size_t i = 0; i < change->tags_len; i++) {
		struct str tag = str_of(change->tags[i]);
		AUTO(index_label) *label = label_of(index_label_find(index, tag), tag, record, change);

		if (label)
			index_set_label(index, label);
		*ret_changed = *ret_changed || label;
	}
}

static void add_pulls(struct index *index, const struct index_change *change, bool *ret_changed)
{
	for (size_t i = 0; i < change->pulls_len; i++)
		*ret_changed = index_add_pull(index, &change->pulls[i]) || *ret_changed;
}

bool index_would_change(const struct index *index, const struct index_change *change)
{
	const struct index_record *record;

	if (change->op != INDEX_PUT_MANIFEST)
		return true;
	record = index_record_find(index, &change->descriptor->digest);
	if (!record || !is_same(record, change->descriptor) || tells_more(&record->pushed, change))
		return true;
	for (size_t i = 0; i < change->tags_len; i++) {
		const struct index_label *label = index_label_find(index, str_of(change->tags[i]));

		if (!label || label->record != record || tells_more(&label->pushed, change))
			return true;
	}
	return false;
}

bool index_apply(struct index *index, const struct index_change *change, bool *ret_changed, struct error *err)
{
	bool changed = false;

	switch (change->op) {
	case INDEX_PUT_MANIFEST:
		put(index, change, &changed);
		break;
	case INDEX_DELETE_TAG:
		for (size_t i = 0; i < change->tags_len; i++)
			changed = index_drop_tag(index, str_of(change->tags[i])) || changed;
		if (!changed)
			return unknown(err);
		break;
	case INDEX_DELETE_DIGEST:
		if (!index_drop_digest(index, &change->digest))
			return unknown(err);
		changed = true;
		break;
	case INDEX_CONDEMN:
		index_memo_condemn(&index->memo, &change->digest, change->until_s);
		changed = true;
		break;
	case INDEX_REMOVED:
		index_memo_removed(&index->memo, &change->digest, change->until_s);
		changed = true;
		break;
	case INDEX_VACATE:
		index_memo_vacate(&index->memo, change->until_s);
		changed = true;
		break;
	case INDEX_VACATED:
		index_memo_vacated(&index->memo, change->until_s);
		changed = true;
		break;
	case INDEX_PULLED:
		add_pulls(index, change, &changed);
		break;
	case INDEX_FOLD:
	case INDEX_REPLACE: /* the committer's */
		break;
	}
	/* One that who was asked first may still make has a record, whatever it changes: there they find it. */
	changed = changed || (change->is_call && change->sent_ms);
	if (changed && change->op != INDEX_PULLED) {
		index->log_tells = true;
		index->changes++;
	}
	if (changed && change->is_call)
		index_memo_add_call(&index->memo, &change->id, change->at_ms);
	*ret_changed = changed;
	return true;
}
