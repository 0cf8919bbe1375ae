/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include "worker/registry/blob_places.h"
#include "worker/storage/store.h"

struct mount {
	struct registry *registry;
	struct str name;
	const struct digest *digest;
	registry_may_read_f *may_read;
	void *arg;
};

static bool has_blob(const struct mount *mount, struct str name)
{
	struct error ignored;
	uint64_t size;

	return store_blob_size(mount->registry->store, name, mount->digest, &size, &ignored);
}

static bool mount_from(const struct mount *mount, struct str from)
{
	struct error ignored;

	return !str_equal(from, mount->name) && mount->may_read(mount->arg, from) &&
	       store_blob_mount(mount->registry->store, from, mount->name, mount->digest, &ignored);
}

/* Where one of its places lacks it, that place is forgotten. */
static bool mount_from_anywhere(const struct mount *mount)
{
	struct blob_places *places = mount->registry->places;
	struct name from;

	for (unsigned i = 0; i < BLOB_PLACES_OF_ONE; i++) {
		if (!blob_places_at(places, mount->digest, i, &from))
			continue;
		if (mount_from(mount, name_str(&from)))
			return true;
		if (!has_blob(mount, name_str(&from)))
			blob_places_forget(places, mount->digest, name_str(&from));
	}
	return false;
}

/* Who collects is the owner. Elsewhere only what is linked or copied now is young enough to be relied on. */
static bool may_say_there(const struct mount *mount)
{
	const struct registry *registry = mount->registry;

	return !registry->options.collects || !registry->owns ||
	       registry->owns(registry->owns_arg, mount->name);
}

bool registry_mount(struct registry *registry, struct str name, const struct digest *digest, struct str from,
	registry_may_read_f *may_read, void *arg)
{
	const struct mount mount = { registry, name, digest, may_read, arg };

	if (may_say_there(&mount) && has_blob(&mount, name)) {
		registry_was_asked(registry, name, digest);
		return !registry_is_going(registry, name, digest);
	}
	if (!(from.at ? mount_from(&mount, from) : mount_from_anywhere(&mount)))
		return false;
	blob_places_add(registry->places, digest, name);
	return true;
}
