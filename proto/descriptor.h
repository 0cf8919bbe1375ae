/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor - media type, digest and size of some content, with what the index keeps beside them.
 *
 * Texts are owned by the descriptor (NULL where absent); annotations keep their order.
 * Source  OCI image-spec, descriptor.md.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "proto/digest.h"

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
void descriptor_init(struct descriptor *descriptor);
void descriptor_fini(struct descriptor *descriptor);
void descriptor_copy(struct descriptor *into, const struct descriptor *from); /* deep */
const char *descriptor_annotation(const struct descriptor *descriptor, const char *key); /* NULL when absent */
/* mediaType, digest, size, artifactType, annotations; members it does not know are dropped. */
bool descriptor_parse(const struct json *node, struct descriptor *ret, struct error *err) MUST_CHECK;
void descriptor_write(struct json_writer *writer, const struct descriptor *descriptor);
