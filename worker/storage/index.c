/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - one repository: sorted arrays of counted parts; a look-up is a binary search.
 *
 * With 100,000 tags that is 17 comparisons, and copying a view for a change is copying three arrays
 * of pointers, which hash tables would make dearer on every push.
 */
#include "worker/storage/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/storage/index_priv.h"

/* ---- order ---- */

static int compare_digests(const struct digest *a, const struct digest *b)
{
	if (a->alg != b->alg)
		return a->alg < b->alg ? -1 : 1;
	return memcmp(a->raw, b->raw, hash_size(a->alg));
}

static int compare_record(const void *item, const void *key)
{
	const struct index_record *record = item;

	return compare_digests(&record->entry.descriptor.digest, key);
}

static int compare_label(const void *item, const void *key)
{
	const struct index_label *label = item;

	return str_compare(str_of(label->tag), *(const struct str *)key);
}

static int compare_subject(const void *item, const void *key)
{
	const struct index_record *record = item;

	return compare_digests(&record->entry.descriptor.subject, key);
}

static int compare_referrer(const void *item, const void *key)
{
	const struct index_record *record = item, *wanted = key;
	int order = compare_digests(&record->entry.descriptor.subject, &wanted->entry.descriptor.subject);

	return order ? order : compare_record(item, &wanted->entry.descriptor.digest);
}

typedef int compare_f(const void *item, const void *key);

/* The first place whose item is not before the key (or, `past`, is behind it). */
static size_t place_of(const struct index_list *list, compare_f *compare, const void *key, bool past)
{
	size_t low = 0, high = list->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(list->at[middle], key);

		if (order < 0 || (past && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct index_list *list, size_t at, compare_f *compare, const void *key)
{
	return at < list->len && compare(list->at[at], key) == 0;
}

/* ---- arrays ---- */

static void list_room(struct index_list *list, size_t room)
{
	void **at;

	if (room <= list->room)
		return;
	at = xnew_array(void *, room);
	if (list->len)
		memcpy(at, list->at, list->len * sizeof(*at));
	free(list->at);
	list->at = at;
	list->room = room;
}

static void list_insert(struct index_list *list, size_t at, void *item)
{
	if (list->len == list->room)
		list_room(list, list->room ? list->room * 2 : 8);
	memmove(list->at + at + 1, list->at + at, (list->len - at) * sizeof(*list->at));
	list->at[at] = item;
	list->len++;
}

static void list_remove(struct index_list *list, size_t at)
{
	list->len--;
	memmove(list->at + at, list->at + at + 1, (list->len - at) * sizeof(*list->at));
}

static void list_copy(struct index_list *into, const struct index_list *from)
{
	/* Some room, so that a change need not copy once more. */
	list_room(into, from->len + 64);
	if (from->len)
		memcpy(into->at, from->at, from->len * sizeof(*from->at));
	into->len = from->len;
}

void index_list_add(struct index_list *list, void *item)
{
	list_insert(list, list->len, item);
}

/* ---- parts ---- */

size_t index_annotations_bytes(const struct annotation *annotations, size_t len)
{
	size_t bytes = len * sizeof(*annotations);

	for (size_t i = 0; i < len; i++)
		bytes += strlen(annotations[i].key) + strlen(annotations[i].value) + 32;
	return bytes;
}

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) + 17 : 0;
}

void index_record_measure(struct index_record *record)
{
	const struct descriptor *descriptor = &record->entry.descriptor;

	record->bytes = sizeof(*record) + text_bytes(descriptor->media_type) +
			text_bytes(descriptor->artifact_type) +
			index_annotations_bytes(descriptor->annotations, descriptor->annotations_len) +
			index_annotations_bytes(record->foreign, record->foreign_len);
}

struct index_record *index_record_new(const struct descriptor *descriptor, bool complete)
{
	struct index_record *record = xnew(struct index_record);
	struct descriptor view = *descriptor;

	/* Only the list of referrers shows annotations. */
	if (!view.has_subject)
		view.annotations_len = 0;
	if (!view.annotations_len)
		view.annotations = NULL;
	descriptor_copy(&record->entry.descriptor, &view);
	atomic_init(&record->refs, 1);
	record->complete = complete;
	index_record_measure(record);
	return record;
}

struct index_record *index_record_ref(struct index_record *record)
{
	atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
	return record;
}

void index_record_free(struct index_record *record)
{
	if (!record || atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) != 1)
		return;
	descriptor_fini(&record->entry.descriptor);
	annotations_free(record->foreign, record->foreign_len);
	free(record);
}

struct index_label *index_label_new(struct str tag, struct index_record *record)
{
	size_t bytes = sizeof(struct index_label) + tag.len + 1;
	struct index_label *label = check_alloc(1, bytes);

