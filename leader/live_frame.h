/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_frame - what watchers of a pace are told at one time: bytes that all of them share.
 *
 * Thread  live_news_make: pool, one at a time of one live_news. Frames: the leader's loop from then on.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"

struct leader;
struct live_frame {
	unsigned refs;
	uint64_t number;
	struct buf text;
};
struct live_frame *live_frame_ref(struct live_frame *frame);
void live_frame_free(struct live_frame *frame); /* drops a reference; NULL is good */

/* What was told last, so that the next frame has what is new since. */
struct live_news;
struct live_news *live_news_new(struct leader *leader);
void live_news_free(struct live_news *news);
/* What is new; and, where `all` is not NULL, a frame of everything. NULL: it has more bytes than a frame may. */
void live_news_make(struct live_news *news, struct live_frame **ret_new, struct live_frame **all);
