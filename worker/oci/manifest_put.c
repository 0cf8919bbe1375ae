/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_put - a manifest is pushed: checked, stored, then listed in the repository's index.
 *
 *   check reference, type, ?tag=  ->  parse  ->  digest  ->  may the client?  ->  config and layers are
 *   there  ->  bytes into the store  ->  index changed (by the group commit, later)  ->  201
 *
 * Where blobs are required (settings), config and layers must be there when the config is an OCI image's or
 * the empty one; other artifacts may name content that lies elsewhere. Members of an index and subjects need
 * not be there. An image or index that is taken though something of it is missing gets a Warning, where
 * looking costs little: members are in the index, blobs of a folder are one stat() each; a bucket is not
 * asked.
 */
#include "common/check.h"
#include "common/clock.h"
#include "common/str.h"
#include "worker/auth/access.h"
#include "worker/auth/snapshot.h"
#include "worker/registry/known_blobs.h"
#include "worker/registry/manifest_load.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/uploads.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define TAG_PARAMETERS_MAX 46
#define WARN_LOOKS_MAX     128

struct push {
	struct oci_job *job;
	bool parsed;
	struct manifest manifest;
	struct digest digest;
	struct descriptor descriptor;
	char *tags[TAG_PARAMETERS_MAX + 1]; /* those of the index: the reference, or ?tag= */
	size_t tags_len;
	struct index_change change;
	uint64_t removals;                /* what is known of blobs was true when the index had so many */
	const struct descriptor *missing; /* the first that is, of `manifest` */
	unsigned missing_len;
};

static void push_free(void *own)
{
	struct push *push = own;

	if (push->parsed)
		manifest_fini(&push->manifest);
	descriptor_fini(&push->descriptor);
	for (size_t i = 0; i < push->tags_len; i++)
		free(push->tags[i]);
	free(push);
}

static bool has_tag(const struct push *push, struct str tag)
{
	for (size_t i = 0; i < push->tags_len; i++)
		if (str_is(tag, push->tags[i]))
			return true;
	return false;
}

static bool take_tag(struct push *push, struct str escaped, struct error *err)
{
	AUTO_FINI(buf) tag = buf_limit(1024);

	if (!http_unescape(escaped, true, &tag) || !tag_is_valid(buf_str(&tag)))
		return error_set(
			err, ERROR_INVALID, "MANIFEST_INVALID", "a tag parameter is not a valid tag");
	if (!has_tag(push, buf_str(&tag)))
		push->tags[push->tags_len++] = str_dup(buf_str(&tag));
	return true;
}

/* The tags that the manifest gets. *status is set where the error's own is not the one. */
static bool take_tags(struct push *push, unsigned *status, struct error *err)
{
	const struct reference *reference = &push->job->ask.route.reference;
	struct str query = push->job->ask.query, name, value;
	unsigned count = http_query_get(query, "tag", NULL);

	if (count > TAG_PARAMETERS_MAX) {
		*status = 414;
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "more than %d tag parameters",
			TAG_PARAMETERS_MAX);
	}
	if (count && !reference->is_digest)
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID",
			"tag parameters go with a digest, not with a tag");
	if (!reference->is_digest)
		push->tags[push->tags_len++] = check_strdup(reference->tag);
	while (http_query_next(&query, &name, &value))
		if (str_is(name, "tag") && !take_tag(push, value, err))
			return false;
	return true;
}

static bool check_type(const struct oci_ask *ask, unsigned *status, struct error *err)
{
	struct str type = str_of(ask->content_type), head = STR_NONE, rest = type;

	if (str_until(&rest, ';', &head))
		type = head;
	type = str_trim(type);
	if (!type.len || media_type_is_manifest(type, ask->worker->docker2s2))
		return true;
	*status = 415;
	return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "the Content-Type %.*s is not stored%s",
		(int)(type.len < 100 ? type.len : 100), type.at,
		media_type_is_manifest(type, true) ? ": Docker's schema 2 needs \"docker2s2\" in http.compat"
						   : " as a manifest");
}

static bool check_digest(struct push *push, struct error *err)
{
	const struct reference *reference = &push->job->ask.route.reference;

	push->digest =
		digest_of(reference->is_digest ? reference->digest.alg : HASH_SHA256, push->job->ask.body);
	if (reference->is_digest && !digest_equal(&push->digest, &reference->digest))
		return error_set(
			err, ERROR_INVALID, "DIGEST_INVALID", "the manifest's bytes have another digest");
	return true;
}

