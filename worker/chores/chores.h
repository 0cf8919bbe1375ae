/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chores - what a worker does without being asked, each thing at its time, in the background of the pool.
 *
 *     a row {name, when, function}                     chores_start() at the loop
 *            |                                                |
 *            +---- timer: due ----> pool_push_background() ---+---> run() ---> due again every_ms after it has ended
 *                                   (never twice at once)            |
 *                                                                    +-- between its steps: chore_may_go_on()
 *
 * A chore is written as if it were alone: it walks from its first step to its last. Between two steps, which should take
 * milliseconds, it asks chore_may_go_on(). That is a look at a flag and at the clock. When the chore has gone on for a slice
 * (CHORE_SLICE_MS, or one step that took longer) it is also where the chore waits: while there are requests it rests, nine times as
 * long as it worked but not over CHORE_REST_MAX_MS, so that it takes a tenth of a processor and of a disk's time at most; and where
 * somebody waits for a thread it gives way (pool.h says who goes first). So a chore that walks for an hour is in nobody's
 * way, nor in that of the chore that folds each second; and when nobody asks for anything it walks as fast as it can.
 *
 * Asked     An administrator may begin a run, dry where the chore can, and end one: chores_ask(). A chore that looks each second whether it is time skips that
 *           question where chore_is_asked() says so. To end a run is to answer its chore_may_go_on() with no; the next run comes at its time.
 * Seen      A run that works, and does not only look whether it is time, says so by chore_works(), and how far it is while it goes on. The last one
 *           that worked, failed or was asked for is kept.
 *
 * Failure   run() fills err and returns false. It is told when a chore begins to fail and when it works again, and counted each time.
 *           One that runs once is not tried again.
 * The end   after chores_stop() no run begins, and chore_may_go_on() says no to those under way.
 *
 * To add one: a file in this folder with a run function, and a row in worker/housework.c; its name appears in the metrics and the log by itself,
 * and is listed in docs/operation.md.
 *
 * Thread  chores_add() and chores_start(): the loop's, or before it runs; run(): pool; the rest: any.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/metrics.h"
#include "common/str.h"
#include "worker/storage/pace.h"
#include "worker/storage/would.h"

#define CHORES_MAX     32
#define CHORE_NAME_MAX 15
#define CHORE_SLICE_MS 2
#define CHORE_REST_MAX_MS 1000
#define CHORE_AT_SIZE 128  /* of the name that it works at; a longer one is cut */
#define CHORE_WHY_SIZE 200 /* the same of an error */
#define CHORE_LATE_MS 1000 /* one that is due waits; before, it is taken in hand */
#define CHORE_BUCKETS 8
#define CHORE_WOULD_LINES 100 /* of the log, of one dry run */

struct buf;
struct chore_turn;
struct usage_chore;
struct chores;
struct loop;
struct pool;

typedef bool chore_run_f(struct chore_turn *turn, void *arg, struct error *err);

struct chore {
	const char *name;  /* a word for metrics and logs: "fold", of CHORE_NAME_MAX bytes at most. Outlives the chores */
	int64_t first_ms;  /* after the start */
	int64_t every_ms;  /* from the end of a run to the begin of the next; 0: it runs once */
	chore_run_f *run;
	void *arg;         /* outlives the pool */
	void (*stopped)(void *arg); /* or NULL: somebody ended it; what goes on from run to run is given up. Thread  pool, never beside a run */
};

/* What the process has to do besides. Thread  any */
struct chores_load { uint64_t begun, open; }; /* requests: since the start; now */
typedef struct chores_load chores_load_f(void *arg);

struct chores *chores_new(struct loop *loop, struct pool *pool, chores_load_f *load, void *load_arg);
/* The pool is freed, and the loop was turned since. */
void chores_free(struct chores *chores);
AUTO_DEFINE(chores)
void chores_add(struct chores *chores, const struct chore *chore); /* at most CHORES_MAX */
void chores_add_dry(struct chores *chores, const struct chore *chore); /* the same, of one that has a dry run: it asks chore_is_dry() */
void chores_start(struct chores *chores);
/* NULL is fine for both. */
void chores_stop(struct chores *chores);
/* After chores_stop() and the end of the loop's thread: returns when no run is under way. */
void chores_await_end(struct chores *chores);

/* By a chore, between two steps. False: return true now, what is left is for the next time. May wait. Thread  the run's. */
bool        chore_may_go_on(struct chore_turn *turn);
struct pace chore_pace(struct chore_turn *turn); /* the same, for the walks of worker/storage */

