/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expiry - API keys and workers' credentials whose validUntil has come: told once, in the audit and the log, however many leaders
 * there are and however often they start.
 *
 *     told up to (ledger) ---- those that were over since then, EXPIRY_MOST of them at a time ---> rows, and the mark, at once
 *
 * They are looked through when the first of them is due or the state is another one, EXPIRY_REST_MS apart at least. Where more than
 * EXPIRY_MOST are over in one second, one row says how many the others are.
 *
 * Thread  pool, with the leader's lock.
 */
#pragma once

#define EXPIRY_MOST 64
#define EXPIRY_REST_MS 1000

struct expiry;
struct leader;
struct expiry *expiry_new(struct leader *leader);
void expiry_free(struct expiry *expiry);
void expiry_now_locked(struct expiry *expiry);