static bool may(const struct push *push, enum action action)
{
	const struct oci_ask *ask = &push->job->ask;

	return access_allows(ask->snapshot->access, ask->identity, name_str(&ask->route.name), action);
}

/* A tag that is there already is updated, everything else is created. */
static bool may_push(const struct push *push, const struct index *index, struct error *err)
{
	bool create = may(push, ACTION_CREATE), update = may(push, ACTION_UPDATE);
	bool ok = create;

	if (create && update)
		return true;
	for (size_t i = 0; i < push->tags_len; i++) {
		bool is_there = index && index_find_tag(index, str_of(push->tags[i]));
		if (!(is_there ? update : create))
			return error_set(err, ERROR_DENIED, "DENIED", "not allowed to %s this tag",
				is_there ? "update" : "create");
		ok = true;
	}
	return ok || error_set(err, ERROR_DENIED, "DENIED", "not allowed to create manifests");
}

static bool check_access(const struct push *push, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;
	AUTO(index) *index = NULL;

	/* One that a peer sent may have come before, and have made the tag: the index knows. */
	if (ask->has_call || (may(push, ACTION_CREATE) && may(push, ACTION_UPDATE)))
		return true;
	if (!indexes_get(ask->worker->indexes, name_str(&ask->route.name), &index, err) &&
		err->kind != ERROR_UNKNOWN)
		return false;
	return may_push(push, index, err);
}

static bool asking_is_cheap(const struct oci_ask *ask)
{
	return store_has_files(ask->worker->store);
}

static bool blob_unknown(const struct digest *digest, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return error_set(err, ERROR_UNKNOWN, "MANIFEST_BLOB_UNKNOWN", "the repository has no blob %s", text);
}

static bool is_there(const struct push *push, const struct descriptor *descriptor, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;
	struct known_blobs *known = uploads_known(ask->worker->uploads);
	struct str name = name_str(&ask->route.name);
	uint64_t size;

	if (!asking_is_cheap(ask) &&
		known_blobs_has(known, name, &descriptor->digest, push->removals, clock_ms()))
		return true;
	if (store_blob_size(ask->worker->store, name, &descriptor->digest, &size, err)) {
		known_blobs_add(known, name, &descriptor->digest, push->removals, clock_ms());
		return true;
	}
	return err->kind == ERROR_UNKNOWN && blob_unknown(&descriptor->digest, err);
}

static bool needs_blobs(const struct manifest *manifest)
{
	struct str type = manifest->has_config ? str_of(manifest->config.media_type) : STR_NONE;

	return manifest->kind == MANIFEST_IMAGE &&
	       (str_is(type, "application/vnd.oci.image.config.v1+json") ||
		       str_is(type, "application/vnd.oci.empty.v1+json"));
}

static bool check_blobs(const struct push *push, struct error *err)
{
	const struct manifest *manifest = &push->manifest;

	if (!push->job->ask.worker->settings->require_blobs || !needs_blobs(manifest))
		return true;
	if (!is_there(push, &manifest->config, err))
		return false;
	for (size_t i = 0; i < manifest->layers_len; i++)
		if (!media_type_is_nondistributable(str_of(manifest->layers[i].media_type)) &&
			!is_there(push, &manifest->layers[i], err))
			return false;
	return true;
}

/* Missing ones of an image or index that was taken. */

static void note_missing(struct push *push, const struct descriptor *descriptor)
{
	if (!push->missing_len++)
		push->missing = descriptor;
}

/* One that was seen lately spares even the stat(): if it went since, only a warning is missing. */
static void look_for_blob(struct push *push, const struct descriptor *descriptor)
{
	const struct oci_ask *ask = &push->job->ask;
	struct known_blobs *known = uploads_known(ask->worker->uploads);
	struct str name = name_str(&ask->route.name);
	struct error err;
	uint64_t size;

	if (known_blobs_has(known, name, &descriptor->digest, push->removals, clock_ms()))
		return;
	if (store_blob_size(ask->worker->store, name, &descriptor->digest, &size, &err))
		known_blobs_add(known, name, &descriptor->digest, push->removals, clock_ms());
	else if (err.kind == ERROR_UNKNOWN)
		note_missing(push, descriptor);
}

