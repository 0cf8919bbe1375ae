/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/retention_facts.h"

struct retention_facts retention_facts_of(
	const struct index *view, const struct index_entry *entry, const char *tag)
{
	(void)view;
	(void)entry;
	(void)tag;
	return (struct retention_facts){ .pushed_ms = RETENTION_UNKNOWN, .pulled_ms = RETENTION_UNKNOWN };
}

bool retention_facts_are_kept(void)
{
	return false;
}