	atomic_init(&label->refs, 1);
	label->record = index_record_ref(record);
	label->bytes = bytes + 16;
	memcpy(label->tag, tag.at, tag.len);
	return label;
}

static struct index_label *label_ref(struct index_label *label)
{
	atomic_fetch_add_explicit(&label->refs, 1, memory_order_relaxed);
	return label;
}

void index_label_free(struct index_label *label)
{
	if (!label || atomic_fetch_sub_explicit(&label->refs, 1, memory_order_acq_rel) != 1)
		return;
	index_record_free(label->record);
	annotations_free(label->foreign, label->foreign_len);
	free(label);
}

void index_rest_free(struct index_rest *rest)
{
	if (!rest || atomic_fetch_sub_explicit(&rest->refs, 1, memory_order_acq_rel) != 1)
		return;
	buf_fini(&rest->manifests);
	buf_fini(&rest->members);
	free(rest);
}

/* ---- life of a view ---- */

struct index *index_new(void)
{
	struct index *index = xnew(struct index);

	atomic_init(&index->refs, 1);
	return index;
}

struct index *index_draft(const struct index *from)
{
	struct index *index = index_new();

	if (!from)
		return index;
	list_copy(&index->records, &from->records);
	list_copy(&index->labels, &from->labels);
	list_copy(&index->referrers, &from->referrers);
	for (size_t i = 0; i < index->records.len; i++)
		(void)index_record_ref(index->records.at[i]);
	for (size_t i = 0; i < index->labels.len; i++)
		(void)label_ref(index->labels.at[i]);
	index->rest = from->rest;
	if (index->rest)
		atomic_fetch_add_explicit(&index->rest->refs, 1, memory_order_relaxed);
	index->version = from->version;
	index->bytes = from->bytes;
	return index;
}

struct index *index_ref(struct index *index)
{
	atomic_fetch_add_explicit(&index->refs, 1, memory_order_relaxed);
	return index;
}

