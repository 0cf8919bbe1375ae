/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_spread - the channels of our loops to one member end at different loops of it.
 *
 * Which loop of the other side gets a connection is the kernel's choice, by a hash. Two channels at one loop leave another without work, for as long as
 * they last. The answer to a channel's request says where it is (CHANNEL_LOOP_HEADER); one at a loop that has more of ours than another has is
 * closed, and opened again.
 *
 * Thread  any; one lock.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"

#define CHANNEL_LOOP_HEADER "Zot-Channel-Loop" /* "<loop, from 0> <how many there are>" */
#define CHANNEL_LOOPS_MAX   256u
#define CHANNEL_TRIES_MOST  16u /* then it stays where it is */

struct channel_spread;
struct channel_spread *channel_spread_new(void);
void channel_spread_free(struct channel_spread *spread); /* NULL is fine */
AUTO_DEFINE(channel_spread)
/* One more at this loop of the member at `url`; tries: how often it was sent elsewhere before. False: it should be at another one. */
bool channel_spread_take(struct channel_spread *spread, const char *url, unsigned loop, unsigned loops, unsigned tries);
/* It was taken, and is over. */
void channel_spread_give(struct channel_spread *spread, const char *url, unsigned loop);
/* What the header says. False: nothing that counts. */
bool channel_spread_parse(const char *header, unsigned *ret_loop, unsigned *ret_loops);
