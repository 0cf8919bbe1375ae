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

static struct index_record *put_record(
	struct index *index, const struct descriptor *descriptor, bool *ret_changed)
{
	struct index_record *before = index_record_find(index, &descriptor->digest);
	AUTO(index_record) *record = NULL;

	if (before && is_same(before, descriptor))
		return before;
	record = index_record_new(descriptor, true);
	if (before) {
		record->foreign = annotations_copy(before->foreign, before->foreign_len);
		record->foreign_len = before->foreign_len;
		index_record_measure(record);
	}
	index_set_record(index, record);
	*ret_changed = true;
	return record; /* the view holds it */
}

static void put_tag(struct index *index, struct str tag, struct index_record *record, bool *ret_changed)
{
	const struct index_label *before = index_label_find(index, tag);
	AUTO(index_label) *label = NULL;

	if (before && before->record == record)
		return;
	label = index_label_new(tag, record);
	index_set_label(index, label);
	*ret_changed = true;
}

static void put(struct index *index, const struct index_change *change, bool *ret_changed)
{
	struct index_record *record = put_record(index, change->descriptor, ret_changed);

	for (size_t i = 0; i < change->tags_len; i++)
		put_tag(index, str_of(change->tags[i]), record, ret_changed);
}

bool index_would_change(const struct index *index, const struct index_change *change)
{
	const struct index_record *record;

	if (change->op != INDEX_PUT_MANIFEST)
		return true;
	record = index_record_find(index, &change->descriptor->digest);
	if (!record || !is_same(record, change->descriptor))
		return true;
	for (size_t i = 0; i < change->tags_len; i++) {
		const struct index_label *label = index_label_find(index, str_of(change->tags[i]));

		if (!label || label->record != record)
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
	case INDEX_FOLD:
	case INDEX_REPLACE: /* the committer's */
		break;
	}
	/* One that who was asked first may still make has a record, whatever it changes: there they find it. */
	changed = changed || (change->is_call && change->sent_ms);
	if (changed && change->is_call)
		index_memo_add_call(&index->memo, &change->id, change->at_ms);
	*ret_changed = changed;
	return true;
}
