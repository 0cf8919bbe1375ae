/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_plan - the members as rows of a ring, and whether these differ from those of the ring at hand.
 *
 * Thread  any.
 */
#pragma once

#include "proto/state.h"

struct members;

/* What the members, and the operators who drain some of them (`state`), make of `old`. True when it differs from it: *ret_plan is then the next ring, its rows on the heap
 * (ring_plan_fini), its texts borrowed from the plan. */
struct ring_plan {
	struct ring_body body;
	char *texts;
};
bool ring_plan(struct members *members, const struct state *state, bool isolated, const struct ring_body *old,
	       struct ring_plan *ret_plan) MUST_CHECK;
void ring_plan_fini(struct ring_plan *plan);
