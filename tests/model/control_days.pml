/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_days - the day of a call: docs/cluster-protocol.md, "The day is the leader's", for SPIN.
 *
 * Two workers, one key, two days. The leader's wall clock is set over midnight, forth and back, or midnight comes, for those who
 * count on from its answers too; each worker's own wall clock shows any day. A beat and its answer are one step; the answer may
 * be lost. What is late is in control_grants.
 *
 * Asserted: the calls of a day are at most its quota, and nobody gets the quota of a day that the leader's clock never showed.
 *
 * Each rule can be taken out: NO_CLOCK (days by the worker's own clock), NO_KEPT (a worker forgets what it used on another day),
 * NO_ROWS (the leader does). SPIN must find an error then.
 */
#ifndef QUOTA
#define QUOTA 2
#endif
#ifndef CLOCKS
#define CLOCKS 3
#endif
#define WORKERS 2
#define AT(w, d) ((w) * 2 + (d))

byte granted[WORKERS * 2], used[WORKERS * 2];     /* at the worker */
byte day[WORKERS];
bool own[WORKERS];                                /* its own wall clock */
byte s_granted[WORKERS * 2], s_used[WORKERS * 2]; /* at the leader */
byte clock;
bool shown;                                       /* the other day, by the leader's clock */
byte admitted[2];
byte clocks = CLOCKS;
hidden byte r, rest;

#ifdef NO_CLOCK
#define DAY(w) own[w]
#else
#define DAY(w) day[w]
#endif

inline turn() /* the leader's clock */
{
#ifdef NO_ROWS
	s_granted[AT(0, clock)] = 0; s_granted[AT(1, clock)] = 0; s_used[AT(0, clock)] = 0; s_used[AT(1, clock)] = 0;
#endif
	clocks--;
	clock = 1 - clock;
	shown = true
}

inline enter(w, d)
{
#ifdef NO_KEPT
	if
	:: d != day[w] -> used[AT(w, day[w])] = 0; granted[AT(w, day[w])] = 0
	:: else
	fi;
#endif
	day[w] = d
}

inline push(w)
{
	r = AT(w, DAY(w));
	s_used[r] = (used[r] > s_used[r] -> used[r] : s_used[r]);
	s_granted[r] = (granted[r] > s_used[r] -> granted[r] : s_used[r]);
	rest = s_granted[AT(0, DAY(w))] + s_granted[AT(1, DAY(w))];
	rest = (rest < QUOTA -> QUOTA - rest : 0);
	if
	:: rest > 0 -> s_granted[r]++
	:: rest > 1 -> s_granted[r] = s_granted[r] + 2
	:: true
	fi;
	if
	:: true ->
		granted[r] = s_granted[r];
#ifndef NO_KEPT
		used[r] = (s_used[r] > used[r] -> s_used[r] : used[r]);
#endif
		enter(w, clock)
	:: true /* the answer is lost */
	fi;
	r = 0; rest = 0
}

proctype worker(byte w)
{
end_idle:
	do
	:: atomic { used[AT(w, DAY(w))] < granted[AT(w, DAY(w))] ->
		used[AT(w, DAY(w))]++;
		admitted[DAY(w)]++;
		assert(admitted[DAY(w)] <= QUOTA);
		assert(shown || !admitted[1]) }
	:: atomic { push(w) }
	:: atomic { granted[AT(w, DAY(w))] > used[AT(w, DAY(w))] -> granted[AT(w, DAY(w))] = used[AT(w, DAY(w))] } /* expired, recalled */
#ifdef NO_CLOCK
	:: atomic { own[w] = 1 - own[w] }
#endif
	od
}

init
{
	atomic { run worker(0); run worker(1) }
end_idle:
	do
	:: atomic { clocks -> turn() } /* set */
	:: atomic { clocks -> turn(); enter(0, clock); enter(1, clock) } /* midnight */
	od
}
