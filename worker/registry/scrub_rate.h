/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_rate - so many bytes a second, and never more than a second's worth at once: what was not read while it rested is not made up for.
 *
 * Who took more than there was (the last piece) waits the longer.
 * Thread  one. Times are the caller's, from a clock that only goes on.
 */
#pragma once

#include <stdint.h>

struct scrub_rate {
	int64_t per_s; /* at least 1 */
	int64_t have;  /* bytes; below 0: owed */
	int64_t since_ms;
};

static inline void scrub_rate_init(struct scrub_rate *rate, int64_t per_s, int64_t now_ms)
{
	*rate = (struct scrub_rate){ .per_s = per_s, .since_ms = now_ms };
}

/* Bytes that may be read now; 0 or less: none. */
static inline int64_t scrub_rate_have(struct scrub_rate *rate, int64_t now_ms)
{
	int64_t passed_ms = now_ms - rate->since_ms, earned;

	if (passed_ms <= 0)
		return rate->have;
	/* Who is far behind counts whole seconds, so that nothing overflows. */
	if (passed_ms >= 1000)
		earned = passed_ms / 1000 > INT64_MAX / 4 / rate->per_s ? INT64_MAX / 4 : passed_ms / 1000 * rate->per_s + passed_ms % 1000 * (rate->per_s / 1000);
	else
		earned = passed_ms * rate->per_s / 1000;
	if (!earned)
		return rate->have;
	rate->have = rate->have + earned > rate->per_s ? rate->per_s : rate->have + earned;
	rate->since_ms = now_ms;
	return rate->have;
}

static inline void scrub_rate_spend(struct scrub_rate *rate, uint64_t bytes)
{
	rate->have -= bytes > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)bytes;
}
