/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/latch.h"
#include "worker/registry/known_blobs.h"
#include "worker/registry/lint.h"
#include "worker/registry/repository_limits.h"
#include "worker/registry/manifest_cache.h"
#include "worker/storage/store.h"

#define WARN_LOOKS_MAX 128

struct put {
	struct registry *registry;
	struct registry_push *push;
	bool parsed;
	struct manifest manifest;
	struct descriptor descriptor;
	struct index_change change;
	uint64_t removals; /* what is known of blobs was true when the index had so many */
};

static struct str name_of(const struct put *put)
{
	return str_of(put->push->name);
}

static void end(struct put *put)
{
	struct registry_push *push = put->push;

	if (put->parsed)
		manifest_fini(&put->manifest);
	descriptor_fini(&put->descriptor);
	free(put);
	push->done(push);
}

/* ---- what is it, and may it be there ---- */

static bool check_digest(struct registry_push *push, struct error *err)
{
	enum hash_kind alg = push->digest ? push->digest->alg : HASH_SHA256;

	push->stored = push->sha256 && alg == HASH_SHA256 ? digest_sha256(push->sha256)
							  : digest_of(alg, push->bytes);
	return !push->digest || digest_equal(&push->stored, push->digest) ||
	       error_set(err, ERROR_INVALID, "DIGEST_INVALID", "the manifest's bytes have another digest");
}

/* A tag that is there already is updated, everything else is created. */
static bool may_push(const struct registry_push *push, const struct index *index, struct error *err)
{
	bool ok = push->may_create;

	if (push->may_create && push->may_update)
		return true;
	for (size_t i = 0; i < push->tags_len; i++) {
		bool is_there = index && index_find_tag(index, str_of(push->tags[i]));
		if (!(is_there ? push->may_update : push->may_create))
			return error_set(err, ERROR_DENIED, "DENIED", "not allowed to %s this tag",
				is_there ? "update" : "create");
		ok = true;
	}
	return ok || error_set(err, ERROR_DENIED, "DENIED", "not allowed to create manifests");
}

/* What would be refused where its record is to be written need not come so far. */
static bool check_before(const struct put *put, struct error *err)
{
	struct registry_push *push = put->push;
	AUTO(index) *index = NULL;

	/* One that a peer sent may have come before, and have made the tag: the index knows. */
	if (push->call.is_call || (push->may_create && push->may_update && !push->limits))
		return true;
	if (!indexes_get(put->registry->indexes, name_of(put), &index, err) && err->kind != ERROR_UNKNOWN)
		return false;
	return may_push(push, index, err) &&
	       (!index || repository_limits_allow_push(put->registry, push, &put->manifest, index, err));
}

static bool blob_unknown(const struct digest *digest, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return error_set(err, ERROR_UNKNOWN, "MANIFEST_BLOB_UNKNOWN", "the repository has no blob %s", text);
}

static bool is_known(const struct put *put, const struct digest *digest, uint64_t *ret_size)
{
	return known_blobs_has(
		put->registry->known, name_of(put), digest, put->removals, clock_ms(), ret_size);
}

/* ERROR_UNKNOWN: it is not there. */
static bool look_for(
	const struct put *put, const struct digest *digest, uint64_t *ret_size, struct error *err)
{
	struct str name = name_of(put);

	if (!store_blob_size(put->registry->store, name, digest, ret_size, err))
		return false;
	known_blobs_add(put->registry->known, name, digest, *ret_size, put->removals, clock_ms());
	return true;
}

static bool asking_is_cheap(const struct put *put)
{
	return store_has_files(put->registry->store, name_of(put));
}

static bool is_counted(const struct put *put)
{
	return repository_limits_count_bytes(put->push->limits);
}

/* What is counted is counted as the manifest says. */
static bool check_size(
	const struct put *put, const struct descriptor *named, uint64_t size, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (size == named->size || !is_counted(put))
		return true;
	digest_format(&named->digest, text);
	return error_set(err, ERROR_INVALID, "SIZE_INVALID",
		"the blob %s has %" PRIu64 " bytes, the manifest says %" PRIu64, text, size, named->size);
}

static bool check_blob(const struct put *put, const struct descriptor *named, struct error *err)
{
	const struct digest *digest = &named->digest;
	uint64_t size;

	if ((asking_is_cheap(put) || !is_known(put, digest, &size)) && !look_for(put, digest, &size, err))
		return err->kind == ERROR_UNKNOWN && blob_unknown(digest, err);
	return check_size(put, named, size, err);
}