void index_free(struct index *index)
{
	if (!index || atomic_fetch_sub_explicit(&index->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < index->labels.len; i++)
		index_label_free(index->labels.at[i]);
	for (size_t i = 0; i < index->records.len; i++)
		index_record_free(index->records.at[i]);
	index_rest_free(index->rest);
	free(index->records.at);
	free(index->labels.at);
	free(index->referrers.at);
	free(index);
}

size_t index_bytes(const struct index *index)
{
	size_t places = index->records.room + index->labels.room + index->referrers.room;
	const struct index_rest *rest = index->rest;

	return sizeof(*index) + places * sizeof(void *) + index->bytes +
	       (rest ? sizeof(*rest) + rest->manifests.room + rest->members.room : 0);
}

/* ---- arranging what was read ---- */

static int order_records(const void *a, const void *b)
{
	const struct index_record *second = *(void *const *)b;

	return compare_record(*(void *const *)a, &second->entry.descriptor.digest);
}

static int order_labels(const void *a, const void *b)
{
	const struct index_label *second = *(void *const *)b;
	struct str tag = str_of(second->tag);

	return compare_label(*(void *const *)a, &tag);
}

static int order_referrers(const void *a, const void *b)
{
	return compare_referrer(*(void *const *)a, *(void *const *)b);
}

static void list_sort(struct index_list *list, int (*order)(const void *, const void *))
{
	if (list->len)
		qsort(list->at, list->len, sizeof(*list->at), order);
}

void index_arrange(struct index *index)
{
	index->bytes = 0;
	index->referrers.len = 0;
	for (size_t i = 0; i < index->records.len; i++) {
		struct index_record *record = index->records.at[i];

		index_record_measure(record);
		index->bytes += record->bytes;
		if (record->entry.descriptor.has_subject)
			index_list_add(&index->referrers, record);
	}
	for (size_t i = 0; i < index->labels.len; i++) {
		const struct index_label *label = index->labels.at[i];

		index->bytes += label->bytes;
	}
	list_sort(&index->records, order_records);
	list_sort(&index->labels, order_labels);
	list_sort(&index->referrers, order_referrers);
}

/* ---- changing a draft ---- */

static void drop_referrer(struct index *index, const struct index_record *record)
{
	size_t at = place_of(&index->referrers, compare_referrer, record, false);

	if (record->entry.descriptor.has_subject && is_at(&index->referrers, at, compare_referrer, record))
		list_remove(&index->referrers, at);
}

static void add_referrer(struct index *index, struct index_record *record)
{
	if (record->entry.descriptor.has_subject)
		list_insert(&index->referrers, place_of(&index->referrers, compare_referrer, record, false),
			record);
}

/* Labels point to records, so those of a replaced record are made anew. */
static void move_labels(struct index *index, const struct index_record *from, struct index_record *to)
{
	for (size_t i = 0; i < index->labels.len; i++) {
		struct index_label *label = index->labels.at[i], *moved;

		if (label->record != from)
			continue;
		moved = index_label_new(str_of(label->tag), to);
		moved->foreign = annotations_copy(label->foreign, label->foreign_len);
		moved->foreign_len = label->foreign_len;
		moved->bytes = label->bytes;
		index->labels.at[i] = moved;
		index_label_free(label);
	}
}

void index_set_record(struct index *index, struct index_record *record)
{
	const struct digest *digest = &record->entry.descriptor.digest;
	size_t at = place_of(&index->records, compare_record, digest, false);
	AUTO(index_record) *before = NULL;

	index->bytes += record->bytes;
	(void)index_record_ref(record);
	if (!is_at(&index->records, at, compare_record, digest)) {
		list_insert(&index->records, at, record);
		add_referrer(index, record);
		return;
	}
	before = index->records.at[at];
	index->bytes -= before->bytes;
	drop_referrer(index, before);
	index->records.at[at] = record;
	add_referrer(index, record);
	move_labels(index, before, record);
}

static void remove_label(struct index *index, size_t at)
{
	struct index_label *label = index->labels.at[at];

	index->bytes -= label->bytes;
	list_remove(&index->labels, at);
	index_label_free(label);
}

void index_set_label(struct index *index, struct index_label *label)
{
	struct str tag = str_of(label->tag);
	size_t at = place_of(&index->labels, compare_label, &tag, false);

	if (is_at(&index->labels, at, compare_label, &tag))
		remove_label(index, at);
	list_insert(&index->labels, at, label_ref(label));
	index->bytes += label->bytes;
}

bool index_drop_tag(struct index *index, struct str tag)
{
	size_t at = place_of(&index->labels, compare_label, &tag, false);

	if (!is_at(&index->labels, at, compare_label, &tag))
		return false;
	remove_label(index, at);
	return true;
}

static void drop_labels_of(struct index *index, const struct index_record *record)
{
	size_t kept = 0;

	for (size_t i = 0; i < index->labels.len; i++) {
		struct index_label *label = index->labels.at[i];

		if (label->record != record) {
			index->labels.at[kept++] = label;
			continue;
		}
		index->bytes -= label->bytes;
		index_label_free(label);
	}
	index->labels.len = kept;
}

bool index_drop_digest(struct index *index, const struct digest *digest)
{
	size_t at = place_of(&index->records, compare_record, digest, false);
	AUTO(index_record) *record = NULL;

	if (!is_at(&index->records, at, compare_record, digest))
		return false;
	record = index->records.at[at];
	drop_referrer(index, record);
	drop_labels_of(index, record);
	list_remove(&index->records, at);
	index->bytes -= record->bytes;
	return true;
}

/* ---- look-ups ---- */

struct index_record *index_record_at(const struct index *index, size_t at)
{
	CHECK(at < index->records.len);
	return index->records.at[at];
}

struct index_record *index_record_find(const struct index *index, const struct digest *digest)
{
	size_t at = place_of(&index->records, compare_record, digest, false);

	return is_at(&index->records, at, compare_record, digest) ? index->records.at[at] : NULL;
}

struct index_label *index_label_find(const struct index *index, struct str tag)
{
	size_t at = place_of(&index->labels, compare_label, &tag, false);

	return is_at(&index->labels, at, compare_label, &tag) ? index->labels.at[at] : NULL;
}

const struct index_entry *index_find_tag(const struct index *index, struct str tag)
{
	const struct index_label *label = index_label_find(index, tag);

	return label ? &label->record->entry : NULL;
}

const struct index_entry *index_find_digest(const struct index *index, const struct digest *digest)
{
	const struct index_record *record = index_record_find(index, digest);

	return record ? &record->entry : NULL;
}

size_t index_tags_len(const struct index *index)
{
	return index->labels.len;
}

const char *index_tag_at(const struct index *index, size_t at)
{
	const struct index_label *label;

	CHECK(at < index->labels.len);
	label = index->labels.at[at];
	return label->tag;
}

size_t index_tags_after(const struct index *index, struct str last)
{
	return place_of(&index->labels, compare_label, &last, true);
}

size_t index_referrers_len(const struct index *index, const struct digest *subject)
{
	return place_of(&index->referrers, compare_subject, subject, true) -
	       place_of(&index->referrers, compare_subject, subject, false);
}

const struct index_entry *index_referrer_at(
	const struct index *index, const struct digest *subject, size_t at)
{
	const struct index_record *record;

	at += place_of(&index->referrers, compare_subject, subject, false);
	CHECK(is_at(&index->referrers, at, compare_subject, subject));
	record = index->referrers.at[at];
	return &record->entry;
}

size_t index_len(const struct index *index)
{
	return index->records.len;
}

const struct index_entry *index_at(const struct index *index, size_t at)
{
	return &index_record_at(index, at)->entry;
}
