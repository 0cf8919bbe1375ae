/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room - how much the bodies of requests may hold together, so that no number of callers makes the leader large.
 *
 *     a body up to ROOM_SMALL bytes   needs none: connections bound those
 *     a larger one                    its length, or all that it may have where it does not say, of ROOM_BYTES
 *     of one worker's own credential  ROOM_EACH of these at most, so that one worker does not take it from the others
 *
 * The JSON of a body takes memory beside it (common/json.h bounds that). What finds no room is 503 with Retry-After; a
 * worker keeps its usage and reports again.
 *
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ROOM_SMALL (64u * 1024)
#define ROOM_BYTES (24u * 1024 * 1024)
#define ROOM_EACH  (8u * 1024 * 1024)

/* What one request holds; all zeros: nothing. */
struct room_held {
	struct room_held *next;
	const char *who; /* a worker's name, or ""; borrowed until room_leave() */
	uint64_t bytes;
};
/* length: -1 where it is not told; most: the bound of this kind of request. False: there is no room now. */
bool room_take(struct room_held *held, const char *who, int64_t length, uint64_t most);
void room_leave(struct room_held *held);
