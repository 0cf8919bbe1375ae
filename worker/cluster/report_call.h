/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_call - a report on its way to a leader: its head, its number, its answer.
 *
 * Beats and counts each have one of these, with a view of the leaders of its own: counts that a leader has no time for
 * do not make beats wait. What they share is struct report_self: who we are, in which state, how many reports were sent.
 * Thread  the cluster's loop.
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

/* Of all reports of this process. */
struct report_self {
	struct cluster *cluster;
	const char *state;  /* "joining" "active" "draining" "left" */
	uint64_t number;    /* of the newest */
	int64_t every_ms;   /* between beats, as the leaders say */
	int64_t lease_ms;   /* the same */
	struct few said;
	uint64_t rate_requests; /* the rate of requests is measured from here */
	int64_t rate_ms;
	double rate;
};
void report_self_init(struct report_self *self, struct cluster *cluster);
/* An error in the log, a few a minute: we are not wanted for what we are. */
void report_self_say_refused(struct report_self *self, const char *why);

enum report_end {
	REPORT_TAKEN,
	REPORT_FAILED,   /* no answer, or not now: another leader, later */
	REPORT_CONFLICT, /* 409: somebody has the name, or the boot */
	REPORT_ESTRANGED, /* 409: its history is none that follows ours; another leader, later */
	REPORT_REFUSED,  /* 400, 413: it will never be taken */
};
struct report_result {
	enum report_end end;
	const struct usage_answer *answer; /* REPORT_TAKEN */
	struct trust_answer trust;         /* the same */
	bool reached;      /* a leader said something */
	uint64_t number;
	const char *why;   /* the others */
	struct str taken;  /* REPORT_CONFLICT: who has our name, if that is what it is about */
};
typedef void report_done_f(void *arg, const struct report_result *result);

struct report_call {
	struct report_self *self;
	struct leaders leaders;
	struct http_call *call; /* NULL: nothing is on its way */
	uint64_t number, seq;
	int64_t sent_ms, sent_wall_ms;
	report_done_f *done;
	void *arg;
};
void report_call_init(struct report_call *call, struct report_self *self, report_done_f *done, void *arg);
void report_call_cancel(struct report_call *call); /* done() does not run */
void report_call_fini(struct report_call *call);
/* Sends what *report says of counts, demands and leaders, with our head and the next number; it must stay until done(). False: no leader may
 * be asked before *ret_wait_ms. */
bool report_call_send(struct report_call *call, const struct usage_report *report, int64_t *ret_wait_ms) MUST_CHECK;
