/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_grants - a daily quota dealt out as grants: docs/cluster-protocol.md, "Grants", for SPIN.
 *
 *     process 0, process 1   two workers; process 1 may come later (JOINS)
 *     process 2              the next one of the first worker, after process 0 was killed, or beside it on a copy of its folder
 *     the leader             one life after another, on its store as it is (restart) or as it was (restore)
 *
 * One key, one day. A process has one question under way; a beat names all that it holds (full), or nothing (bare). The network
 * keeps the newest beat of a process and any one of those before; each may arrive at any time, any number of times, or never.
 * So may the answer to the question that is under way, once.
 *
 * Time is what must have happened before what. A grant may expire at any time. When a leader has heard for grantMs, what it was
 * not told has expired; when a member is lost, its own lease ended before; when a process was silent for grantMs, its grants
 * have expired. An answer that is taken after that renews nothing (late).
 *
 * Asserted:
 *
 *   never over     calls admitted <= quota. After a restore, and hearing for grantMs: without those that were admitted in the
 *                  time that was lost, by processes that were not heard. When hearing ended early there are none   promise 2
 *                  Nor are those counted that a copied folder did not know, whose process never told of them in grantMs
 *   lowered        when all workers have the lower quota, nothing is admitted above it                             promise 2
 *   a kill         costs at most what the ceiling was ahead
 *
 * Each rule can be taken out: NO_NUMBER NO_CEILING NO_SILENCE NO_RECALL NO_QUESTION NO_HEARING NO_VALIDITY NO_TOLD NO_WITNESS
 * NO_FACT NO_SPOKEN NO_ECHO NO_VOID NO_SETTLED. SPIN must find an error then.
 */

#ifndef QUOTA
#define QUOTA 1
#endif
#ifndef ASKS
#define ASKS 4 /* beats that a process sends */
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef COPIES
#define COPIES 0 /* of the folder */
#endif
#ifndef LOWERS
#define LOWERS 0 /* of the quota */
#endif
#ifndef LAPSES
#define LAPSES 0 /* leases that end at the worker */
#endif
#ifndef FAULTS
#define FAULTS 2 /* beats that are late or come again, answers that are late or lost */
#endif
#ifndef EXPIRES
#define EXPIRES 1 /* grants that expire, or are released, without need */
#endif
#define NEXT (KILLS + COPIES)
#if NEXT
#define PROCS 3
#else
#define PROCS 2
#endif
#define LIVES (2 + RESTARTS + RESTORES)
#ifndef LATER
#define LATER 0 /* process 1 sends so many beats less */
#endif
#define BEAT(p, s) ((p) * 2 + (s))

/* ---- processes ---- */
#define KILLED 2
byte there[PROCS];
byte granted[PROCS], used[PROCS], number[PROCS];
byte leader[PROCS], dealings[PROCS]; /* the witness: the life that it heard last, and how far that was */
bool told[PROCS];             /* that life was told all */
bool valid[PROCS], lapsed[PROCS];
byte renewed[PROCS];          /* by which life */
bool asking[PROCS];
bool quiet[PROCS];            /* something was released since the question was asked */
bool lowered[PROCS];          /* has the lower quota */
byte ceiling, copied, pushed; /* of process 0; in its copy; what it last pushed */

/* ---- the network ---- */
byte b_number[PROCS * 2], b_granted[PROCS * 2], b_used[PROCS * 2], b_leader[PROCS * 2], b_dealings[PROCS * 2];
bool b_full[PROCS * 2], b_all[PROCS * 2];
bool a_there[PROCS], a_late[PROCS];
byte a_life[PROCS], a_dealings[PROCS], a_granted[PROCS], a_used[PROCS];

/* ---- the store, and its copy ---- */
byte s_granted[PROCS], s_used[PROCS], s_number[PROCS], s_dealings[LIVES];
bool s_member[PROCS], s_over[PROCS], s_life[LIVES];
bool s_settled = true, c_settled;  /* the newest life has ended its hearing */
byte c_granted[PROCS], c_used[PROCS], c_number[PROCS], c_dealings[LIVES];
bool c_member[PROCS], c_over[PROCS], c_life[LIVES], copy;

