/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_clock - the store's own clock, learnt from the `Date` of each answer.
 *
 *     our clock    sent ------------------------------ heard            Date: when the answer was made, somewhere
 *     the store's         [ Date ... Date + 1 second )                  between, cut to whole seconds
 *
 * So each answer gives the least and the most that the store's clock can be ahead of ours. What is believed is moved into
 * these bounds, and no further: quick answers narrow it down, one that was long on its way changes nothing, and a clock
 * that was set is followed at once, in both directions. Mostly it is a little behind the store's, never much before it.
 *
 * Thread  any; one atomic number.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

/* All zero at first. */
struct s3_clock {
	atomic_int_least64_t ahead_ms; /* of clock_ms(); 0: no answer yet */
	atomic_int_least64_t told_ms;  /* when it was last said that ours is off; 0: never */
};

/* A request that was sent at sent_ms was answered, heard at heard_ms (both clock_ms(); rather too early and too late than
 * the other way round), with that Date. */
void    s3_clock_learn(struct s3_clock *clock, int64_t sent_ms, int64_t heard_ms, int64_t date_s);
/* The last Date and the time since; the wall clock before the first answer. */
int64_t s3_clock_now_ms(const struct s3_clock *clock);
int64_t s3_clock_now_s(const struct s3_clock *clock);
bool    s3_clock_is_known(const struct s3_clock *clock);
/* Is the wall clock off by so much that it should be said? True once an hour. */
bool    s3_clock_should_tell(struct s3_clock *clock, int64_t date_s);
/* "Fri, 24 May 2013 00:00:00 GMT"; false for anything else. */
bool    s3_clock_parse(const char *text, int64_t *ret_wall_s) MUST_CHECK;
/* "2013-05-24T00:00:00.000Z", with a fraction or without; false for anything else. */
bool    s3_clock_parse_iso(const char *text, int64_t *ret_wall_s) MUST_CHECK;
/* S3 allows 15 minutes of difference; some stores 5. */
#define S3_CLOCK_OFF_S 120
