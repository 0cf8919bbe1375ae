/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_quotas - the quotas of keys, users and groups, how much of each is used, and what workers hold: "quotas" of GET /api/usage.
 *
 * Those that are set now, in the windows of now, with when the next window begins ("reset"). Thread  pool.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "proto/state.h"

struct access_who;
struct leader;
struct usage_quotas {
	const char *apikey;                           /* of this key alone; NULL: of all */
	const char *group;                            /* of this group beside them, or NULL */
	const char *const *owners; size_t owners_len; /* of these users and their keys; NULL: of all */
	const struct access_who *member;              /* of the groups that this one is in beside them, or NULL */
	bool no_keys;                                 /* not of keys */
	size_t max;                                   /* rows, at most USAGE_ROWS_MAX */
};
/* Under leader_lock(). *ret_more is set where there are others. */
bool usage_quotas_put_locked(struct leader *leader, const struct state *state, const struct usage_quotas *asked,
			     struct json_writer *w, bool *ret_more, struct error *err) MUST_CHECK;
