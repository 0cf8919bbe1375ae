/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_s3 - the log of an index on a bucket: docs/storage-protocol.md, "The log on S3", "The index" and "Clocks", for SPIN.
 *
 *     workers    push, read with a question, read with a lease, fold, die: slow, paused at any place, cut off from answers
 *     readers    read: a third place in the log
 *     others     workers that know the end and are never late: they create, are answered and fold at once
 *     store      time, removal of folded records, requests that arrive late or twice
 *
 * What is small here: one repository, one generation, CHANGES changes, each a batch of its own, of one tag with the values
 * A and B, or of two tags. Time is counted in ticks, and only as ages with a cap, so there is no end of time.
 *
 * The ghost (order[], floor) is what no process can see: the one order of promise 2, and the newest place that anybody was
 * told of. What is asserted:
 *
 *   once      a change is in the order at most once                                     "applied once"
 *   its own   what a view takes as record n is record n of the order                    "nobody reads it"
 *   durable   what is acknowledged is in the order, behind what was acknowledged before promises 1, 2
 *   forward   a read that asks shows nothing older than what anybody was told before it promise 3
 *   lease     a read with a lease is behind by at most the lease                        promise 3
 *
 * A worker may forget its view at any time, so each of them is also the reader that comes new when all is quiet.
 *
 * Each rule can be taken out: NO_F3 NO_F4 NO_F6 NO_LATE NO_END NO_WALL; with CALLS also NO_CALL_ID NO_CALL_TIME
 * NO_CALL_DATE. SPIN must find an error then.
 */

#define FOLLOW 1  /* ticks for which a view may follow its log (5 minutes) */
#define CREATE 1  /* ticks after which an answer about a number proves nothing (9 minutes) */
#define KEEP   2  /* ticks for which a folded record stays (10 minutes) */
#define LEASE  1
#define CALL   1  /* ticks for which a call that was sent on may be made (a minute) */
#define OLD    2  /* ages end here: more than any of the above, or KEEP */

#ifndef CHANGES
#define CHANGES 3
#endif
#ifndef COPIES
#define COPIES 1
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef READERS
#define READERS 0
#endif
#define PROCS (WORKERS + READERS)
#define NUMBERS (CHANGES + 1) /* one more, for a change that is applied twice */

/* Changes 1 and 3 set the tag to A, 2 sets it to B, or (OTHER_TAG) another tag. */
#ifdef OTHER_TAG
#define TAG(id)   ((id) != 2)
#else
#define TAG(id)   true
#endif
#define VALUE(id) ((id) == 2 -> 2 : 1)
#define BIT(id)   (1 << (id))

/* The bucket: what lies at index.log/<generation>/<number> (0: nothing), and the number that index.json holds all up to.
 * An ETag is the content, and the content is that number. */
byte record[NUMBERS + 2];
byte json;
byte held_age[NUMBERS + 2]; /* ticks since index.json holds the record */

/* The ghost. */
byte order[NUMBERS + 2];
byte end;
#ifdef LEASES
byte made_age[NUMBERS + 2]; /* ticks since */
#endif
byte floor;

/* Copies of requests that are still on their way: changes that may yet be created at a number, at any time and again and again
 * (libraries and proxies send on their own). So many requests leave one. */
byte late_copy[NUMBERS + 2];
byte copies = COPIES;

byte unused; /* changes that no client has asked for */

/* A worker's view: its place, the index.json that it is made from, and when its place was last known to be the end:
 * `seen` in ticks of the store's Date, `age` in ticks of the worker's own clock, which stands while the machine is paused
 * (age <= seen always, so it is only counted where it decides alone). */
bool has[PROCS];
byte place[PROCS], base[PROCS], seen[PROCS];
#if defined(NO_F4) || defined(NO_WALL)
#define LOCAL
byte age[PROCS];
#endif

#ifdef CALLS
/* Change 1 is a call that another worker has sent on to worker 0, at the beginning. As it gets no answer that one makes the
 * change itself, with the same id. */
