/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest - what a registry must know of a manifest or index that is pushed: its links.
 *
 * The bytes themselves are stored as they came. Accepted media types: OCI manifest and index,
 * and Docker schema 2 manifest and list where `docker2s2` is set; case and the Content-Type's parameters
 * are ignored; a mediaType inside the body that contradicts it is MANIFEST_INVALID; an empty
 * Content-Type takes the body's. A body that two readers could take for two things (an image with
 * "manifests", an index with "config" or "layers") is MANIFEST_INVALID: one digest, one meaning
 * (CVE-2021-41190). Absent and null lists are empty.
 * Bounds: 4 MiB of body, 10,000 descriptors, JSON depth 64, JSON_MEMORY_MAX for the tree.
 * Source  OCI image-spec manifest.md, image-index.md; distribution-spec "Pushing Manifests".
 * Thread  any; pure.
 */
#pragma once

#include "proto/descriptor.h"

#define MANIFEST_MAX (4u * 1024 * 1024)
#define MANIFEST_DESCRIPTORS_MAX 10000

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };

struct manifest {
	enum manifest_kind kind;
	char *media_type;       /* one of the accepted ones, as the specification spells it */
	char *artifact_type;    /* as given; NULL when absent */
	bool has_config;
	struct descriptor config;
	struct descriptor *layers;    /* images */
	size_t layers_len;
	struct descriptor *manifests; /* indexes */
	size_t manifests_len;
	bool has_subject;
	struct descriptor subject;
	struct annotation *annotations;
	size_t annotations_len;
};
/* MANIFEST_INVALID; ERROR_TOO_LARGE over MANIFEST_MAX, or when its tree is; ERROR_BUSY as json_parse(). */
bool manifest_parse(struct str body, struct str content_type, bool docker2s2, struct manifest *ret,
		    struct error *err) MUST_CHECK;
void manifest_fini(struct manifest *manifest);
/* What the referrers list says: artifactType, else the config's media type for images, else NULL. */
const char *manifest_referrer_type(const struct manifest *manifest);
bool media_type_is_manifest(struct str media_type, bool docker2s2);
/* foreign layers, which a registry is not asked to hold */
bool media_type_is_nondistributable(struct str media_type);
