/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusals - logins and changes that were refused, as sums for the audit: a row for each address and minute, not one for each.
 *
 *     401, 403, 429 --> refusals_add()  counted for its address; REFUSALS_ADDRESSES of a minute have a row, all others share one
 *     the sweep     --> refusals_take() when the minute is over
 *
 * A row says how many there were of each status, and of the first one why and by which name. What was not taken when a process
 * dies is lost; its lines in the log are not.
 *
 * Thread  any.
 */
#pragma once

#include "common/cleanup.h"
#include "common/ip.h"
#include "leader/ledger.h"
#include "proto/login_refusal.h"

#define REFUSALS_ADDRESSES 16
#define REFUSALS_ROWS (REFUSALS_ADDRESSES + 1)
#define REFUSALS_SPAN_MS 60000

struct refusals;
struct refusals *refusals_new(void);
void refusals_free(struct refusals *refusals);
AUTO_DEFINE(refusals)

/* True: the first of its address in this minute, which refusals_explain() says more of. */
bool refusals_add(struct refusals *refusals, const struct ip *from, unsigned status, int64_t now_ms);
void refusals_explain(struct refusals *refusals, const struct ip *from, const struct login_refusal *why);

/* Rows for the ledger, with what they point to. */
struct refusals_rows {
	struct ledger_audit at[REFUSALS_ROWS];
	size_t len;
	struct refusals_memory *memory;
};
/* None while the minute is not over, unless `now`. */
void refusals_take(struct refusals *refusals, int64_t now_ms, bool now, struct refusals_rows *ret);
void refusals_rows_fini(struct refusals_rows *rows);
