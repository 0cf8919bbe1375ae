/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures - how the cluster was in the last hour, from what its members tell in their beats.
 *
 *     beats --> members --each FIGURES_SAMPLE_MS--> a sample --> mean of FIGURES_EVERY_S: a point --> the last FIGURES_POINTS
 *
 * Rates   a second: the difference of two beats of one process, by its own clock. So a restart makes no negative one, and the first
 *         beat of a process tells none. What is lost or has left counts no more.
 * Storage sum of what members say that they own (worker/chores/weigh_chore.h); of a process that has not weighed yet what the one before it
 *         said. Not known where nobody has said it.
 * p50, p99Mean  weighted by requests; p99: the worst member's. Microseconds.
 * Memory  sums 32 KiB; each member 2.5 KiB, so 2.5 MiB with as many as there may be. Never on a disk: a leader that starts knows nothing
 *         of the time before.
 *
 * Thread  any; a lock of its own. figures_start, figures_stop: the leader's loop.
 */
#pragma once

#include "common/json.h"
#include "proto/state.h"

#define FIGURES_SAMPLE_MS 2000
#define FIGURES_EVERY_S   10
#define FIGURES_POINTS    360 /* of the cluster: an hour */
#define FIGURES_OWN       60  /* of a member: ten minutes */

struct loop;
struct members;
struct nearest;
struct figures;
struct figures *figures_new(struct members *members, struct nearest *nearest);
void figures_free(struct figures *figures);
AUTO_DEFINE(figures)

void figures_start(struct figures *figures, struct loop *loop);
void figures_stop(struct figures *figures);
/* One sample; figures_start() does it. */
void figures_sample(struct figures *figures, int64_t now_wall_s);

/* {"everySeconds","quotas":[...],"sums":{...},"members":{...}}; member NULL: all of them. */
void figures_write(struct figures *figures, const struct state *state, const char *member, struct json_writer *w);
/* The newest sample: {"t","rate",...}. */
void figures_write_now(struct figures *figures, struct json_writer *w);