bool called = true;    /* it lies at worker 0's door */
byte call_age;         /* ticks since it was sent */
byte call_made_age;    /* ticks since the change is in the order */
bool call_old[PROCS];  /* the view was loaded when the call was older than a minute */
bool knows[PROCS], json_knows; /* the view, index.json, knows the id of change 1 */
#ifdef NO_CALL_DATE
byte call_local[PROCS]; /* call_age by the worker's own clock */
#define CALL_OLD(p) (call_local[p] > CALL)
#else
#define CALL_OLD(p) call_old[p]
#endif
#endif

hidden byte i;
hidden byte v;

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define TELL(n)   floor = MAX(floor, n)

/* "An answer that is more than 5 minutes after the last one proves nothing"; the answer carries the Date. [F4] */
#ifdef NO_F4
#define MAY_FOLLOW(p) (has[p] && age[p] <= FOLLOW)
#define IN_TIME(p)    (age[p] <= CREATE)
#else
#define MAY_FOLLOW(p) (has[p] && seen[p] <= FOLLOW)
#define IN_TIME(p)    (seen[p] <= CREATE)
#endif

/* "Leases: ... dropped when the leader's clock, or our wall clock, has gone on for longer than CLOCK_BOOTTIME." */
#ifdef NO_WALL
#define LEASED(p) (has[p] && age[p] <= LEASE)
#else
#define LEASED(p) (has[p] && seen[p] <= LEASE)
#endif

/* An answer said that nothing is behind the view's place, or that index.json does not hold more. */
inline now_true(p)
{
	seen[p] = 0;
#ifdef LOCAL
	age[p] = 0;
#endif
}

inline not_true(p)
{
	seen[p] = OLD;
#ifdef LOCAL
	age[p] = OLD;
#endif
}

inline forget(p)
{
	has[p] = false; place[p] = 0; base[p] = 0;
	not_true(p);
#ifdef CALLS
	knows[p] = false;
	call_old[p] = false;
#endif
}

/* The store carries out a PUT with If-None-Match where nothing is. */
inline create(n, id)
{
	assert(n <= end + 1);
	record[n] = id;
	if
	:: n == end + 1 ->
		i = 1;
		do
		:: i <= end -> assert(order[i] != id); i++ /* once */
		:: else -> break
		od;
		end = n;
		order[n] = id;
#ifdef CALLS
		if :: id == 1 -> call_made_age = 0 :: else fi;
#endif
#ifdef LEASES
		made_age[n] = 0
#endif
	:: else -> skip /* a number that was removed: "nobody reads it" */
	fi
}

/* v = what the tag is in the view. */
inline look_up(p)
{
	v = 0; i = 1;
	do
	:: i <= place[p] -> if :: TAG(order[i]) -> v = VALUE(order[i]) :: else fi; i++
	:: else -> break
	od
}

/* i = number of change 1. */
inline find_call()
{
	i = 1;
	do
	:: i < end && order[i] != 1 -> i++
	:: else -> break
	od
}

/* "Who did not reads index.json first." One that is the same leaves the view as it is. */
inline read_json(p)
{
	if
	:: !has[p] || base[p] != json ->
		has[p] = true; base[p] = json; place[p] = json
#ifdef CALLS
		; knows[p] = json_knows;
		call_old[p] = call_age > CALL
#endif
	:: else
	fi;
	now_true(p)
}

/* index.json holds what the view has; ids stand in it "while they are younger than 10 minutes". */
inline write_json(p)
{
	i = json + 1;
	do
	:: i <= place[p] -> held_age[i] = 0; i++
	:: else -> break
	od;
	json = place[p];
#ifdef CALLS
	json_knows = knows[p] && call_made_age < KEEP;
#endif
}

