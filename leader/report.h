/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - PUT /api/cluster/quotas: one report of a worker, merged exactly once, answered with lease and grants.
 *
 * docs/cluster-protocol.md says what each part of it means, and when it is believed. What is answered is durable; where it
 * fails nothing has changed but the lease of a member that stays as it is.
 * Thread  pool.
 */
#pragma once

#include "common/buf.h"
#include "proto/usage.h"

struct leader;
/* ERROR_CONFLICT: another process of that name is alive, or the process whose counts these are, or the one whose end they tell
 * was heard not long ago. ERROR_INVALID: seq, after. The answer's members are owned (usage_answer_fini). */
bool report_merge(struct leader *leader, const struct usage_report *report, struct usage_answer *ret_answer, struct error *err) MUST_CHECK;
/* A beat that another leader has answered (fellows.h): the member has its lease here too. What it would change in the ledger is not done. */
void report_overhear(struct leader *leader, const struct usage_report *report);
