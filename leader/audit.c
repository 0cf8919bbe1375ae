/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/audit.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/entity_diff.h"

struct ledger_audit audit_event(const char *kind, const char *id, const char *how, const char *detail)
{
	return (struct ledger_audit){ .at_ms = clock_wall_ms(),
		.user = "",
		.apikey = "",
		.from = "",
		.kind = kind,
		.id = id,
		.how = how,
		.count = 1,
		.detail = *detail ? detail : "{}" };
}

static void describe(struct audit_batch *batch, size_t at, const struct state *state)
{
	const struct ledger_change *change = &batch->changes[at];
	const struct entity *made = change->entity;
	struct ledger_audit *row = &batch->rows[at];

	batch->details[at] = buf_limit(ENTITY_DIFF_MAX);
	entity_diff(state_find(state, entity_kind(made), entity_id(made)), made, &batch->details[at]);
	*row = audit_event(entity_kind_name(entity_kind(made)), entity_id(made).at, change->audit->how,
		buf_text(&batch->details[at]));
	row->user = change->audit->user;
	row->apikey = change->audit->apikey;
	row->from = change->audit->from;
	batch->changes[at].audit = row;
}

void audit_batch_init(
	struct audit_batch *batch, const struct state *state, const struct ledger_change *changes, size_t len)
{
	*batch = (struct audit_batch){ .changes = xnew_array(struct ledger_change, len),
		.rows = xnew_array(struct ledger_audit, len),
		.details = xnew_array(struct buf, len),
		.len = len };
	for (size_t i = 0; i < len; i++) {
		batch->changes[i] = changes[i];
		if (changes[i].audit)
			describe(batch, i, state);
	}
}

void audit_batch_fini(struct audit_batch *batch)
{
	for (size_t i = 0; i < batch->len; i++)
		buf_fini(&batch->details[i]);
	free(batch->changes);
	free(batch->rows);
	free(batch->details);
}
