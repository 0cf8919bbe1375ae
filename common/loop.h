/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - one thread, one epoll set, everything that a request needs.
 *
 * A loop does not know HTTP. Others give it what it serves:
 *
 *   watch   a file descriptor and what to do when it is ready
 *   timer   something to do at a time (monotonic ms)
 *   stage   a library that has work of its own each turn and its own idea of a timeout:
 *           http_client (stage 1) and http_server (stage 2), in this order, so that bytes which
 *           arrive from a peer leave to the client in the same turn
 *   post    the one road from other threads: a message is appended to a list, and the eventfd
 *           is poked only when the list was empty
 *
 * One turn:
 *   1 wait     epoll_wait until the soonest of timers and stages' timeouts; 0 when posts wait
 *   2 ready    watch callbacks
 *   3 inbox    all posts that are there now
 *   4 timers   those that are due
 *   5 stages   run() of each, in order, always: a resume takes effect only there
 * A callback that creates new work for an earlier step makes the next wait 0.
 *
 * Thread  "own loop" means: the thread in loop_run(), or any while nobody is in there. Functions marked
 *         `any` may be called from every thread. What is its own loop's checks that with loop_assert(), here
 *         and wherever a header says so.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

struct loop;

typedef void loop_post_f(void *arg);
typedef void loop_ready_f(void *arg, uint32_t epoll_events);
typedef void loop_timer_f(void *arg);

bool loop_new(struct loop **ret_loop, const char *name, struct error *err) MUST_CHECK;
void loop_free(struct loop *loop); /* not running; runs the posts that are left */
AUTO_DEFINE(loop)
/* Turns until loop_stop(). The calling thread becomes the loop's thread. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);                 /* Thread  any */
/* One turn, waiting at most max_wait_ms: for tests and for orderly shutdown. */
void loop_turn(struct loop *loop, int max_wait_ms);
/* Runs what was posted, and what that posts to this loop, when the loop runs no more: so that nothing is left that names what is
 * about to be freed. Several loops post to each other: again, until each says that it had nothing. Returns whether there was any. */
bool loop_drain(struct loop *loop);

/* Thread  any. fn(arg) runs on the loop, in the order of posting from one thread. */
void loop_post(struct loop *loop, loop_post_f *fn, void *arg);
/* What this thread posts in between comes to each loop together, in its order: one lock and one wakeup for all. Of a thread that
 * does not wait for what it posts meanwhile. Within each other they count once. */
void loop_posts_gather(void);
void loop_posts_let_go(void);

/* Own loop. epoll events as in epoll_ctl(2); a fd is watched once. */
bool loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready_f *on_ready, void *arg,
		struct error *err) MUST_CHECK;
bool loop_rewatch(struct loop *loop, int fd, uint32_t events, struct error *err) MUST_CHECK;
void loop_unwatch(struct loop *loop, int fd);

/* Timers are embedded in their owner: zeroed memory is a stopped timer. Own loop. */
struct loop_timer {
	loop_timer_f *fn;
	void *arg;
	int64_t due_ms;
	unsigned slot; /* private: place in the heap, 0 = stopped */
};
void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t in_ms, loop_timer_f *fn, void *arg);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* timeout(): ms until the stage wants run(), -1 = no wish. At most 4 stages. Own loop or not running. */
struct loop_stage {
	int64_t (*timeout_ms)(void *arg);
	void (*run)(void *arg);
	void *arg;
};
void loop_add_stage(struct loop *loop, struct loop_stage stage);
void loop_remove_stage(struct loop *loop, const void *arg); /* the one with this arg; not from inside a run() */
/* The stages' next timeout is 0: somebody made work for them outside their run(). Own loop. */
void loop_wake_stages(struct loop *loop);

/*
 * Something moved in this turn: a byte, a connection, a job. A loop that turns without waiting, and SPIN_TURNS (1,000) times within
 * a second nobody says so, and no post came, is spinning: it says so in the log, at most each ten seconds, and counts such seconds.
 */
void     loop_moved(struct loop *loop);            /* Own loop */
uint64_t loop_spins(const struct loop *loop);      /* Thread  any */

int64_t loop_now(const struct loop *loop);    /* Own loop. Monotonic ms, read once a turn */
bool    loop_is_own(const struct loop *loop); /* Thread  any */
void    loop_assert(const struct loop *loop); /* CHECKs that this is its thread, or that it does not run */

/* A small number of this loop (0, 1, ...), for per-loop arrays: set once by its maker, then for any thread. */
void     loop_set_index(struct loop *loop, unsigned index);
unsigned loop_index(const struct loop *loop);
