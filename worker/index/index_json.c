/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_json - the index.json of a repository: one descriptor for each (digest, tag).
 *
 * What others wrote into it and we do not understand is kept: annotations of descriptors, members
 * of the index, elements that are no descriptors we could serve. The text is the same for the same content:
 * tags in byte order, then the manifests without a tag by their digests.
 *
 * Source  OCI image-spec image-layout.md, image-index.md, annotations.md.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json_memory.h"
#include "common/map.h"
#include "proto/reference.h"
#include "worker/index/index_priv.h"

#define MEDIA_TYPE  "application/vnd.oci.image.index.v1+json"
#define TAG         "org.opencontainers.image.ref.name"
#define SUBJECT     "io.zot.subject"
#define ANNOTATIONS "io.zot.annotations"
#define COMPLETE    "io.zot.complete"
#define PUSHED      "io.zot.pushed"  /* index_who.h: the manifest, first */
#define TAGGED      "io.zot.tagged"  /* the tag, to this manifest; none: as PUSHED */
#define LOG         "io.zot.log"     /* the log that continues it, and the number of the last record in it */
#define HELD        "io.zot.held"    /* the log before: up to where it is in here */
#define MEMO        "io.zot.memo"    /* index_memo.h */
#define PULLS       "io.zot.pulls"   /* index_pulls.h */
#define CHANGES     "io.zot.changes" /* index_changes() */
#define FORMAT                                                                                               \
	"io.zot.format" /* a number; none: 1. 2: the name is vacant, which a version that knows 1 alone would forget */
#define FORMAT_VACANT 2
#define JSON_RATIO    16 /* of a tree to its text: 5 to 8 */
#define OURS_MAX      6
#define FOREIGN_MAX   (ANNOTATIONS_MAX - OURS_MAX)

/* ---- reading ---- */

struct reading {
	struct index *index;
	struct index_list records, labels;
	struct map *digests, *tags; /* to 1 + the place in the index's list */
	struct index_rest *rest;
};

static void *place_box(size_t at)
{
	return (void *)(uintptr_t)(at + 1);
}

static void *place_find(const struct index_list *list, const struct map *map, struct str key)
{
	void *box = map_find(map, key);

	return box ? list->at[(uintptr_t)box - 1] : NULL;
}

