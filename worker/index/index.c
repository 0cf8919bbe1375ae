/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - one repository: sorted rows of counted parts; a look-up is a binary search.
 *
 * With 100,000 tags that is 17 comparisons, and copying a view for a change costs a few hundred pointers
 * (index_rows.h), which hash tables would make dearer on every push.
 */
#include "worker/index/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/index/index_priv.h"

/* ---- order ---- */

int index_compare_digests(const struct digest *a, const struct digest *b)
{
	if (a->alg != b->alg)
		return a->alg < b->alg ? -1 : 1;
	return memcmp(a->raw, b->raw, hash_size(a->alg));
}

static int compare_record(const void *item, const void *key)
{
	const struct index_record *record = item;

	return index_compare_digests(&record->entry.descriptor.digest, key);
}

static int compare_label(const void *item, const void *key)
{
	const struct index_label *label = item;

	return str_compare(str_of(label->tag), *(const struct str *)key);
}

static int compare_subject(const void *item, const void *key)
{
	const struct index_record *record = item;

	return index_compare_digests(&record->entry.descriptor.subject, key);
}

static int compare_referrer(const void *item, const void *key)
{
	const struct index_record *record = item, *wanted = key;
	int order =
		index_compare_digests(&record->entry.descriptor.subject, &wanted->entry.descriptor.subject);

	return order ? order : compare_record(item, &wanted->entry.descriptor.digest);
}

/* ---- lists of what is being read ---- */

void index_list_add(struct index_list *list, void *item)
{
	if (list->len == list->room) {
		size_t room = list->room ? list->room * 2 : 8;
		void **at = xnew_array(void *, room);

		if (list->len)
			memcpy(at, list->at, list->len * sizeof(*at));
		free(list->at);
		list->at = at;
		list->room = room;
	}
	list->at[list->len++] = item;
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

static struct index_record *record_ref(struct index_record *record)
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
	index_push_fini(&record->pushed);
	free(record);
}

struct index_label *index_label_new(struct str tag, struct index_record *record)
{
	size_t bytes = sizeof(struct index_label) + tag.len + 1;
	struct index_label *label = check_alloc(1, bytes);

	atomic_init(&label->refs, 1);
	label->record = record_ref(record);
	label->bytes = bytes + 16;
	memcpy(label->tag, tag.at, tag.len);
	return label;
}

struct index_label *index_label_again(const struct index_label *label, struct index_record *record)
{
	struct index_label *again = index_label_new(str_of(label->tag), record);

	again->foreign = annotations_copy(label->foreign, label->foreign_len);
	again->foreign_len = label->foreign_len;
	again->pushed = index_push_ref(&label->pushed);
	again->bytes = label->bytes;
	return again;
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
	index_push_fini(&label->pushed);
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

static void ref_record(void *item)
{
	(void)record_ref(item);
}

static void unref_record(void *item)
{
	index_record_free(item);
}

static void ref_label(void *item)
{
	(void)label_ref(item);
}

static void unref_label(void *item)
{
	index_label_free(item);
}

static const struct index_rows_kind records_kind = { ref_record, unref_record },
				    labels_kind = { ref_label, unref_label }, borrowed_kind = { NULL, NULL };

struct index *index_new(void)
{
	struct index *index = xnew(struct index);

	atomic_init(&index->refs, 1);
	index->records.kind = &records_kind;
	index->labels.kind = &labels_kind;
	index->referrers.kind = &borrowed_kind;
	index->pulls.kind = &index_pulls_kind;
	return index;
}

struct index *index_draft(const struct index *from)
{
	struct index *index = index_new();

