/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_outage - whether the store is away: it has answered nothing for a while, whoever asked.
 *
 *     an attempt without an answer   begins one, where none is on
 *     an answer, whatever it says    ends it
 *
 * One that is on for S3_OUTAGE_GRACE_MS counts. From then on who has a client that waits fails at once instead of after a timeout,
 * so that no threads are held; one in S3_OUTAGE_TRY_MS is let through, to find the end.
 *
 * Times are clock_ms(). Zeroed: none is on.
 * Thread  any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define S3_OUTAGE_GRACE_MS 2000
#define S3_OUTAGE_TRY_MS   1000

struct s3_outage {
	atomic_int_least64_t since_ms; /* 0: none */
	atomic_int_least64_t try_ms;   /* when the next may try */
	atomic_bool told;
};

/* An attempt that was begun then has no answer now. True: it is time to tell of the outage, once. */
bool s3_outage_silent(struct s3_outage *outage, int64_t begun_ms, int64_t now_ms);
/* True: one that was told of is over; *ret_since_ms is its begin. */
bool s3_outage_answered(struct s3_outage *outage, int64_t *ret_since_ms);
bool s3_outage_is_on(const struct s3_outage *outage, int64_t now_ms);
/* May this one ask the store? */
bool s3_outage_may_try(struct s3_outage *outage, int64_t now_ms);