static struct str digest_key(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static bool is_ours(const char *key)
{
	return !strcmp(key, SUBJECT) || !strcmp(key, ANNOTATIONS) || !strcmp(key, COMPLETE) ||
	       !strcmp(key, PUSHED) || !strcmp(key, TAGGED);
}

/* Ours leave the list; the rest moves into *ret. */
static void take_foreign(struct descriptor *descriptor, bool tagged, struct annotation **ret, size_t *ret_len)
{
	struct annotation *all = descriptor->annotations;
	size_t kept = 0;

	for (size_t i = 0; i < descriptor->annotations_len; i++) {
		const char *key = all[i].key;
		bool ours = is_ours(key) || (tagged && !strcmp(key, TAG));

		if (ours || kept == FOREIGN_MAX) {
			free(all[i].key);
			free(all[i].value);
		} else {
			all[kept++] = all[i];
		}
	}
	descriptor->annotations = NULL;
	descriptor->annotations_len = 0;
	if (!kept) {
		free(all);
		all = NULL;
	}
	*ret = all;
	*ret_len = kept;
}

/* What we wrote beside the manifest. False: it is damaged, then the manifest is read again. */
static bool read_ours(const struct descriptor *from, struct descriptor *into)
{
	const char *complete = descriptor_annotation(from, COMPLETE);
	const char *subject = descriptor_annotation(from, SUBJECT);
	const char *annotations = descriptor_annotation(from, ANNOTATIONS);
	AUTO(json_doc) *doc = NULL;

	if (!complete || strcmp(complete, "1") != 0)
		return false;
	if (!subject)
		return true;
	if (!digest_parse(str_of(subject), &into->subject, NULL))
		return false;
	if (annotations &&
		(!json_parse_within(str_of(annotations), JSON_MEMORY_SMALL, &doc, NULL) ||
			!annotations_parse(json_root(doc), &into->annotations, &into->annotations_len, NULL)))
		return false;
	into->has_subject = true;
	return true;
}

static struct index_record *record_of(const struct descriptor *descriptor)
{
	struct descriptor view = *descriptor;
	struct index_record *record;
	bool complete;

	view.annotations = NULL;
	view.annotations_len = 0;
	complete = read_ours(descriptor, &view);
	record = index_record_new(&view, complete);
	record->pushed = index_push_read(descriptor_annotation(descriptor, PUSHED));
	annotations_free(view.annotations, view.annotations_len);
	return record;
}

bool index_json_read_record(const struct json *node, struct index_record **ret)
{
	struct descriptor descriptor;

	if (!descriptor_parse(node, &descriptor, NULL))
		return false;
	*ret = record_of(&descriptor);
	descriptor_fini(&descriptor);
	return true;
}

/* One record a digest; where descriptors of the same differ, one that is complete wins, then the last. */
static struct index_record *add_record(struct reading *r, const struct descriptor *descriptor)
{
	struct str key = digest_key(&descriptor->digest);
	struct index_record *before = place_find(&r->records, r->digests, key);
	AUTO(index_record) *record = NULL;

	if (before && !before->pushed.at_ms)
		before->pushed = index_push_read(descriptor_annotation(descriptor, PUSHED));
	if (before && before->complete)
		return before;
	record = record_of(descriptor);
	if (before) {
		struct descriptor old = before->entry.descriptor;

		before->entry.descriptor = record->entry.descriptor;
		record->entry.descriptor = old;
		before->complete = record->complete;
		return before;
	}
	(void)map_put(r->digests, key, place_box(r->records.len));
	index_list_add(&r->records, record);
	return TAKE(record);
}

/* Of the tag that this descriptor has. */
static struct index_push tagged_of(const struct descriptor *descriptor)
{
	const char *tagged = descriptor_annotation(descriptor, TAGGED);

	return index_push_read(tagged ? tagged : descriptor_annotation(descriptor, PUSHED));
}

static void add_label(struct reading *r, struct str tag, struct index_record *record,
	struct index_push pushed, struct annotation *foreign, size_t len)
{
	struct index_label *label = index_label_new(tag, record);
	void *box = map_find(r->tags, tag);

	label->pushed = pushed;
	label->foreign = foreign;
	label->foreign_len = len;
	label->bytes += index_annotations_bytes(foreign, len);
	if (box) {
		index_label_free(r->labels.at[(uintptr_t)box - 1]);
		r->labels.at[(uintptr_t)box - 1] = label;
		return;
	}
	(void)map_put(r->tags, tag, place_box(r->labels.len));
	index_list_add(&r->labels, label);
}

static void set_foreign(struct index_record *record, struct annotation *foreign, size_t len)
{
	annotations_free(record->foreign, record->foreign_len);
	record->foreign = foreign;
	record->foreign_len = len;
}

static void add_descriptor(struct reading *r, struct descriptor *descriptor)
{
	struct index_record *record = add_record(r, descriptor);
	const char *name = descriptor_annotation(descriptor, TAG);
	/* Other tools put whole image names there; those are no tags, and stay as they are. */
	bool tagged = name && tag_is_valid(str_of(name));
	AUTO_STR *tag = tagged ? check_strdup(name) : NULL;
	struct index_push pushed = { .at_ms = 0 };
	struct annotation *foreign;
	size_t len;

	if (tagged)
		pushed = tagged_of(descriptor);
	take_foreign(descriptor, tagged, &foreign, &len);
	if (tagged)
		add_label(r, str_of(tag), record, pushed, foreign, len);
	else
		set_foreign(record, foreign, len);
}

static void keep_rest(struct reading *r, const struct json *node, const struct str *key)
{
	struct buf *into;
	struct json_writer writer;

	if (!r->rest) {
		r->rest = xnew(struct index_rest);
		atomic_init(&r->rest->refs, 1);
		r->rest->manifests = buf_limit(INDEX_JSON_MAX);
		r->rest->members = buf_limit(INDEX_JSON_MAX);
	}
	into = key ? &r->rest->members : &r->rest->manifests;
	if (key) {
		writer = json_writer(into);
		json_value_str(&writer, *key);
		buf_putc(into, ':');
	}
	writer = json_writer(into);
	json_value_node(&writer, node);
	buf_putc(into, ',');
}

/* "generation" or "generation:number". One that is not as ours are is none: the next change begins a log. */
static void read_place(struct str text, struct store_log_place *into)
{
	struct str rest = text, generation;
	uint8_t raw[16];

	*into = (struct store_log_place){ .at = 0 };
	if (!str_until(&rest, ':', &generation))
		generation = text;
	else if (!str_to_number(rest, INT64_MAX, &into->at))
		return;
	if (generation.len != 32 || !str_unhex(generation, raw, sizeof(raw)) ||
		!str_copy(generation, into->generation, sizeof(into->generation)))
		*into = (struct store_log_place){ .at = 0 };
}

static void read_changes(const struct json *value, struct index *index)
{
	int64_t changes;

	if (json_get_int(value, &changes) && changes > 0)
		index->changes = (uint64_t)changes;
}

static bool read_ours_of_index(struct index *index, struct str key, const struct json *value)
{
	struct store_log_place held;

	if (str_is(key, LOG)) {
		held = index->log;
		read_place(json_str(value), &index->log);
		memcpy(index->log.held, held.held, sizeof(held.held));
		index->log.held_at = held.held_at;
	} else if (str_is(key, HELD)) {
		read_place(json_str(value), &held);
		memcpy(index->log.held, held.generation, sizeof(held.generation));
		index->log.held_at = held.at;
	} else if (str_is(key, MEMO) && !index->memo) {
		index->memo = index_memo_read(value);
	} else if (str_is(key, CHANGES)) {
		read_changes(value, index);
	} else if (str_is(key, PULLS) || str_is(key, FORMAT)) {
		return true; /* when all is there that they are of */
	} else {
		return false;
	}
	return true;
}

static bool read_members(struct reading *r, const struct json *root, struct error *err)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(root, &it, &key, &value);) {
		if (read_ours_of_index(r->index, key, value))
			continue;
		if (!str_is(key, "schemaVersion") && !str_is(key, "mediaType") && !str_is(key, "manifests"))
			keep_rest(r, value, &key);
	}
	return !r->rest || (buf_check(&r->rest->members, "index.json", err) &&
				   buf_check(&r->rest->manifests, "index.json", err));
}

