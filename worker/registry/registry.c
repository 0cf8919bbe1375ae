/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include "common/check.h"
#include "worker/registry/absent_manifests.h"
#include "worker/registry/asked_blobs.h"
#include "worker/registry/blob_places.h"
#include "worker/registry/contents.h"
#include "worker/registry/known_blobs.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/pull_counts.h"
#include "worker/registry/push_memory.h"
#include "worker/registry/registry_priv.h"
#include "worker/registry/repository_room.h"
#include "worker/storage/store.h"

#define PULLS_ROWS_MAX 65536u

static bool take_room(void *arg, struct str name, int64_t *ret_until_s, struct error *err)
{
	return repository_room_take(arg, name, ret_until_s, err);
}

struct registry *registry_new(const struct registry_settings *settings)
{
	struct registry *registry = xnew(struct registry);
	struct uploads_settings uploads = {
		.spool = settings->spool, .self = settings->self, .bounds = settings->uploads
	};

	registry->store = settings->store;
	registry->spool = settings->spool;
	registry->pool = settings->pool;
	registry->cache = settings->cache;
	registry->options = settings->options;
	registry->manifests = manifest_cache_new(settings->manifest_cache_bytes);
	registry->absent = absent_manifests_new();
	registry->indexes = indexes_new(settings->store, settings->pool, settings->trust, settings->trust_arg,
		settings->index_cache_bytes);
	if (settings->index_log_bytes)
		indexes_set_log(registry->indexes, settings->index_log_bytes);
	if (settings->index_keep_us)
		indexes_set_keep(registry->indexes, settings->index_keep_us);
	registry->room = repository_room_new(settings->store);
	repository_room_set(registry->room, settings->repositories_most);
	indexes_set_room(registry->indexes, take_room, registry->room);
	registry->uploads = uploads_new(&uploads);
	registry->push_memory = push_memory_new(settings->push_bytes);
	registry->known = known_blobs_new();
	registry->places = blob_places_new();
	registry->contents = contents_new();
	registry->asked = asked_blobs_new(settings->collect_delay_ms);
	registry->pulls_every_ms = settings->pulls_every_ms;
	if (settings->pulls_every_ms)
		registry->pulls = pull_counts_new(PULLS_ROWS_MAX);
	return registry;
}

void registry_stop(struct registry *registry)
{
	if (!registry)
		return;
	registry_end_pulls(registry);
	indexes_free(TAKE(registry->indexes));
}

void registry_free(struct registry *registry)
{
	if (!registry)
		return;
	CHECK(!registry->indexes);
	uploads_free(registry->uploads);
	push_memory_free(registry->push_memory);
	manifest_cache_free(registry->manifests);
	absent_manifests_free(registry->absent);
	known_blobs_free(registry->known);
	blob_places_free(registry->places);
	contents_free(registry->contents);
	asked_blobs_free(registry->asked);
	repository_room_free(registry->room);
	pull_counts_free(registry->pulls);
	free(registry);
}

struct index *registry_peek(struct registry *registry, struct str name)
{
	struct index *view = indexes_peek(registry->indexes, name);

	if (!view || !index_is_vacant(view))
		return view;
	index_free(view);
	return NULL;
}

bool registry_index(struct registry *registry, struct str name, struct index **ret, struct error *err)
{
	AUTO(index) *view = NULL;

	if (!indexes_get(registry->indexes, name, &view, err))
		return false;
	if (index_is_vacant(view))
		return error_set(err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
	*ret = TAKE(view);
	return true;
}

struct manifest_body *registry_manifest_peek(struct registry *registry, const struct digest *digest)
{
	return manifest_cache_find(registry->manifests, digest);
}

static bool load(struct registry *registry, struct str name, const struct digest *digest, struct buf *into,
	struct error *err)
{
	struct digest found;

	if (!store_blob_get(registry->store, name, digest, into, err)) {
		if (err->kind == ERROR_UNKNOWN) {
			err->code = "MANIFEST_UNKNOWN";
			absent_manifests_add(registry->absent, digest);
		}
		/* What lies in the store is not the client's mistake. */
		if (err->kind == ERROR_TOO_LARGE)
			err->kind = ERROR_INTERNAL;
		return error_add(err, "manifest");
	}
	found = digest_of(digest->alg, buf_str(into));
	return digest_equal(&found, digest) ||
	       error_set(err, ERROR_INTERNAL, NULL,
		       "the store returned other bytes than the manifest's digest says");
}

bool registry_manifest(struct registry *registry, struct str name, const struct digest *digest,
	struct manifest_body **ret, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(REGISTRY_MANIFEST_MAX);
	struct manifest_body *body = manifest_cache_find(registry->manifests, digest);

	if (!body) {
		if (!load(registry, name, digest, &bytes, err))
			return false;
		body = manifest_cache_put(registry->manifests, digest, buf_str(&bytes));
	}
	if (absent_manifests_has(registry->absent, digest))
		absent_manifests_forget(registry->absent, digest);
	*ret = body;
	return true;
}

bool registry_may_be_absent(struct registry *registry, const struct digest *digest)
{
	return absent_manifests_has(registry->absent, digest);
}

bool registry_manifest_read(struct registry *registry, struct str name, const struct digest *digest,
	struct buf *into, struct error *err)
{
	AUTO(manifest_body) *body = manifest_cache_find(registry->manifests, digest);

	buf_clear(into);
	if (!body)
		return load(registry, name, digest, into, err);
	buf_add(into, body->bytes);
	return buf_check(into, "manifest", err);
}

void registry_watch(struct registry *registry, index_watch_f *fn, void *arg)
{
	indexes_watch(registry->indexes, fn, arg);
}

void registry_follow(struct registry *registry, index_follow_f *fn, void *arg)
{
	indexes_follow(registry->indexes, fn, arg);
}