/* An administrator asked for this run: it is time, whatever the clock says. Dry: it tells what it would do and changes nothing. */
bool chore_is_asked(const struct chore_turn *turn);
bool chore_is_dry(const struct chore_turn *turn);
/* It has begun to work, at so many of what `unit` says ("repositories"; static); total 0: it is not known. */
void chore_works(struct chore_turn *turn, const char *unit, uint64_t total);
/* It takes up another one now; what it worked at before is done. */
void chore_takes(struct chore_turn *turn, struct str what);
void chore_did(struct chore_turn *turn, uint64_t done);
/* What it is at goes on with its next run, which comes soon: to who looks, begins one or ends it all these are one run. */
void chore_goes_on(struct chore_turn *turn, bool goes_on);
/* For a dry run: counts what would go, and writes the first CHORE_WOULD_LINES of it to the log (`chore.would`). Lives as long as the turn. */
struct would chore_would(struct chore_turn *turn);
/* So many more went, or would, and so many bytes more: of these, or of what was counted or fetched. */
void chore_counts(struct chore_turn *turn, uint64_t removed, uint64_t bytes);
/* It was asked for and may not be done now, which is no failure. Fills err and returns false, for run() to return. */
bool chore_refuse(struct chore_turn *turn, struct error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* It is wanted: its next run begins in soon_ms, or is due already; one that is under way may not have seen why, so another follows. Thread  any; quick. */
void chores_wake(struct chores *chores, struct str name, int64_t soon_ms);

struct chore_order {
	uint64_t id;   /* 0: none. The same one again for the same chore does nothing, and is no error */
	bool stop;     /* the run under way, or the one that waits, ends; else one begins */
	bool dry_run;
};
/* Thread  any. ERROR_UNKNOWN: there is no such chore. ERROR_INVALID: it has no dry run. ERROR_CONFLICT: it runs already, or (stop) does not. One with an id
 * that is refused is the last that is known of the chore. */
bool chores_ask(struct chores *chores, struct str name, const struct chore_order *order, struct error *err) MUST_CHECK;

enum chore_state { CHORE_WAITING, CHORE_READY, CHORE_RUNNING, CHORE_OVER }; /* ready: due, not begun; over: ran once */
struct chore_work {
	const char *unit;        /* NULL: it only looked */
	uint64_t done, total;
	uint64_t removed, bytes;
	bool dry_run;
	char at[CHORE_AT_SIZE];  /* what it works at; "" = nothing that has a name */
};
enum chore_how { CHORE_NEVER, CHORE_DONE, CHORE_FAILED, CHORE_STOPPED, CHORE_REFUSED };
struct chore_last {              /* the last run that did more than look */
	enum chore_how how;
	int64_t ended_s;         /* wall clock */
	uint64_t took_ms;
	struct chore_work work;
	char why[CHORE_WHY_SIZE]; /* failed, refused */
};
struct chore_stats {
	const char *name;
	enum chore_state state;
	bool can_dry_run;
	bool goes_on;            /* it is at something, also between two runs */
	bool asked;              /* one that was asked for has not begun */
	uint64_t order;          /* the last that was given with an id */
	struct chore_work work;  /* of the run under way */
	struct chore_last last;
	uint64_t runs, failures; /* that have ended */
	uint64_t worked_us;      /* of these, with what they waited */
	int64_t began_ms;        /* clock_ms(), of the last run */
	int64_t began_s;         /* the same by the wall clock */
	int64_t ready_ms;        /* clock_ms(): when it was due */
	int64_t ended_s;         /* wall clock, of the last that has ended; 0: none */
	int64_t failed_ms;       /* clock_ms(), of the last failure; 0: none */
	struct chore_times { uint64_t buckets[CHORE_BUCKETS], sum_us; } times; /* of runs that worked, by zot's bounds (chores_metrics.c) */
};
/* How many there are; one row for each. */
size_t chores_stats(struct chores *chores, struct chore_stats into[CHORES_MAX]);
/* The same as leaders and administrators are told (proto/usage.h): at most CHORES_MAX, each to be given to usage_chore_fini(). */
size_t chores_rows(struct chores *chores, struct usage_chore *into);
/* zot_chore_*{chore="fold"}, and zot_scheduler_generators_* and zot_scheduler_workers_tasks_duration_seconds as zot has them. */
void chores_metrics(struct chores *chores, struct buf *into);
/* The bucket of zot's histogram of tasks that this long a run is of. */
unsigned chore_bucket(uint64_t us);