static void read_pulls(const struct json *root, struct index *index)
{
	const struct json *value;
	struct index_pull pull;
	struct str key;

	for (void *it = NULL; json_next(json_find(root, PULLS), &it, &key, &value);)
		if (index_pulls_read(key, value, &pull))
			(void)index_add_pull(index, &pull);
}

static bool check_format(const struct json *root, struct error *err)
{
	int64_t format = 1;

	(void)json_get_int(json_find(root, FORMAT), &format);
	return format <= FORMAT_VACANT || error_set(err, ERROR_INTERNAL, NULL,
						  "index.json: of format %" PRId64
						  ", written by a newer zot-worker; this one (" ZOT_VERSION
						  ") reads %d at most: run the newer one",
						  format, FORMAT_VACANT);
}

static bool read_root(struct reading *r, const struct json *root, struct error *err)
{
	const struct json *list = json_find(root, "manifests");
	struct descriptor descriptor;

	if (json_kind(root) != JSON_OBJECT)
		return error_set(err, ERROR_INTERNAL, NULL, "index.json is not an object");
	if (!check_format(root, err))
		return false;
	if (json_kind(list) != JSON_ARRAY && json_kind(list) != JSON_NULL && json_kind(list) != JSON_NONE)
		return error_set(err, ERROR_INTERNAL, NULL, "index.json: manifests is not a list");
	for (size_t i = 0; i < json_len(list); i++) {
		if (!descriptor_parse(json_at(list, i), &descriptor, NULL)) {
			keep_rest(r, json_at(list, i), NULL);
			continue;
		}
		add_descriptor(r, &descriptor);
		descriptor_fini(&descriptor);
	}
	return read_members(r, root, err);
}

static void reading_fini(struct reading *r)
{
	for (size_t i = 0; i < r->labels.len; i++)
		index_label_free(r->labels.at[i]);
	for (size_t i = 0; i < r->records.len; i++)
		index_record_free(r->records.at[i]);
	free(r->labels.at);
	free(r->records.at);
	index_free(r->index);
	map_free(r->digests);
	map_free(r->tags);
	index_rest_free(r->rest);
}

