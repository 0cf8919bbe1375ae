/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_log - changes as frames: what was done, so that doing it again on the same index gives the same.
 *
 *     {"id":"...","op":"put","pushed":1763740000123,"by":"ann","manifest":{descriptor as in index.json},"tags":["v1"]}\n<the manifest's bytes>
 *     {"id":"...","op":"untag","tags":["v1"]}
 *     {"id":"...","op":"delete","digest":"sha256:..."}
 *     {"id":"...","op":"condemn","digest":"sha256:...","until":1763740000}   the blob is about to be deleted
 *     {"id":"...","op":"removed","digest":"sha256:...","until":1763740000}
 *     {"id":"...","pulls":{"sha256:...":[3,1763740000123],"v1":[2,1763740000123]}}   so many more, the last then
 *
 * The id (32 hex digits) is the change's own; with "call" (wall clock, ms) it is a call between workers,
 * which the index remembers.
 *
 * With the bytes in the log, one fsync makes a push durable. The manifest's own file is written but not
 * synced: a power cut may lose it, so whoever loads the log looks and writes it again.
 *
 * An op that a later version may add makes the log unreadable for this one: passed over, it would be gone with
 * the next fold. Pulls have no op: statistics are not worth a refusal, and a version that knows none passes them over.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "common/map.h"
#include "proto/reference.h"
#include "worker/index/index_priv.h"
#include "worker/storage/frames.h"

#define TAGS_MAX 1000

static void put_tags(struct json_writer *w, const struct index_change *change)
{
	json_key(w, STR("tags"));
	json_open_array(w);
	for (size_t i = 0; i < change->tags_len; i++)
		json_value_str(w, str_of(change->tags[i]));
	json_close_array(w);
}

static void put_digest(struct json_writer *w, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	json_put_text(w, "digest", text);
}

static void put_pushed(struct json_writer *w, const struct index_change *change)
{
	if (!change->pushed_ms)
		return;
	json_put_int(w, "pushed", change->pushed_ms);
	if (change->pushed_by.len && change->pushed_by.len <= INDEX_WHO_MAX)
		json_put_str(w, "by", change->pushed_by);
}

static void put_manifest(struct json_writer *w, const struct index_change *change)
{
	AUTO(index_record) *record = index_record_new(change->descriptor, true);

	put_pushed(w, change);
	json_key(w, STR("manifest"));
	index_json_write_record(w, record);
	put_tags(w, change);
}

static void put_pulls(struct json_writer *w, const struct index_change *change)
{
	json_key(w, STR("pulls"));
	json_open_object(w);
	for (size_t i = 0; i < change->pulls_len; i++)
		index_pulls_write(&change->pulls[i], w);
	json_close_object(w);
}

static const char *name_of(enum index_op op)
{
	switch (op) {
	case INDEX_PUT_MANIFEST:
		return "put";
	case INDEX_DELETE_TAG:
		return "untag";
	case INDEX_DELETE_DIGEST:
		return "delete";
	case INDEX_CONDEMN:
		return "condemn";
	case INDEX_REMOVED:
		return "removed";
	case INDEX_VACATE:
		return "vacate";
	case INDEX_VACATED:
		return "vacated";
	case INDEX_FOLD:
	case INDEX_REPLACE:
	case INDEX_PULLED:
		break;
	}
	return NULL;
}

static bool has_digest(enum index_op op)
{
	return op == INDEX_DELETE_DIGEST || op == INDEX_CONDEMN || op == INDEX_REMOVED;
}

static bool has_until(enum index_op op)
{
	return op == INDEX_CONDEMN || op == INDEX_REMOVED || op == INDEX_VACATE || op == INDEX_VACATED;
}

static void write_change(struct json_writer *w, const struct index_change *change)
{
	char id[2 * sizeof(change->id.raw) + 1];

	str_hex(change->id.raw, sizeof(change->id.raw), id);
	json_open_object(w);
	json_put_text(w, "id", id);
	if (change->is_call)
		json_put_int(w, "call", change->at_ms);
	json_put_text(w, "op", name_of(change->op));
	if (change->op == INDEX_PUT_MANIFEST)
		put_manifest(w, change);
	else if (change->op == INDEX_DELETE_TAG)
		put_tags(w, change);
	else if (change->op == INDEX_PULLED)
		put_pulls(w, change);
	else if (has_digest(change->op))
		put_digest(w, &change->digest);
	if (has_until(change->op))
		json_put_int(w, "until", change->until_s);
	json_close_object(w);
}

/* Its descriptor once for each tag, or once without, with who pushed it as text, twice; what others remember of a call or a blob is
 * smaller, and pulls stand there once. */
#define PUSHES_GROWTH 64
static size_t growth_of(size_t text, const struct index_change *change)
{
	size_t tags = change->tags_len ? change->tags_len : 1;

	return change->op == INDEX_PUT_MANIFEST
		       ? (text + PUSHES_GROWTH + 6 * (size_t)change->pushed_by.len) * tags + 1
		       : text + 1;
}

