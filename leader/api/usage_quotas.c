/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/usage_quotas.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "leader/grants.h"
#include "leader/leader.h"
#include "proto/access.h"

static const char *const kind_names[LIMITS_KINDS] = {
	[LIMITS_SECOND] = "second", [LIMITS_DAY] = "day", [LIMITS_MONTH] = "month", [LIMITS_BYTES] = "bytes"
};

struct quota_row {
	char *subject;
	char window[LIMITS_WINDOW_SIZE];
	enum limits_kind kind;
	uint64_t limit;
};

struct quota_rows {
	const struct usage_quotas *asked;
	struct quota_row *at;
	size_t len, max;
	bool more;
	int64_t now_s;
};

static void add_row(struct quota_rows *rows, const struct limits *limits, enum limits_kind kind)
{
	struct quota_row *row;

	rows->more |= rows->len == rows->max;
	if (rows->more)
		return;
	row = &rows->at[rows->len++];
	*row = (struct quota_row){
		.subject = check_strdup(limits->subject), .kind = kind, .limit = limits->of[kind]
	};
	limits_window(kind, rows->now_s, row->window);
}

static void add_entity(struct quota_rows *rows, const struct entity *entity)
{
	struct limits limits;

	if (!limits_of(entity, &limits))
		return;
	for (unsigned i = 0; i < LIMITS_KINDS; i++)
		if (limits.of[i])
			add_row(rows, &limits, (enum limits_kind)i);
}

static bool is_wanted(const struct usage_quotas *asked, const struct entity *entity)
{
	bool is_key = entity_kind(entity) == ENTITY_APIKEY;
	struct str owner = is_key ? str_of(entity_apikey(entity)->owner) : entity_id(entity);

	if (asked->apikey && !(is_key && str_is(entity_id(entity), asked->apikey)))
		return false;
	if (is_key && asked->no_keys)
		return false;
	if (entity_kind(entity) == ENTITY_GROUP)
		return !asked->owners || (asked->group && str_is(entity_id(entity), asked->group)) ||
		       (asked->member && access_is_in_group(asked->member, entity_id(entity)));
	for (size_t i = 0; i < asked->owners_len; i++)
		if (str_is(owner, asked->owners[i]))
			return true;
	return !asked->owners;
}

static void add_all(struct quota_rows *rows, const struct state *state)
{
	static const enum entity_kind kinds[] = { ENTITY_GROUP, ENTITY_USER, ENTITY_APIKEY };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (size_t i = 0; i < state_count(state, kinds[k]) && !rows->more; i++)
			if (is_wanted(rows->asked, state_at(state, kinds[k], i)))
				add_entity(rows, state_at(state, kinds[k], i));
}

/* Of a share nothing is used for longer than a second: what no worker has is what remains. */
static void put_row(const struct quota_row *row, int64_t now_s, const struct ledger_calls *calls,
	const struct grants_sums *sums, struct json_writer *w)
{
	char reset[CLOCK_RFC3339_SIZE];
	bool stands = row->kind == LIMITS_SECOND;
	uint64_t used = most(calls->all, sums->used + calls->ungranted);
	uint64_t taken = stands ? sums->granted : used;

	clock_rfc3339(1000 * limits_window_end_s(row->kind, now_s), reset);
	json_open_object(w);
	json_put_text(w, "subject", row->subject);
	json_put_text(w, "kind", kind_names[row->kind]);
	json_put_text(w, "window", row->window);
	json_put_uint(w, "limit", row->limit);
	json_put_uint(w, "used", used);
	json_put_uint(w, "granted", sums->granted);
	json_put_uint(w, "remaining", row->limit > taken ? row->limit - taken : 0);
	json_put_text(w, "reset", reset);
	json_close_object(w);
}

static bool put_rows_locked(
	struct leader *leader, const struct quota_rows *rows, struct json_writer *w, struct error *err)
{
	struct ledger_key_day *at = xnew_array(struct ledger_key_day, rows->len + 1);
	struct ledger_calls *calls = xnew_array(struct ledger_calls, rows->len + 1);
	bool ok;

	leader_assert_locked(leader);
	for (size_t i = 0; i < rows->len; i++)
		at[i] = (struct ledger_key_day){ rows->at[i].subject, rows->at[i].window };
	ok = ledger_calls(leader->ledger, at, rows->len, calls, err);
	json_key(w, STR("quotas"));
	json_open_array(w);
	for (size_t i = 0; ok && i < rows->len; i++) {
		struct grants_sums sums =
			grants_sums(leader->grants, rows->at[i].subject, rows->at[i].window);
		put_row(&rows->at[i], rows->now_s, &calls[i], &sums, w);
	}
	json_close_array(w);
	free(at);
	free(calls);
	return ok;
}

bool usage_quotas_put_locked(struct leader *leader, const struct state *state,
	const struct usage_quotas *asked, struct json_writer *w, bool *ret_more, struct error *err)
{
	struct quota_rows rows = { .asked = asked, .max = asked->max, .now_s = clock_wall_s() };
	bool ok;

	rows.at = xnew_array(struct quota_row, rows.max);
	add_all(&rows, state);
	ok = put_rows_locked(leader, &rows, w, err);
	for (size_t i = 0; i < rows.len; i++)
		free(rows.at[i].subject);
	free(rows.at);
	*ret_more |= rows.more;
	return ok;
}
