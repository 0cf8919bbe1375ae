/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_facts - what is known of a tag or a manifest that rules of retention ask for: when it was pushed, when it was pulled.
 *
 * The one place where the rules meet the statistics of the index. What was pushed before there were any, or by another tool, has none: RETENTION_UNKNOWN,
 * which no rule removes. Pulls are known of what was pushed since, where they are counted (storage.pullsEvery).
 * Thread  any; pure.
 */
#pragma once

#include "proto/retention_decide.h"
#include "worker/index/index.h"

struct registry;

/* Of an entry of the view; tag NULL: of the manifest itself. */
struct retention_facts retention_facts_of(const struct registry *registry, const struct index *view, const struct index_entry *entry,
	const char *tag);
