/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/retention_guard.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/manifest_walk.h"
#include "worker/registry/registry.h"

struct retention_guard {
	struct registry *registry;
	char *name;
	struct index *seen; /* up to which it looked */
	struct map *tags, *digests;
};

/* New indexes of a view, that are to be read. */
struct looking {
	struct retention_guard *guard;
	const struct index *view;
	bool ok;
	struct error *err;
};

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static void protect(struct retention_guard *guard, const struct digest *digest)
{
	(void)map_put(guard->digests, key_of(digest), guard);
}

struct retention_guard *retention_guard_new(
	struct registry *registry, struct str name, const struct index *view)
{
	struct retention_guard *guard = xnew(struct retention_guard);

	guard->registry = registry;
	guard->name = str_dup(name);
	guard->seen = index_keep(view);
	guard->tags = map_new();
	guard->digests = map_new();
	return guard;
}

void retention_guard_free(struct retention_guard *guard)
{
	if (!guard)
		return;
	index_free(guard->seen);
	map_free(guard->tags);
	map_free(guard->digests);
	free(guard->name);
	free(guard);
}

/* ---- what is new ---- */

static void on_tag(void *arg, struct str tag, const struct index_entry *entry)
{
	struct retention_guard *guard = arg;

	if (!entry)
		return;
	(void)map_put(guard->tags, tag, guard);
	protect(guard, &entry->descriptor.digest);
}

/* One that is no manifest after all names nothing. */
static bool protect_named(struct retention_guard *guard, const struct descriptor *index, struct error *err)
{
	AUTO(manifest_body) *body = NULL;
	struct manifest manifest;

	if (!registry_manifest(guard->registry, str_of(guard->name), &index->digest, &body, err))
		return err->kind == ERROR_UNKNOWN;
	if (!manifest_parse(body->bytes, str_of(index->media_type), true, &manifest, err))
		return err->kind != ERROR_BUSY;
	for (size_t i = 0; i < manifest.manifests_len; i++)
		protect(guard, &manifest.manifests[i].digest);
	manifest_fini(&manifest);
	return true;
}

static void on_manifest(void *arg, const struct index_entry *entry, bool in_after)
{
	struct looking *looking = arg;

	if (!in_after || !looking->ok)
		return;
	protect(looking->guard, &entry->descriptor.digest);
	if (entry->descriptor.has_subject)
		protect(looking->guard, &entry->descriptor.subject);
	if (manifest_entry_is_index(entry))
		looking->ok = protect_named(looking->guard, &entry->descriptor, looking->err);
}

static bool look(struct retention_guard *guard, const struct index *view, struct error *err)
{
	struct error ignored;
	struct looking looking = { guard, view, true, err ? err : &ignored };

	index_compare(guard->seen, view, on_manifest, &looking);
	if (!looking.ok)
		return false;
	index_compare_tags(guard->seen, view, on_tag, guard);
	index_free(guard->seen);
	guard->seen = index_keep(view);
	return true;
}

/* ---- may it go ---- */

static bool refuse(struct error *err)
{
	return error_set(err, ERROR_CONFLICT, NULL, "the repository has changed meanwhile");
}

bool retention_guard_allows_tag(
	struct retention_guard *guard, const struct index *view, struct str tag, struct error *err)
{
	return look(guard, view, err) && (!map_find(guard->tags, tag) || refuse(err));
}

bool retention_guard_allows_manifest(struct retention_guard *guard, const struct index *view,
	const struct digest *digest, struct error *err)
{
	return look(guard, view, err) && (!map_find(guard->digests, key_of(digest)) || refuse(err));
}
