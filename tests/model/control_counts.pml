/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_counts - what a boot has counted is merged once: docs/cluster-protocol.md, "Counts", for SPIN.
 *
 *     process 0      counts, freezes, writes its journal, sends
 *     process 1      the next one on its folder, after a kill, maybe under another name; or one on a copy of the folder
 *     the leader     merges; a restart between what is not one transaction; a restore to an earlier copy
 *
 * Of one boot, that of process 0. Its counts are at most two pieces: what was sent and not acknowledged (frozen), and what is
 * counted behind it (waiting), which may be in the journal too, and be written anew with more in it. Process 1 sends what its
 * journal has, as it is. The network keeps all pieces that were ever sent; each may arrive at any time, any number of times.
 *
 * Asserted:
 *
 *   once      merged <= counted, always                                                                          promise 1
 *   all       when everything is acknowledged: merged >= counted, but for what was counted since the journal was last written
 *             before a kill; with a copy of the folder or a restore, some may be given up                             promise 1
 *
 * Each rule can be taken out: NO_IMMUTABLE NO_AFTER NO_BOOT NO_ONE NO_OWN. SPIN must find an error then.
 */

#ifndef CALLS
#define CALLS 3
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef COPIES
#define COPIES 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef PIECES
#define PIECES 5 /* that are ever sent */
#endif
#define NAMES 2
#define SEQS 5

byte counted;
byte lost;                           /* of them, by a kill */
bool given_up;                       /* the store was restored */
bool lease = true;                   /* of process 0, which is there */

/* Pieces: all that was counted after `after`, up to `seq`. 0: none. */
byte seq;                            /* the newest that was used */
byte acked;                          /* what the next piece comes after */
byte frozen, frozen_after, frozen_n; /* sent */
byte waiting;                        /* in memory, behind that */
byte j_frozen, j_after, j_n;         /* the journal of process 0: what was frozen */
byte j_waiting, j_waiting_n;         /* and behind it: its after is j_frozen, or j_after */
byte o_frozen, o_after, o_n, o_waiting, o_waiting_after, o_waiting_n; /* what process 1 has to send */
bool other;

byte n_seq[PIECES], n_after[PIECES], n_n[PIECES], n_name[PIECES], sent;
bool n_acked[PIECES];

byte s_high[NAMES], s_merged, c_high[NAMES], c_merged; /* the store, and its copy */
bool copy;
byte half;                           /* merged, and its seq is not stored yet */

byte kills = KILLS, copies = COPIES, restores = RESTORES, restarts = RESTARTS;
hidden byte i, k;

#ifdef NO_BOOT
#define HIGH(name) s_high[name] /* "whose counts": also by the name that brings them */
#else
#define HIGH(name) s_high[0]
#endif

/* The same piece again is one that is kept. */
inline send(q, a, n, name)
{
	i = 0;
	do
	:: i < sent && !(n_seq[i] == q && n_after[i] == a && n_n[i] == n && n_name[i] == name) -> i++
	:: else -> break
	od;
	if
	:: i == sent && sent < PIECES -> n_seq[i] = q; n_after[i] = a; n_n[i] = n; n_name[i] = name; sent++
	:: else
	fi;
	i = 0
}

inline journal()
{
	j_frozen = frozen; j_after = frozen_after; j_n = frozen_n;
	if
	:: waiting -> seq++; j_waiting = seq; j_waiting_n = waiting
	:: else -> j_waiting = 0; j_waiting_n = 0
	fi
}

inline clear_own()
{
	frozen = 0; frozen_after = 0; frozen_n = 0; waiting = 0;
	j_frozen = 0; j_after = 0; j_n = 0; j_waiting = 0; j_waiting_n = 0
}

/* What the journal of process 0 has is what process 1 finds. */
inline hand_over()
{
	other = true;
	o_frozen = j_frozen; o_after = j_after; o_n = j_n;
	o_waiting = j_waiting; o_waiting_after = (j_frozen -> j_frozen : acked); o_waiting_n = j_waiting_n
}

