/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - usage and heartbeat to the leaders: docs/cluster-protocol.md, the worker's half.
 *
 *     beat.h    membership and grants, every interval and whenever a call waits
 *     counts.h  what was counted, when there is something
 *
 * Both send with one process, one number that grows, one witness (report_call.h).
 * Thread  the cluster's loop, but for report_is_over().
 */
#pragma once

#include <stdbool.h>

struct cluster;
struct report;
struct state;

struct report *report_start(struct cluster *cluster);
/* It may be in the ring from now on: until then the leaders are told "joining". */
void report_joined(struct report *report);
/* "draining" or "left": said at once. After "left" the last counts go out, and then the last word of this boot. */
void report_say(struct report *report, const char *state);
/* A state is about to be published: quotas that were lowered count at once. NULL is fine. */
void report_state_changed(struct report *report, const struct state *state);
/* A leader wants a report now: others need what we hold. NULL is fine. */
void report_now(struct report *report);
/* Thread  any. The last word was acknowledged, or could not be sent and lies in the journal. */
bool report_is_over(const struct report *report);
void report_stop(struct report *report); /* NULL is fine */
void report_free(struct report *report); /* after pool and loops have ended */
