/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_complete - subject, artifact type and annotations of manifests that another tool listed.
 *
 * A manifest that is missing or is none of ours stays as it is: it is listed, and refers to nothing.
 * When the store cannot be reached the rest is left for the next load.
 */
#include "common/check.h"
#include "worker/index/index_priv.h"

#define MANIFEST_READ_MAX (4 * MANIFEST_MAX)

/* The record belongs to a view that nobody else has seen yet. */
static void set_descriptor(struct index_record *record, const struct descriptor *descriptor)
{
	struct index_record *fresh = index_record_new(descriptor, true);
	struct descriptor before = record->entry.descriptor;

	record->entry.descriptor = fresh->entry.descriptor;
	fresh->entry.descriptor = before;
	record->complete = true;
	index_record_free(fresh);
}

static bool take_over(struct index_record *record, const struct index *before)
{
	const struct index_record *known =
		before ? index_record_find(before, &record->entry.descriptor.digest) : NULL;

	if (known && known->complete)
		set_descriptor(record, &known->entry.descriptor);
	else if (known)
		record->settled = known->settled;
	return record->complete || record->settled;
}

static void learn(struct index_record *record, const struct manifest *manifest)
{
	const char *type = manifest_referrer_type(manifest);
	AUTO_STR *artifact_type = type ? check_strdup(type) : NULL;
	/* A view of texts that belong to the record and to the manifest; the copy is made behind it. */
	struct descriptor descriptor = record->entry.descriptor;

	descriptor.artifact_type = artifact_type;
	descriptor.has_subject = manifest->has_subject;
	descriptor.subject = manifest->subject.digest;
	descriptor.annotations = manifest->annotations;
	descriptor.annotations_len = manifest->annotations_len;
	set_descriptor(record, &descriptor);
}

/* False: not now, the store does not answer or there is no memory for it. */
static bool read_manifest(
	struct index_record *record, struct store *store, struct str name, struct buf *bytes)
{
	const struct descriptor *descriptor = &record->entry.descriptor;
	struct manifest manifest;
	struct digest found;
	struct error err;

	record->settled = true;
	if (!media_type_is_manifest(str_of(descriptor->media_type), true))
		return true;
	if (!store_blob_get(store, name, &descriptor->digest, bytes, &err)) {
		record->settled = err.kind == ERROR_UNKNOWN || err.kind == ERROR_TOO_LARGE;
		return record->settled;
	}
	found = digest_of(descriptor->digest.alg, buf_str(bytes));
	if (!digest_equal(&found, &descriptor->digest))
		return true;
	if (!manifest_parse(buf_str(bytes), str_of(descriptor->media_type), true, &manifest, &err)) {
		record->settled = err.kind != ERROR_BUSY;
		return record->settled;
	}
	learn(record, &manifest);
	record->settled = false;
	manifest_fini(&manifest);
	return true;
}

void index_complete(struct index *index, const struct index *before, struct store *store, struct str name)
{
	AUTO_FINI(buf) bytes = buf_limit(MANIFEST_READ_MAX);
	bool found = false, reachable = true;

	for (size_t i = 0; i < index->records.len && reachable; i++) {
		struct index_record *record = index_record_at(index, i);

		if (record->complete)
			continue;
		found = true;
		if (!take_over(record, before))
			reachable = read_manifest(record, store, name, &bytes);
	}
	if (found)
		index_recount(index);
}