static bool needs_blobs(const struct manifest *manifest)
{
	struct str type = manifest->has_config ? str_of(manifest->config.media_type) : STR_NONE;

	return manifest->kind == MANIFEST_IMAGE &&
	       (str_is(type, "application/vnd.oci.image.config.v1+json") ||
		       str_is(type, "application/vnd.oci.empty.v1+json"));
}

static bool check_blobs(const struct put *put, struct error *err)
{
	const struct manifest *manifest = &put->manifest;

	if (!is_counted(put) && (!put->registry->options.require_blobs || !needs_blobs(manifest)))
		return true;
	if (manifest->has_config && !check_blob(put, &manifest->config, err))
		return false;
	for (size_t i = 0; i < manifest->layers_len; i++)
		if (!media_type_is_nondistributable(str_of(manifest->layers[i].media_type)) &&
			!check_blob(put, &manifest->layers[i], err))
			return false;
	return true;
}

static bool check(struct put *put, struct error *err)
{
	struct registry_push *push = put->push;

	put->parsed = manifest_parse(
		push->bytes, str_of(push->type), put->registry->options.docker2s2, &put->manifest, err);
	return put->parsed && check_digest(push, err) && check_before(put, err) && check_blobs(put, err) &&
	       lint_allows_push(put->registry, push, &put->manifest, err);
}

/* ---- missing ones of an image or index that is taken ---- */

static void note_missing(struct put *put, const struct digest *digest)
{
	if (!put->push->missing_len++)
		put->push->missing = *digest;
}

/* One that was seen lately spares even the stat(): if it went since, only a warning is missing. */
static void note_blob(struct put *put, const struct digest *digest)
{
	struct error err;
	uint64_t size;

	if (!is_known(put, digest, &size) && !look_for(put, digest, &size, &err) && err.kind == ERROR_UNKNOWN)
		note_missing(put, digest);
}

static void note_blobs(struct put *put)
{
	const struct manifest *manifest = &put->manifest;

	note_blob(put, &manifest->config.digest);
	for (size_t i = 0; i < manifest->layers_len && i < WARN_LOOKS_MAX; i++)
		if (!media_type_is_nondistributable(str_of(manifest->layers[i].media_type)))
			note_blob(put, &manifest->layers[i].digest);
}

static void note_members(struct put *put)
{
	const struct manifest *manifest = &put->manifest;
	AUTO(index) *index = NULL;
	struct error ignored;

	(void)!indexes_get(put->registry->indexes, name_of(put), &index, &ignored);
	for (size_t i = 0; i < manifest->manifests_len && i < WARN_LOOKS_MAX; i++)
		if (!index || !index_find_digest(index, &manifest->manifests[i].digest))
			note_missing(put, &manifest->manifests[i].digest);
}

static void look_for_missing(struct put *put)
{
	if (put->manifest.kind == MANIFEST_INDEX)
		note_members(put);
	else if (!put->registry->options.require_blobs && asking_is_cheap(put) && needs_blobs(&put->manifest))
		note_blobs(put);
}

/* ---- where its record is to be written: what was looked at before may have been deleted meanwhile ---- */

static int64_t store_now_s(const struct put *put)
{
	return store_clock_s(put->registry->store, name_of(put));
}

/* One whose deletion ended without a word may be there or not; one that was removed lately was there, maybe, when the client was told that it
 * need not send it. Whether sparse images are taken or not, such a one is not taken for granted. */
static bool check_condemned(
	const struct put *put, const struct index *view, const struct digest *digest, struct error *err)
{
	int64_t now_s = store_now_s(put);
	uint64_t size;

	if (index_is_condemned(view, digest, now_s))
		return blob_unknown(digest, err);
	if (!index_was_condemned(view, digest) && !index_may_be_gone(view, digest, now_s))
		return true;
	return store_blob_size(put->registry->store, name_of(put), digest, &size, err) ||
	       (err->kind == ERROR_UNKNOWN && blob_unknown(digest, err));
}

static bool check_all_condemned(const struct put *put, const struct index *view, struct error *err)
{
	const struct manifest *manifest = &put->manifest;
	bool ok = !manifest->has_config || check_condemned(put, view, &manifest->config.digest, err);

	for (size_t i = 0; i < manifest->layers_len && ok; i++)
		ok = check_condemned(put, view, &manifest->layers[i].digest, err);
	for (size_t i = 0; i < manifest->manifests_len && ok; i++)
		ok = check_condemned(put, view, &manifest->manifests[i].digest, err);
	return ok && (!index_is_condemned(view, &put->push->stored, store_now_s(put)) ||
			     error_set(err, ERROR_UNAVAILABLE, NULL,
				     "the manifest's content is just being deleted"));
}

