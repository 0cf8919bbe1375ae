/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage_clock.h"

#include "common/clock.h"

void usage_clock_hear(struct usage_clock *clock, int64_t now_ms)
{
	if (now_ms <= 0)
		return;
	atomic_store(&clock->ahead_ms, now_ms - clock_ms());
	atomic_store(&clock->heard, true);
}

int64_t usage_clock_s(const struct usage_clock *clock)
{
	if (!atomic_load(&clock->heard))
		return clock_wall_s();
	return (clock_ms() + atomic_load(&clock->ahead_ms)) / 1000;
}
