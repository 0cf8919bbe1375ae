/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_log - changes as frames: what was done, so that doing it again on the same index gives the same.
 *
 *     {"op":"put","manifest":{descriptor as in index.json},"tags":["v1"],"boot":"..."}\n<the manifest's
 * bytes>
 *     {"op":"untag","tags":["v1"]}
 *     {"op":"delete","digest":"sha256:..."}
 *
 * With the bytes in the log, one fsync makes a push durable. The manifest's own file is written but not
 * synced: a power cut may lose it, so whoever loads the log after that looks and writes it again. `boot`
 * names the boot of the machine that wrote it; within the same boot there is nothing to look for.
 *
 * An op that a later version may add is passed over: it cannot be understood, and what follows must not be
 * lost.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/file.h"
#include "proto/reference.h"
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

/* Of this machine, until it is booted again; "" where the kernel does not say. */
static char boot[40];
static pthread_once_t boot_once = PTHREAD_ONCE_INIT;

static void read_boot(void)
{
	AUTO_FINI(buf) text = buf_limit(256);

	if (file_read("/proc/sys/kernel/random/boot_id", &text, NULL) &&
		!str_copy(str_trim(buf_str(&text)), boot, sizeof(boot)))
		boot[0] = '\0';
}

static const char *boot_id(void)
{
	(void)pthread_once(&boot_once, read_boot);
	return boot;
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
		if (change->bytes.len)
			json_put_text(w, "boot", boot_id());
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
	if (change->bytes.len) {
		buf_putc(&text, '\n');
		buf_add(&text, change->bytes);
	}
	if (text.failed)
		return false;
	frame_add(frames, buf_str(&text));
	return !frames->failed;
}

/* ---- reading ---- */

static size_t read_tags(const struct json *root, const char *tags[TAGS_MAX], char *copies[TAGS_MAX])
{
	const struct json *list = json_find(root, "tags");
	size_t len = 0;

	for (size_t i = 0; i < json_len(list) && len < TAGS_MAX; i++) {
		struct str tag = json_str(json_at(list, i));

		if (!tag_is_valid(tag))
			continue;
		tags[len] = copies[len] = check_strndup(tag.at, tag.len);
		len++;
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

/* The writer's JSON has no line ends. */
static struct str split_bytes(struct str *payload)
{
	struct str rest = *payload, head;

	if (!str_until(&rest, '\n', &head))
		return STR_NONE;
	*payload = head;
	return rest;
}

static void apply_one(struct index *index, struct str payload, index_log_f *fn, void *arg)
{
	struct str bytes = split_bytes(&payload);
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
	if (fn && record && bytes.len &&
		(!*boot_id() || !str_is(json_str(json_find(json_root(doc), "boot")), boot_id())))
		fn(arg, &record->entry.descriptor.digest, bytes);
}

void index_log_apply(struct index *index, struct str frames, index_log_f *fn, void *arg)
{
	struct str payload;

	while (frame_next(&frames, &payload))
		apply_one(index, payload, fn, arg);
}
