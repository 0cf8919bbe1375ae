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
#include "worker/storage/pace.h"

#define CHORES_MAX     32
#define CHORE_NAME_MAX 15
#define CHORE_SLICE_MS 2
#define CHORE_REST_MAX_MS 1000

struct buf;
struct chore_turn;
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
};

/* What the process has to do besides. Thread  any */
struct chores_load { uint64_t begun, open; }; /* requests: since the start; now */
typedef struct chores_load chores_load_f(void *arg);

struct chores *chores_new(struct loop *loop, struct pool *pool, chores_load_f *load, void *load_arg);
/* The pool is freed, and the loop was turned since. */
void chores_free(struct chores *chores);
AUTO_DEFINE(chores)
void chores_add(struct chores *chores, const struct chore *chore); /* at most CHORES_MAX */
void chores_start(struct chores *chores);
/* NULL is fine for both. */
void chores_stop(struct chores *chores);
/* After chores_stop() and the end of the loop's thread: returns when no run is under way. */
void chores_await_end(struct chores *chores);

/* By a chore, between two steps. False: return true now, what is left is for the next time. May wait. Thread  the run's. */
bool        chore_may_go_on(struct chore_turn *turn);
struct pace chore_pace(struct chore_turn *turn); /* the same, for the walks of worker/storage */

enum chore_state { CHORE_WAITING, CHORE_READY, CHORE_RUNNING, CHORE_OVER }; /* ready: due, not begun; over: ran once */
struct chore_stats {
	const char *name;
	enum chore_state state;
	uint64_t runs, failures; /* that have ended */
	uint64_t worked_us;      /* of these, with what they waited */
	int64_t began_ms;        /* clock_ms(), of the last run */
	int64_t ended_s;         /* wall clock, of the last that has ended; 0: none */
	int64_t failed_ms;       /* clock_ms(), of the last failure; 0: none */
};
/* How many there are; one row for each. */
size_t chores_stats(struct chores *chores, struct chore_stats into[CHORES_MAX]);
/* zot_chore_*{chore="fold"}, and zot_scheduler_generators_* as zot has them. */
void chores_metrics(struct chores *chores, struct buf *into);
