/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_ungranted - a quota that is set while calls are made: docs/cluster-protocol.md, "Ungranted", for SPIN.
 *
 * Two workers, one key, one day. Before the quota is set calls are part of no grant. Calls are merged in any portions, at any time; beats
 * tell what was used at any other. A beat and its answer are one step; what is late is in control_grants.
 *
 * Asserted, when a call is admitted out of a grant: calls <= quota, but for ungranted ones that were not merged yet when it was set.
 *
 * The rule can be taken out: NO_UNGRANTED (the leader takes for granted what was merged and not told as used, or the other way
 * round: all calls, and what is unused of the grants). SPIN must find an error then.
 */
#ifndef QUOTA
#define QUOTA 4
#endif
#ifndef FREE
#define FREE 3 /* calls before it is set */
#endif

byte granted[2], used[2];               /* at the worker */
byte unmerged[2], unmerged_ungranted[2];
byte s_granted[2], s_used[2];           /* at the leader */
byte total, ungranted;
bool is_set;
byte calls, late;
hidden byte taken;

inline admit(w)
{
	calls++;
	unmerged[w]++
}

inline merge(w)
{
	total = total + unmerged[w];
	ungranted = ungranted + unmerged_ungranted[w];
	unmerged[w] = 0;
	unmerged_ungranted[w] = 0
}

inline beat(w)
{
	s_used[w] = used[w];
	s_granted[w] = granted[w];
#ifdef NO_UNGRANTED
	taken = total + s_granted[0] + s_granted[1] - s_used[0] - s_used[1];
	taken = (taken < s_granted[0] + s_granted[1] -> s_granted[0] + s_granted[1] : taken);
#else
	taken = ungranted + s_granted[0] + s_granted[1];
#endif
	if
	:: taken < QUOTA -> s_granted[w]++
	:: true
	fi;
	granted[w] = s_granted[w];
	taken = 0
}

proctype worker(byte me)
{
end_idle:
	do
	:: atomic { !is_set && calls < FREE -> admit(me); unmerged_ungranted[me]++ }
	:: atomic { is_set && used[me] < granted[me] -> used[me]++; admit(me); assert(calls <= QUOTA + late) }
	:: atomic { unmerged[me] -> merge(me) }
	:: atomic { is_set -> beat(me) }
	od
}

init
{
	atomic {
		run worker(0);
		run worker(1)
	}
	atomic { is_set = true; late = unmerged_ungranted[0] + unmerged_ungranted[1] }
}
