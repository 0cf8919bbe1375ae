/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_facts - what is known of a tag or a manifest that rules of retention ask for: when it was pushed, when it was pulled.
 *
 * The one place where the rules meet the statistics. Nothing is recorded by this version: both times are RETENTION_UNKNOWN, so that rules which ask
 * for them remove nothing.
 * Thread  any; pure.
 */
#pragma once

#include "proto/retention_decide.h"
#include "worker/index/index.h"

/* Of an entry of the view; tag NULL: of the manifest itself. */
struct retention_facts retention_facts_of(const struct index *view, const struct index_entry *entry, const char *tag);
/* Is any of them recorded at all? False: what is untagged stays for ever, and nobody need look for it. */
bool retention_facts_are_kept(void);
