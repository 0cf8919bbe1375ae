/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts - what this worker's loops counted, brought to the leaders: each count once.
 *
 *     every interval: each loop hands over its counts by a post -> chunks, when those before are acknowledged
 *                     -> the journal has them -> sent, one at a time -> acknowledged, dropped
 *
 * What a leader refuses for what it is (400, 413) is told, put aside in usage.refused, and not repeated. The counts of a boot
 * whose process lives elsewhere (409: this folder is a copy) wait for a lease; the others go on.
 * Thread  the cluster's loop.
 */
#pragma once

#include <stdbool.h>

#include "worker/cluster/counts_queue.h"

struct counts;
struct report_self;

/* Reads the journal, and with it what the ceilings of an earlier boot say: blocks, before the loops run. */
struct counts *counts_start(struct report_self *self);
/* Nothing is admitted any more: what is counted by now, and as the last word of this boot what every grant was used for and that we
 * have left. The journal has it before it is sent, and then the ceilings go. */
void counts_finish(struct counts *counts);
/* Thread  any. The last word was acknowledged; or some tries came to nothing, and the journal has it. */
bool counts_is_over(const struct counts *counts);
void counts_stop(struct counts *counts);
void counts_free(struct counts *counts); /* after pool and loops have ended */