bool index_json_read(struct str text, struct index **ret, struct error *err)
{
	AUTO_FINI(reading) r = { .index = index_new(), .digests = map_new(), .tags = map_new() };
	AUTO(json_doc) *doc = NULL;
	struct error cause;

	if (text.len > INDEX_JSON_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "index.json is over %zu MiB", INDEX_JSON_MAX >> 20);
	/* What is damaged in the store is not the client's mistake. */
	if (!json_parse_within(text, JSON_RATIO * text.len + JSON_MEMORY_SMALL, &doc, &cause))
		return error_set(err, cause.kind == ERROR_BUSY ? ERROR_BUSY : ERROR_INTERNAL, NULL,
			"index.json: %s", cause.text);
	if (!read_root(&r, json_root(doc), err))
		return false;
	index_arrange(r.index, &r.records, &r.labels);
	read_pulls(json_root(doc), r.index);
	r.index->rest = TAKE(r.rest);
	r.index->json_most = text.len;
	*ret = TAKE(r.index);
	return true;
}

/* ---- writing ---- */

struct writing {
	struct json_writer json;
	struct buf annotations;    /* of the manifest at hand, as text */
	struct buf pushed, tagged; /* the same */
};

#define PUSH_TEXT_MAX (20 + 1 + INDEX_WHO_MAX)

static struct writing writing_new(void)
{
	return (struct writing){ .annotations = buf_limit(INDEX_JSON_MAX),
		.pushed = buf_limit(PUSH_TEXT_MAX + 1),
		.tagged = buf_limit(PUSH_TEXT_MAX + 1) };
}

static void writing_fini(struct writing *w)
{
	buf_fini(&w->annotations);
	buf_fini(&w->pushed);
	buf_fini(&w->tagged);
}

/* Texts that the list borrows for the call. */
static struct annotation borrowed(const char *key, const char *value)
{
	struct annotation annotation;
	/* descriptor_write() only reads them. */
	union {
		const char *from;
		char *to;
	} k = { .from = key }, v = { .from = value };

	annotation.key = k.to;
	annotation.value = v.to;
	return annotation;
}

static void text_of_annotations(struct writing *w, const struct descriptor *descriptor)
{
	struct json_writer text = json_writer(&w->annotations);

	buf_clear(&w->annotations);
	annotations_write(&text, descriptor->annotations, descriptor->annotations_len);
}

static struct annotation push_annotation(const char *key, const struct index_push *push, struct buf *text)
{
	buf_clear(text);
	index_push_write(push, text);
	return borrowed(key, buf_text(text));
}

/* label NULL: it is listed without a tag. */
static void write_one(struct writing *w, const struct index_record *record, const struct index_label *label,
	const struct annotation *foreign, size_t foreign_len)
{
	struct annotation all[ANNOTATIONS_MAX];
	struct descriptor view = record->entry.descriptor;
	char subject[DIGEST_TEXT_SIZE];
	size_t len = 0;

	if (label)
		all[len++] = borrowed(TAG, label->tag);
	if (record->complete) {
		all[len++] = borrowed(COMPLETE, "1");
		if (view.has_subject) {
			digest_format(&view.subject, subject);
			all[len++] = borrowed(SUBJECT, subject);
		}
		if (view.has_subject && view.annotations_len) {
			text_of_annotations(w, &view);
			all[len++] = borrowed(ANNOTATIONS, buf_text(&w->annotations));
		}
	}
	if (record->pushed.at_ms)
		all[len++] = push_annotation(PUSHED, &record->pushed, &w->pushed);
	if (label && !index_push_equal(&label->pushed, &record->pushed))
		all[len++] = push_annotation(TAGGED, &label->pushed, &w->tagged);
	CHECK(foreign_len <= FOREIGN_MAX);
	for (size_t i = 0; i < foreign_len; i++) {
		/* What was a whole image name gives way to the tag that the manifest has now. */
		if (!label || strcmp(foreign[i].key, TAG) != 0)
			all[len++] = foreign[i];
	}
	view.annotations = all;
	view.annotations_len = len;
	descriptor_write(&w->json, &view);
}

static int compare_places(const void *a, const void *b)
{
	uintptr_t first = (uintptr_t) * (void *const *)a, second = (uintptr_t) * (void *const *)b;

	return (first > second) - (first < second);
}

