/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow - what another leader stored comes into memory here, as it did there (ledger_follow.h).
 *
 * Everything that changes memory after the ledger has it is in an entry: entities, members, grants, lives. What is not stored and
 * still belongs to it (by whose report, who was out of grants) is the entry's note.
 *
 * Where entries that this leader has not seen are gone from the log, because it stood still for too long, it starts anew
 * (leader_start_anew()): all is loaded as at any start, so there is no second way in.
 *
 * Thread  pool, with leader_lock().
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

struct grants_staged;
struct leader;
struct members_staged;

/* All that others stored is in memory afterwards. At once where the ledger is not shared. */
bool follow_locked(struct leader *leader, struct error *err) MUST_CHECK;
/* Pool, without the lock: as far as the ledger can be asked, and not when contact is lost meanwhile. Of those that wait one asks for all. */
void follow_before(struct leader *leader);
/* After a function of the ledger failed: others were faster, and all of that is in memory now. Decide anew. False: it failed otherwise. */
bool follow_was_behind_locked(struct leader *leader, struct error *err) MUST_CHECK;

/* For those who follow: what a report changes that is not stored. */
void follow_note(const struct members_staged *member, const struct grants_staged *grants, struct buf *into);
