/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_gather - the end of a quota of bytes, where what a call needs is in pieces at several workers: docs/cluster-protocol.md,
 * "Grants", for SPIN.
 *
 * Two workers, one subject, calls of N bytes each. A worker has one call that waits, and any number under way. Each holds a piece that is
 * too small. A beat says what is held, used and under way, and what the call that waits lacks; its answer comes at any time later.
 * Beats that are late, doubled or lost are in control_grants. What is under way flows, or a part of it comes back unused.
 *
 * Asserted:
 *
 *   never over    what is used and under way <= quota                                                        promise 2
 *   not early     a call is refused for good only where what is used leaves no room for it; and for a time only where
 *                 what nobody uses and nobody has under way is not enough (but for what came back meanwhile)  promise 3
 *   not in vain   what was dealt for a call is used by it. So each piece is fetched once for a call, and two who gather do not
 *                 take pieces from each other for ever
 *
 * Each rule can be taken out: NO_WHOLE (a part is dealt that helps no call), NO_OWN (a recall takes what a call that waits can be served
 * with), NO_COMING (who is given nothing is refused), NO_GIVEN (what was given back is not what may come again), NO_UNDER_WAY (what is
 * under way counts as used for good).
 */

#ifndef QUOTA
#define QUOTA 3
#endif
#define N     2
#define CALLS 2
#ifndef BEATS
#define BEATS 5
#endif

/* ---- workers ---- */
byte granted[2] = 1, used[2], reserved[2], calls[2] = CALLS, beats[2];
bool waits[2], dry[2];
byte coming[2], total[2];   /* as last told */
byte dealt[2];              /* for the call that waits */
byte returned;              /* came back unused, ever */

/* ---- the beat under way, and its answer ---- */
bool asking[2], answered[2];
byte b_granted[2], b_used[2], b_reserved[2], b_needs[2], b_wants[2];
byte a_granted[2], a_coming[2], a_total[2], a_dealt[2];
bool a_recall[2];

/* ---- the leader ---- */
byte l_granted[2] = 1, l_used[2], l_reserved[2];
bool l_recall[2];

hidden byte pool, own;

#define UNUSED(w) (granted[w] - used[w] - reserved[w])

inline ask(w) {
	beats[w]++;
	b_granted[w] = granted[w]; b_used[w] = used[w]; b_reserved[w] = reserved[w];
	b_needs[w] = (waits[w] && UNUSED(w) < N -> N - UNUSED(w) : 0);
	if
	:: b_wants[w] = b_needs[w]
	:: !b_needs[w] -> b_wants[w] = 1 /* a piece for calls to come */
	fi;
	asking[w] = true
}

inline deal(w) {
	l_recall[w] = l_recall[w] && b_granted[w] >= l_granted[w] && b_granted[w] > b_used[w];
	l_granted[w] = b_granted[w]; l_used[w] = b_used[w]; l_reserved[w] = b_reserved[w];
	pool = QUOTA - l_granted[0] - l_granted[1];
	a_dealt[w] = 0;
	if
#ifdef NO_WHOLE
	:: b_wants[w] && pool -> own = (pool < b_wants[w] -> pool : b_wants[w]); l_granted[w] = l_granted[w] + own; a_dealt[w] = (b_needs[w] -> own : 0)
#else
	:: b_wants[w] && pool >= b_wants[w] -> l_granted[w] = l_granted[w] + b_wants[w]; a_dealt[w] = b_needs[w]
#endif
	:: else
	fi;
	if
	:: pool < b_needs[w] && l_granted[1 - w] > l_used[1 - w] -> l_recall[1 - w] = true
	:: else
	fi;
	a_granted[w] = l_granted[w];
	a_coming[w] = pool - (l_granted[w] - b_granted[w]) + l_granted[1 - w] - l_used[1 - w] - l_reserved[1 - w];
	a_total[w] = l_used[0] + l_used[1];
#ifdef NO_UNDER_WAY
	a_total[w] = a_total[w] + l_reserved[0] + l_reserved[1];
#endif
	a_recall[w] = l_recall[w];
	pool = 0; own = 0;
	answered[w] = true
}

inline give_back(w) {
#ifdef NO_OWN
	own = 0;
#else
	own = (waits[w] && UNUSED(w) >= N -> N : 0);
#endif
	assert(own || !waits[w] || !dealt[w]); /* not in vain */
#ifndef NO_GIVEN
	coming[w] = coming[w] + UNUSED(w) - own;
#endif
	granted[w] = used[w] + reserved[w] + own;
	own = 0
}

inline take(w) {
	granted[w] = a_granted[w];
	total[w] = a_total[w];
	if
	:: b_needs[w] -> coming[w] = a_coming[w]; dry[w] = waits[w] && UNUSED(w) < N
	:: else
	fi;
	if
	:: waits[w] -> dealt[w] = dealt[w] + a_dealt[w]
	:: else
	fi;
	if
	:: a_recall[w] -> give_back(w)
	:: else
	fi;
	asking[w] = false; answered[w] = false;
	a_granted[w] = 0; a_coming[w] = 0; a_total[w] = 0; a_dealt[w] = 0; a_recall[w] = false;
	b_granted[w] = 0; b_used[w] = 0; b_reserved[w] = 0; b_needs[w] = 0; b_wants[w] = 0
}

active [2] proctype worker() {
	byte w = _pid;
end:	do
	:: atomic { calls[w] && !waits[w] -> calls[w]--; waits[w] = true }
	:: atomic { waits[w] && UNUSED(w) >= N ->
		reserved[w] = reserved[w] + N;
		waits[w] = false; dealt[w] = 0; dry[w] = false;
		assert(used[0] + used[1] + reserved[0] + reserved[1] <= QUOTA) } /* never over */
	:: atomic { waits[w] && UNUSED(w) < N && total[w] + N > QUOTA -> /* for good */
		assert(used[0] + used[1] + N > QUOTA); /* not early */
		waits[w] = false; dealt[w] = 0 }
#ifdef NO_COMING
	:: atomic { waits[w] && UNUSED(w) < N && dry[w] -> /* for a time */
#else
	:: atomic { waits[w] && UNUSED(w) < N && dry[w] && UNUSED(w) + coming[w] < N ->
#endif
		assert(QUOTA - used[0] - used[1] - reserved[0] - reserved[1] < N + returned); /* not early */
		waits[w] = false; dealt[w] = 0 }
	:: atomic { reserved[w] >= N -> reserved[w] = reserved[w] - N; used[w] = used[w] + N }
	:: atomic { reserved[w] >= N -> reserved[w] = reserved[w] - N; used[w] = used[w] + N - 1; returned++ }
	:: atomic { !asking[w] && beats[w] < BEATS -> ask(w) }
	:: atomic { answered[w] -> take(w) }
	od
}

active proctype leader() {
end:	do
	:: atomic { asking[0] && !answered[0] -> deal(0) }
	:: atomic { asking[1] && !answered[1] -> deal(1) }
	od
}
