/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_chore - each interval through all that this worker owns: rot is found (worker/registry/scrub.h), at so many bytes a second, over days if need be.
 *
 *     each SCRUB_TURN_MS: as many bytes as the rate has for it --> scrub_go_on() --> a line for each finding, one for each pass
 *
 * A run is short, so that other chores come to their turn. Where it is lies in a note of the store (store_note_put(), ".scrub.<member>"), written
 * each SCRUB_SAVE_MS: what was read since is read again after a restart. A note that cannot be read counts as none.
 *
 * A pass is one run to who looks (chore_goes_on()). A dry one tells what it finds and changes nothing, keeps no place and counts in no metric; only one
 * of either kind is under way. Who ends a run ends its pass: the next one begins when it is due.
 *
 * Thread  pool; scrub_told(): any.
 */
#pragma once

#include <stdint.h>

#include "common/lock.h"
#include "worker/chores/chores.h"
#include "worker/chores/weigh_chore.h"
#include "worker/registry/scrub.h"
#include "worker/registry/scrub_rate.h"

#define SCRUB_TURN_MS 200
#define SCRUB_SAVE_MS 30000

struct registry;

/* Since the start. */
struct scrub_totals {
	struct scrub_counts counts;
	uint64_t passes;
	bool running;    /* a pass is under way */
	int64_t ended_s; /* wall clock, of the last pass that this process ended; 0: none */
};

struct scrub_chore {
	struct registry *registry;
	struct weigh_whose whose;
	bool (*fetch)(void *arg, struct str name, const struct digest *digest); /* as struct scrub_how has it */
	void *arg;
	const char *member; /* borrowed */
	int64_t every_ms;   /* from one begin to the next */
	int64_t bytes_per_s;
	/* Private. */
	struct scrub *scrub; /* of the pass under way, or NULL */
	bool dry;            /* that pass */
	uint64_t lines;      /* it told */
	struct scrub_counts shown;
	struct scrub_rate rate;
	struct scrub_counts ended; /* of all passes before this one */
	int64_t began_ms;          /* of this pass in this process */
	bool loaded;
	int64_t begun_s, saved_ms;  /* wall clock: of the last pass */
	struct lock lock;           /* of: */
	struct scrub_totals totals;
};

/* The struct outlives the pool; it is filled in but for what is private. */
void scrub_chore_add(struct chores *chores, struct scrub_chore *scrub);
/* When the chores are freed, and the store is not. */
void scrub_chore_fini(struct scrub_chore *scrub);
struct scrub_totals scrub_told(struct scrub_chore *scrub);
/* The line of the log for a finding. */
void scrub_log(const struct scrub_finding *finding);
