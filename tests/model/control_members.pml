/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_members - who is there, and in the ring: docs/cluster-protocol.md, "Who is there", for SPIN.
 *
 * Two processes of one name. Each says that it is active, then draining, then that it has left, some of it more than once, and one
 * that has left may say again that it is active. All that was ever sent may arrive at any time, any number of times. Writes to the
 * store fail, the leader is restarted, leases end.
 *
 * Asserted:
 *
 *   never back     a process whose draining or leaving was acknowledged is not put into the ring again
 *   stored         after a write that failed, memory is what the store has
 *   the ring       after a sweep that did not fail it is what the members make of it
 *
 * Each rule can be taken out: NO_NUMBER NO_GONE NO_STAGE NO_SWEEP. SPIN must find an error then.
 */
#ifndef PUSHES
#define PUSHES 4 /* of a process */
#endif
#ifndef FAILS
#define FAILS 2
#endif
#ifndef RESTARTS
#define RESTARTS 2
#endif
#define ACTIVE   1
#define DRAINING 2
#define LEFT     3
#define SAID(p, n) said[(p) * PUSHES + (n) - 1]

/* Processes are 1 and 2; 0 is none. */
byte said[3 * PUSHES], sent[3];
bool out[3], gone[3];                     /* acknowledged: draining or left; left */

/* The leader's memory, and its store. */
byte m_process, m_state, m_number[3];
byte s_process, s_state, s_number[3];
bool m_gone[3], s_gone[3];
bool live;
byte ring;                                /* an entity: stored first, always */
bool dirty;

byte fails = FAILS, restarts = RESTARTS;
hidden byte k, wanted, ok, changed;

#define SAME (m_process == s_process && m_state == s_state && m_gone[1] == s_gone[1] && m_gone[2] == s_gone[2])

inline apply(p, n)
{
	m_process = p; m_state = SAID(p, n); m_number[p] = n;
	m_gone[p] = m_gone[p] || SAID(p, n) == LEFT;
	dirty = true
}

inline store(p, n)
{
	s_process = p; s_state = SAID(p, n); s_number[p] = n;
	s_gone[p] = s_gone[p] || SAID(p, n) == LEFT
}

#ifdef NO_GONE
#define GONE(p) false
#else
#define GONE(p) m_gone[p]
#endif
#ifdef NO_NUMBER
#define OLD(p, n) false
#else
#define OLD(p, n) (n <= m_number[p])
#endif

/* ok: acknowledged */
inline receive(p, n)
{
	changed = m_process != p || m_state != SAID(p, n) || !live;
	if
	:: GONE(p) -> ok = SAID(p, n) == LEFT
	:: !GONE(p) && live && m_process && m_process != p -> ok = false /* 409 */
	:: !GONE(p) && !(live && m_process && m_process != p) && OLD(p, n) -> ok = true
	:: else ->
		if
		:: !changed -> m_number[p] = n; ok = true /* no disk */
#ifdef NO_STAGE
		:: changed -> apply(p, n); live = SAID(p, n) != LEFT; store(p, n); ok = true
		:: changed && fails -> fails--; apply(p, n); live = SAID(p, n) != LEFT; ok = false
#else
		:: changed -> store(p, n); apply(p, n); live = SAID(p, n) != LEFT; ok = true
		:: changed && fails -> fails--; ok = false; assert(SAME) /* stored */
#endif
		fi
	fi;
	out[p] = out[p] || (ok && SAID(p, n) != ACTIVE);
	gone[p] = gone[p] || (ok && SAID(p, n) == LEFT);
	ok = 0; changed = 0
}

inline sweep()
{
	wanted = (live && m_state == ACTIVE -> m_process : 0);
	if
#ifdef NO_SWEEP
	:: !dirty
	:: dirty && ring == wanted -> dirty = false
	:: dirty && ring != wanted -> dirty = false;
#else
	:: ring == wanted
	:: ring != wanted ->
#endif
		if
		:: true -> assert(!wanted || !out[wanted]); ring = wanted /* never back */
		:: fails -> fails--; wanted = ring
		fi
	fi;
	assert(ring == wanted); /* the ring */
	wanted = 0
}

active proctype all()
{
end_idle:
	do
	:: atomic { sent[1] < PUSHES -> k = 1; goto say }
	:: atomic { sent[2] < PUSHES -> k = 2; goto say }
	:: atomic { sent[1] ->
		k = 1;
		do
		:: k < sent[1] -> k++
		:: break
		od;
		receive(1, k); k = 0 }
	:: atomic { sent[2] ->
		k = 1;
		do
		:: k < sent[2] -> k++
		:: break
		od;
		receive(2, k); k = 0 }
	:: atomic { live -> live = false; dirty = true } /* lost */
	:: atomic { sweep() }
	:: atomic { restarts -> restarts--;
		m_process = s_process; m_state = s_state; m_number[1] = s_number[1]; m_number[2] = s_number[2];
		m_gone[1] = s_gone[1]; m_gone[2] = s_gone[2];
		live = m_process && m_state != LEFT; dirty = true }
	od;
say:	atomic {
		sent[k]++;
		if
		:: sent[k] == 1 -> SAID(k, sent[k]) = ACTIVE
		:: sent[k] > 1 && SAID(k, sent[k] - 1) == ACTIVE -> SAID(k, sent[k]) = ACTIVE
		:: sent[k] > 1 && SAID(k, sent[k] - 1) != LEFT -> SAID(k, sent[k]) = DRAINING
		:: sent[k] > 1 -> SAID(k, sent[k]) = LEFT
		:: gone[k] -> SAID(k, sent[k]) = ACTIVE /* it should have been silent */
		fi;
		k = 0;
		goto end_idle
	}
}
