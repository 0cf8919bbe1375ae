/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/retention_facts.h"

#include "worker/registry/registry.h"

/* One that was never pulled says so only if its pulls would have been counted since it was pushed. */
static int64_t pulled_of(const struct registry *registry, const struct index_stats *stats)
{
	if (stats->pulled_ms)
		return stats->pulled_ms;
	return stats->pushed_ms && registry->pulls_every_ms ? 0 : RETENTION_UNKNOWN;
}

struct retention_facts retention_facts_of(const struct registry *registry, const struct index *view,
	const struct index_entry *entry, const char *tag)
{
	struct index_stats stats = { 0 };
	bool found = tag ? index_tag_stats(view, str_of(tag), &stats)
			 : index_digest_stats(view, &entry->descriptor.digest, &stats);

	if (!found)
		return (struct retention_facts){ RETENTION_UNKNOWN, RETENTION_UNKNOWN };
	return (struct retention_facts){ .pushed_ms = stats.pushed_ms ? stats.pushed_ms : RETENTION_UNKNOWN,
		.pulled_ms = pulled_of(registry, &stats) };
}
