/* SPDX-License-Identifier: Apache-2.0 */
#include "common/gentle.h"

#include <time.h>

#include "common/check.h"
#include "common/clock.h"

_Thread_local int64_t gentle_since_us;

void gentle_begin(void)
{
	CHECK(!gentle_since_us);
	gentle_since_us = clock_us();
}

void gentle_end(void)
{
	CHECK(gentle_since_us);
	gentle_since_us = 0;
}

void gentle_look(void)
{
	static const struct timespec rest = { .tv_nsec = GENTLE_REST_US * 1000L };

	if (clock_us() - gentle_since_us < GENTLE_SLICE_US)
		return;
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
	gentle_since_us = clock_us();
}
