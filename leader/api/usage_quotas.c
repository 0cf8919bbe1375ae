/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/usage_quotas.h"

#include "common/clock.h"
#include "leader/leader.h"
#include "leader/quota_rows.h"
#include "proto/access.h"

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

static void add_all(struct quota_rows *rows, const struct usage_quotas *asked, const struct state *state)
{
	static const enum entity_kind kinds[] = { ENTITY_GROUP, ENTITY_USER, ENTITY_APIKEY };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (size_t i = 0; i < state_count(state, kinds[k]) && !rows->more; i++)
			if (is_wanted(asked, state_at(state, kinds[k], i)))
				quota_rows_add(rows, state_at(state, kinds[k], i));
}

bool usage_quotas_put_locked(struct leader *leader, const struct state *state,
	const struct usage_quotas *asked, struct json_writer *w, bool *ret_more, struct error *err)
{
	AUTO_FINI(quota_rows) rows;
	bool ok;

	quota_rows_init(&rows, asked->max, clock_wall_s());
	add_all(&rows, asked, state);
	ok = quota_rows_read_locked(leader, &rows, err);
	json_key(w, STR("quotas"));
	json_open_array(w);
	for (size_t i = 0; ok && i < rows.len; i++) {
		json_open_object(w);
		quota_row_write(&rows.at[i], w);
		json_close_object(w);
	}
	json_close_array(w);
	*ret_more |= rows.more;
	return ok;
}
