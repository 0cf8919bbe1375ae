/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - GET /api/cluster/state: answers at once, or parks the request until there is something newer.
 *
 * Every write wakes all parked polls by one post. A poll whose time is over gets 304.
 * Thread  the leader's loop, but for feed_changed().
 */
#pragma once

#include <stdint.h>

struct feed;
struct http_request;
struct leader;
struct feed *feed_new(struct leader *leader);
void feed_free(struct feed *feed);
/* Authenticated already; replies now or later. */
void feed_serve(struct feed *feed, struct http_request *request);
void feed_changed(struct feed *feed); /* Thread  any */
void feed_close(struct feed *feed);   /* answers all parked polls with 304, parks no more */
uint64_t feed_parked(const struct feed *feed);
