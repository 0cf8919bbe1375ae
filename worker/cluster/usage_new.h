/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_new - how the worker's struct usage (usage.h) is made and ended.
 *
 * Thread  main, before the loops start and after they ended.
 */
#pragma once

#include "worker/cluster/usage.h"

struct loop;

/* on: there are leaders to tell. */
bool usage_new(struct usage **ret_usage, unsigned loops_len, bool on, struct error *err) MUST_CHECK;
/* The loop that counts at this place, before it runs and before cluster_start(). */
void usage_set_loop(struct usage *usage, unsigned at, struct loop *loop);
void usage_free(struct usage *usage);
AUTO_DEFINE(usage)
