/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push - PUT /api/cluster/quotas: one push of a worker, merged exactly once, answered with lease and grants.
 *
 * Thread  pool.
 */
#pragma once

#include "common/buf.h"
#include "proto/usage.h"

struct leader;
/* ERROR_CONFLICT: another process of that name is alive. The answer's members are owned (usage_answer_fini). */
bool push_merge(struct leader *leader, const struct usage_push *push, struct usage_answer *ret_answer, struct error *err) MUST_CHECK;
