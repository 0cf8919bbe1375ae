/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vacate - the name of an empty repository leaves the catalog, and comes back with the next push: docs/storage-protocol.md, "Repositories that are empty", for SPIN.
 *
 * One repository, one manifest. Collectors find it empty; one may be the owner and the other was it, both may stop for any time between any two steps, or for
 * ever. A removal of the name is a message that arrives whenever it likes. Pushers put the name, as late as they like, and then the record of
 * their manifest; they may die between the two. A client deletes the manifest. The clock of the store goes on; who judges by it may be ahead by the time of grace.
 *
 * Asserted:
 *
 *   never unlisted   a manifest that was acknowledged is in a repository that the catalog has
 *
 * Each rule can be taken out: NO_RECORD (the name is removed by what a view says), NO_SWAP (records are written whatever came since the view), NO_WAIT (a push
 * does not wait for the removal), NO_UNTIL (a removal that arrives late takes effect), NO_GRACE (it is over when it is by one's own clock), NO_ORDER (the
 * record of the push first, and then the name), NO_NAME (the word that it is over ends whatever removal there is).
 */
#ifndef COLLECTORS
#define COLLECTORS 2
#endif
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef PUSHES
#define PUSHES 2
#endif
#ifndef TIME
#define TIME 5
#endif
#ifndef DELETES
#define DELETES 1
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* of each collector */
#endif
#define WINDOW 1
#define GRACE 1

bool listed = false;  /* the catalog has the name */
byte now = 0;         /* the clock of the store */
/* The index; each change of it is a record behind the one before. */
byte version = 0;
bool filled = false;    /* it lists the manifest */
bool acked = false;   /* and a client was told so */
bool vacant = true;   /* nobody may rely on the name */
byte until = 0;       /* of its removal; 0: there is none, and none that ended without a word */
/* Removals that are on their way. */
byte sent[2];
bool answered[2];
byte deletes = 0;

#ifdef NO_GRACE
#define IS_OVER(u, t) (t >= u)
#else
#define IS_OVER(u, t) (t > u + GRACE)
#endif
#ifdef NO_SWAP
#define IN_PLACE(v) true
#else
#define IN_PLACE(v) (version == v)
#endif
#ifdef NO_UNTIL
#define IN_TIME(u) true
#else
#define IN_TIME(u) (now < u)
#endif
#ifdef NO_NAME
#define MINE(u) true
#else
#define MINE(u) (until == u)
#endif
#ifdef NO_WAIT
#define LIMBO(t) false
#else
#define LIMBO(t) (vacant && until != 0 && !IS_OVER(until, t))
#endif
#define HOLDS (!acked || !filled || listed)

proctype collector(byte me) {
	byte v, own, n = 0;
end:
	do
	:: atomic { n < ROUNDS && !filled && (until == 0 || IS_OVER(until, now)) -> n++; v = version }
		/* Looks for blobs, for any time. */
#ifdef NO_RECORD
		atomic { sent[me] = now + WINDOW; answered[me] = false }
#else
		atomic {
			if
			:: IN_PLACE(v) -> own = now + WINDOW; vacant = true; until = own; version++
			:: else -> goto again
			fi }
		/* Sent late, it is late. */
		atomic { sent[me] = own; answered[me] = false }
#endif
		/* Its answer is heard, or it never is. */
		if
		:: atomic { answered[me] -> answered[me] = false;
#ifndef NO_RECORD
			if
			:: vacant && until != 0 && MINE(own) -> until = 0; version++
			:: else
			fi
#endif
			}
		:: goto dead
		fi;
again:		skip
	od;
dead:	skip
}

/* A removal arrives, once or never; answered in any case. */
active proctype net() {
end:
	do
	:: atomic { sent[0] != 0 ->
		if
		:: IN_TIME(sent[0]) -> listed = false; assert(HOLDS)
		:: else
		fi; sent[0] = 0; answered[0] = true }
	:: atomic { sent[0] != 0 && now > sent[0] + GRACE -> sent[0] = 0 } /* lost */
#if COLLECTORS > 1
	:: atomic { sent[1] != 0 ->
		if
		:: IN_TIME(sent[1]) -> listed = false; assert(HOLDS)
		:: else
		fi; sent[1] = 0; answered[1] = true }
#endif
	od
}

active proctype clock() {
	do
	:: now < TIME -> now++
	:: else -> break
	od
}

proctype pusher() {
	byte v, n = 0, mine;
	bool was_vacant;
	do
	:: n < PUSHES ->
		n++;
		atomic { v = version; was_vacant = vacant;
			if
			:: mine = now
			:: mine = now + GRACE
			fi;
			if
			:: LIMBO(mine) -> goto next /* it comes again */
			:: !LIMBO(mine) && filled -> acked = true; assert(HOLDS); goto next /* it is there: acknowledged by what the store says */
			:: else
			fi }
#ifdef NO_ORDER
		atomic {
			if
			:: IN_PLACE(v) -> filled = true; vacant = false; version++
			:: else -> goto next
			fi }
		if
		:: was_vacant -> listed = true
		:: else
		:: goto dead
		fi;
		atomic { if :: filled -> acked = true; assert(HOLDS) :: else fi }
#else
		if
		:: was_vacant -> listed = true
		:: !was_vacant
		fi;
		if
		:: skip
		:: goto dead
		fi;
		atomic {
			if
			:: IN_PLACE(v) -> filled = true; acked = true; vacant = false; version++; assert(HOLDS)
			:: else -> goto next
			fi }
#endif
next:		skip
	:: else -> break
	od;
dead:	skip
}

/* A client deletes the manifest. */
active proctype deleter() {
end:
	do
	:: atomic { filled && deletes < DELETES -> filled = false; acked = false; version++; deletes++ }
	od
}

init {
	byte i;
	atomic {
		i = 0;
		do
		:: i < COLLECTORS -> run collector(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < PUSHERS -> run pusher(); i++
		:: else -> break
		od
	}
}