static void look_for_blobs(struct push *push)
{
	const struct manifest *manifest = &push->manifest;

	look_for_blob(push, &manifest->config);
	for (size_t i = 0; i < manifest->layers_len && i < WARN_LOOKS_MAX; i++)
		if (!media_type_is_nondistributable(str_of(manifest->layers[i].media_type)))
			look_for_blob(push, &manifest->layers[i]);
}

static void look_for_members(struct push *push)
{
	const struct oci_ask *ask = &push->job->ask;
	const struct manifest *manifest = &push->manifest;
	AUTO(index) *index = NULL;
	struct error ignored;

	(void)!indexes_get(ask->worker->indexes, name_str(&ask->route.name), &index, &ignored);
	for (size_t i = 0; i < manifest->manifests_len && i < WARN_LOOKS_MAX; i++)
		if (!index || !index_find_digest(index, &manifest->manifests[i].digest))
			note_missing(push, &manifest->manifests[i]);
}

static void look_for_missing(struct push *push)
{
	const struct oci_ask *ask = &push->job->ask;

	if (push->manifest.kind == MANIFEST_INDEX)
		look_for_members(push);
	else if (!ask->worker->settings->require_blobs && asking_is_cheap(ask) &&
		 needs_blobs(&push->manifest))
		look_for_blobs(push);
}

static void warn_of_missing(const struct push *push, struct http_response *response)
{
	char digest[DIGEST_TEXT_SIZE];

	if (!push->missing_len)
		return;
	digest_format(&push->missing->digest, digest);
	oci_reply_warning(response, "the repository has no %s%s", digest,
		push->missing_len > 1 ? " and other content that this manifest names"
				      : ", which this manifest names");
}

static bool check(struct push *push, unsigned *status, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;

	if (!check_type(ask, status, err) || !take_tags(push, status, err) ||
		!manifest_parse(
			ask->body, str_of(ask->content_type), ask->worker->docker2s2, &push->manifest, err))
		return false;
	push->parsed = true;
	return check_digest(push, err) && check_access(push, err) && check_blobs(push, err);
}

/* Where its record is to be written: what was looked at before may have been deleted meanwhile. */

/* One whose deletion ended without a word may be there or not. */
static bool check_condemned(
	const struct push *push, const struct index *view, const struct digest *digest, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;
	uint64_t size;

	if (!index_was_condemned(view, digest))
		return true;
	if (index_is_condemned(view, digest, store_clock_s(ask->worker->store)))
		return blob_unknown(digest, err);
	if (!ask->worker->settings->require_blobs ||
		store_blob_size(ask->worker->store, name_str(&ask->route.name), digest, &size, err))
		return true;
	return err->kind == ERROR_UNKNOWN && blob_unknown(digest, err);
}

static bool check_all_condemned(const struct push *push, const struct index *view, struct error *err)
{
	const struct manifest *manifest = &push->manifest;
	bool ok = !manifest->has_config || check_condemned(push, view, &manifest->config.digest, err);

	for (size_t i = 0; i < manifest->layers_len && ok; i++)
		ok = check_condemned(push, view, &manifest->layers[i].digest, err);
	for (size_t i = 0; i < manifest->manifests_len && ok; i++)
		ok = check_condemned(push, view, &manifest->manifests[i].digest, err);
	return ok && (!index_is_condemned(view, &push->digest, store_clock_s(push->job->ask.worker->store)) ||
			     error_set(err, ERROR_UNAVAILABLE, NULL,
				     "the manifest's content is just being deleted"));
}

/* Content of ours, or that we rely on, may be among what was deleted. */
static bool look_again(struct push *push, uint64_t removals, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;
	uint64_t before = push->removals;

	push->removals = removals;
	if (check_blobs(push, err) &&
		store_blob_put(ask->worker->store, name_str(&ask->route.name), &push->digest, ask->body, err))
		return true;
	push->removals = before;
	return false;
}

static bool check_in_place(struct index_change *change, const struct index *view, struct error *err)
{
	struct push *push = change->arg;
	uint64_t removals = index_removals(view);

	return may_push(push, view, err) && check_all_condemned(push, view, err) &&
	       ((removals == push->removals && !index_was_condemned(view, &push->digest)) ||
		       look_again(push, removals, err));
}

