/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate_limit - how many requests a second one client address may make: a token bucket for each.
 *
 * A bucket holds max(1, rate) tokens and fills at `rate` a second. There is one for all requests of
 * an address and one for each limited method; a request needs a token of both and takes none when
 * it is refused. A v6 client is its /64, since that is what one customer is given.
 *
 * The table holds 65,536 addresses (about 7 MiB when full), in 64 parts with a lock each; in a full part the
 * address that was longest away is forgotten and begins anew with a full bucket. So an attacker with
 * more addresses than that is not limited by this; it keeps each address in bounds, not their sum.
 *
 * Source  a bucket is one number, the time at which it is full again (the generic cell rate
 *         algorithm of ITU-T I.371, in its virtual scheduling form).
 * Thread  any.
 */
#pragma once

#include "common/http.h"
#include "common/ip.h"

#define RATE_LIMIT_METHODS (HTTP_OTHER + 1)
#define RATE_LIMIT_MAX     1000000 /* a second */

/* Requests a second; 0 is no limit. */
struct rate_rules {
	uint32_t all;
	uint32_t method[RATE_LIMIT_METHODS];
};

struct rate_refusal {
	uint32_t limit;        /* a second: of the bucket that refused */
	int64_t retry_after_s; /* until there is a token, rounded up, at least 1 */
	int64_t reset_s;       /* until the bucket is full, rounded up */
};

struct rate_limit;
struct rate_limit *rate_limit_new(void); /* without rules: nothing is limited */
void rate_limit_free(struct rate_limit *limit);
AUTO_DEFINE(rate_limit)
/* From now on; buckets keep what they have. Thread  one at a time. */
void rate_limit_set(struct rate_limit *limit, const struct rate_rules *rules);
/* now_us: monotonic. False: refused, and *ret says until when. */
bool rate_limit_take(struct rate_limit *limit, const struct ip *client, enum http_method method, int64_t now_us,
		     struct rate_refusal *ret) MUST_CHECK;
