/* SPDX-License-Identifier: Apache-2.0 */
/*
 * few_each - so many in a span of time for each address, so many in all, and how many there were beyond: for lines of the log that
 * anybody can make us write. The same for each name: for what one user can make us write.
 *
 *     if (few_each_take(few, &client, clock_ms()))
 *             log_warn(...);
 *     ...each second:
 *     missed = few_each_missed(few, clock_ms());
 *     if (missed)
 *             log_warn("...", "count=%" PRIu64, missed);
 *
 * Its memory is fixed (64 KiB). Addresses share 4,096 places, chosen by a hash under a key of this process: where two meet they
 * share what one has. A v6 client is its /64 (ip_client). Names lie in the same places.
 * Thread  any. Every time is the caller's, from a clock that only goes on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "common/str.h"

struct few_each_terms {
	unsigned each, all;
	int64_t span_ms;
};

struct few_each;
struct few_each *few_each_new(const struct few_each_terms *terms);
void few_each_free(struct few_each *few);
AUTO_DEFINE(few_each)

bool few_each_take(struct few_each *few, const struct ip *from, int64_t now_ms);
bool few_each_take_name(struct few_each *few, struct str name, int64_t now_ms);
/* How many were refused since this was last asked and answered; 0 also where the last answer is younger than the span. */
uint64_t few_each_missed(struct few_each *few, int64_t now_ms);
