/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves - a repository goes from member to member of an isolated cluster: docs/storage-protocol.md, "A repository that moves", for SPIN.
 *
 * Three members, one repository, rings that give it to any of them. A member hears of rings late, and not of all; it is killed, and comes back with any
 * older ring from its disk. A write passes the gate, and is made some time later. Answers are lost (what was given is asked for again, or by another).
 *
 * Asserted:
 *
 *   never lost    a write is made behind all that were acknowledged before it, and a read by the owner shows the newest      promises 1 and 2
 *   one holder    no two members hold it
 *
 * With PAST only those are asked who owned it by a ring since the first, when nobody held what was not theirs.
 *
 * Each rule can be taken out: NO_EQUAL (who has another ring is answered), NO_FENCE (a member that was killed serves by the older ring of its disk),
 * NO_BARRIER (a question is answered while a write of the ring before is on its way), NO_NOTE (given away first, written down later),
 * NO_CHECK (what was given comes to be by a ring of before), NO_ALL (who does not answer has none), NO_FROZEN (of copies that nobody took, the first that is found
 * counts, not the one that was given away last), NO_WHOLE (with PAST: a ring is not among those that are known, and it is not known either that it is missing).
 */
#ifndef RINGS
#define RINGS 3
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef WRITES
#define WRITES 3
#endif
#define N 3
#define NOBODY 3

#define NONE  0
#define HELD  1
#define GIVEN 2

#define NOT_ASKED 0
#define HAS_NONE  1
#define GAVE      2

byte owner[RINGS + 1], newest = 1;
byte ring[N] = 1, wrote[N] = 1; /* as it acts by; written down */
byte is[N], frozen[N], data[N]; /* on disk; frozen: GIVEN, by which ring it ceased to be held */
#ifdef NO_NOTE
bool noted[N];                  /* that it was given is on disk */
#endif
bool writing[N];
byte seen[N];                   /* the ring by which nobody held it; 0: none */
byte out[9], gave[9];           /* of the questions of each */
byte asked[N];                  /* the ring by which it asks */
bool got[N];                    /* an answer that is not taken in yet */
byte got_data[N];
byte acked, kills, writes;

#define MAY_ACT(m) (owner[ring[m]] == m && ring[m] == wrote[m])
#ifdef NO_FENCE
#define ADOPTED(m) (owner[ring[m]] == m)
#else
#define ADOPTED(m) MAY_ACT(m)
#endif

inline forget_answers(m) {
	out[m * 3] = NOT_ASKED; out[m * 3 + 1] = NOT_ASKED; out[m * 3 + 2] = NOT_ASKED;
	gave[m * 3] = 0; gave[m * 3 + 1] = 0; gave[m * 3 + 2] = 0
}

inline forget(m) {
	forget_answers(m);
	got[m] = false; got_data[m] = 0; asked[m] = 0
}

inline give(x, m) {
	got[m] = true; got_data[m] = data[x];
	if
	:: is[x] == HELD -> frozen[x] = ring[x]
	:: else
	fi;
	is[x] = GIVEN;
#ifdef NO_NOTE
	noted[x] = false;
#endif
	out[m * 3 + x] = NOT_ASKED
}

#ifdef NO_EQUAL
#define SAME(x, m) true
#else
#define SAME(x, m) (ring[x] == ring[m] && wrote[x] == ring[x])
#endif

#ifdef NO_BARRIER
#define SETTLED(m) true
#else
#define SETTLED(m) (!writing[m])
#endif

/* Is what x keeps the newest of what was given away? */
#ifdef NO_FROZEN
#define LAST(m, x) true
#else
#define NEWER(m, x, y) (y == x || gave[m * 3 + x] > FROZEN(m, y))
#define FROZEN(m, y) (y == m -> (is[m] == GIVEN -> frozen[m] : 0) : gave[m * 3 + y])
#define LAST(m, x) (NEWER(m, x, 0) && NEWER(m, x, 1) && NEWER(m, x, 2))
#endif
#ifdef NO_FROZEN
#define OURS_LAST(m) true
#else
#define OURS_LAST(m) (frozen[m] > gave[m * 3] && frozen[m] > gave[m * 3 + 1] && frozen[m] > gave[m * 3 + 2])
#endif
#ifdef PAST
#ifdef NO_WHOLE
#define FIRST(x) false
#else
#define FIRST(x) (owner[1] == x)
#endif
#define MAY_HOLD(m, x) (FIRST(x) || (ring[m] > 1 && owner[2] == x) || (ring[m] > 2 && owner[3] == x))
#else
#define MAY_HOLD(m, x) true
#endif
#define ASKED(m, x) (m == x || out[m * 3 + x] != NOT_ASKED || !MAY_HOLD(m, x))
#define HAS_NOTHING(m, x) (m == x || out[m * 3 + x] == HAS_NONE || !MAY_HOLD(m, x))
#define ASKED_ALL(m) (ASKED(m, 0) && ASKED(m, 1) && ASKED(m, 2))

