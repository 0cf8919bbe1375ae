/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standing - what the leaders' answers to our beats say about this worker, as complaints.
 *
 *   CLOCK    our wall clock is STANDING_CLOCK_MS or more from the leader's, for certain: what the answer may have been on its
 *            way is left out
 *   NAME     another process is alive under our name, for longer than a lease: what was there before us would be gone by then
 *   SECRET   most workers sign calls to each other with another secret than ours
 *
 * Thread  the cluster's loop.
 */
#pragma once

#include "common/str.h"
#include "worker/cluster/report_call.h"

#define STANDING_CLOCK_MS 5000

struct complaints;
struct standing {
	struct complaints *complaints;
	bool own_secret;          /* the operator gave us one */
	bool taken_said;
	int64_t taken_since_ms;   /* the leaders say that our name is taken; 0: they do not */
	int64_t clock_said_ms;    /* the offset that the complaint tells; 0: none */
};
void standing_init(struct standing *standing, struct complaints *complaints, bool own_secret);
/* A beat was answered: taken. Returns how far our clock is ahead of the leader's. */
int64_t standing_heard(struct standing *standing, const struct report_result *result);
/* A beat was refused since our name is taken, as this text says. lease_ms: of the leaders. */
void standing_taken(struct standing *standing, struct str why, int64_t lease_ms, int64_t now_ms);
