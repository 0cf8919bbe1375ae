/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beat - "I am here, I hold this, I want that": a report without counts, as often as the leaders say and whenever a call waits.
 *
 *     due or kicked -> what quota.h has to say -> sent -> answered: lease, day, grants; those that wait go on
 *
 * One at a time. Who has to say more than fits goes on at once. While a leader hears the other workers (hold_ms) those that
 * wait go on waiting, and nobody's wish makes more beats. While others are to give back what they hold, it is asked for again
 * within milliseconds (quota.h). Such beats are so many in a span of time, whatever calls and leaders do.
 *
 * Where a leader cannot take what is demanded (503, 507) the next beat has no demands: it keeps the lease, and what we hold good.
 *
 * Each beat names the leader that answered the one before, and what that one has told of its store (its witness), for as long as
 * the lease lasts that it gave. Where another one answers, all that we hold is told to it, from the first row on, and the grants of
 * no answer count until then. Such a telling ends with `all`.
 *
 * Thread  the cluster's loop, but for beat_kick().
 */
#pragma once

#include <stdbool.h>

struct beat;
struct report_self;

struct beat *beat_start(struct report_self *self);
/* Thread  any. There is something to be said. */
void beat_kick(void *beat);
void beat_stop(struct beat *beat);
void beat_free(struct beat *beat);
