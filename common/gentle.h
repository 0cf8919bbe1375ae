/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gentle - long work of the processor beside threads that are to answer at once: it rests as it goes.
 *
 *     gentle_begin();          a job of the pool that has some hundred milliseconds to compute
 *     ... gentle_step() ...    between two small steps, deep in what it calls: codecs, sums, trees, files
 *     gentle_end();
 *
 * A thread that computes without end keeps a processor for its slice, some milliseconds, also from one that wakes for a request meanwhile; and
 * where there are as many such threads as processors, all wait. A gentle one leaves the processor by itself after GENTLE_SLICE_US for
 * GENTLE_REST_US. So nobody waits for it much longer than a slice, and what it does takes about twice as long, whatever the others do: its
 * priority stays what it is, nothing starves it. A step is never asked for under a lock, so it holds none while it rests, the allocator's
 * included; that is why it rests, and has no lower priority, with which it would be stopped anywhere.
 * For a thread that is not gentle a step is a look at a flag.
 *
 * Thread  each for itself. Not on a loop.
 */
#pragma once

#include <stdint.h>

#define GENTLE_SLICE_US 200
#define GENTLE_REST_US  200

extern _Thread_local int64_t gentle_since_us; /* when the slice began; 0: not gentle */

/* Once, not nested. */
void gentle_begin(void);
void gentle_end(void);
void gentle_look(void); /* gentle_step() of a gentle thread */

static inline void gentle_step(void)
{
	if (gentle_since_us)
		gentle_look();
}
