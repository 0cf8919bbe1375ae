/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored_entities - all entities that the ledger has, read into memory: at a start, and for who changes one without a leader.
 *
 * Thread  that of the ledger's.
 */
#pragma once

#include "leader/ledger.h"

struct stored_entities {
	struct entity **at; /* references, in the order of revisions, tombstones among them */
	size_t len, room;
	struct ledger_loaded loaded;
};
/* *ret is overwritten, and must be given back whatever comes of it. */
bool stored_entities_read(struct stored_entities *ret, struct ledger *ledger, struct error *err) MUST_CHECK;
void stored_entities_fini(struct stored_entities *entities);
