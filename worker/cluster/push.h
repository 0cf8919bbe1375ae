/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push - usage and heartbeat to the leaders: docs/cluster-protocol.md, the worker's half.
 *
 *     beat.h    membership and grants, every interval and whenever a call waits
 *     counts.h  what was counted, when there is something
 *
 * Both send with one process, one number that grows, one witness (push_call.h).
 * Thread  own loop, but for push_is_over().
 */
#pragma once

#include <stdbool.h>

struct cluster;
struct push;
struct state;
struct worker;

struct push *push_start(struct cluster *cluster, struct worker *worker);
/* "draining" or "left": said at once. After "left" the last counts go out, and then the last word of this boot. */
void push_say(struct push *push, const char *state);
/* A state is about to be published: quotas that were lowered count at once. NULL is fine. */
void push_state_changed(struct push *push, const struct state *state);
/* Thread  any. The last word was acknowledged, or could not be sent and lies in the journal. */
bool push_is_over(const struct push *push);
void push_stop(struct push *push); /* NULL is fine */
void push_free(struct push *push); /* after pool and loops have ended */