	if (!from)
		return index;
	index_rows_copy(&index->records, &from->records);
	index_rows_copy(&index->labels, &from->labels);
	index_rows_copy(&index->referrers, &from->referrers);
	index_rows_copy(&index->pulls, &from->pulls);
	index->rest = from->rest;
	if (index->rest)
		atomic_fetch_add_explicit(&index->rest->refs, 1, memory_order_relaxed);
	index->memo = index_memo_ref(from->memo);
	index->log_tells = from->log_tells;
	index->changes = from->changes;
	index->json_most = from->json_most;
	index->era = from->era;
	index->version = from->version;
	index->log = from->log;
	index->json_at = from->json_at;
	index->json_bytes = from->json_bytes;
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
	index_rows_fini(&index->labels);
	index_rows_fini(&index->records);
	index_rows_fini(&index->referrers);
	index_rows_fini(&index->pulls);
	index_rest_free(index->rest);
	index_memo_free(index->memo);
	free(index);
}

size_t index_bytes(const struct index *index)
{
	const struct index_rest *rest = index->rest;

	return sizeof(*index) + index_rows_bytes(&index->records) + index_rows_bytes(&index->labels) +
	       index_rows_bytes(&index->referrers) + index_pulls_bytes(&index->pulls) + index->bytes +
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

static void move_sorted(
	struct index_list *list, int (*order)(const void *, const void *), struct index_rows *into)
{
	if (list->len)
		qsort(list->at, list->len, sizeof(*list->at), order);
	index_rows_build(into, list->at, list->len);
	free(list->at);
	*list = (struct index_list){ 0 };
}

void index_recount(struct index *index)
{
	struct index_list referrers = { 0 };

	index->bytes = 0;
	index_rows_fini(&index->referrers);
	for (size_t i = 0; i < index->records.len; i++) {
		struct index_record *record = index_record_at(index, i);

		index_record_measure(record);
		index->bytes += record->bytes;
		if (record->entry.descriptor.has_subject)
			index_list_add(&referrers, record);
	}
	for (size_t i = 0; i < index->labels.len; i++)
		index->bytes += index_label_at(index, i)->bytes;
	move_sorted(&referrers, order_referrers, &index->referrers);
}

void index_arrange(struct index *index, struct index_list *records, struct index_list *labels)
{
	move_sorted(records, order_records, &index->records);
	move_sorted(labels, order_labels, &index->labels);
	index_recount(index);
}

/* ---- changing a draft ---- */

static void drop_referrer(struct index *index, const struct index_record *record)
{
	size_t at;

	if (record->entry.descriptor.has_subject &&
		index_rows_find(&index->referrers, compare_referrer, record, &at))
		(void)!index_rows_remove(&index->referrers, at);
}

static void add_referrer(struct index *index, struct index_record *record)
{
	if (record->entry.descriptor.has_subject)
		index_rows_insert(&index->referrers,
			index_rows_place(&index->referrers, compare_referrer, record, false), record);
}

/* Labels point to records, so those of a replaced record are made anew. */
static void move_labels(struct index *index, const struct index_record *from, struct index_record *to)
{
	for (size_t i = 0; i < index->labels.len; i++) {
		const struct index_label *label = index_label_at(index, i);

		if (label->record == from)
			index_label_free(index_rows_set(&index->labels, i, index_label_again(label, to)));
	}
}

void index_set_record(struct index *index, struct index_record *record)
{
	const struct digest *digest = &record->entry.descriptor.digest;
	AUTO(index_record) *before = NULL;
	size_t at;

	index->bytes += record->bytes;
	(void)record_ref(record);
	if (!index_rows_find(&index->records, compare_record, digest, &at)) {
		index_rows_insert(&index->records, at, record);
		add_referrer(index, record);
		return;
	}
	before = index_rows_set(&index->records, at, record);
	index->bytes -= before->bytes;
	drop_referrer(index, before);
	add_referrer(index, record);
	move_labels(index, before, record);
}

static void remove_label(struct index *index, size_t at)
{
	struct index_label *label = index_rows_remove(&index->labels, at);

	index->bytes -= label->bytes;
	index_label_free(label);
}

void index_set_label(struct index *index, struct index_label *label)
{
	struct str tag = str_of(label->tag);
	size_t at;

	if (index_rows_find(&index->labels, compare_label, &tag, &at))
		remove_label(index, at);
	index_rows_insert(&index->labels, at, label_ref(label));
	index->bytes += label->bytes;
}

bool index_drop_tag(struct index *index, struct str tag)
{
	size_t at;

	if (!index_rows_find(&index->labels, compare_label, &tag, &at))
		return false;
	remove_label(index, at);
	index_pulls_drop(&index->pulls, tag);
	return true;
}

static void drop_labels_of(struct index *index, const struct index_record *record)
{
	for (size_t i = index->labels.len; i-- > 0;) {
		const struct index_label *label = index_label_at(index, i);

		if (label->record != record)
			continue;
		index_pulls_drop(&index->pulls, str_of(label->tag));
		remove_label(index, i);
	}
}

static void drop_pulls_of(struct index *index, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	index_pulls_drop(&index->pulls, str_of(text));
}

bool index_drop_digest(struct index *index, const struct digest *digest)
{
	AUTO(index_record) *record = NULL;
	size_t at;

	if (!index_rows_find(&index->records, compare_record, digest, &at))
		return false;
	record = index_rows_remove(&index->records, at);
	drop_referrer(index, record);
	drop_labels_of(index, record);
	drop_pulls_of(index, digest);
	index->bytes -= record->bytes;
	return true;
}

static bool lists(const struct index *index, struct str key)
{
	struct digest digest;

	if (!memchr(key.at, ':', key.len))
		return index_label_find(index, key);
	return digest_parse(key, &digest, NULL) && index_record_find(index, &digest);
}

bool index_add_pull(struct index *index, const struct index_pull *pull)
{
	if (!pull->key.len || !lists(index, pull->key))
		return false;
	index_pulls_add(&index->pulls, pull);
	return true;
}

/* ---- look-ups ---- */

struct index_record *index_record_at(const struct index *index, size_t at)
{
	return index_rows_at(&index->records, at);
}

struct index_label *index_label_at(const struct index *index, size_t at)
{
	return index_rows_at(&index->labels, at);
}

struct index_record *index_record_find(const struct index *index, const struct digest *digest)
{
	return index_rows_find(&index->records, compare_record, digest, NULL);
}

struct index_label *index_label_find(const struct index *index, struct str tag)
{
	return index_rows_find(&index->labels, compare_label, &tag, NULL);
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

static void set_stats(
	const struct index *index, const struct index_push *push, struct str key, struct index_stats *ret)
{
	struct index_pull pull = index_pulls_find(&index->pulls, key);

	*ret = (struct index_stats){ push->at_ms, index_who_text(push->who), pull.count, pull.last_ms };
}

bool index_tag_stats(const struct index *index, struct str tag, struct index_stats *ret)
{
	const struct index_label *label = index_label_find(index, tag);

	if (label)
		set_stats(index, &label->pushed, tag, ret);
	return label;
}

bool index_digest_stats(const struct index *index, const struct digest *digest, struct index_stats *ret)
{
	const struct index_record *record = index_record_find(index, digest);
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	if (record)
		set_stats(index, &record->pushed, str_of(text), ret);
	return record;
}

size_t index_tags_len(const struct index *index)
{
	return index->labels.len;
}

const char *index_tag_at(const struct index *index, size_t at)
{
	return index_label_at(index, at)->tag;
}

size_t index_tags_after(const struct index *index, struct str last)
{
	return index_rows_place(&index->labels, compare_label, &last, true);
}

size_t index_referrers_len(const struct index *index, const struct digest *subject)
{
	return index_rows_place(&index->referrers, compare_subject, subject, true) -
	       index_rows_place(&index->referrers, compare_subject, subject, false);
}

const struct index_entry *index_referrer_at(
	const struct index *index, const struct digest *subject, size_t at)
{
	const struct index_record *record;

	at += index_rows_place(&index->referrers, compare_subject, subject, false);
	record = index_rows_at(&index->referrers, at);
	CHECK(compare_subject(record, subject) == 0);
	return &record->entry;
}

void index_version_of(const struct index *index, struct index_version *ret)
{
	*ret = (struct index_version){ .at = index->log.at, .object = index->version };
	memcpy(ret->generation, index->log.generation, sizeof(ret->generation));
}

uint64_t index_changes(const struct index *index)
{
	return index->changes;
}

size_t index_len(const struct index *index)
{
	return index->records.len;
}

const struct index_entry *index_at(const struct index *index, size_t at)
{
	return &index_record_at(index, at)->entry;
}

bool index_is_condemned(const struct index *index, const struct digest *digest, int64_t now_s)
{
	return index_memo_is_condemned(index->memo, digest, now_s);
}

bool index_may_condemn(const struct index *index, int64_t now_s)
{
	return index_memo_may_condemn(index->memo, now_s);
}

bool index_was_condemned(const struct index *index, const struct digest *digest)
{
	return index_memo_is_listed(index->memo, digest);
}

bool index_may_be_gone(const struct index *index, const struct digest *digest, int64_t now_s)
{
	return index_memo_may_be_gone(index->memo, digest, now_s);
}

bool index_is_empty(const struct index *index)
{
	return !index->records.len && !index->labels.len && !(index->rest && index->rest->manifests.len);
}

bool index_is_vacant(const struct index *index)
{
	return index_memo_is_vacant(index->memo);
}

bool index_is_vacating(const struct index *index, int64_t now_s)
{
	return index_memo_is_vacating(index->memo, now_s);
}

uint64_t index_removals(const struct index *index)
{
	return index_memo_removals(index->memo);
}
