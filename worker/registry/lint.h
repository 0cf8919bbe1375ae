/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint - what an image must say of itself before it is taken: annotations that the operator demands (zot's extensions.lint).
 *
 * Each of them must be in the annotations of the manifest, or among the labels of its config, with whatever value. The config is read only
 * where the manifest lacks one. Asked of image manifests alone, before anything of them is stored. Exempt are signatures, which their
 * tools make: manifests with a subject whose type is notation's or cosign's, and what only has cosign's tags, "sha256-<hex>.sig" and ".sbom".
 * Indexes are not looked at: their members were.
 *
 * Bounds  a config of LINT_CONFIG_MAX bytes; its tree JSON_MEMORY_MAX.
 * Thread  pool: it may read a blob.
 * Source  zot: pkg/extensions/lint/lint.go
 */
#pragma once

#include "proto/manifest.h"
#include "worker/registry/registry.h"

#define LINT_CONFIG_MAX (4u * 1024 * 1024)

/* MANIFEST_INVALID, of which registry.refused is told: the text names what is missing, or says why the config could not be asked for it. */
bool lint_allows_push(struct registry *registry, const struct registry_push *push, const struct manifest *manifest, struct error *err) MUST_CHECK;
