/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor - the JSON of it, strictly typed but tolerant of null, which some clients write for "none".
 */
#include "proto/descriptor.h"

#include "common/check.h"

static bool invalid(struct error *err, const char *member, const char *why)
{
	return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "%s %s", member, why);
}

static bool is_absent(const struct json *node)
{
	return json_kind(node) == JSON_NONE || json_kind(node) == JSON_NULL;
}

/* Annotations. */

void annotations_free(struct annotation *annotations, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		free(annotations[i].key);
		free(annotations[i].value);
	}
	free(annotations);
}

struct annotation *annotations_copy(const struct annotation *from, size_t len)
{
	struct annotation *copy = len ? xnew_array(struct annotation, len) : NULL;

	for (size_t i = 0; i < len; i++) {
		copy[i].key = check_strdup(from[i].key);
		copy[i].value = check_strdup(from[i].value);
	}
	return copy;
}

static bool check_annotations(const struct json *node, struct error *err)
{
	const struct json *value;
	struct str key;

	if (json_kind(node) != JSON_OBJECT)
		return invalid(err, "annotations", "is not an object");
	if (json_len(node) > ANNOTATIONS_MAX)
		return invalid(err, "annotations", "has more than 1024 members");
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		if (json_kind(value) != JSON_STRING)
			return invalid(err, "annotations", "has a value that is not a text");
	}
	return true;
}

bool annotations_parse(const struct json *node, struct annotation **ret, size_t *ret_len, struct error *err)
{
	struct annotation *annotations = NULL;
	const struct json *value;
	struct str key;
	size_t len = 0;

	if (!is_absent(node) && !check_annotations(node, err))
		return false;
	if (json_len(node))
		annotations = xnew_array(struct annotation, json_len(node));
	for (void *it = NULL; json_next(node, &it, &key, &value); len++) {
		annotations[len].key = str_dup(key);
		annotations[len].value = str_dup(json_str(value));
	}
	*ret = annotations;
	*ret_len = len;
	return true;
}

void annotations_write(struct json_writer *writer, const struct annotation *annotations, size_t len)
{
	json_open_object(writer);
	for (size_t i = 0; i < len; i++)
		json_put_text(writer, annotations[i].key, annotations[i].value);
	json_close_object(writer);
}

/* Media types go out again as headers, so nothing but plain characters may be in them. */
static bool is_media_type(struct str s)
{
	if (s.len > MEDIA_TYPE_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < 0x20 || s.at[i] > 0x7e)
			return false;
	}
	return true;
}

bool media_type_parse(const struct json *node, const char *member, char **ret, struct error *err)
{
	const struct json *value = json_find(node, member);
	struct str text = STR_NONE;

	if (!is_absent(value) && !json_get_str(value, &text))
		return invalid(err, member, "is not a text");
	if (!is_media_type(text))
		return invalid(err, member, "is not a media type: at most 255 printable characters");
	*ret = text.len ? str_dup(text) : NULL;
	return true;
}

/* Life. */

void descriptor_fini(struct descriptor *descriptor)
{
	free(descriptor->media_type);
	free(descriptor->artifact_type);
	annotations_free(descriptor->annotations, descriptor->annotations_len);
	*descriptor = (struct descriptor){ 0 };
}

void descriptor_copy(struct descriptor *into, const struct descriptor *from)
{
	*into = *from;
	into->media_type = from->media_type ? check_strdup(from->media_type) : NULL;
	into->artifact_type = from->artifact_type ? check_strdup(from->artifact_type) : NULL;
	into->annotations = annotations_copy(from->annotations, from->annotations_len);
}

const char *descriptor_annotation(const struct descriptor *descriptor, const char *key)
{
	for (size_t i = 0; i < descriptor->annotations_len; i++) {
		if (strcmp(descriptor->annotations[i].key, key) == 0)
			return descriptor->annotations[i].value;
	}
	return NULL;
}

/* JSON. */

static bool parse_digest(const struct json *node, struct digest *ret, struct error *err)
{
	struct error cause;
	struct str text;

	if (!json_get_str(json_find(node, "digest"), &text))
		return invalid(err, "digest", "is missing or not a text");
	return digest_parse(text, ret, &cause) || invalid(err, "digest:", cause.text);
}

static bool parse_size(const struct json *node, uint64_t *ret, struct error *err)
{
	int64_t size;

	if (!json_get_int(json_find(node, "size"), &size) || size < 0)
		return invalid(err, "size", "is missing or not a number of bytes");
	*ret = (uint64_t)size;
	return true;
}

static bool parse_members(const struct json *node, struct descriptor *into, struct error *err)
{
	if (json_kind(node) != JSON_OBJECT)
		return invalid(err, "a descriptor", "is not an object");
	if (!media_type_parse(node, "mediaType", &into->media_type, err))
		return false;
	if (!into->media_type)
		return invalid(err, "mediaType", "is missing");
	return parse_digest(node, &into->digest, err) && parse_size(node, &into->size, err) &&
	       media_type_parse(node, "artifactType", &into->artifact_type, err) &&
	       annotations_parse(
		       json_find(node, "annotations"), &into->annotations, &into->annotations_len, err);
}

bool descriptor_parse(const struct json *node, struct descriptor *ret, struct error *err)
{
	struct descriptor descriptor = { 0 };

	if (!parse_members(node, &descriptor, err)) {
		descriptor_fini(&descriptor);
		return false;
	}
	*ret = descriptor;
	return true;
}

void descriptor_write(struct json_writer *writer, const struct descriptor *descriptor)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&descriptor->digest, digest);
	json_open_object(writer);
	json_put_text(writer, "mediaType", descriptor->media_type);
	json_put_text(writer, "digest", digest);
	json_put_int(writer, "size", (int64_t)descriptor->size);
	if (descriptor->annotations_len) {
		json_key(writer, STR("annotations"));
		annotations_write(writer, descriptor->annotations, descriptor->annotations_len);
	}
	json_put_text(writer, "artifactType", descriptor->artifact_type);
	json_close_object(writer);
}
