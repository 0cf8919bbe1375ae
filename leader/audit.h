/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - what was changed, by whom and from where, as the ledger keeps it (struct ledger_audit in ledger.h).
 *
 *     a change of entities     whoever makes it names who and how (ledger_change.audit); leader_write_locked() says what it was and is,
 *                              and the ledger stores both or none of them
 *     a member is forgotten    with the row of the member that goes
 *     what is over by itself   expiry.h, once
 *     what was refused         refusals.h, as sums
 *
 * What the cluster does all the time by itself (rings, members that come and go, the peers' secret) is no audit; the log has it.
 *
 * Thread  any.
 */
#pragma once

#include "leader/ledger.h"

/* Changes with their rows, for the ledger; those of whoever asked have who and how alone. */
struct audit_batch {
	struct ledger_change *changes; /* as many as were given */
	struct ledger_audit *rows;
	struct buf *details;
	size_t len;
};
/* `state` is the one that they change. Borrows what the changes have. */
void audit_batch_init(struct audit_batch *batch, const struct state *state, const struct ledger_change *changes, size_t len);
void audit_batch_fini(struct audit_batch *batch);

/* Of the leader itself, of a kind that is no entity's, or without values: detail is a JSON object, "" for none. */
struct ledger_audit audit_event(const char *kind, const char *id, const char *how, const char *detail);
