/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_folder - the log of an index in a folder: docs/storage-protocol.md, "The log in a folder", for SPIN.
 *
 *     worker 0, worker 1   push, fold (both under the folder's lock), read with a question (no lock)
 *     faults               time; a full disk, a sync that fails, kill -9, a power cut: so many of each
 *
 * What a view holds is written as its history: the batches in their order, three bits each, the newest lowest. So a place is a
 * length, "each sum covers the one before it" is that an entry carries the history up to itself, and "is an older state of" is
 * "is a prefix of". Batch 2 has two changes; 6 stands for its first change alone.
 *
 * A file has what processes see (page cache) and what the disk has. Of what was not synced any subset reaches the disk, torn
 * too; after a sync that failed any subset has, and the pages look clean: a later sync does not write them.
 *
 * Asserted, each time that somebody is told something (told = the longest history that anybody was told):
 *
 *   nothing lost   a read that asks shows all that anybody was told before it began, power cuts or not   promises 1, 3
 *   lease          a read with a lease is behind by at most the lease                              promise 3
 *   one order      what is told is a prefix of what was told, or the other way round                     promise 2
 *   once, whole    no batch is there twice, none in half                                                 promise 4
 *
 * Each rule can be taken out: NO_F1 NO_F2 NO_F3 NO_F7 NO_SETTLE_REWRITE NO_FIRST_MARK NO_FINISH; with LEASES
 * NO_LEASE; with EVICT NO_FOLLOWER. SPIN must find an error then.
 */

#ifndef SYNCS
#define SYNCS 1 /* syncs that fail */
#endif
#ifndef FULLS
#define FULLS 1 /* writes that end half way */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef CUTS
#define CUTS 1 /* power cuts */
#endif
#ifndef BATCHES
#define BATCHES 2
#endif
#ifndef FOLDS
#define FOLDS 1 /* folds that are made without need */
#endif
#define N BATCHES
#define G (1 + FOLDS + SYNCS + CUTS) /* generations */
#define PROCS 2

#define PARTIAL 7
#define HALF(h)      (((h) << 3) | 6)
#define LEN(h)       (((h) != 0) + ((h) > 7) + ((h) > 63))
#define PREFIX(a, b) (LEN(a) <= LEN(b) && ((b) >> (3 * (LEN(b) - LEN(a)))) == (a))
#define WHOLE(e)     ((e) && ((e) & 7) < 6)
/* Batches 1 and 3 set the tag to A, 2 sets it to B. */
#define SAME(h, id)  ((h) && (((h) & 7) == 2) == ((id) == 2))

/* index.json: of each generation what it holds; which one processes see, and which the disk has. */
short json_has[G + 1];
byte json_seen, json_disk;
bool json_dirty;
byte gens = 1;
/* index.log: of which generation it is (0: absent). */
byte log_seen, log_disk;
bool log_dirty;
bool closed[G + 1];
/* Entries and marks of each log, by place. */
#define AT(g, n) (((g) - 1) * N + (n) - 1)
short entry_seen[G * N], entry_disk[G * N];
bool entry_dirty[G * N];
bool mark_seen[G * N], mark_disk[G * N], mark_dirty[G * N];

byte lock; /* 1 + who has it */

byte syncs = SYNCS, fulls = FULLS, kills = KILLS, cuts = CUTS, folds = FOLDS;
byte unused;
bool dead[PROCS];

/* Views. first: the log has not been followed from the beginning of this view. */
short view[PROCS];
byte gen[PROCS]; /* 0: no view */
bool first[PROCS], tail[PROCS];

short told;
bool lost; /* EVICT: a page was lost, and nobody was told */

#ifdef LEASES
/* Ticks since the question that made the view true was asked, and since the one under way was; what was told a tick ago, and
 * more than a tick ago. */
#define LEASE 1
byte age[PROCS], asking[PROCS];
short told_tick, told_before;
#ifdef NO_LEASE
#define LEASED(p) (gen[p])
#else
#define LEASED(p) (gen[p] && age[p] <= LEASE)
#endif
#define ASK(p)  asking[p] = 0
#define TRUE(p) age[p] = asking[p]
#else
#define ASK(p)  skip
#define TRUE(p) skip
#endif

hidden byte i, k;
hidden short h;

inline tell(x)
{
	assert(PREFIX(told, x) || PREFIX(x, told)); /* one order */
	assert((x & 7) < 6 && ((x >> 3) & 7) < 6 && ((x >> 6) & 7) < 6); /* whole */
	assert(LEN(x) < 2 || ((x & 7) != ((x >> 3) & 7))); /* once */
	assert(LEN(x) < 3 || ((x & 7) != ((x >> 6) & 7) && ((x >> 3) & 7) != ((x >> 6) & 7)));
	if
	:: LEN(x) > LEN(told) -> told = x
	:: else
	fi
}

/* ---- the disk ---- */

/* What is not yet on the disk may have got there before it is changed again. */
inline write_entry(s, x)
{
	if
	:: entry_dirty[s] -> entry_disk[s] = entry_seen[s]
	:: true
	fi;
	entry_seen[s] = x;
	entry_dirty[s] = true
}

/* Of what is dirty some reaches the disk; what is whole may get there torn, unless the same bytes are there already. */
inline spill(s)
{
	if
	:: entry_dirty[s] -> entry_disk[s] = entry_seen[s]
	:: entry_dirty[s] && entry_seen[s] && entry_disk[s] != entry_seen[s] -> entry_disk[s] = PARTIAL
	:: true
	fi;
	if
	:: mark_dirty[s] -> mark_disk[s] = mark_seen[s]
	:: true
	fi;
	entry_dirty[s] = false;
	mark_dirty[s] = false
}

inline sync_log_ok(g)
{
	k = 1;
	do
	:: k <= N ->
		if :: entry_dirty[AT(g, k)] -> entry_disk[AT(g, k)] = entry_seen[AT(g, k)]; entry_dirty[AT(g, k)] = false :: else fi;
		if :: mark_dirty[AT(g, k)] -> mark_disk[AT(g, k)] = mark_seen[AT(g, k)]; mark_dirty[AT(g, k)] = false :: else fi;
		k++
	:: else -> break
	od
}

inline sync_log_fails(g)
{
	syncs--;
	k = 1;
	do
	:: k <= N -> spill(AT(g, k)); k++
	:: else -> break
	od
}

inline spill_folder()
{
	if
	:: json_dirty -> json_disk = json_seen
	:: true
	fi;
	if
	:: log_dirty -> log_disk = log_seen
	:: true
	fi;
	json_dirty = false;
	log_dirty = false
}

/* A log that has no name any more is as if it had never been: fewer states. */
inline forget_logs()
{
	k = 1;
	do
	:: k <= gens ->
		if
		:: k != log_seen && k != log_disk && k < json_seen && k < json_disk ->
			closed[k] = false;
			i = 1;
			do
			:: i <= N ->
				entry_seen[AT(k, i)] = 0; entry_disk[AT(k, i)] = 0; entry_dirty[AT(k, i)] = false;
				mark_seen[AT(k, i)] = false; mark_disk[AT(k, i)] = false; mark_dirty[AT(k, i)] = false;
				i++
			:: else -> break
			od
		:: else
		fi;
		k++
	:: else -> break
	od
}

inline sync_folder_ok()
{
	if :: json_dirty -> json_disk = json_seen :: else fi;
	if :: log_dirty -> log_disk = log_seen :: else fi;
	json_dirty = false;
	log_dirty = false;
	forget_logs()
}

inline set_log(g)
{
	if
	:: log_dirty -> log_disk = log_seen
	:: true
	fi;
	log_seen = g;
	log_dirty = true
}

inline set_json(g)
{
	if
	:: json_dirty -> json_disk = json_seen
	:: true
	fi;
	json_seen = g;
	json_dirty = true
}

/* "syncs again behind a change of its own": the block that has the names is written again. */
inline own_change()
{
	json_dirty = true;
	log_dirty = true
}

/* ---- reading: what the log has behind the view ---- */

#define NEXT(p) AT(gen[p], LEN(view[p]) + 1)
#define LAST(p) AT(gen[p], LEN(view[p]))
#ifdef NO_F1
/* "readers take unmarked whole entries", and of a batch of two the first when it is there whole */
#define COUNTS(p) (((entry_seen[NEXT(p)] & 7) < 7) && entry_seen[NEXT(p)])
#else
#define COUNTS(p) (mark_seen[NEXT(p)] && WHOLE(entry_seen[NEXT(p)]))
#endif

#ifdef NO_F1
#define COUNTS_LAST(p) true
#else
#define COUNTS_LAST(p) mark_seen[LAST(p)]
#endif

/* "A reader looks at the mark before its place: if it is not there, ... it reads everything anew." */
inline scan(p)
{
	if
	:: view[p] != json_has[gen[p]] && (!COUNTS_LAST(p) || entry_seen[LAST(p)] != view[p]) ->
		view[p] = json_has[gen[p]]; first[p] = true
	:: else
	fi;
	do
	:: LEN(view[p]) < N && COUNTS(p) && (entry_seen[NEXT(p)] >> 3) == view[p] -> view[p] = entry_seen[NEXT(p)]
	:: else -> break
	od;
	tail[p] = LEN(view[p]) < N && entry_seen[NEXT(p)]
}
#define IS_NEWEST(p) (gen[p] == json_seen)

proctype worker(byte p)
{
	byte id;      /* the batch */
	short from;   /* told, when the request came */
	bool asked;   /* a question was asked after the batch was taken */
	bool reading, folding; /* what is under way, if it is no push */
	bool mending; /* under the lock only to finish a fold or to settle */
	bool closing; /* the new index.json is for a log that somebody closed */
	bool fresh;   /* the log has no mark yet */

start:	{
	skip;
end_idle:
	if
	:: atomic { reading = true; from = told; goto load }
	:: atomic { unused ->
		if
		:: unused & 2 -> id = 1
		:: unused & 4 -> id = 2
		:: unused & 8 -> id = 3
		fi;
		unused = unused & ~(1 << id);
		from = told;
		goto apply
	}
#ifdef LEASES
	:: atomic { LEASED(p) -> /* "a view may answer a read without asking for as long as trust says" */
		assert(PREFIX(told_before, view[p])); /* lease */
		tell(view[p]);
		goto end_idle
	}
#endif
	:: atomic { folds && gen[p] && LEN(view[p]) -> folds--; folding = true; goto apply }
	fi;

	/* ---- a question: index.json, its log, index.json again; no lock ---- */
load:
	atomic {
		ASK(p);
		if
		:: gen[p] != json_seen -> gen[p] = json_seen; view[p] = json_has[json_seen]; first[p] = true
		:: else
		fi
	}
	if
	:: atomic { log_seen == gen[p] -> scan(p);
		if
#ifdef NO_FOLLOWER
		:: tail[p] && first[p] -> goto mend
#else
		/* Whoever finds something behind the last mark settles it, whether he followed the log until here or not: the mark may
		 * have been there, and be lost with a page that could not be written. */
		:: tail[p] -> goto mend
#endif
		:: else
		fi
	}
#ifndef NO_FINISH
	:: atomic { log_seen && log_seen != gen[p] -> goto mend } /* "a fold that did not end" */
#else
	:: atomic { log_seen && log_seen != gen[p] -> tail[p] = false }
#endif
	:: atomic { !log_seen -> /* none yet */
		if
		:: view[p] != json_has[gen[p]] -> goto load_again
		:: else -> tail[p] = false
		fi
	}
	fi;
	atomic {
		if
		:: !IS_NEWEST(p) -> goto load_again
		:: else
		fi;
		first[p] = false;
		TRUE(p);
		if
		:: reading ->
			assert(PREFIX(from, view[p])); /* nothing lost */
			tell(view[p]);
			goto done
		:: else -> asked = true; goto apply
		fi
	}
load_again:
	atomic { gen[p] = 0; view[p] = 0; goto load }

	/* ---- under the lock, for a reader: finish, settle ---- */
mend:
	atomic { lock == 0 -> lock = p + 1; mending = true; goto locked }

	/* ---- a batch is applied to the view ---- */
apply:
	atomic {
		if
		:: !gen[p] -> goto load
		:: id && SAME(view[p], id) -> /* "a batch that writes nothing" [F3] */
			if
#ifdef NO_F3
			:: true ->
#else
			:: asked ->
#endif
				assert(PREFIX(from, view[p])); /* nothing lost */
				tell(view[p]);
				goto done
			:: else -> goto load
			fi
		:: else -> lock == 0 -> lock = p + 1; ASK(p)
		fi
	}

locked:	/* ---- "A log beside an index.json of another generation": finished before anything else ---- */
	if
	:: atomic { log_seen == json_seen || !log_seen -> goto finished }
	:: atomic { log_seen && log_seen != json_seen -> own_change() }
	fi;
	if
	:: atomic { true -> sync_folder_ok() }
	:: atomic { syncs -> syncs--; spill_folder(); goto failed }
	fi;
	atomic { assert(log_seen < json_seen); set_log(0) } /* "a log that index.json says it holds is removed" */
finished:
	if
	:: atomic { log_seen && closed[log_seen] -> goto was_closed }
	:: atomic { log_seen && !closed[log_seen] -> goto settle }
	:: atomic { !log_seen -> goto settled }
	fi;

	/* ---- settling: what lies behind the last mark, h = the history up to there ---- */
settle:
	atomic {
		h = json_has[json_seen]; i = LEN(h) + 1; fresh = true;
		do
		:: i <= N && mark_seen[AT(json_seen, i)] && (entry_seen[AT(json_seen, i)] >> 3) == h ->
			h = entry_seen[AT(json_seen, i)]; fresh = false; i++
		:: else -> break
		od;
		if
		:: i > N || !entry_seen[AT(json_seen, i)] -> h = 0; goto settled
		:: i <= N && WHOLE(entry_seen[AT(json_seen, i)]) && (entry_seen[AT(json_seen, i)] >> 3) == h ->
#ifndef NO_SETTLE_REWRITE
			write_entry(AT(json_seen, i), entry_seen[AT(json_seen, i)]); /* "written again at its place" */
#endif
			h = 0
		:: else -> /* "Anything else was never acknowledged; it is put aside ... and cut off." */
			write_entry(AT(json_seen, i), 0); h = 0; goto settled
		fi
	}
	if
	:: atomic { !lost -> sync_log_ok(json_seen) }
	:: atomic { lost || syncs ->
		if
		:: lost -> lost = false; syncs++
		:: else
		fi;
		sync_log_fails(json_seen)
	};
		atomic { closed[json_seen] = true; goto failed }
	fi;
	if
	:: atomic { !fresh }
#ifndef NO_FIRST_MARK
	/* The first mark says that the log is there after a power cut too: its name is synced, behind a change of our own. */
	:: atomic { fresh -> own_change(); sync_folder_ok() }
	:: atomic { fresh && syncs -> own_change(); syncs--; spill_folder(); goto failed }
#else
	:: atomic { fresh }
#endif
	fi;
	atomic {
		i = LEN(json_has[json_seen]) + 1;
		do
		:: mark_seen[AT(json_seen, i)] -> i++
		:: else -> break
		od;
		mark_seen[AT(json_seen, i)] = true; mark_dirty[AT(json_seen, i)] = true;
		goto settle
	}

settled: /* ---- "if it is not my place: conflict" ---- */
	atomic {
		if
		:: mending -> mending = false; lock = 0; goto load
		:: else
		fi;
		if
		:: gen[p] != json_seen -> lock = 0; goto load
		:: view[p] != json_has[gen[p]] && (!log_seen || !mark_seen[LAST(p)] || entry_seen[LAST(p)] != view[p]) -> lock = 0; goto load
		:: LEN(view[p]) < N && log_seen && entry_seen[NEXT(p)] -> lock = 0; goto load
		:: else
		fi;
		if
		:: folding -> goto fold
		:: else
		fi
	}

	/* ---- append ---- */
	atomic {
		if
		:: !log_seen -> set_log(json_seen)
		:: else
		fi;
		fresh = view[p] == json_has[gen[p]];
		if /* half of it is written */
		:: id == 2 -> write_entry(NEXT(p), HALF(view[p]))
		:: else -> write_entry(NEXT(p), PARTIAL)
		fi
	}
	if
	:: atomic { write_entry(NEXT(p), ((view[p] << 3) | id)) }
	:: atomic { fulls -> fulls--; write_entry(NEXT(p), 0); goto failed } /* "cut off under the lock" [F1] */
	fi;
	if
	:: atomic { !lost -> sync_log_ok(json_seen) }
	:: atomic { lost || syncs ->
		if
		:: lost -> lost = false; syncs++
		:: else
		fi;
		sync_log_fails(json_seen)
	};
#ifdef NO_F2
		skip /* the sync is tried again: the pages look clean, it succeeds */
#else
		atomic {
			closed[json_seen] = true;
			write_entry(NEXT(p), 0);
			goto fold /* "a new index.json with a new generation from memory, or fails" [F2] */
		}
#endif
	fi;
	if
	:: !fresh
	:: atomic { fresh -> sync_folder_ok(); fresh = false } /* the name of a new log */
	:: atomic { fresh && syncs -> syncs--; spill_folder(); goto failed }
	fi;
	atomic { /* the mark, and the answer: one that comes later asserts less */
		mark_seen[NEXT(p)] = true; mark_dirty[NEXT(p)] = true;
		view[p] = (view[p] << 3) | id;
		TRUE(p);
		assert(PREFIX(from, view[p]) && from != view[p]);
		tell(view[p]);
		goto unlock
	}

was_closed: /* ---- somebody's log was closed: all that it has goes into a new index.json ---- */
	atomic {
		gen[p] = json_seen; view[p] = json_has[json_seen];
		do
		:: LEN(view[p]) < N && WHOLE(entry_seen[NEXT(p)]) && (entry_seen[NEXT(p)] >> 3) == view[p] -> view[p] = entry_seen[NEXT(p)]
		:: else -> break
		od;
		closing = true
	}

fold:	/* ---- a new index.json: from the view, and the batch that is under way ---- */
	if
	:: log_seen
	:: atomic { !log_seen -> set_log(json_seen) } /* "a log (if only an empty one) is there before index.json is replaced" */
	fi;
	if
	:: atomic { true -> /* new file, fsync, rename */
		gens++;
		assert(gens <= G);
		json_has[gens] = (id && !closing -> ((view[p] << 3) | id) : view[p]);
		set_json(gens)
	}
	:: atomic { syncs -> syncs--; goto failed } /* the file is removed */
	fi;
	if
	:: atomic { true -> sync_folder_ok() }
	:: atomic { syncs -> syncs--; spill_folder();
#ifndef NO_F7
		goto failed /* "nobody looks whether it was written after all" [F7] */
#endif
	}
	fi;
	atomic { /* "only then the log is removed, and only then it is answered" */
		set_log(0);
		view[p] = json_has[json_seen]; gen[p] = json_seen; first[p] = false;
		TRUE(p);
		if
		:: id && !closing -> assert(PREFIX(from, view[p]) && from != view[p])
		:: else
		fi;
		tell(view[p]);
		if
		:: closing -> closing = false; mending = false; lock = 0; goto load /* now what we came for */
		:: else -> goto unlock
		fi
	}

failed:	/* 5xx; the view is asked for anew before it is believed */
	atomic { gen[p] = 0; view[p] = 0; first[p] = false }
unlock:
	atomic { lock = 0 }
done:
	atomic {
		id = 0; from = 0; asked = false; folding = false; reading = false; mending = false; closing = false; fresh = false; tail[p] = false;
		goto end_idle
	}
	} unless {
		atomic {
			dead[p] -> /* killed, started again */
			dead[p] = false;
			id = 0; from = 0; asked = false; folding = false; reading = false; mending = false; closing = false; fresh = false; tail[p] = false;
			gen[p] = 0; view[p] = 0; first[p] = false;
			goto start
		}
	}
}

proctype faults()
{
	byte s;

end_idle:
	do
#ifdef LEASES
	:: atomic { /* time goes on */
		told_before = told_tick;
		told_tick = told;
		s = 0;
		do
		:: s < PROCS ->
			if :: age[s] <= LEASE -> age[s]++ :: else fi;
			if :: asking[s] <= LEASE -> asking[s]++ :: else fi;
			s++
		:: else -> break
		od;
		s = 0
	}
#endif
	/* kill -9: what was written stays, the lock is free. Only who has the lock leaves anything behind. */
	:: atomic { kills && lock -> kills--; dead[lock - 1] = true; lock = 0 }
#ifdef EVICT
	/* The kernel writes pages back on its own; that fails, they look clean and are thrown out of the cache. The next fdatasync
	 * is told. */
	:: atomic { syncs && log_seen && !lost ->
		sync_log_fails(log_seen);
		lost = true;
		k = 1;
		do
		:: k <= N ->
			entry_seen[AT(log_seen, k)] = entry_disk[AT(log_seen, k)];
			mark_seen[AT(log_seen, k)] = mark_disk[AT(log_seen, k)];
			k++
		:: else -> break
		od
	}
#endif
	:: atomic { cuts -> /* what was not synced may be lost, in any subset; the mark is not synced */
		cuts--;
		s = 0;
		do
		:: s < G * N ->
			if
			:: entry_dirty[s] || mark_dirty[s] -> spill(s)
			:: else
			fi;
			entry_seen[s] = entry_disk[s];
			mark_seen[s] = mark_disk[s];
			s++
		:: else -> break
		od;
		s = 0;
		spill_folder();
		json_seen = json_disk;
		log_seen = log_disk;
		if
		:: closed[log_seen] = false
		:: true
		fi;
		lock = 0;
		lost = false;
		dead[0] = true;
		dead[1] = true
	}
	od
}

init
{
	atomic {
		json_seen = 1; json_disk = 1;
		i = 1;
		do
		:: i <= BATCHES -> unused = unused | (1 << i); i++
		:: else -> break
		od;
		run worker(0);
		run worker(1);
		run faults()
	}
}
