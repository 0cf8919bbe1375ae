/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_clock - which day it is for counts and quotas: the leader's.
 *
 * An answer carries the leader's wall clock; from there our interval clock counts on. Our own wall clock is looked at until
 * the first answer and never again, so that workers whose clocks differ, or are set, count in the same days.
 * Thread  any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* 9999-12-31: what a leader may say at most. */
#define USAGE_CLOCK_MOST_MS INT64_C(253402300799000)

struct usage_clock {
	_Atomic int64_t ahead_ms; /* of the interval clock */
	atomic_bool heard;
};
/* An answer that came now says now_ms; 0: it says nothing. */
void usage_clock_hear(struct usage_clock *clock, int64_t now_ms);
int64_t usage_clock_s(const struct usage_clock *clock); /* since 1970, UTC */
