/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves_late - a blob whose upload ended at a member that does not hold its repository: docs/storage-protocol.md, "A repository that moves", 5, for SPIN.
 *
 * Three members, one repository, one blob, rings that give it to any of them. A member hears of rings late, and not of all. The upload may end at any of
 * them. Who has the blob for another asks that one to fetch it (POST fetch); answers are lost; who fetches is killed. Who owns nothing leaves when it holds
 * nothing for others, and its disk goes with it.
 *
 * Asserted, when all have the last ring and nothing is left to be done: the owner has the blob.
 *
 * Each rule can be taken out: NO_HELD (who leaves does not wait for what it has for others), NO_EQUAL (who has another ring is answered), NO_DURABLE (the answer
 * comes before the blob lies on the disk), NO_AGAIN (the ring is not looked at again behind the fetch), NO_TAKEN (a blob of what is ours by the ring counts as
 * with its owner, before the repository is here).
 */
#ifndef RINGS
#define RINGS 4
#endif
#define N 3

byte owner[RINGS + 1], newest = 1;
byte ring[N] = 1;
byte holder;                      /* who has the repository's index */
bool held[N];                     /* gave it away, and its owner has not listed what lies here */
bool has[N], late[N], left[N];
bool told, killed;
byte from[N] = N, by[N];          /* a fetch under way at this member: from whom, and by which ring; N: none */
bool memory[N];                   /* with NO_DURABLE: fetched, answered, and not on the disk */

#define OWNS(m) (owner[ring[m]] == m)
#define SAME(x, m) (ring[x] == ring[m])
#ifdef NO_EQUAL
#define ANSWERS(x, m) true
#else
#define ANSWERS(x, m) SAME(x, m)
#endif
#ifdef NO_AGAIN
#define OURS_STILL(m) true
#else
#define OURS_STILL(m) (ring[m] == by[m])
#endif
#ifdef NO_TAKEN
#define HERE(m) true
#else
#define HERE(m) (holder == m)
#endif
#ifdef NO_HELD
#define KEEPS(m) held[m]
#else
#define KEEPS(m) (held[m] || late[m])
#endif
#define ALL_KNOW (ring[0] == newest && ring[1] == newest && ring[2] == newest)

inline take_in(m, x) {
	if
	:: has[x] && !left[x] -> has[m] = true
	:: else
	fi;
	held[x] = false
}

proctype member(byte m) {
end:
	do
	/* An upload ends. */
	:: atomic { !told && !left[m] -> told = true; has[m] = true; late[m] = !(OWNS(m) && HERE(m)) }
	:: atomic { ring[m] < newest -> ring[m] = newest }
	:: atomic { ring[m] + 1 < newest -> ring[m]++ }
	/* The repository comes, and what its holders of before have of it. */
	:: atomic { OWNS(m) && holder != m && SAME(holder, m) -> held[holder] = true; held[m] = false; holder = m }
	:: atomic { OWNS(m) && holder == m && held[0] && SAME(0, m) -> take_in(m, 0) }
	:: atomic { OWNS(m) && holder == m && held[1] && SAME(1, m) -> take_in(m, 1) }
	:: atomic { OWNS(m) && holder == m && held[2] && SAME(2, m) -> take_in(m, 2) }
	/* It asks the owner to fetch; that one does, and says so. */
	:: atomic { late[m] && !OWNS(m) && from[owner[ring[m]]] == N && ANSWERS(m, owner[ring[m]]) && HERE(owner[ring[m]]) ->
		from[owner[ring[m]]] = m; by[owner[ring[m]]] = ring[m] }
	:: atomic { from[m] < N ->
		if
#ifdef NO_DURABLE
		:: memory[m] = true; late[from[m]] = false
#else
		:: has[m] = true;
			if
			:: OURS_STILL(m) -> late[from[m]] = false
			:: else
			fi
#endif
		:: skip /* it failed */
		:: has[m] = true /* the answer is lost */
		fi;
		from[m] = N }
	:: atomic { memory[m] -> memory[m] = false; has[m] = true }
	:: atomic { !killed -> killed = true; from[m] = N; memory[m] = false }
	:: atomic { late[m] && OWNS(m) && HERE(m) -> late[m] = false }
	:: atomic { newest == RINGS && ALL_KNOW && !left[m] && !OWNS(m) && holder != m && !KEEPS(m) && told -> left[m] = true; has[m] = false }
	od
}

#define BUSY (from[0] < N || from[1] < N || from[2] < N || memory[0] || memory[1] || memory[2])
#define LEFT_TO_DO (held[0] || held[1] || held[2] || late[0] || late[1] || late[2])

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
	:: atomic { newest == RINGS && ALL_KNOW && told && holder == owner[newest] && !BUSY && !LEFT_TO_DO -> assert(has[owner[newest]]) }
	:: atomic { told && (left[0] || !has[0]) && (left[1] || !has[1]) && (left[2] || !has[2]) -> assert(false) }
	od
}

init {
	atomic {
		owner[1] = 0; holder = 0;
		run member(0); run member(1); run member(2); run leader()
	}
}
