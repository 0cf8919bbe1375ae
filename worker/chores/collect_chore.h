/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect_chore - each interval through the catalog: what nobody needs of the repositories that this worker owns goes (worker/registry/collect.h).
 *
 *     is it time, and within the window --> the catalog, page by page --ours, and whole?--> registry_collect() of each --> a line for each that went
 *
 * What an upload left in a repository that never got a manifest is not in the catalog: folders are walked for that, at the first walk and then each
 * COLLECT_STRAYS_TIMES the longest delay.
 *
 * It begins when this worker has owned what it owns for as long as `delay`: what a client was told of before, by another worker or another process, was
 * so long ago. A repository whose index is what it was when the last walk left nothing in it, but for pulls, is not walked again for COLLECT_AGAIN_MS.
 *
 * Thread  pool; collect_told(): any.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "common/str.h"
#include "worker/chores/chores.h"
#include "worker/chores/weigh_chore.h"
#include "worker/registry/collect.h"

#define COLLECT_AGAIN_MS (24 * 60 * 60 * 1000)

#define COLLECT_STRAYS_TIMES 24

struct registry;

/* Minutes of a day, UTC; over midnight where the end comes first. Equal: always. */
struct collect_window { int from, to; };
/* "22:30-04:00". */
bool collect_window_parse(struct str text, struct collect_window *ret) MUST_CHECK;
bool collect_window_has(const struct collect_window *window, int64_t wall_s);

/* What has gone since the start. */
struct collect_counts { uint64_t walks, walked, failed, removed, bytes, ms, vacated; };

struct collect_chore {
	struct registry *registry;
	struct weigh_whose whose;
	/* How long what was stored or asked for stays, of this repository; false: nothing of it is collected. */
	bool (*delay_of)(void *arg, struct str name, int64_t *ret_ms);
	void *arg;
	int64_t every_ms;   /* from one begin to the next; 0: once */
	int64_t ripe_ms;    /* the longest delay: the first walk begins so long after the start */
	struct collect_window window;
	/* Private. */
	uint64_t ring;
	int64_t owned_ms, next_ms, fresh_ms, strays_ms;
	bool went;
	uint64_t *known;    /* of repositories that were left clean: of the name, and of the view */
	_Atomic uint64_t counts[7];
};

/* The struct outlives the pool; it is filled in but for what is private. */
void collect_chore_add(struct chores *chores, struct collect_chore *collect);
/* When the chores are freed. */
void collect_chore_fini(struct collect_chore *collect);
struct collect_counts collect_told(struct collect_chore *collect);
