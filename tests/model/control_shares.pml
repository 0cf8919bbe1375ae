/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_shares - a quota of calls a second, dealt out as shares that stand: docs/cluster-protocol.md, "Grants", for SPIN.
 *
 * Two workers, one key, seconds that follow each other at any time. A worker admits up to its share in each second. A beat says
 * what share it holds and how much more it would like; it may be delivered late, or its answer lost. A worker that holds more
 * than it wants gives it back with a beat, at any time: what it has admitted in the second that runs stays with it.
 * A share may expire; the leader deals it anew when the worker was silent for as long as a grant is good.
 *
 * Asserted: in no second are more calls admitted than the quota.
 *
 * Each rule can be taken out: NO_UNUSED (all of a share is given back, used or not), NO_ENDS (a share that expired is gone in the
 * middle of its second, and so is what it says), NO_SILENCE (a silent worker's share is dealt anew before it has expired),
 * NO_SURE (a worker may be in another second than the leader).
 */

#define QUOTA 2
#define SECONDS 3
#define BEATS 5

byte share[2], in_second[2], beats[2];
bool expired[2];             /* no leader has confirmed it for so long */
byte asked[2], says[2];      /* the beat under way: it wants so many; it holds so many */
bool asking[2], answered[2];
byte answer[2];
byte granted[2];             /* the leader's */
byte second, admitted;

inline deal(w) {
	/* What it says is what it holds; then it is given what it wants, where it is there. */
	granted[w] = says[w];
	if
	:: granted[w] + asked[w] + granted[1 - w] <= QUOTA -> granted[w] = granted[w] + asked[w]
	:: else
	fi
}

active [2] proctype worker() {
	byte w = _pid;
end:	do
	:: atomic { share[w] > in_second[w] && !expired[w] -> /* a call */
		in_second[w]++;
		admitted++;
		assert(admitted <= QUOTA) }
	:: atomic { !asking[w] && !expired[w] && beats[w] < BEATS -> /* it wants one more */
		beats[w]++;
		says[w] = share[w];
		asked[w] = 1;
		asking[w] = true }
	:: atomic { !asking[w] && !expired[w] && beats[w] < BEATS && share[w] > 0 -> /* it gives back */
		beats[w]++;
#ifdef NO_UNUSED
		share[w] = 0;
#else
		share[w] = in_second[w];
#endif
		says[w] = share[w];
		asked[w] = 0;
		asking[w] = true }
	:: atomic { asking[w] && answered[w] -> /* the answer: absolute */
		share[w] = answer[w];
		asking[w] = false;
		answered[w] = false }
	:: atomic { asking[w] && answered[w] -> /* it is lost: what it gives stays with the leader until the next beat */
		asking[w] = false;
		answered[w] = false }
	:: atomic { !expired[w] && !asking[w] -> expired[w] = true
#ifdef NO_ENDS
		; share[w] = 0; in_second[w] = 0; expired[w] = false
#endif
		}
	:: atomic { expired[w] && in_second[w] == 0 -> /* with the second the share has ended: it begins anew */
		share[w] = 0;
		expired[w] = false }
	od
}

active proctype leader() {
	byte w;
end:	do
	:: atomic { asking[0] && !answered[0] -> deal(0); answer[0] = granted[0]; answered[0] = true }
	:: atomic { asking[1] && !answered[1] -> deal(1); answer[1] = granted[1]; answered[1] = true }
	/* Silent for as long as a grant is good: the share has expired, and the second in which it did is over. */
#ifdef NO_SILENCE
	:: atomic { granted[0] > 0 -> granted[0] = 0 }
#else
	:: atomic { granted[0] > 0 && !asking[0] && share[0] == 0 -> granted[0] = 0 }
#endif
	od
}

active proctype clock() {
end:	do
	:: atomic { second < SECONDS ->
		second++;
		admitted = 0;
		in_second[0] = 0;
#ifndef NO_SURE
		in_second[1] = 0
#endif
		}
#ifdef NO_SURE
	:: atomic { in_second[1] > 0 -> in_second[1] = 0 } /* the other worker's second begins when it likes */
#endif
	od
}