static void write_untagged(struct writing *w, const struct index *index)
{
	struct index_list tagged = { 0 };

	for (size_t i = 0; i < index->labels.len; i++) {
		const struct index_label *label = index_label_at(index, i);
		index_list_add(&tagged, label->record);
	}
	if (tagged.len)
		qsort(tagged.at, tagged.len, sizeof(*tagged.at), compare_places);
	for (size_t i = 0; i < index->records.len; i++) {
		struct index_record *record = index_record_at(index, i);
		void *key = record;

		if (!tagged.len || !bsearch(&key, tagged.at, tagged.len, sizeof(*tagged.at), compare_places))
			write_one(w, record, NULL, record->foreign, record->foreign_len);
	}
	free(tagged.at);
}

static void write_manifests(struct writing *w, const struct index *index)
{
	for (size_t i = 0; i < index->labels.len; i++) {
		const struct index_label *label = index_label_at(index, i);
		const struct index_record *record = label->record;

		if (label->foreign_len)
			write_one(w, record, label, label->foreign, label->foreign_len);
		else
			write_one(w, record, label, record->foreign, record->foreign_len);
	}
	write_untagged(w, index);
}

/* Without the comma behind the last. */
static struct str rest_text(const struct buf *rest)
{
	struct str text = buf_str(rest);

	CHECK(text.len && text.at[text.len - 1] == ',');
	text.len--;
	return text;
}

void index_json_write_record(struct json_writer *writer, const struct index_record *record)
{
	struct writing w = writing_new();

	w.json = *writer;
	write_one(&w, record, NULL, NULL, 0);
	*writer = w.json;
	writing_fini(&w);
}

static void write_place(const char *key, const char *generation, uint64_t at, struct buf *into)
{
	if (!generation[0])
		return;
	buf_format(into, "\"%s\":\"%s", key, generation);
	if (at)
		buf_format(into, ":%" PRIu64, at);
	buf_puts(into, "\",");
}

static void write_memo(const struct index *index, struct buf *into)
{
	struct json_writer writer;

	if (index_memo_is_empty(index->memo))
		return;
	if (index_memo_is_vacant(index->memo))
		buf_format(into, "\"" FORMAT "\":%d,", FORMAT_VACANT);
	buf_puts(into, "\"" MEMO "\":");
	writer = json_writer(into);
	index_memo_write(index->memo, clock_wall_ms(), &writer);
	buf_putc(into, ',');
}

static void write_changes(const struct index *index, struct buf *into)
{
	if (index->changes)
		buf_format(into, "\"" CHANGES "\":%" PRIu64 ",", index->changes);
}

static void write_pulls(const struct index *index, struct buf *into)
{
	struct json_writer writer;

	if (!index->pulls.len)
		return;
	buf_puts(into, "\"" PULLS "\":");
	writer = json_writer(into);
	json_open_object(&writer);
	index_pulls_write_all(&index->pulls, &writer);
	json_close_object(&writer);
	buf_putc(into, ',');
}

/* The writer's containers are closed by hand here, since what we kept is text already. */
bool index_json_write(const struct index *index, struct buf *into, struct error *err)
{
	const struct index_rest *rest = index->rest;
	struct writing w = writing_new();

	buf_clear(into);
	buf_puts(into, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE "\",");
	write_place(LOG, index->log.generation, index->log.at, into);
	write_place(HELD, index->log.held, index->log.held_at, into);
	write_memo(index, into);
	write_changes(index, into);
	write_pulls(index, into);
	buf_puts(into, "\"manifests\":");
	w.json = json_writer(into);
	json_open_array(&w.json);
	write_manifests(&w, index);
	if (rest && rest->manifests.len) {
		if (index->records.len)
			buf_putc(into, ',');
		buf_add(into, rest_text(&rest->manifests));
	}
	json_close_array(&w.json);
	if (rest && rest->members.len) {
		buf_putc(into, ',');
		buf_add(into, rest_text(&rest->members));
	}
	buf_putc(into, '}');
	into->failed = into->failed || w.annotations.failed;
	writing_fini(&w);
	return buf_check(into, "the index of the repository", err);
}

bool index_json_is_vacant(struct str json)
{
	AUTO(index) *index = NULL;
	struct error ignored;

	return index_json_read(json, &index, &ignored) && index_is_vacant(index);
}

bool index_text(const struct index *index, struct buf *into, struct error *err)
{
	return index_json_write(index, into, err);
}
