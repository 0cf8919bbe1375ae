/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logins - are this user and password right: from memory, or by a hash that is slow on purpose, at nobody else's cost.
 *
 *     logins_look() ---- RIGHT, WRONG                       from memory, at once
 *        | UNKNOWN
 *     logins_start() --> the same is being verified? ------> waits for that one       (one hash for all who ask the same)
 *        |               failed too often? ----------------> LATER
 *        v
 *     [ those that were right before ][ strangers, address by address in turn ]       queues; full: LATER
 *        | at most `at_once` at a time, on the pool
 *        v
 *     RIGHT (remembered for kept_ms), WRONG (for LOGINS_WRONG_MS)
 *
 * Remembered  What is kept is 128 bits of SipHash-2-4 under random keys of this process, over user, password and stored
 *             hash: with another hash a password is not found any more. One that is asked for in the last quarter of its
 *             time is verified anew in the background, so whoever comes all the time never waits. One whose time is
 *             over is not believed, but it was right before: it is verified before strangers, and no limit below is its.
 * Limits      A failure counts for its address (a v6 one is its /64), for its account, known or not, and for both
 *             together. An address has LOGINS_ADDRESS_FAILURES at once, then one each LOGINS_ADDRESS_EVERY_MS. Over
 *             those of an account each address has LOGINS_PAIR_FAILURES of its own: somebody's guessing slows an
 *             owner who comes from elsewhere, and never locks him out. Where an account succeeded in the last day its
 *             address has LOGINS_PAIR_TRUSTED for it whatever else failed there. The same wrong password
 *             again counts once in LOGINS_WRONG_MS.
 * Work        A refusal costs the same whoever is asked for: password_verify(), by the most expensive hash that the
 *             caller, or anything seen so far, names.
 * Bounds      10,000 are remembered right, wrong, as where an account succeeded, and 30,000 failures; the oldest go. Each
 *             queue has LOGINS_QUEUE_MAX and waits of LOGINS_WAIT_MS at most, strangers of one address
 *             LOGINS_ADDRESS_MAX. Who gives up (logins_cancel) takes the place along; what nobody waits for is not
 *             verified.
 * What remains  Who guesses from an owner's own address takes the failures of both; the owner's password, once it was right
 *             here, passes all the same. Strangers wait when more addresses ask than there are places.
 *
 * Thread  any; answers come on the loop that asked.
 */
#pragma once

#include "common/buf.h"
#include "common/ip.h"

#define LOGINS_WRONG_MS         10000
#define LOGINS_ADDRESS_FAILURES 30
#define LOGINS_ADDRESS_EVERY_MS 2000
#define LOGINS_ACCOUNT_FAILURES 20
#define LOGINS_ACCOUNT_EVERY_MS 10000
#define LOGINS_PAIR_FAILURES    5
#define LOGINS_PAIR_TRUSTED     30
#define LOGINS_PAIR_EVERY_MS    20000
#define LOGINS_QUEUE_MAX        512
#define LOGINS_ADDRESS_MAX      128
#define LOGINS_WAIT_MS          20000

struct loop;
struct pool;

struct logins_settings {
	struct pool *pool;
	unsigned at_once;          /* 0: logins_lanes() */
	int64_t kept_ms;
	unsigned least_cost;       /* of a refusal; 0: PASSWORD_COST */
	int64_t (*clock_ms)(void); /* NULL: that of clock.h */
};
/* Half of the cores and a quarter of the pool's threads at most, one at least. */
unsigned logins_lanes(unsigned cores, unsigned pool_threads);

struct logins;
struct logins *logins_new(const struct logins_settings *settings);
/* The pool has ended, and nobody waits. */
void logins_free(struct logins *logins);
AUTO_DEFINE(logins)

struct logins_ask {
	struct str user, password;
	struct str hash;  /* the stored one; STR_NONE: nobody may come in by this name */
	unsigned cost;    /* password_cost() of the most expensive hash that there is, or 0 */
	struct ip client;
};
enum logins_answer { LOGINS_UNKNOWN, LOGINS_RIGHT, LOGINS_WRONG, LOGINS_LATER };

/* UNKNOWN, RIGHT or WRONG, and never waits. */
enum logins_answer logins_look(struct logins *logins, const struct logins_ask *ask);

/* Own loop, from a turn of its own, once: RIGHT, WRONG, or LATER with a number of seconds. */
typedef void logins_done_f(void *arg, enum logins_answer answer, unsigned retry_after_s);
struct logins_wait;
struct logins_wait *logins_start(struct logins *logins, const struct logins_ask *ask, struct loop *loop, logins_done_f *done,
				 void *arg);
/* That loop. done does not run any more; not after it ran. */
void logins_cancel(struct logins_wait *wait);

struct logins_stats {
	uint64_t verified, renewed, wrong, limited, shared; /* totals; shared: had the answer of another's verification */
	uint64_t work_us;                                   /* processor time that verifying took */
	uint64_t waiting, running;                          /* now: verifications */
};
struct logins_stats logins_stats(struct logins *logins);
/* The same as Prometheus text: <prefix>logins_... */
void logins_metrics(struct logins *logins, const char *prefix, struct buf *into);
