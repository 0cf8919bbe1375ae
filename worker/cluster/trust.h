/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust - for how long a view that was the newest once may be believed without asking the store.
 *
 *   lease    from the moment the report was sent, for as long as the leader said: nobody else owns what we own
 *   since    a view that was validated before counts for nothing: a ring was adopted then, or time went on without us
 *
 * Time goes on without us when the machine is paused: the interval clock stops with it, and by that clock a lease that ended long ago is
 * still good. It shows by two others:
 *
 *   wall clock    went on for over a second more than the interval clock since the lease was asked for (a hypervisor put it right,
 *                 somebody set it): no trust until the next renewal
 *   leader's      its answers carry a Date; between two of them it went on for longer than we have counted, by more than 2 s (one is the
 *                 grain of the header): nothing from before the second is believed. Nor where this can't be told: another leader, no Date
 *
 * A plain value: every time is the caller's. Thread  whoever holds the owner's lock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct trust {
	int64_t since_ms;
	int64_t lease_until_ms; /* 0: there was none yet */
	int64_t ahead_ms;       /* of the interval clock was the wall clock, when the lease was asked for */
	/* The last renewal. */
	int64_t asked_ms;
	int64_t date_s;         /* -1: it had none */
	size_t leader;
};
/* An answer of a leader that gives a lease. */
struct trust_answer {
	int64_t asked_ms, asked_wall_ms, answered_ms;
	int64_t date_s;         /* the leader's wall clock, -1: it did not tell */
	size_t leader;          /* which one */
	int64_t lease_ms;
};

/* Nothing from before now is believed. */
void trust_begin(struct trust *trust, int64_t now_ms, int64_t wall_ms);
/* Returns the ms for which time went on without us since the last renewal; 0: for none, as far as one can see. */
int64_t trust_renew(struct trust *trust, const struct trust_answer *answer);
/* ms for which a view may be served since it was validated, at most most_ms; 0: ask the store. */
int64_t trust_ms(const struct trust *trust, int64_t now_ms, int64_t wall_ms, int64_t most_ms);
/* The same without leaders, where no lease ends. */
int64_t trust_alone_ms(struct trust *trust, int64_t now_ms, int64_t wall_ms, int64_t most_ms);
