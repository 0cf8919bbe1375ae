/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expiry - API keys and workers' credentials whose validUntil has come: told once, in the audit and the log, however many leaders
 * there are and however often they start.
 *
 *     told up to (ledger) ---- those that were over since then, EXPIRY_MOST of them at a time ---> rows, and the mark, at once
 *
 * A heap has them by their ends, so a change costs no more where there are many. It is looked at EXPIRY_REST_MS apart at least. Where more
 * than EXPIRY_MOST are over in one second, one row says how many the others are.
 *
 * Thread  pool, with the leader's lock.
 */
#pragma once

#include <stddef.h>

#define EXPIRY_MOST 64
#define EXPIRY_REST_MS 1000

struct expiry;
struct leader;
struct expiry *expiry_new(struct leader *leader);
void expiry_free(struct expiry *expiry);
void expiry_now_locked(struct expiry *expiry);
/* These are in the state now. NULL: nobody looks. */
struct entity;
void expiry_note(struct expiry *expiry, struct entity *const *entities, size_t len);
