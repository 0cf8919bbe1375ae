/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member_chores - what one process of a member does without being asked, as it tells, and what is asked of it.
 *
 * What it tells comes in parts (proto/usage.h): each row is whole, the newest counts. An order stays until the process names it, MEMBER_ORDER_MS at the
 * longest: what is asked for is to happen now, or not at all. One for each chore, the newest.
 *
 * Bounds    USAGE_CHORES_MAX rows of MEMBER_CHORES_BYTES together: what is more is not kept.
 * Life      embedded, all 0 at first.
 * Thread    its owner's lock.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "common/json.h"
#include "proto/chore_view.h"
#include "proto/usage.h"

#define MEMBER_CHORES_BYTES (16u * 1024)
#define MEMBER_ORDER_MS     30000

struct member_order {
	struct usage_order order;
	int64_t until_ms;
};
struct member_chores {
	struct usage_chore *rows;
	size_t len, bytes;
	bool whole;          /* all were told once */
	struct member_order *orders;
	size_t orders_len;
};
void member_chores_fini(struct member_chores *chores); /* empty again: another process */

/* What a report brings. */
void member_chores_take(struct member_chores *chores, const struct usage_report *report);
/* As members_order(). */
bool member_chores_order(struct member_chores *chores, const struct chore_view_order *what, bool look, int64_t now_ms,
	struct usage_order *ret, struct error *err) MUST_CHECK;
/* Another leader has looked at it already. */
void member_chores_put_order(struct member_chores *chores, const struct usage_order *order, int64_t now_ms);
/* Those that are to be told; the array is the caller's, NULL where there are none. */
struct usage_order *member_chores_orders(struct member_chores *chores, int64_t now_ms, size_t *ret_len);
void member_chores_write(const struct member_chores *chores, struct json_writer *writer);