/* ---- the leader ---- */
byte life = 1;
bool hearing, unproven;
bool known[PROCS], heard[PROCS];  /* known: live when hearing began */
byte came[PROCS], echo[PROCS];    /* dealings when it came; the newest witness of this life that it told, + 1 */
bool was_silent;                  /* process 0, for grantMs */
byte limit = QUOTA;

byte restarts = RESTARTS, restores = RESTORES, kills = KILLS, copies = COPIES, lowers = LOWERS, lapses = LAPSES, faults = FAULTS, expires = EXPIRES;
byte admitted;
byte missed;                      /* admitted by those that were not heard */

hidden byte i, sum, met, ok, names;

#ifdef NO_FACT
bool releasing[PROCS], b_release[PROCS * 2]; /* "I hold nothing unused": until it is answered */
#define RELEASING(x, y) releasing[x] = y
#else
#define RELEASING(x, y) skip
#endif
#ifdef NO_NUMBER
#define MORE s_dealings[life] = (s_dealings[life] < 9 -> s_dealings[life] + 1 : 9) /* or it would never end */
#else
#define MORE s_dealings[life]++
#endif
#define release(x) granted[x] = used[x]; quiet[x] = asking[x]; RELEASING(x, true)
#ifdef NO_VALIDITY
#define expire(x) skip
#else
#define expire(x) valid[x] = false; renewed[x] = 0; release(x)
#endif

/* A beat that no leader will believe any more is as if it had never been: fewer states. */
#ifdef NO_NUMBER
#define DEAD(b, x) false
#elif RESTORES
#define DEAD(b, x) (b_number[b] <= s_number[x] && (!copy || !restores || b_number[b] <= c_number[x]))
#else
#define DEAD(b, x) (b_number[b] <= s_number[x])
#endif
inline forget_beat(b)
{
	b_number[b] = 0; b_granted[b] = 0; b_used[b] = 0; b_leader[b] = 0; b_dealings[b] = 0; b_full[b] = false; b_all[b] = false
}
inline tidy(x)
{
	if
	:: b_number[BEAT(x, 1)] && DEAD(BEAT(x, 1), x) -> forget_beat(BEAT(x, 1))
	:: else
	fi;
	if
	:: b_number[BEAT(x, 0)] && !asking[x] && DEAD(BEAT(x, 0), x) -> forget_beat(BEAT(x, 0))
	:: else
	fi
}

/* ---- what a process does ---- */

inline admit(x)
{
	used[x]++;
	admitted++;
	assert(admitted <= QUOTA + missed); /* never over */
#if LOWERS
	assert(!(lowered[0] || there[0] != 1) || !(lowered[1] || there[1] != 1) || admitted <= limit) /* lowered */
#endif
}

inline forget_answer(x)
{
	a_there[x] = false; a_late[x] = false; a_life[x] = 0; a_dealings[x] = 0; a_granted[x] = 0; a_used[x] = 0;
	asking[x] = false; quiet[x] = false;
	tidy(x)
}

inline ask(x)
{
	if /* the one before is given up; it stays in the network, or is lost */
	:: asking[x] -> forget_answer(x)
	:: else
	fi;
	if
	:: b_number[BEAT(x, 0)] ->
		b_number[BEAT(x, 1)] = b_number[BEAT(x, 0)]; b_granted[BEAT(x, 1)] = b_granted[BEAT(x, 0)]; b_used[BEAT(x, 1)] = b_used[BEAT(x, 0)];
		b_leader[BEAT(x, 1)] = b_leader[BEAT(x, 0)]; b_dealings[BEAT(x, 1)] = b_dealings[BEAT(x, 0)];
		b_full[BEAT(x, 1)] = b_full[BEAT(x, 0)]; b_all[BEAT(x, 1)] = b_all[BEAT(x, 0)]
	:: true
	fi;
	if
	:: names = 1
#ifdef BARE
	:: names = 0
#endif
	fi;
	number[x]++;
	b_number[BEAT(x, 0)] = number[x];
	b_full[BEAT(x, 0)] = names;
	b_all[BEAT(x, 0)] = names || told[x];
	b_granted[BEAT(x, 0)] = (names -> granted[x] : 0);
	b_used[BEAT(x, 0)] = (names -> used[x] : 0);
#ifdef NO_VOID
	b_leader[BEAT(x, 0)] = leader[x];
	b_dealings[BEAT(x, 0)] = dealings[x];
#else
	/* "A witness is worth as long as the lease" */
	b_leader[BEAT(x, 0)] = (lapsed[x] -> 0 : leader[x]);
	b_dealings[BEAT(x, 0)] = (lapsed[x] -> 0 : dealings[x]);
#endif
#if NEXT
	pushed = (names && x == 0 -> used[x] : pushed);
#endif
#ifdef NO_FACT
	b_release[BEAT(x, 0)] = names && releasing[x];
#endif
	names = 0;
	asking[x] = true;
	quiet[x] = false;
	tidy(x)
}

