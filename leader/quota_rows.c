/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/quota_rows.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "leader/grants.h"
#include "leader/leader.h"

static const char *const kind_names[LIMITS_KINDS] = {
	[LIMITS_SECOND] = "second", [LIMITS_DAY] = "day", [LIMITS_MONTH] = "month", [LIMITS_BYTES] = "bytes"
};

void quota_rows_init(struct quota_rows *rows, size_t max, int64_t now_s)
{
	*rows = (struct quota_rows){ .max = max, .now_s = now_s, .at = xnew_array(struct quota_row, max) };
}

void quota_rows_fini(struct quota_rows *rows)
{
	for (size_t i = 0; i < rows->len; i++)
		free(rows->at[i].subject);
	free(rows->at);
}

void quota_rows_add_one(struct quota_rows *rows, const char *subject, enum limits_kind kind, uint64_t limit)
{
	struct quota_row *row;

	rows->more |= rows->len == rows->max;
	if (rows->more)
		return;
	row = &rows->at[rows->len++];
	*row = (struct quota_row){ .subject = check_strdup(subject),
		.kind = kind,
		.limit = limit,
		.reset_s = limits_window_end_s(kind, rows->now_s) };
	limits_window(kind, rows->now_s, row->window);
}

void quota_rows_add(struct quota_rows *rows, const struct entity *entity)
{
	struct limits limits;

	if (!limits_of(entity, &limits))
		return;
	for (unsigned i = 0; i < LIMITS_KINDS; i++)
		if (limits.of[i])
			quota_rows_add_one(rows, limits.subject, (enum limits_kind)i, limits.of[i]);
}

static void take(struct quota_row *row, const struct ledger_calls *calls, const struct grants_sums *sums)
{
	uint64_t taken;

	row->used = most(calls->all, sums->used + calls->ungranted);
	row->granted = sums->granted;
	taken = row->kind == LIMITS_SECOND ? row->granted : row->used;
	row->remaining = row->limit > taken ? row->limit - taken : 0;
}

bool quota_rows_read_locked(struct leader *leader, struct quota_rows *rows, struct error *err)
{
	struct ledger_key_day *at = xnew_array(struct ledger_key_day, rows->len + 1);
	struct ledger_calls *calls = xnew_array(struct ledger_calls, rows->len + 1);
	bool ok;

	leader_assert_locked(leader);
	for (size_t i = 0; i < rows->len; i++)
		at[i] = (struct ledger_key_day){ rows->at[i].subject, rows->at[i].window };
	ok = !rows->len || ledger_calls(leader->ledger, at, rows->len, calls, err);
	for (size_t i = 0; ok && i < rows->len; i++) {
		struct grants_sums sums =
			grants_sums(leader->grants, rows->at[i].subject, rows->at[i].window);
		take(&rows->at[i], &calls[i], &sums);
	}
	free(at);
	free(calls);
	return ok;
}

void quota_row_write(const struct quota_row *row, struct json_writer *w)
{
	char reset[CLOCK_RFC3339_SIZE];

	clock_rfc3339(1000 * row->reset_s, reset);
	json_put_text(w, "subject", row->subject);
	json_put_text(w, "kind", kind_names[row->kind]);
	json_put_text(w, "window", row->window);
	json_put_uint(w, "limit", row->limit);
	json_put_uint(w, "used", row->used);
	json_put_uint(w, "granted", row->granted);
	json_put_uint(w, "remaining", row->remaining);
	json_put_text(w, "reset", reset);
}