bool index_log_add(const struct index_change *change, struct buf *frames, size_t *ret_growth)
{
	AUTO_FINI(buf) text = buf_limit(FRAME_MAX);
	struct json_writer w = json_writer(&text);

	write_change(&w, change);
	*ret_growth = growth_of(text.len, change);
	if (change->bytes.len && change->era) {
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

static bool op_of(struct str name, enum index_op *ret)
{
	for (enum index_op op = 0; op <= INDEX_VACATED; op++) {
		if (!name_of(op) || !str_is(name, name_of(op)))
			continue;
		*ret = op;
		return true;
	}
	return false;
}

static bool check_op(const struct json *root, struct error *err)
{
	struct str name = json_str(json_find(root, "op"));
	enum index_op op;

	return !name.len || op_of(name, &op) ||
	       error_set(err, ERROR_INTERNAL, NULL,
		       "the log of the index has the change %s, written by a newer zot-worker; this one "
		       "(" ZOT_VERSION ") does not know it: let the newer one fold it first (zot-worker "
		       "fold), or run that one",
		       log_quote(name));
}

/* NULL: there are none. The caller frees it; what it points to is the document's. */
static struct index_pull *read_pulls(const struct json *root, size_t *ret_len)
{
	const struct json *list = json_find(root, "pulls"), *value;
	struct index_pull *pulls;
	struct str key;

	*ret_len = 0;
	if (json_kind(list) != JSON_OBJECT)
		return NULL;
	pulls = xnew_array(struct index_pull, json_len(list) + 1);
	for (void *it = NULL; json_next(list, &it, &key, &value);)
		*ret_len += index_pulls_read(key, value, &pulls[*ret_len]);
	return pulls;
}

static bool is_pulled(const struct json *root)
{
	return !json_find(root, "op") && json_kind(json_find(root, "pulls")) == JSON_OBJECT;
}

static void read_pushed(const struct json *root, struct index_change *change)
{
	if (!json_get_int(json_find(root, "pushed"), &change->pushed_ms) ||
		!index_memo_is_time(change->pushed_ms))
		change->pushed_ms = 0;
	change->pushed_by = json_str(json_find(root, "by"));
}

static bool read_change(const struct json *root, struct index_change *change, struct index_record **record)
{
	if (is_pulled(root))
		change->op = INDEX_PULLED;
	else if (!op_of(json_str(json_find(root, "op")), &change->op))
		return false;
	if (!str_unhex(json_str(json_find(root, "id")), change->id.raw, sizeof(change->id.raw)))
		change->id = (struct change_id){ { 0 } };
	change->is_call =
		json_get_int(json_find(root, "call"), &change->at_ms) && index_memo_is_time(change->at_ms);
	change->sent_ms =
		change->is_call ? change->at_ms : 0; /* it counts as made, also where it changed nothing */
	if (change->op == INDEX_PUT_MANIFEST) {
		if (!index_json_read_record(json_find(root, "manifest"), record))
			return false;
		change->descriptor = &(*record)->entry.descriptor;
		read_pushed(root, change);
		return true;
	}
	if (change->op == INDEX_DELETE_TAG || change->op == INDEX_PULLED)
		return true;
	return (!has_until(change->op) || (json_get_int(json_find(root, "until"), &change->until_s) &&
						  index_memo_is_time(change->until_s))) &&
	       (!has_digest(change->op) ||
		       digest_parse(json_str(json_find(root, "digest")), &change->digest, NULL));
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

static bool apply_one(struct index *index, struct str payload, index_log_f *fn, void *arg, struct error *err)
{
	const char *tags[TAGS_MAX];
	char *copies[TAGS_MAX];
	struct index_change change = { .tags = tags };
	AUTO(index_record) *record = NULL;
	AUTO(json_doc) *doc = NULL;
	struct index_pull *pulls;
	bool changed;

	(void)split_bytes(&payload);
	if (!json_parse_own(payload, &doc, NULL))
		return true;
	if (!check_op(json_root(doc), err))
		return false;
	if (!read_change(json_root(doc), &change, &record))
		return true;
	change.tags_len = read_tags(json_root(doc), tags, copies);
	change.pulls = pulls = read_pulls(json_root(doc), &change.pulls_len);
	(void)!index_apply(index, &change, &changed, NULL);
	free(pulls);
	index->json_most += growth_of(payload.len, &change);
	for (size_t i = 0; i < change.tags_len; i++)
		free(copies[i]);
	if (fn)
		fn(arg, &change.id);
	return true;
}

bool index_log_apply(struct index *index, struct str frames, index_log_f *fn, void *arg, struct error *err)
{
	struct str payload;

	while (frame_next(&frames, &payload))
		if (!apply_one(index, payload, fn, arg, err))
			return false;
	return true;
}

/* ---- manifests ---- */

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

/* The last word on each digest: its bytes, or that the blob was deleted. */
static void note_manifest(struct map *kept, struct str payload)
{
	struct str bytes = split_bytes(&payload);
	struct index_change change = { .op = INDEX_FOLD };
	AUTO(index_record) *record = NULL;
	AUTO(json_doc) *doc = NULL;
	struct str *box;

	if (!json_parse_own(payload, &doc, NULL) || !read_change(json_root(doc), &change, &record))
		return;
	if (change.op == INDEX_CONDEMN)
		free(map_delete(kept, key_of(&change.digest)));
	if (change.op != INDEX_PUT_MANIFEST || !bytes.len)
		return;
	box = xnew(struct str);
	*box = bytes;
	free(map_put(kept, key_of(&change.descriptor->digest), box));
}

void index_log_manifests(struct str frames, index_log_manifest_f *fn, void *arg)
{
	struct map *kept = map_new();
	struct str payload, key;
	struct digest digest;
	void *box;

	while (frame_next(&frames, &payload))
		note_manifest(kept, payload);
	for (size_t at = 0; map_next(kept, &at, &key, &box);) {
		digest = (struct digest){ .alg = key.len == hash_size(HASH_SHA512) ? HASH_SHA512
										   : HASH_SHA256 };
		memcpy(digest.raw, key.at, key.len);
		fn(arg, &digest, *(struct str *)box);
		free(box);
	}
	map_free(kept);
}