proctype process(byte p)
{
	byte id, n;       /* the change under way and the number that it is to get */
	byte from;        /* floor when the request came */
	byte found;       /* where a load met the change */
	bool asked;       /* a question was asked after the batch was taken */
	bool late;        /* an answer about n came too late */
	bool reading;

end_idle:
	if
	:: atomic { reading = true; from = floor; goto load }
#ifdef LEASES
	:: atomic { LEASED(p) -> /* "a view may answer a read without asking for as long as trust says" */
		assert(place[p] >= end || made_age[place[p] + 1] <= LEASE); /* lease */
		goto end_idle
	}
#endif
	:: atomic { p < WORKERS && unused -> /* a push: the committer takes a batch */
		if
		:: unused & BIT(1) -> id = 1
		:: unused & BIT(2) -> id = 2
		:: unused & BIT(3) -> id = 3
		fi;
		unused = unused & ~BIT(id);
		from = floor;
		goto apply
	}
#ifdef CALLS
	:: atomic { p == 0 && called -> /* the call arrives, at once or late */
		called = false; id = 1;
		goto apply
	}
#endif
	:: atomic { p < WORKERS && has[p] && place[p] > base[p] -> /* a fold, with If-Match */
		if
		:: base[p] == json ->
			write_json(p);
			if
			:: base[p] = json
			:: skip /* the answer is lost */
			fi
		:: else -> not_true(p) /* index.json is read before anything is believed */
		fi;
		goto end_idle
	}
	:: atomic { has[p] -> forget(p); goto end_idle } /* the worker dies, or throws the view away */
	fi;

	/* ---- the question: index.json where needed, then the next number until there is none ---- */
load:
	if
	:: atomic { !MAY_FOLLOW(p) -> read_json(p); goto load }
	:: atomic { MAY_FOLLOW(p) && record[place[p] + 1] ->
		assert(record[place[p] + 1] == order[place[p] + 1]); /* its own */
		place[p]++;
#ifdef CALLS
		knows[p] = knows[p] || order[place[p]] == 1;
#endif
#ifndef NO_F6
		if
		:: id && order[place[p]] == id -> found = place[p] /* "on every reload the committer looks for the ids" */
		:: else
		fi;
#endif
#ifdef NO_END
		now_true(p); /* any answer counts, not only that there was nothing more */
#endif
		goto load
	}
	:: atomic { MAY_FOLLOW(p) && !record[place[p] + 1] -> /* "404 = nothing new" */
		now_true(p);
		asked = true;
		if
		:: reading ->
			assert(place[p] >= from); /* forward */
			TELL(place[p]);
			goto done
		:: found -> goto acknowledge /* "those are done, not done again" */
#ifndef NO_LATE
		:: !reading && !found && late -> goto done /* unknown */
#endif
		:: else -> late = false; goto apply
		fi
	}
	fi;

	/* ---- a batch is applied to the view ---- */
apply:
	atomic {
		if
		:: !has[p] -> goto load
		:: else
		fi;
#ifdef CALLS
#ifndef NO_CALL_ID
		if
		:: id == 1 && knows[p] -> find_call(); found = i; goto acknowledge /* "so it is applied once" */
#ifndef NO_CALL_TIME
		:: id == 1 && !knows[p] && CALL_OLD(p) -> goto done /* "or a minute has passed, the client is told 503" */
#endif
		:: else
		fi;
#endif
#endif
		look_up(p);
		if
		:: TAG(id) && v == VALUE(id) -> /* "a batch that writes nothing" is answered only after a question [F3] */
			if
#ifdef NO_F3
			:: asked || LEASED(p) ->
#else
			:: asked ->
#endif
				assert(place[p] >= from); /* durable */
				TELL(place[p]);
				goto done
			:: else -> goto load
			fi
		:: else -> n = place[p] + 1
		fi;

	/* ---- "Append = create number place + 1" ---- */
put:
		if
		:: copies -> copies--; late_copy[n] = late_copy[n] | BIT(id)
		:: true
		fi;
		if
		:: !record[n] -> /* 200 */
			create(n, id);
			if
			:: IN_TIME(p) -> now_true(p); goto written
			:: else -> goto too_late /* "a record created more than 9 minutes after it ..." */
			fi
		:: !record[n] -> create(n, id); goto look    /* its answer is lost */
		:: !record[n] -> create(n, id); goto refused /* its answer is lost, and a library or a proxy has sent it again */
		:: record[n] -> goto refused
		:: goto look /* it is lost itself, or late */
		fi
	}

refused:
#ifdef NO_F6
	atomic { true -> goto load } /* a conflict, what else */
#endif
	/* "Refused: what is there is read ... No answer, 5xx: asked again; the question 'is it mine?' decides." */
look:
	if
	:: atomic { !IN_TIME(p) -> goto too_late }
	:: atomic { IN_TIME(p) && record[n] == id -> goto written }
	:: atomic { IN_TIME(p) && !record[n] -> goto put }
	:: atomic { IN_TIME(p) && record[n] && record[n] != id -> goto load }
	:: atomic { true -> goto done } /* "If that can't be answered: unknown." */
	fi;

	/* The number may have been removed meanwhile: what lies there may be what nobody reads, and what lay there may have been
	 * ours. The change is looked for in the log; where it is not, nobody knows (NO_LATE: it is created again). */
too_late:
	atomic { late = true; not_true(p); goto load }

written:
	atomic {
		found = n;
		place[p] = n;
#ifdef CALLS
		knows[p] = knows[p] || id == 1;
#endif
#ifdef NO_END
		now_true(p) /* found there by a question: others may be behind it since long */
#endif
	}
acknowledge:
	atomic {
		assert(order[found] == id && found > from); /* durable */
		TELL(found)
	}
done:
	atomic {
		id = 0; n = 0; from = 0; found = 0; asked = false; late = false; reading = false;
		goto end_idle
	}
}