inline take(x)
{
	/* "tells a leader ... all that it holds before it counts an answer of it as such a beat" */
	ok = a_life[x] == leader[x] && (b_full[BEAT(x, 0)] || told[x]);
	told[x] = ok;
	leader[x] = a_life[x];
	dealings[x] = a_dealings[x];
	if
#ifdef NO_TOLD
	:: !a_late[x] -> valid[x] = true; renewed[x] = a_life[x]; lapsed[x] = false
#else
	:: !a_late[x] && ok -> valid[x] = true; renewed[x] = a_life[x]; lapsed[x] = false
	:: !a_late[x] && !ok -> lapsed[x] = false
#endif
	:: else
	fi;
	if
	:: b_full[BEAT(x, 0)] ->
		used[x] = (a_used[x] > used[x] -> a_used[x] : used[x]);
		if /* "An answer raises nothing that was released since it was asked for" */
#ifdef NO_QUESTION
		:: true -> granted[x] = a_granted[x]
#else
		:: !quiet[x] -> granted[x] = a_granted[x]
#endif
		:: else
		fi
	:: else
	fi;
	RELEASING(x, releasing[x] && (quiet[x] || !b_full[BEAT(x, 0)]));
	granted[x] = (!valid[x] || granted[x] < used[x] -> used[x] : granted[x]);
	ok = 0;
	forget_answer(x)
}

/* ---- what the leader does ---- */

/* "dealt to when all others who are there have told that they heard of the leader since it came" */
inline meet(x)
{
	met = true;
#ifndef NO_ECHO
	i = 0;
	do
	:: i < PROCS -> met = met && (i == x || !s_member[i] || echo[i] > came[x]); i++
	:: else -> break
	od
#endif
}

inline deal(x, b)
{
	s_used[x] = (b_used[b] > s_used[x] -> b_used[b] : s_used[x]);
	if /* "What a worker says to hold is a fact" */
#ifdef NO_FACT
	:: b_release[b] || b_granted[b] > s_granted[x] -> s_granted[x] = b_granted[b]
#else
	:: b_leader[b] == life || b_granted[b] > s_granted[x] -> s_granted[x] = b_granted[b]
#endif
	:: else
	fi;
	s_granted[x] = (s_granted[x] < s_used[x] -> s_used[x] : s_granted[x]);
	meet(x);
#ifndef NO_SPOKEN
	met = met && b_leader[b] == life;
#endif
#ifndef NO_HEARING
	met = met && !hearing;
#endif
	sum = s_granted[0] + s_granted[1] + s_granted[PROCS - 1] * (PROCS - 2);
	if
	:: met && sum < limit -> s_granted[x] = s_granted[x] + limit - sum; MORE
	:: true /* it wants nothing now */
	fi;
	met = 0; sum = 0; i = 0
}

inline come(x, b)
{
	if
	:: !s_member[x] -> s_member[x] = true; MORE; came[x] = s_dealings[life]; echo[x] = 0; s_number[x] = b_number[b]
	:: else
	fi
}

