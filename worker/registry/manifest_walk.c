/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/manifest_walk.h"

#include "worker/registry/manifest_cache.h"
#include "worker/registry/registry.h"

/* What cannot be a manifest names nothing; what could not be looked into now may. */
static bool not_a_manifest(const struct error *cause, struct error *err)
{
	if (cause->kind != ERROR_BUSY)
		return true;
	if (err)
		*err = *cause;
	return false;
}

static bool walk_one(struct registry *registry, struct str name, const struct index_entry *entry,
	manifest_walk_f *fn, void *arg, bool *ret_go_on, struct error *err)
{
	AUTO(manifest_body) *body = NULL;
	struct manifest manifest;
	struct error cause;

	if (!registry_manifest(registry, name, &entry->descriptor.digest, &body, err))
		return err->kind == ERROR_UNKNOWN;
	if (!manifest_parse(body->bytes, str_of(entry->descriptor.media_type), true, &manifest, &cause))
		return not_a_manifest(&cause, err);
	*ret_go_on = fn(arg, entry, &manifest);
	manifest_fini(&manifest);
	return true;
}

bool manifest_walk(struct registry *registry, struct str name, const struct index *index,
	const struct index *walked, bool (*wanted)(const struct index_entry *entry), manifest_walk_f *fn,
	void *arg, struct error *err)
{
	bool go_on = true;
	size_t looked = 0;

	for (size_t at = 0; at < index_len(index) && go_on; at++) {
		const struct index_entry *entry = index_at(index, at);
		if ((wanted && !wanted(entry)) ||
			(walked && index_find_digest(walked, &entry->descriptor.digest)))
			continue;
		if (looked++ == MANIFEST_WALK_MAX)
			return error_set(err, ERROR_TOO_LARGE, NULL,
				"the repository has too many manifests to look through");
		if (!walk_one(registry, name, entry, fn, arg, &go_on, err))
			return false;
	}
	return true;
}

bool manifest_entry_is_index(const struct index_entry *entry)
{
	struct str type = str_of(entry->descriptor.media_type);

	return str_is(type, "application/vnd.oci.image.index.v1+json") ||
	       str_is(type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static bool has(const struct descriptor *descriptors, size_t len, const struct digest *digest)
{
	for (size_t i = 0; i < len; i++)
		if (digest_equal(&descriptors[i].digest, digest))
			return true;
	return false;
}

bool manifest_names(const struct manifest *manifest, const struct digest *digest)
{
	return (manifest->has_config && digest_equal(&manifest->config.digest, digest)) ||
	       has(manifest->layers, manifest->layers_len, digest) ||
	       has(manifest->manifests, manifest->manifests_len, digest);
}
