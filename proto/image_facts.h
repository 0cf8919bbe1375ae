/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_facts - what a manifest and its config say of an image: when it was made, for which platform, of which layers, how it is called.
 *
 *     manifest (OCI image or index, Docker schema 2 or list) + config --image_facts_parse()--> facts --encode/decode--> a compact form to keep
 *
 * Each text: the manifest's annotation, by OCI's name, else by label-schema's; else the config's label by the same two. An index has annotations
 * alone. Made: the annotation of when, else the config's `created`, else its last row of history that tells. Authors: at last the config's `author`.
 * Docker's media types are told as OCI's.
 *
 * A config that is broken, of other types than it should have, larger than IMAGE_CONFIG_MAX or not there is passed over: facts->config says so, and
 * what the manifest says stays. What is too long is cut: a text at IMAGE_TEXT_MAX, annotations and history where they have IMAGE_TEXTS_MAX together.
 *
 * Life    All is in the caller's arena. Texts end with a NUL, and are "" where nothing is said.
 * Source  OCI image-spec config.md, annotations.md; label-schema.org; Docker image manifest version 2 schema 2.
 * Thread  any; pure.
 */
#pragma once

#include "proto/arena.h"
#include "proto/descriptor.h"
#include "proto/manifest.h"

#define IMAGE_CONFIG_MAX  (4u * 1024 * 1024)
#define IMAGE_TEXT_MAX    (16u * 1024)
#define IMAGE_TEXTS_MAX   (128u * 1024)
#define IMAGE_HISTORY_MAX 2000u
#define IMAGE_FACTS_ARENA ((size_t)8 * 1024 * 1024) /* all facts fit an arena of this size */
#define IMAGE_FACTS_STORED_MAX ((size_t)2 * 1024 * 1024) /* and their compact form a buffer of this one */
#define IMAGE_NO_LAYER    SIZE_MAX

struct image_layer { struct digest digest; uint64_t size; };
struct image_history {
	const char *created_by, *author, *comment;
	int64_t created_ms; /* 0: it does not say */
	bool empty_layer;
	size_t layer;       /* which of the layers it made, or IMAGE_NO_LAYER */
};

enum image_config {
	IMAGE_CONFIG_NONE,      /* the manifest is an index, or an artifact whose config is no image's */
	IMAGE_CONFIG_READ,
	IMAGE_CONFIG_ABSENT,    /* nobody has its bytes */
	IMAGE_CONFIG_TOO_LARGE,
	IMAGE_CONFIG_BROKEN,
};

struct image_facts {
	enum manifest_kind kind;
	const char *media_type, *artifact_type; /* artifact_type: as referrers lists tell it, of an image the config's media type */
	const char *own_type;                   /* artifactType of the manifest alone */
	uint64_t size;          /* of manifest, config and layers, each once; an index: its own bytes */
	int64_t created_ms;     /* 0: nothing says */
	int64_t noted_ms;       /* what the annotation says; 0: there is none */
	bool has_config;
	struct digest config_digest;
	uint64_t config_size;
	enum image_config config;
	const char *os, *arch;  /* arch: "arm/v7" with a variant */
	const char *title, *description, *licenses, *labels, *source, *documentation, *vendor, *authors;
	bool has_subject;
	struct digest subject;
	const struct image_layer *layers;
	size_t layers_len;
	const struct image_layer *members; /* of an index */
	size_t members_len;
	const struct image_history *history;
	size_t history_len;
	bool history_differs;   /* rows that made a layer are not as many as layers */
	const struct annotation *annotations; /* of the manifest */
	size_t annotations_len;
};

/* Is the config of this media type one that an image has? Only then its bytes are worth reading. */
bool image_config_is_one(const char *media_type);
/* config: its bytes, STR_NONE: how it stands with them is `state`. MANIFEST_INVALID; ERROR_TOO_LARGE: the arena is smaller than IMAGE_FACTS_ARENA; ERROR_BUSY as json_parse(). */
bool image_facts_parse(const struct manifest *manifest, uint64_t manifest_size, struct str config, enum image_config state, struct arena *arena,
		       struct image_facts *ret, struct error *err) MUST_CHECK;

/* The compact form, which says its version: another one is ERROR_INVALID, as is anything else that it was not made from. ERROR_TOO_LARGE: the arena is full. */
void image_facts_encode(const struct image_facts *facts, struct buf *into);
bool image_facts_decode(struct str bytes, struct arena *arena, struct image_facts *ret, struct error *err) MUST_CHECK;

/* OCI's media type for one of Docker's; any other is itself. */
const char *image_media_type(const char *media_type);
