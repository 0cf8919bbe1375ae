/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push - usage and heartbeat to the leaders, every interval and whenever a quota needs a grant.
 *
 *   tick -> collect (each loop hands over its counts by a post) -> freeze: (boot, seq) gets its rows
 *        -> send; on the same seq until a leader acknowledges it -> lease, grants, waiters go on
 *        -> journal, when there is something that nobody has acknowledged (pool)
 *
 * Pushes of an earlier boot that the journal still holds go first. One push is under way at a time.
 * Thread  own loop, but for push_is_over().
 */
#pragma once

#include <stdbool.h>

struct cluster;
struct push;
struct worker;

struct push *push_start(struct cluster *cluster, struct worker *worker);
/* "draining" or "left": said at once. After "left" the last counts go out as the final push of this boot. */
void push_say(struct push *push, const char *state);
/* Thread  any. The final push was acknowledged, or could not be sent and lies in the journal. */
bool push_is_over(const struct push *push);
void push_stop(struct push *push); /* NULL is fine */
void push_free(struct push *push); /* after pool and loops have ended */