/* m asks x. */
inline ask(m, x) {
	if
	:: is[x] == HELD -> give(x, m)
	:: is[x] == GIVEN -> out[m * 3 + x] = GAVE; gave[m * 3 + x] = frozen[x]
	:: is[x] == NONE -> out[m * 3 + x] = HAS_NONE
	fi
}

/* Nobody holds it: what x keeps. */
inline ask_frozen(m, x) {
	if
	:: is[x] == GIVEN && frozen[x] == gave[m * 3 + x] -> give(x, m)
	:: else -> forget(m)
	fi
}

proctype member(byte m) {
	byte x;
end:
	do
	:: atomic { writes < WRITES && !writing[m] && ADOPTED(m) && (is[m] == HELD || (is[m] == NONE && seen[m] == ring[m])) ->
		writing[m] = true; writes++ }
	:: atomic { writing[m] ->
		assert(data[m] == acked); /* never lost */
		acked++; data[m] = acked; is[m] = HELD; writing[m] = false }
	:: atomic { ADOPTED(m) && is[m] == HELD && !got[m] -> assert(data[m] == acked) }
	/* Another ring: the newest that it hears of. */
	:: atomic { ring[m] < newest -> ring[m] = newest; forget_answers(m); seen[m] = 0 }
	:: atomic { ring[m] + 1 < newest -> ring[m]++; forget_answers(m); seen[m] = 0 }
	:: atomic { wrote[m] < ring[m] && SETTLED(m) -> wrote[m] = ring[m] }
#ifdef NO_FENCE
	:: atomic { wrote[m] > ring[m] -> wrote[m] = ring[m] }
#endif
	/* It is ours, and not here. */
	:: atomic { MAY_ACT(m) && is[m] != HELD && !writing[m] && !got[m] && seen[m] != ring[m] ->
		x = 0;
		do
		:: x < N - 1 -> x++
		:: break
		od;
		asked[m] = ring[m];
		if
		:: x != m && out[m * 3 + x] == NOT_ASKED && MAY_HOLD(m, x) && SAME(x, m) -> ask(m, x)
#ifdef NO_ALL
		:: x != m && out[m * 3 + x] == NOT_ASKED -> out[m * 3 + x] = HAS_NONE
#endif
		:: x != m && ASKED_ALL(m) && out[m * 3 + x] == GAVE && SAME(x, m) && LAST(m, x) -> ask_frozen(m, x)
		:: else
		fi;
		x = 0 }
	:: atomic { got[m] ->
		if
#ifdef NO_CHECK
		:: is[m] = HELD; data[m] = got_data[m]; forget(m)
#else
		:: ring[m] == asked[m] && owner[ring[m]] == m -> is[m] = HELD; data[m] = got_data[m]; forget(m)
#endif
		:: forget(m) /* the answer is lost */
		fi }
	/* Nobody has it. What we gave away last, and nobody took, is ours. */
	:: atomic { MAY_ACT(m) && is[m] == NONE && seen[m] != ring[m] && !got[m] &&
		HAS_NOTHING(m, 0) && HAS_NOTHING(m, 1) && HAS_NOTHING(m, 2) ->
		forget(m); seen[m] = ring[m] }
	:: atomic { MAY_ACT(m) && is[m] == GIVEN && !got[m] && ASKED_ALL(m) && OURS_LAST(m) ->
		is[m] = HELD; forget(m) }
#ifdef NO_NOTE
	:: atomic { is[m] == GIVEN && !noted[m] -> noted[m] = true }
#endif
	:: atomic { kills < KILLS ->
		kills++; writing[m] = false; forget(m); seen[m] = 0;
#ifdef NO_NOTE
		if
		:: is[m] == GIVEN && !noted[m] -> is[m] = HELD
		:: else
		fi;
#endif
		do
		:: ring[m] > 1 -> ring[m]--
		:: break
		od }
	od
}

/* Whose ring it is; and who holds it. */
proctype leader() {
end:
	do
	:: atomic { newest < RINGS ->
		newest++;
		if
		:: owner[newest] = 0
		:: owner[newest] = 1
		:: owner[newest] = 2
		fi }
	:: atomic { (is[0] == HELD) + (is[1] == HELD) + (is[2] == HELD) > 1 -> assert(false) } /* one holder */
	od
}

init {
	atomic {
		owner[1] = 0;
		is[0] = NONE; is[1] = NONE; is[2] = NONE;
		run member(0); run member(1); run member(2); run leader()
	}
}