/* Content of ours, or that we rely on, may be among what was deleted. */
static bool look_again(struct put *put, uint64_t removals, struct error *err)
{
	const struct registry_push *push = put->push;
	uint64_t before = put->removals;

	put->removals = removals;
	if (check_blobs(put, err) &&
		store_blob_put(put->registry->store, name_of(put), &push->stored, push->bytes, err))
		return true;
	put->removals = before;
	return false;
}

static bool check_in_place(struct index_change *change, const struct index *view, struct error *err)
{
	struct put *put = change->arg;
	uint64_t removals = index_removals(view);

	return may_push(put->push, view, err) && check_all_condemned(put, view, err) &&
	       repository_limits_allow_push(put->registry, put->push, &put->manifest, view, err) &&
	       ((removals == put->removals && !index_was_condemned(view, &put->push->stored)) ||
		       look_again(put, removals, err));
}

/* ---- into the store, into the index ---- */

static void describe(struct put *put)
{
	const char *type = manifest_referrer_type(&put->manifest);
	/* A shallow view of the manifest's own texts; the deep copy is ours. */
	struct descriptor view = {
		.media_type = put->manifest.media_type,
		.digest = put->push->stored,
		.size = put->push->bytes.len,
		.has_subject = put->manifest.has_subject,
		.subject = put->manifest.subject.digest,
		.annotations = put->manifest.annotations,
		.annotations_len = put->manifest.annotations_len,
	};

	descriptor_copy(&put->descriptor, &view);
	put->descriptor.artifact_type = type ? check_strdup(type) : NULL;
}

static void on_changed(struct index_change *change)
{
	struct put *put = change->arg;
	struct registry_push *push = put->push;

	push->ok = change->ok;
	push->err = change->err;
	push->has_subject = put->manifest.has_subject;
	push->subject = put->manifest.subject.digest;
	if (push->ok)
		manifest_body_free(manifest_cache_put(put->registry->manifests, &push->stored, push->bytes));
	end(put);
}

/* A small one becomes durable with the record in the log that lists it, which has its bytes then. */
static bool store_manifest(struct put *put, struct error *err)
{
	const struct registry_push *push = put->push;
	struct store *store = put->registry->store;
	bool listed;

	if (!store_is_lazy(store, name_of(put)) || push->bytes.len > STORE_LAZY_MAX)
		return store_blob_put(store, name_of(put), &push->stored, push->bytes, err);
	listed = indexes_lists(put->registry->indexes, name_of(put), &push->stored);
	put->change.bytes = push->bytes;
	return store_blob_put_lazy(
		store, name_of(put), &push->stored, push->bytes, listed, &put->change.era, err);
}

static void list_manifest(struct put *put)
{
	const struct registry_push *push = put->push;
	struct index_change *change = &put->change;

	/* Who counts the repository's bytes reads it, maybe in the same batch. */
	if (is_counted(put))
		manifest_body_free(manifest_cache_put(put->registry->manifests, &push->stored, push->bytes));
	change->op = INDEX_PUT_MANIFEST;
	change->name = push->name;
	change->id = push->call.id;
	change->is_call = push->call.is_call;
	change->sent_ms = push->call.sent_ms;
	change->issued_ms = push->call.issued_ms;
	change->descriptor = &put->descriptor;
	change->tags = push->tags;
	change->tags_len = push->tags_len;
	change->pushed_ms = store_clock_ms(put->registry->store, name_of(put));
	change->pushed_by = str_of(push->by);
	change->asker = push->asker;
	change->check = check_in_place;
	change->done = on_changed;
	change->arg = put;
	indexes_change_here(put->registry->indexes, change);
}

void registry_put(struct registry *registry, struct registry_push *push)
{
	struct put *put = xnew(struct put);

	put->registry = registry;
	put->push = push;
	push->ok = false;
	push->missing_len = 0;
	push->limit = REGISTRY_LIMIT_NONE;
	put->removals = indexes_removals(registry->indexes, name_of(put));
	if (!check(put, &push->err) || !store_manifest(put, &push->err)) {
		end(put);
		return;
	}
	look_for_missing(put);
	describe(put);
	list_manifest(put);
}

static void on_put(struct registry_push *push)
{
	latch_open(push->arg);
}

bool registry_put_wait(struct registry *registry, struct registry_push *push, struct error *err)
{
	struct latch done = LATCH_INIT;

	push->done = on_put;
	push->arg = &done;
	registry_put(registry, push);
	latch_wait(&done);
	if (!push->ok && err)
		*err = push->err;
	return push->ok;
}