static void describe(struct push *push)
{
	const char *type = manifest_referrer_type(&push->manifest);
	/* A shallow view of the manifest's own texts; the deep copy is ours. */
	struct descriptor view = {
		.media_type = push->manifest.media_type,
		.digest = push->digest,
		.size = push->job->ask.body.len,
		.has_subject = push->manifest.has_subject,
		.subject = push->manifest.subject.digest,
		.annotations = push->manifest.annotations,
		.annotations_len = push->manifest.annotations_len,
	};

	descriptor_copy(&push->descriptor, &view);
	push->descriptor.artifact_type = type ? check_strdup(type) : NULL;
}

static struct http_response *reply_created(const struct push *push)
{
	struct http_response *response = http_response_empty(201);
	const struct oci_ask *ask = &push->job->ask;
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&push->digest, digest);
	http_response_headerf(response, "Location", "/v2/%s/manifests/%s", ask->route.name.text, digest);
	http_response_header(response, "Docker-Content-Digest", digest);
	if (push->manifest.has_subject) {
		digest_format(&push->manifest.subject.digest, digest);
		http_response_header(response, "OCI-Subject", digest);
	}
	for (size_t i = 0; i < push->tags_len && ask->route.reference.is_digest; i++)
		http_response_header(response, "OCI-Tag", push->tags[i]);
	warn_of_missing(push, response);
	return response;
}

static struct http_response *reply_refused(
	const struct oci_ask *ask, unsigned status, const struct error *err)
{
	if (err->kind == ERROR_DENIED)
		return oci_denied_reply(ask, err->text);
	return status ? oci_reply_status(status, err) : oci_reply_error(err);
}

static void on_changed(struct index_change *change)
{
	struct push *push = change->arg;
	struct oci_ask *ask = &push->job->ask;
	struct http_response *response;

	if (change->ok) {
		counter_add(&ask->counters->manifest_pushes_total, 1);
		manifest_body_free(manifest_cache_put(ask->worker->manifests, &push->digest, ask->body));
		response = reply_created(push);
	} else {
		response = reply_refused(ask, 0, &change->err);
	}
	oci_job_reply(push->job, response);
}

/* A small one becomes durable with the record in the log that lists it. *ret_bytes: what the record has to
 * have of it. */
static bool store_manifest(struct push *push, struct str *ret_bytes, uint64_t *ret_era, struct error *err)
{
	const struct oci_ask *ask = &push->job->ask;
	struct store *store = ask->worker->store;
	struct str name = name_str(&ask->route.name);
	bool listed;

	*ret_bytes = STR_NONE;
	*ret_era = 0;
	if (!store_is_lazy(store) || ask->body.len > STORE_LAZY_MAX)
		return store_blob_put(store, name, &push->digest, ask->body, err);
	listed = indexes_lists(ask->worker->indexes, name, &push->digest);
	*ret_bytes = ask->body;
	return store_blob_put_lazy(store, name, &push->digest, ask->body, listed, ret_era, err);
}

void oci_manifest_put_job(struct oci_job *job)
{
	struct push *push = xnew(struct push);
	const struct oci_ask *ask = &job->ask;
	unsigned status = 0;
	struct str bytes;
	struct error err;
	uint64_t era;

	push->job = job;
	job->own = push;
	job->own_free = push_free;
	push->removals = indexes_removals(ask->worker->indexes, name_str(&ask->route.name));
	if (!check(push, &status, &err) || !store_manifest(push, &bytes, &era, &err)) {
		oci_job_reply(job, reply_refused(ask, status, &err));
		return;
	}
	look_for_missing(push);
	describe(push);
	push->change = (struct index_change){
		.op = INDEX_PUT_MANIFEST,
		.name = ask->route.name.text,
		.id = ask->call,
		.is_call = ask->has_call,
		.sent_ms = ask->call_sent_ms,
		.issued_ms = ask->call_issued_ms,
		.descriptor = &push->descriptor,
		.tags = (const char *const *)push->tags,
		.tags_len = push->tags_len,
		.bytes = bytes,
		.era = era,
		.check = check_in_place,
		.done = on_changed,
		.arg = push,
	};
	indexes_change_here(ask->worker->indexes, &push->change);
}
