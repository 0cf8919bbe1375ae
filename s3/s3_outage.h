/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_outage - whether the store is away: it has answered nothing for a while, whoever asked.
 *
 *     an attempt without an answer   begins one, where none is on
 *     an answer, whatever it says    ends it
 *
 * One that is on for S3_OUTAGE_GRACE_MS counts. From then on at most S3_OUTAGE_TRIES of those that have a client ask the store at a
 * time, and find the end; the others fail at once instead of after a timeout, so that no threads are held. (Not fewer: what is
 * silent may be one object alone, which many ask for.)
 *
 * Times are clock_ms(). Zeroed: none is on.
 * Thread  any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define S3_OUTAGE_GRACE_MS 2000
#define S3_OUTAGE_TRIES    8

struct s3_outage {
	atomic_int_least64_t since_ms; /* 0: none */
	atomic_uint tries;             /* now */
	atomic_bool told;
};

/* An attempt that was begun then has no answer now. True: it is time to tell of the outage, once. */
bool s3_outage_silent(struct s3_outage *outage, int64_t begun_ms, int64_t now_ms);
/* True: one that was told of is over; *ret_since_ms is its begin. */
bool s3_outage_answered(struct s3_outage *outage, int64_t *ret_since_ms);
/* For how long it has answered nobody; 0: it answers. */
int64_t s3_outage_ms(const struct s3_outage *outage, int64_t now_ms);
bool s3_outage_is_on(const struct s3_outage *outage, int64_t now_ms);
/* May this one ask the store? If so it leaves afterwards, with *ret_counted. */
bool s3_outage_enter(struct s3_outage *outage, int64_t now_ms, bool *ret_counted);
void s3_outage_leave(struct s3_outage *outage, bool counted);
