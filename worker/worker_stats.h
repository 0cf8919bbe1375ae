/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_stats - what this worker says of itself in the cluster view: counts since its start, latencies, memory.
 *
 * The rate is not here: it is measured by whoever asks again and again.
 * Thread  any; loops write on meanwhile.
 */
#pragma once

#include "proto/usage.h"

/* Of a struct worker: a cluster_stats_f. */
void worker_stats(void *worker, struct usage_stats *into);
/* The same: a cluster_chores_f. */
size_t worker_chores(void *worker, struct usage_chore into[USAGE_CHORES_MAX]);
/* The same: a cluster_order_f. */
void worker_order(void *worker, const struct usage_order *order);
