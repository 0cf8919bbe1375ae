/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push_call - a push on its way to a leader: its head, its number, its answer.
 *
 * Beats and counts each have one of these, with a view of the leaders of its own: counts that a leader has no time for
 * do not make beats wait. What they share is struct push_self: who we are, in which state, how many pushes were sent.
 * Thread  own loop.
 */
#pragma once

#include <stdbool.h>

#include "common/error.h"
#include "common/few.h"
#include "proto/usage.h"
#include "worker/cluster/leaders.h"
#include "worker/cluster/trust.h"

struct cluster;
struct http_call;
struct worker;

/* Of all pushes of this process. */
struct push_self {
	struct cluster *cluster;
	struct worker *worker;
	const char *state;  /* "active" "draining" "left" */
	uint64_t number;    /* of the newest */
	int64_t every_ms;   /* between beats, as the leaders say */
	int64_t lease_ms;   /* the same */
	struct few said;
	uint64_t rate_requests; /* the rate of requests is measured from here */
	int64_t rate_ms;
	double rate;
};
void push_self_init(struct push_self *self, struct cluster *cluster, struct worker *worker);
/* An error in the log, a few a minute: we are not wanted for what we are. */
void push_self_say_refused(struct push_self *self, const char *why);

enum push_end {
	PUSH_TAKEN,
	PUSH_FAILED,   /* no answer, or not now: another leader, later */
	PUSH_CONFLICT, /* 409: somebody has the name, or the boot */
	PUSH_REFUSED,  /* 400, 413: it will never be taken */
};
struct push_result {
	enum push_end end;
	const struct usage_answer *answer; /* PUSH_TAKEN */
	struct trust_answer trust;         /* the same */
	bool reached;      /* a leader said something */
	uint64_t number;
	const char *why;   /* the others */
};
typedef void push_done_f(void *arg, const struct push_result *result);

struct push_call {
	struct push_self *self;
	struct leaders leaders;
	struct http_call *call; /* NULL: nothing is on its way */
	uint64_t number, seq;
	int64_t sent_ms, sent_wall_ms;
	push_done_f *done;
	void *arg;
};
void push_call_init(struct push_call *call, struct push_self *self, push_done_f *done, void *arg);
void push_call_cancel(struct push_call *call); /* done() does not run */
void push_call_fini(struct push_call *call);
/* Sends what *push says of counts, demands and leaders, with our head and the next number; it must stay until done(). False: no leader may
 * be asked before *ret_wait_ms. */
bool push_call_send(struct push_call *call, const struct usage_push *push, int64_t *ret_wait_ms) MUST_CHECK;
