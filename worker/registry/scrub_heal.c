/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_heal - a good copy of a blob that is rotten, from wherever there is one.
 */
#include <errno.h>
#include <unistd.h>

#include "common/check.h"
#include "worker/registry/blob_places.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/registry.h"
#include "worker/registry/scrub_priv.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/pace.h"

struct healing {
	struct scrub *scrub;
	const struct digest *digest;
	bool healed;
};

static struct str name_of(const struct healing *h)
{
	return str_of(h->scrub->place.name);
}

static bool may_go_on(const struct healing *h)
{
	return pace_go_on(h->scrub->how.pace);
}

/* ---- what is in memory, and in the cache ---- */

static bool from_memory(const struct healing *h)
{
	struct registry *registry = h->scrub->registry;
	AUTO(manifest_body) *body = registry_manifest_peek(registry, h->digest);
	struct error err;

	if (!body)
		return false;
	if (store_blob_put(registry->store, name_of(h), h->digest, body->bytes, &err))
		return true;
	scrub_note_failure(h->scrub, &err);
	return false;
}

/* Its disk rots as others do. */
static bool is_right(const struct healing *h, int fd)
{
	AUTO(hasher) *hasher = hasher_new(h->digest->alg);
	struct digest found;
	ssize_t n = 1;

	for (off_t at = 0; n && may_go_on(h); at += n) {
		n = pread(fd, h->scrub->piece, SCRUB_PIECE, at);
		if (n < 0)
			return false;
		hasher_add(hasher, h->scrub->piece, (size_t)n);
		scrub_spend(h->scrub, (uint64_t)n);
	}
	found = digest_of_hasher(h->digest->alg, hasher);
	return !n && digest_equal(&found, h->digest);
}

static bool from_cache(const struct healing *h)
{
	struct registry *registry = h->scrub->registry;
	AUTO_FD fd = -1;
	uint64_t size;
	struct error err;

	if (!blob_cache_get(registry->cache, h->digest, &fd, &size))
		return false;
	if (!is_right(h, fd)) {
		blob_cache_forget(registry->cache, h->digest);
		return false;
	}
	if (store_blob_put_file(registry->store, name_of(h), h->digest, fd, NULL, size, &err))
		return true;
	scrub_note_failure(h->scrub, &err);
	return false;
}

/* ---- another repository ---- */

static bool has_right(const struct healing *h, struct str name)
{
	AUTO(store_reading) *reading = NULL;
	AUTO(hasher) *hasher = hasher_new(h->digest->alg);
	struct digest found;
	struct error ignored;
	size_t len = SCRUB_PIECE;

	scrub_spend(h->scrub, SCRUB_ASK);
	if (!store_reading_new(h->scrub->registry->store, name, h->digest, &reading, &ignored) ||
		reading->aside)
		return false;
	while (len == SCRUB_PIECE) {
		if (!may_go_on(h) ||
			!store_reading_next(reading, h->scrub->piece, SCRUB_PIECE, &len, &ignored))
			return false;
		hasher_add(hasher, h->scrub->piece, len);
		scrub_spend(h->scrub, len);
	}
	found = digest_of_hasher(h->digest->alg, hasher);
	return digest_equal(&found, h->digest);
}

/* The one that is rotten itself is found when it is looked at. */
static bool take_from(const struct healing *h, struct str name)
{
	struct error err;

	if (str_equal(name, name_of(h)) || !has_right(h, name))
		return false;
	if (store_blob_mount(h->scrub->registry->store, name, name_of(h), h->digest, &err))
		return true;
	if (err.kind != ERROR_UNKNOWN && err.kind != ERROR_INVALID)
		scrub_note_failure(h->scrub, &err);
	return false;
}

static bool on_repository(void *arg, struct str name)
{
	struct healing *h = arg;

	h->healed = take_from(h, name);
	return !h->healed && may_go_on(h);
}

/* Where it was seen lately first. */
static bool from_repository(struct healing *h)
{
	struct registry *registry = h->scrub->registry;
	struct error err;
	struct name name;

	for (unsigned i = 0; i < BLOB_PLACES_OF_ONE; i++)
		if (blob_places_at(registry->places, h->digest, i, &name) && take_from(h, name_str(&name)))
			return true;
	if (!store_catalog_each(registry->store, on_repository, h, &err))
		scrub_note_failure(h->scrub, &err);
	return h->healed;
}

bool scrub_heal(struct scrub *scrub, const struct digest *digest, const char **ret_from)
{
	struct healing h = { .scrub = scrub, .digest = digest };

	if (from_memory(&h))
		*ret_from = "memory";
	else if (from_cache(&h))
		*ret_from = "cache";
	else if (from_repository(&h))
		*ret_from = "another repository";
	else if (scrub->how.fetch && scrub->how.fetch(scrub->how.arg, name_of(&h), digest))
		*ret_from = "another member";
	else
		return false;
	return true;
}
