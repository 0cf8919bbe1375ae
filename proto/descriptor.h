/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor - media type, digest and size of some content, with what the index keeps beside them.
 *
 * Texts are owned by the descriptor (NULL where absent); annotations keep their order.
 * Bounds: media types 255 printable characters, 1,024 annotations in one map.
 * Source  OCI image-spec, descriptor.md.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "proto/digest.h"

#define MEDIA_TYPE_MAX 255
#define ANNOTATIONS_MAX 1024

struct annotation { char *key, *value; };

struct descriptor {
	char *media_type;
	struct digest digest;
	uint64_t size;
	char *artifact_type;
	bool has_subject;      /* written by us into index.json beside a manifest (see layout) */
	struct digest subject;
	struct annotation *annotations;
	size_t annotations_len;
};
void descriptor_fini(struct descriptor *descriptor);
/* Deep; `into` holds nothing before. */
void descriptor_copy(struct descriptor *into, const struct descriptor *from);
const char *descriptor_annotation(const struct descriptor *descriptor, const char *key); /* NULL when absent */
/* mediaType, digest, size, artifactType, annotations; members it does not know are dropped. MANIFEST_INVALID. */
bool descriptor_parse(const struct json *node, struct descriptor *ret, struct error *err) MUST_CHECK;
/* The same members; has_subject is the index's affair. */
void descriptor_write(struct json_writer *writer, const struct descriptor *descriptor);

/* A text member of `node` that is a media type: NULL in *ret when absent, null or empty.
 * MANIFEST_INVALID when it is anything else. */
bool media_type_parse(const struct json *node, const char *member, char **ret, struct error *err) MUST_CHECK;

/* Maps of text to text by themselves. Absent and null give none. */
bool annotations_parse(const struct json *node, struct annotation **ret, size_t *ret_len,
		       struct error *err) MUST_CHECK;
struct annotation *annotations_copy(const struct annotation *from, size_t len); /* NULL when there are none */
/* An object. */
void annotations_write(struct json_writer *writer, const struct annotation *annotations, size_t len);
void annotations_free(struct annotation *annotations, size_t len);