inline tick()
{
	i = 0;
	do
	:: i < PROCS ->
		if :: seen[i] < OLD -> seen[i]++ :: else fi;
#ifdef LOCAL
		if /* "a paused virtual machine stops it" */
		:: age[i] < OLD -> age[i]++
		:: skip
		fi;
#endif
#ifdef NO_CALL_DATE
		if
		:: call_local[i] < OLD -> call_local[i]++
		:: skip
		fi;
#endif
		i++
	:: else -> break
	od;
#ifdef LEASES
	i = 1;
	do
	:: i <= end -> if :: made_age[i] < OLD -> made_age[i]++ :: else fi; i++
	:: else -> break
	od;
#endif
	i = 1;
	do
	:: i <= json -> if :: held_age[i] < OLD -> held_age[i]++ :: else fi; i++
	:: else -> break
	od
#ifdef CALLS
	; if :: call_age < OLD -> call_age++ :: else fi;
	if :: call_made_age < OLD -> call_made_age++ :: else fi
#endif
}

/* Workers that are quick: what they do takes no time. */
proctype others()
{
	byte id, n;

end_idle:
	do
	:: atomic { unused -> /* the first that is left: which one it is makes no difference to them */
		id = 1;
		do
		:: !(unused & BIT(id)) -> id++
		:: else -> break
		od;
		n = end + 1;
		if
		:: unused = unused & ~BIT(id); create(n, id); TELL(n)
		:: WORKERS == 0 && copies -> copies--; late_copy[n] = late_copy[n] | BIT(id) /* sent, not yet answered */
		fi;
		id = 0; n = 0
	}
#ifdef CALLS
	:: atomic { call_age <= CALL -> /* "the sender ... makes the change again under the same id" */
		find_call();
		if
		:: order[i] == 1 -> TELL(i)
		:: else -> n = end + 1; create(n, 1); TELL(n); n = 0
		fi
	}
#endif
	:: atomic { json < end ->
		i = json + 1;
		do
		:: i <= end -> held_age[i] = 0; i++
		:: else -> break
		od;
		json = end;
#ifdef CALLS
		find_call();
		json_knows = order[i] == 1 && call_made_age < KEEP
#endif
	}
	od
}

proctype store()
{
	byte id, n;

end_idle:
	do
	:: atomic { tick() }
	:: atomic { /* "Records that it holds are removed 10 minutes later." */
		n = 1;
		do
		:: n < json && !(record[n] && held_age[n] >= KEEP) -> n++
		:: else -> break
		od;
		n <= json && record[n] && held_age[n] >= KEEP -> record[n] = 0; n = 0
	}
	:: atomic { /* "A request that arrives late can create a number only where none is" */
		n = 1;
		do
		:: n < NUMBERS -> n++
		:: break
		od;
		late_copy[n] && !record[n] ->
		if
		:: late_copy[n] & BIT(1) -> id = 1
		:: late_copy[n] & BIT(2) -> id = 2
		:: late_copy[n] & BIT(3) -> id = 3
		fi;
		create(n, id);
		unused = unused & ~BIT(id);
		id = 0; n = 0
	}
	od
}

init
{
	atomic {
#ifdef CALLS
		i = 2;
#else
		i = 1;
#endif
		do
		:: i <= CHANGES -> unused = unused | BIT(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < PROCS -> not_true(i); run process(i); i++
		:: else -> break
		od;
#ifdef OTHERS
		run others();
#endif
		run store()
	}
}