inline believe(x, b)
{
#ifndef NO_WITNESS
	if
	:: (b_leader[b] && (!s_life[b_leader[b]] || b_dealings[b] > s_dealings[b_leader[b]])) || (hearing && known[x] && !b_leader[b]) ->
		hearing = true; unproven = true; s_settled = false
	:: else
	fi;
#endif
	come(x, b);
	if
	:: b_leader[b] == life && echo[x] <= b_dealings[b] -> echo[x] = b_dealings[b] + 1
	:: else
	fi;
#ifdef NO_SPOKEN
	heard[x] = heard[x] || hearing && b_all[b];
#else
	heard[x] = heard[x] || hearing && b_all[b] && b_leader[b] == life;
#endif
	if
	:: b_full[b] && !s_over[x] -> deal(x, b); s_number[x] = b_number[b]
	:: else
	fi;
	was_silent = was_silent && x != 0
}

inline answer(x, b)
{
	if
	:: asking[x] && !a_there[x] && b_number[b] == number[x] && there[x] == 1 ->
		a_there[x] = true;
		a_life[x] = life;
		a_dealings[x] = s_dealings[life];
		a_used[x] = (b_full[b] -> s_used[x] : 0);
#ifdef NO_FACT
		a_granted[x] = (b_full[b] -> s_granted[x] : 0)
#else
		/* what the store has of it may be older than what was said */
		a_granted[x] = (b_full[b] -> (b_leader[b] == life -> s_granted[x] : b_granted[b]) : 0)
#endif
	:: else
	fi
}

inline receive(x, b)
{
	if
#ifdef NO_NUMBER
	:: true -> believe(x, b)
#else
	:: b_number[b] > s_number[x] -> believe(x, b)
#endif
	:: else
	fi;
	answer(x, b);
	tidy(x)
}

#define OVER(x) (used[x] > s_granted[x] -> used[x] - s_granted[x] : 0)

inline heard_long_enough()
{
	i = 0;
	do
	:: i < PROCS ->
		if
		:: there[i] == 1 && valid[i] && renewed[i] != life -> expire(i)
		:: else
		fi;
		a_late[i] = a_late[i] || (a_there[i] && a_life[i] != life);
		heard[i] = false; known[i] = false;
		i++
	:: else -> break
	od;
	i = 0;
	sum = OVER(0) + OVER(1) + (PROCS > 2 -> OVER(PROCS - 1) : 0);
	missed = (sum > missed -> sum : missed);
	sum = 0;
	hearing = false; unproven = false; s_settled = true
}

inline start()
{
	life++;
	s_life[life] = true;
	/* "A life that did not end its hearing proves nothing" */
#ifdef NO_SETTLED
	hearing = true; unproven = false; was_silent = false;
#else
	hearing = true; unproven = !s_settled; was_silent = false;
#endif
	s_settled = false;
	i = 0;
	do
	:: i < PROCS -> known[i] = s_member[i]; heard[i] = false; came[i] = 0; echo[i] = 0; i++
	:: else -> break
	od;
	i = 0
}

#define SURE(x) (!known[x] || heard[x])
#define PROVEN  ((known[0] || known[1] || known[PROCS - 1]) && SURE(0) && SURE(1) && SURE(PROCS - 1))

#define ROW(to, of, i) to##_granted[i] = of##_granted[i]; to##_used[i] = of##_used[i]; to##_number[i] = of##_number[i]; \
	to##_member[i] = of##_member[i]; to##_over[i] = of##_over[i]
#define HEARD(to, of, i) to##_life[i] = of##_life[i]; to##_dealings[i] = of##_dealings[i]
#if NEXT
#define LAST(to, of) ROW(to, of, 2)
#else
#define LAST(to, of) skip
#endif
#define WHOLE(to, of) ROW(to, of, 0); ROW(to, of, 1); LAST(to, of); to##_settled = of##_settled; i = 0; do :: i < LIVES -> HEARD(to, of, i); i++ :: else -> break od; i = 0

#if NEXT
#define CEILING(x) (x != 0 || used[0] < ceiling)
#define NAME_FREE(x) (x == 1 || !s_member[2 - x]) /* processes 0 and 2 have one name */
#else
#define CEILING(x) true
#define NAME_FREE(x) true
#endif

