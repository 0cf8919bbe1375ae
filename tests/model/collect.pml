/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect - blobs that nobody needs are removed while others push: docs/storage-protocol.md, "Deleting a blob" and "Collection", for SPIN.
 *
 * One repository, one blob, one manifest that names it. Collectors look for what no manifest names; one may be the owner and the other was it, both may
 * stop for any time between any two steps, or for ever. A removal is a message that arrives whenever it likes. Pushers ask whether the blob is there, or send
 * it, and then push the manifest, as late as they like. Somebody deletes the manifest. The clock of the store goes on; who judges by it may be ahead by
 * the time of grace.
 *
 * Asserted:
 *
 *   never lost   a manifest that was acknowledged, and not deleted since, names a blob that is there
 *
 * Each rule can be taken out: NO_RECORD (removed by what a view says, no record), NO_SWAP (the record is written whatever came since the view),
 * NO_REFUSAL (a manifest is taken though its blob is condemned), NO_UNTIL (a removal that arrives late takes effect), NO_GRACE (a condemnation is over
 * when it is by one's own clock), NO_GONE (what was removed lately is forgotten, so a client's word that a blob
 * is there counts), NO_NAME (the word that it is over ends whatever condemnation there is).
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
#ifndef REMOVALS
#define REMOVALS 1 /* of each collector */
#endif
#define WINDOW 1
#define GRACE 1
#define NEVER 99

bool there = true;   /* the blob, in the store */
byte now = 0;        /* the clock of the store */
/* The index; each change of it is a record behind the one before. */
byte version = 0;
bool named = false;
byte until = 0;      /* of the condemnation; 0: there is none, and none that ended without a word */
byte removals = 0;
/* Removals that are on their way: each ends at a time of the store's. */
byte sent[COLLECTORS];
bool answered[COLLECTORS];
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

proctype collector(byte me) {
	byte v, own, n = 0;
	bool is_named;
	byte is_until;
end:
	do
	:: atomic { n < REMOVALS -> v = version; is_named = named; is_until = until;
		if
		:: !is_named && (is_until == 0 || IS_OVER(is_until, now)) -> skip
		:: else -> goto again
		fi }
#ifdef NO_RECORD
		atomic { n++; sent[me] = now + WINDOW; answered[me] = false }
#else
		/* The record that condemns it, by what the view says. */
		atomic {
			if
			:: IN_PLACE(v) -> n++; own = now + WINDOW; until = own; removals++; version++
			:: else -> v = 0; goto again
			fi }
		/* Sent late, it is late. */
		atomic { sent[me] = own; answered[me] = false }
#endif
		/* Its answer is heard, or it never is. */
		if
		:: atomic { answered[me] -> answered[me] = false;
#ifndef NO_RECORD
			if
			:: until != 0 && MINE(own) -> until = 0; removals++; version++
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

/* It arrives, once or never; answered in any case. */
active proctype net() {
	byte i;
end:
	do
	:: atomic { sent[0] != 0 ->
		if
		:: IN_TIME(sent[0]) -> assert(!named); there = false
		:: else
		fi; sent[0] = 0; answered[0] = true }
	:: atomic { sent[0] != 0 && now > sent[0] + GRACE -> sent[0] = 0 } /* lost */
#if COLLECTORS > 1
	:: atomic { sent[1] != 0 ->
		if
		:: IN_TIME(sent[1]) -> assert(!named); there = false
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

#ifdef NO_REFUSAL
#define REFUSED(t) false
#else
#define REFUSED(t) (until != 0 && !IS_OVER(until, t))
#endif
#ifdef NO_GONE
#define ASK_GONE false
#else
#define ASK_GONE (removals > 0) /* it was condemned, within a day */
#endif

proctype pusher() {
	byte v, n = 0, mine;
	bool knows, asks;
	do
	:: n < PUSHES ->
		n++;
		knows = false;
		if
		:: atomic { there -> knows = true }   /* a question */
		:: atomic { there = true; knows = true } /* sent anew */
		fi;
		/* The manifest comes, much later perhaps. Its record is written behind a view that was looked at. */
		atomic { v = version;
			if
			:: mine = now
#ifndef EXACT
			:: mine = now + GRACE
#endif
			fi;
			if
			:: named -> goto next
			:: REFUSED(mine) -> goto next
			:: else -> asks = ASK_GONE
			fi }
		if
		:: asks -> atomic { if :: there -> skip :: else -> goto next fi }
		:: else
		fi;
		atomic {
			if
			:: version == v -> assert(there); named = true; version++
			:: else -> goto next
			fi }
next:		skip
	:: else -> break
	od
}

/* A client deletes the manifest. */
active proctype deleter() {
end:
	do
	:: atomic { named && deletes < 1 -> named = false; version++; deletes++ }
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