inline merge(q, a, n, name)
{
	if
#ifdef NO_AFTER
	:: HIGH(name) < q ->
#else
	:: HIGH(name) <= a ->
#endif
		s_merged = s_merged + n;
		assert(s_merged <= counted); /* once */
#ifdef NO_ONE
		half = q
#else
		HIGH(name) = q
#endif
	:: else
	fi
}

#define SETTLED (!lease && !frozen && !waiting && !o_frozen && !o_waiting && !half)
#define IS(k, q, name)   (n_acked[k] && n_seq[k] == (q) && n_name[k] == (name))
#define ACKED(q, name) (IS(0, q, name) || IS(1, q, name) || IS(2, q, name) || IS(3, q, name) || IS(4, q, name))

proctype worker()
{
end_idle:
	do
	:: atomic { lease && counted < CALLS -> counted++; waiting++ }
	:: atomic { lease && waiting != j_waiting_n && seq < SEQS -> journal() }
	/* frozen and sent; before that it is in the journal under the same seq, or under none */
	:: atomic { lease && !frozen && waiting && seq < SEQS ->
		seq++;
		frozen = seq; frozen_after = acked; frozen_n = waiting; waiting = 0;
		journal();
		send(frozen, frozen_after, frozen_n, 0)
	}
#ifdef NO_IMMUTABLE
	:: atomic { lease && frozen && waiting -> frozen_n = frozen_n + waiting; waiting = 0; journal(); send(frozen, frozen_after, frozen_n, 0) }
#endif
	:: atomic { lease && frozen && ACKED(frozen, 0) -> acked = frozen; frozen = 0; frozen_after = 0; frozen_n = 0; journal() }
	:: atomic { kills && lease -> kills--;
		lease = false;
		hand_over();
		lost = waiting - j_waiting_n;
		clear_own()
	}
	:: atomic { copies && lease -> copies--; hand_over() }
	od
}

proctype next()
{
end_idle:
	do
	:: atomic { other && o_frozen -> send(o_frozen, o_after, o_n, 1) }
	:: atomic { other && !o_frozen && o_waiting -> send(o_waiting, o_waiting_after, o_waiting_n, 1) }
	:: atomic { other && o_frozen && ACKED(o_frozen, 1) -> o_frozen = 0; o_after = 0; o_n = 0 }
	:: atomic { other && !o_frozen && o_waiting && ACKED(o_waiting, 1) -> o_waiting = 0; o_waiting_after = 0; o_waiting_n = 0 }
	od
}

proctype leader()
{
end_idle:
	do
	:: atomic { sent && !half ->
		if
		:: k = 0
		:: sent > 1 -> k = 1
		:: sent > 2 -> k = 2
		:: sent > 3 -> k = 3
		:: sent > 4 -> k = 4
		fi;
		if
#ifndef NO_OWN
		:: n_name[k] == 1 && lease /* refused: the boot is that of a process that is there */
#endif
		:: else -> merge(n_seq[k], n_after[k], n_n[k], n_name[k]);
			n_acked[k] = !half
		fi;
		k = 0
	}
#ifdef NO_ONE
	:: atomic { half -> HIGH(0) = half; half = 0 }
	:: atomic { half && restarts -> restarts--; half = 0 }
#endif
#if RESTORES
	:: atomic { !copy && !half -> copy = true; c_high[0] = s_high[0]; c_high[1] = s_high[1]; c_merged = s_merged }
	:: atomic { copy && restores -> restores--; s_high[0] = c_high[0]; s_high[1] = c_high[1]; s_merged = c_merged; given_up = true; half = 0 }
#endif
	:: atomic { !given_up && (lease && !frozen && !waiting || SETTLED && !COPIES) -> assert(s_merged + lost >= counted) } /* all */
	od
}

init
{
	atomic {
		run worker();
		run next();
		run leader()
	}
}
