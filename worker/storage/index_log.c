/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_log - changes as frames: what was done, so that doing it again on the same index gives the same.
 *
 *     {"op":"put","manifest":{descriptor as in index.json},"tags":["v1"]}
 *     {"op":"untag","tags":["v1"]}
 *     {"op":"delete","digest":"sha256:..."}
 *
 * An op that a later version may add is passed over: it cannot be understood, and what follows must not be
 * lost.
 */
#include <stdlib.h>

#include "common/check.h"
#include "worker/storage/frames.h"
#include "worker/storage/index_priv.h"

#define TAGS_MAX 1000

static void put_tags(struct json_writer *w, const struct index_change *change)
{
	json_key(w, STR("tags"));
	json_open_array(w);
	for (size_t i = 0; i < change->tags_len; i++)
		json_value_str(w, str_of(change->tags[i]));
	json_close_array(w);
}

static void write_change(struct json_writer *w, const struct index_change *change)
{
	AUTO(index_record) *record = NULL;
	char digest[DIGEST_TEXT_SIZE];

	json_open_object(w);
	switch (change->op) {
	case INDEX_PUT_MANIFEST:
		json_put_text(w, "op", "put");
		record = index_record_new(change->descriptor, true);
		json_key(w, STR("manifest"));
		index_json_write_record(w, record);
		put_tags(w, change);
		break;
	case INDEX_DELETE_TAG:
		json_put_text(w, "op", "untag");
		put_tags(w, change);
		break;
	case INDEX_DELETE_DIGEST:
		json_put_text(w, "op", "delete");
		digest_format(&change->digest, digest);
		json_put_text(w, "digest", digest);
		break;
	case INDEX_FOLD:
		break;
	}
	json_close_object(w);
}

bool index_log_add(const struct index_change *change, struct buf *frames)
{
	AUTO_FINI(buf) text = buf_limit(FRAME_MAX);
	struct json_writer w = json_writer(&text);

	write_change(&w, change);
	if (text.failed)
		return false;
	frame_add(frames, buf_str(&text));
	return !frames->failed;
}

/* ---- reading ---- */

static size_t read_tags(const struct json *root, const char *tags[TAGS_MAX], char *copies[TAGS_MAX])
{
	const struct json *list = json_find(root, "tags");
	size_t len = json_len(list) < TAGS_MAX ? json_len(list) : TAGS_MAX;

	for (size_t i = 0; i < len; i++) {
		struct str tag = json_str(json_at(list, i));

		tags[i] = copies[i] = check_strndup(tag.at ? tag.at : "", tag.len);
	}
	return len;
}

static bool read_change(const struct json *root, struct index_change *change, struct index_record **record)
{
	struct str op = json_str(json_find(root, "op"));

	if (str_is(op, "put")) {
		change->op = INDEX_PUT_MANIFEST;
		if (!index_json_read_record(json_find(root, "manifest"), record))
			return false;
		change->descriptor = &(*record)->entry.descriptor;
		return true;
	}
	if (str_is(op, "untag")) {
		change->op = INDEX_DELETE_TAG;
		return true;
	}
	change->op = INDEX_DELETE_DIGEST;
	return str_is(op, "delete") &&
	       digest_parse(json_str(json_find(root, "digest")), &change->digest, NULL);
}

static void apply_one(struct index *index, struct str payload)
{
	const char *tags[TAGS_MAX];
	char *copies[TAGS_MAX];
	struct index_change change = { .tags = tags };
	AUTO(index_record) *record = NULL;
	AUTO(json_doc) *doc = NULL;
	bool changed;

	if (!json_parse(payload, &doc, NULL) || !read_change(json_root(doc), &change, &record))
		return;
	change.tags_len = read_tags(json_root(doc), tags, copies);
	(void)!index_apply(index, &change, &changed, NULL);
	for (size_t i = 0; i < change.tags_len; i++)
		free(copies[i]);
}

void index_log_apply(struct index *index, struct str frames)
{
	struct str payload;

	while (frame_next(&frames, &payload))
		apply_one(index, payload);
}
