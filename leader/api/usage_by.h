/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_by - what users or groups used together: "users" or "groups" of GET /api/usage?by=user|group.
 *
 *     each row of a key --> its owner --[by group: the groups that he is in now]--> sums by name: the first n behind `last`
 *
 * All rows of the window that were asked for go by, each once, however many there are; only the page is kept: a name that falls out of
 * it is behind all that are in it, and so would be what comes of it later. So sums are exact, and memory is that of a page (beside
 * what the ledger needs to give each row once: ledger_list_keys()). Names are in the order of bytes. Numbers stop at INT64_MAX.
 *
 * Thread  pool.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "leader/ledger.h"
#include "proto/state.h"

#define USAGE_BY_NAME_MAX 1023 /* bytes; no name is longer */

struct leader;
struct usage_by {
	bool groups;              /* else users */
	const struct ledger_keys *keys; /* with a window */
	const char *last;         /* NULL: from the first */
	size_t n;                 /* at least 1 */
};
struct usage_by_told {
	struct ledger_usage sums; /* of all rows that were asked for, on whatever page; calls and bytes alone */
	bool more;                /* there is another page, behind: */
	char last[USAGE_BY_NAME_MAX + 1];
};
/* Under leader_lock(). An array, as the value that is to be written next. */
bool usage_by_put_locked(struct leader *leader, const struct state *state, const struct usage_by *asked, struct json_writer *w,
			 struct usage_by_told *ret, struct error *err) MUST_CHECK;
