/* SPDX-License-Identifier: Apache-2.0 */
/*
 * few - so many in a span of time and no more: for lines of the log and for calls that another side provokes.
 *
 *     if (few_take(&feed->said, 10, 60000, clock_ms()))
 *             log_warn(...);
 *
 * A plain value, all zeros at first; every time is the caller's, from a clock that only goes on.
 * Thread  whoever holds the owner's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct few {
	int64_t since_ms;
	unsigned taken;
};

static inline bool few_take(struct few *few, unsigned most, int64_t span_ms, int64_t now_ms)
{
	if (!few->taken || now_ms - few->since_ms >= span_ms)
		*few = (struct few){ .since_ms = now_ms };
	if (few->taken == most)
		return false;
	few->taken++;
	return true;
}