proctype process(byte me)
{
end_idle:
	do
	:: atomic { there[me] == 1 && valid[me] && used[me] < granted[me] && CEILING(me) -> admit(me) }
	:: atomic { there[me] == 1 && number[me] < ASKS - (me == 1) * LATER && NAME_FREE(me) ->
		ask(me);
		if
		:: true -> receive(me, BEAT(me, 0)); take(me); forget_beat(BEAT(me, 0))
		:: faults -> faults--; receive(me, BEAT(me, 0)); take(me) /* it will come again */
		:: faults -> faults--; receive(me, BEAT(me, 0)) /* the answer is late, or lost */
		:: faults -> faults-- /* it is late */
		fi
	}
	:: atomic { a_there[me] && there[me] == 1 -> take(me) }
#ifndef NO_VALIDITY
	:: atomic { expires && there[me] == 1 && valid[me] -> expires--; expire(me) }
#endif
#if LAPSES
	:: atomic { lapses && there[me] == 1 && !lapsed[me] && leader[me] -> lapses--; lapsed[me] = true }
	/* lost: its own lease ended before */
	:: atomic { s_member[me] && (lapsed[me] || there[me] == KILLED) -> s_member[me] = false; a_late[me] = a_there[me] }
#elif NEXT
	:: atomic { s_member[me] && there[me] == KILLED -> s_member[me] = false }
#endif
#if LOWERS
	:: atomic { there[me] == 1 && !lowers && !lowered[me] ->
		lowered[me] = true;
#ifndef NO_RECALL
		release(me)
#endif
	}
#endif
	/* one of its late beats arrives, not for the last time */
	:: atomic { b_number[BEAT(me, 0)] && NAME_FREE(me) -> receive(me, BEAT(me, 0)) }
	:: atomic { b_number[BEAT(me, 1)] && NAME_FREE(me) -> receive(me, BEAT(me, 1)) }
	od
}

proctype others()
{
end_idle:
	do
	:: atomic { hearing -> heard_long_enough() }
#ifndef NO_EARLY
	:: atomic { hearing && !unproven && PROVEN -> hearing = false; s_settled = true }
#endif
	:: atomic { restarts -> restarts--; start() }
#if RESTORES
	:: atomic { !copy -> copy = true; WHOLE(c, s) }
	:: atomic { copy && restores -> restores--; WHOLE(s, c); start() }
#endif
#if LOWERS
	:: atomic { lowers -> lowers--; limit = QUOTA - 1 }
#endif
#ifdef JOINS
	:: atomic { !there[1] -> there[1] = 1 }
#endif
#if NEXT
#ifdef NO_CEILING
#define AHEAD QUOTA
#define WRITTEN pushed
#else
#define AHEAD 1
#define WRITTEN ceiling
#endif
	:: atomic { there[0] == 1 && ceiling < used[0] + AHEAD -> ceiling++ }
	:: atomic { kills && there[0] == 1 -> kills--;
		there[0] = KILLED; there[2] = 1; copied = WRITTEN;
		assert(copied <= used[0] + 1); /* a kill */
		valid[0] = false; lapsed[0] = false; told[0] = false; leader[0] = 0; dealings[0] = 0; renewed[0] = 0; granted[0] = used[0];
		ceiling = 0; pushed = 0;
		forget_answer(0) }
	:: atomic { copies && there[0] == 1 -> copies--; there[2] = 1; copied = WRITTEN }
	/* "silent for grantMs" */
	:: atomic { there[2] && !s_over[0] && !was_silent && !valid[0] -> was_silent = true; a_late[0] = a_there[0] }
	/* its last word, by the next process: as often as it likes */
#ifdef NO_SILENCE
	:: atomic { there[2] && !s_member[0] && !s_over[0] ->
#else
	:: atomic { there[2] && was_silent && !s_over[0] ->
#endif
		s_over[0] = true;
		s_used[0] = (copied > s_used[0] -> copied : s_used[0]);
		s_granted[0] = s_used[0];
		/* a copy may know older ceilings: what was admitted behind them and not told within grantMs cannot be known */
		missed = missed + (COPIES && used[0] > s_used[0] && !valid[0] -> used[0] - s_used[0] : 0) }
#endif
	od
}

init
{
	atomic {
		s_life[1] = true;
		there[0] = 1;
#ifndef JOINS
		there[1] = 1;
#endif
		run process(0);
		run process(1);
#if NEXT
		run process(2);
#endif
		run others()
	}
}
