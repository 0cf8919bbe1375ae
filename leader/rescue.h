/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rescue - a store that went back or is gone is made again from what this leader has in memory (ledger_follow.h).
 *
 * By an admin, on purpose: entities, members and grants become a store of a higher generation, so workers follow it. Usage and the audit are
 * what the store still has. Then this leader starts anew; the others find another history and are to be restarted.
 *
 * Thread  pool.
 */
#pragma once

#include "common/error.h"
#include "proto/history.h"

struct leader;
/* ERROR_INVALID: the store is this leader's alone. ERROR_CONFLICT: it has all that this leader has. */
bool rescue_store(struct leader *leader, struct history *ret, struct error *err) MUST_CHECK;
