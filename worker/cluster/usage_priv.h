/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_priv - what usage.c and those that bring usage to the leaders share.
 */
#pragma once

#include "worker/cluster/quota.h"
#include "worker/cluster/usage_batch.h"
#include "worker/cluster/usage_clock.h"

struct ceiling_writer;
struct loop;

/* A loop's own counts. */
struct usage_loop {
	struct usage *usage;
	struct loop *loop;
	struct usage_batch batch;
	int64_t day_number; /* day of `day` and the windows, so that they are formatted once a day */
	char day[11];
	char windows[LIMITS_KINDS][LIMITS_WINDOW_SIZE];
};

struct usage {
	bool on;             /* there are leaders to tell */
	struct usage_loop *loops;
	unsigned loops_len;
	struct usage_clock clock;
	struct quotas *quotas;
	/* Thread any: a beat is wanted now. Set by report_start(). */
	void (*kick)(void *arg);
	void *kick_arg;
	struct ceiling_writer *writer; /* set by report_start() */
	int64_t waits_since_ms; /* counts wait, and none was acknowledged since; 0: none wait. Written by counts.c, atomic */
};

/* Thread  any. */
void usage_see_to(struct usage *usage, struct quotas_need need);
