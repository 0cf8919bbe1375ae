/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "worker/registry/asked_blobs.h"
#include "worker/registry/known_blobs.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

bool registry_has_seen(
	struct registry *registry, struct str name, const struct digest *digest, uint64_t *ret_size)
{
	AUTO(index) *view = registry_peek(registry, name);
	int64_t now_ms = clock_ms();

	return view && !index_is_condemned(view, digest, store_clock_s(registry->store, name)) &&
	       !index_was_condemned(view, digest) &&
	       known_blobs_since(registry->known, name, digest, index_removals(view),
		       now_ms - REGISTRY_SEEN_MS, ret_size);
}

bool registry_had_seen(struct registry *registry, struct str name, const struct digest *digest,
	int64_t silent_ms, uint64_t *ret_size)
{
	return store_silent_ms(registry->store, name) >= silent_ms &&
	       known_blobs_since(registry->known, name, digest, indexes_removals(registry->indexes, name),
		       clock_ms() - REGISTRY_SEEN_MS, ret_size);
}

uint64_t registry_seen_mark(struct registry *registry, struct str name)
{
	return indexes_removals(registry->indexes, name);
}

void registry_saw(
	struct registry *registry, struct str name, const struct digest *digest, uint64_t size, uint64_t mark)
{
	known_blobs_add(registry->known, name, digest, size, mark, clock_ms());
}

void registry_was_asked(struct registry *registry, struct str name, const struct digest *digest)
{
	asked_blobs_add(registry->asked, name, digest, clock_ms());
}

bool registry_is_going(struct registry *registry, struct str name, const struct digest *digest)
{
	AUTO(index) *view = registry_peek(registry, name);

	return view && index_is_condemned(view, digest, store_clock_s(registry->store, name));
}
