/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_manifests - what the manifests of a repository say, against what is there.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "worker/registry/registry.h"
#include "worker/registry/scrub_priv.h"

static struct str name_of(const struct scrub *scrub)
{
	return str_of(scrub->place.name);
}

/* ---- what one names ---- */

/* Is it known, as one that was set aside? */
static bool is_aside(struct scrub *scrub, const struct digest *digest)
{
	AUTO(store_reading) *reading = NULL;
	struct error ignored;

	return store_reading_new(scrub->registry->store, name_of(scrub), digest, &reading, &ignored) &&
	       reading->aside;
}

static void tell_size(
	struct scrub *scrub, const struct digest *digest, const char *who, uint64_t said, uint64_t there)
{
	char why[DIGEST_TEXT_SIZE + 96];

	(void)snprintf(
		why, sizeof(why), "%s says %" PRIu64 " bytes, %" PRIu64 " are there", who, said, there);
	scrub_tell(scrub, SCRUB_SIZE, SCRUB_LEFT, digest, why, NULL);
}

/* `needed`: an index may name members that are elsewhere. */
static void look_at(
	struct scrub *scrub, const struct descriptor *named, const struct index_entry *by, bool needed)
{
	char digest[DIGEST_TEXT_SIZE], who[DIGEST_TEXT_SIZE + 16];
	struct error err;
	uint64_t size;

	if (live_set_has(scrub->asked, &named->digest) ||
		(named->media_type && media_type_is_nondistributable(str_of(named->media_type))))
		return;
	/* A full set means that some are looked at again. */
	(void)!live_set_add(scrub->asked, &named->digest);
	scrub_spend(scrub, SCRUB_ASK);
	digest_format(&by->descriptor.digest, digest);
	(void)snprintf(who, sizeof(who), "manifest %s", digest);
	if (store_blob_size(scrub->registry->store, name_of(scrub), &named->digest, &size, &err)) {
		if (size != named->size)
			tell_size(scrub, &named->digest, who, named->size, size);
	} else if (err.kind != ERROR_UNKNOWN) {
		scrub_note_failure(scrub, &err);
	} else if (needed && !is_aside(scrub, &named->digest)) {
		char why[DIGEST_TEXT_SIZE + 64];

		(void)snprintf(why, sizeof(why), "%s names it, and it is not there", who);
		scrub_tell(scrub, SCRUB_MISSING, SCRUB_LEFT, &named->digest, why, NULL);
	}
}

static void look_at_all(struct scrub *scrub, const struct manifest *manifest, const struct index_entry *entry)
{
	if (manifest->has_config)
		look_at(scrub, &manifest->config, entry, true);
	for (size_t i = 0; i < manifest->layers_len; i++)
		look_at(scrub, &manifest->layers[i], entry, true);
	for (size_t i = 0; i < manifest->manifests_len; i++)
		look_at(scrub, &manifest->manifests[i], entry, false);
}

/* ---- one that the index lists ---- */

/* Deleted since the index was read: nothing is wrong. */
static bool is_listed(struct scrub *scrub, const struct digest *digest)
{
	AUTO(index) *view = NULL;
	struct error ignored;

	return registry_index(scrub->registry, name_of(scrub), &view, &ignored) &&
	       index_find_digest(view, digest);
}

static void treat_absent(struct scrub *scrub, const struct digest *digest)
{
	const char *from = NULL;
	bool healed;

	if (is_aside(scrub, digest) || !is_listed(scrub, digest))
		return;
	healed = !scrub->how.dry_run && scrub_is_ours(scrub) && scrub_heal(scrub, digest, &from);
	scrub_tell(scrub, SCRUB_MISSING, healed ? SCRUB_HEALED : SCRUB_LEFT, digest,
		"the index lists this manifest, and it is not there", from);
}

static void look_into(struct scrub *scrub, const struct index_entry *entry, struct str bytes)
{
	const struct digest *digest = &entry->descriptor.digest;
	struct manifest manifest;
	struct error err;

	if (bytes.len != entry->descriptor.size)
		tell_size(scrub, digest, "the index", entry->descriptor.size, bytes.len);
	if (!manifest_parse(bytes, str_of(entry->descriptor.media_type), true, &manifest, &err)) {
		if (err.kind == ERROR_BUSY)
			scrub_note_failure(scrub, &err);
		else
			scrub_tell(scrub, SCRUB_MALFORMED, SCRUB_LEFT, digest, err.text, NULL);
		return;
	}
	look_at_all(scrub, &manifest, entry);
	manifest_fini(&manifest);
}

/* What has another digest was found among the blobs, or is too young. */
static void look_at_manifest(struct scrub *scrub, const struct index_entry *entry)
{
	const struct digest *digest = &entry->descriptor.digest;
	AUTO_FINI(buf) bytes = buf_limit(REGISTRY_MANIFEST_MAX);
	struct digest found;
	struct error err;

	scrub_spend(scrub, SCRUB_ASK);
	if (!store_blob_get(scrub->registry->store, name_of(scrub), digest, &bytes, &err)) {
		if (err.kind == ERROR_UNKNOWN)
			treat_absent(scrub, digest);
		else
			scrub_note_failure(scrub, &err);
		return;
	}
	scrub_spend(scrub, bytes.len);
	found = digest_of(digest->alg, buf_str(&bytes));
	if (digest_equal(&found, digest))
		look_into(scrub, entry, buf_str(&bytes));
}

bool scrub_manifest(struct scrub *scrub)
{
	if (scrub->manifest_at == index_len(scrub->view))
		return false;
	look_at_manifest(scrub, index_at(scrub->view, scrub->manifest_at++));
	return true;
}
