/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota - this worker's grants: a call that quotas apply to is admitted only out of one of each.
 *
 *     admit --- used < granted, used < ceiling ---------------> used + 1
 *       |------ at the ceiling: waits for the disk -----------> again
 *       |------ not enough granted: waits, a beat asks -------> again
 *       |------ others hold it unused: waits for it ----------> again and again
 *       |------ calls under way hold it: waits for it --------> again, a few times within QUOTA_PATIENCE_MS
 *       `------ used up, no leader, or 10 s over -------------> refused
 *
 * Per subject and window (proto/limits.h); the days on both sides of the leader's are kept. All numbers are absolute and of this
 * boot. A call takes of all its quotas or of none.
 *
 * granted  follows what a leader says (proto/usage.h). It becomes what is taken when a grant is given back: a leader recalls it, the
 *          quota was lowered, or no leader that knows of our grants has answered for so long as they are good (grantMs). From
 *          then on no answer raises it before a beat has said the release and was answered.
 * reserved bytes that a call may move, admitted before they do. What did not flow is unused again.
 * second   of a quota of calls a second `granted` is a share that stands: so many in each second of the leader's clock. Where it
 *          is not sure which one that is, calls wait until it is (quota_second.c). Given back is what is unused in this second.
 * ceiling  how far the disk says that we may have come (ceilings.h): a call goes no further, so that a process that was killed
 *          is closed there. Off: there are no ceilings, because they cannot be written. A share of each second has none.
 * dry      a leader that was asked had not enough to give now, though the quota is not used up: it recalls what others hold, and says
 *          how much may come of that. It is asked again soon. A call that could be served with all that may come waits for it;
 *          others (what is left is reserved by calls under way, or held by a worker that is away) are refused when there was not enough
 *          for so long, as long as there is not. One that asks from time to time finds out.
 * owed     what was recalled while it was reserved is given back as soon as it comes back unused.
 * told     a leader that we have not spoken with must hear of every row, in as many beats as that takes, before what it
 *          grants is good.
 *
 * Thread  any; one lock, held for a few lines.
 */
#pragma once

#include "proto/usage.h"
#include "worker/cluster/ceilings.h"
#include "worker/cluster/usage.h"

struct quotas;
struct state;

struct quotas *quotas_new(void);
void quotas_free(struct quotas *quotas); /* nobody waits any more */
AUTO_DEFINE(quotas)

/* From the first answer that gave nothing. */
#define QUOTA_PATIENCE_MS 100

/* What somebody should see to now. */
struct quotas_need {
	bool beat, ceilings;
	int64_t beat_in_ms; /* a beat so much later; 0: none is needed but the usual ones */
};

/* One that applies to a call. */
struct quotas_of {
	const char *subject;
	const char *window;           /* the leader's */
	enum limits_kind kind;        /* of the window */
	uint64_t limit;               /* as the request's snapshot has it */
	uint64_t units;               /* that it takes: 1 call, or so many bytes */
};
#define QUOTAS_OF_MOST (ADMISSION_LIMITS_MOST * LIMITS_KINDS)
struct quotas_ask {
	struct loop *loop;
	const struct quotas_of *of;   /* of different rows */
	size_t of_len;                /* at most QUOTAS_OF_MOST */
	int64_t now_s;                /* the leader's clock */
	struct admission_wait *wait;
	void (*resume)(void *arg);
	void *arg;
};
/* WAIT with info->wait_ms: nobody resumes it, it asks again after so long. */
enum admission quotas_admit(struct quotas *quotas, const struct quotas_ask *ask, struct admission_info *ret_info,
			    struct quotas_need *ret_need);
/* Of so many bytes that a call reserved so many flowed, and it moves no more of them. */
void quotas_settle(struct quotas *quotas, const struct quotas_of *of, uint64_t flowed, struct quotas_need *ret_need);

/* Beats: one at a time. */

/* From here on every row is told anew, as to a leader that knows nothing of us. */
void quotas_tell_anew(struct quotas *quotas);
/* Puts into the report what is to be said, one chunk of it; the answer to this report or its end must follow. Rows of days that are not
 * near now_s, the leader's clock, are dropped. True: there is more. */
bool quotas_demand(struct quotas *quotas, int64_t now_s, struct usage_report *report);

struct quotas_heard {
	const struct usage_report *report;     /* that was answered */
	const struct usage_answer *answer;
	bool is_told;                      /* the leader that answered knows of all that we hold */
	int64_t sent_ms;
};
/* need->beat: there is something to be said at once. */
void quotas_answer(struct quotas *quotas, const struct quotas_heard *heard, struct quotas_need *ret_need);
/* No leader answers: those that wait for one are refused when they are woken. */
void quotas_failed(struct quotas *quotas);
/* Those that wait for a leader ask again, unless it hears the others first. */
void quotas_wake(struct quotas *quotas);
/* So do those that have waited too long, for whatever it is. */
void quotas_wake_old(struct quotas *quotas);
/* The quotas of a state that applies from now on. True: something is to be given back. */
bool quotas_state(struct quotas *quotas, const struct state *state);
/* Nothing is admitted any more; what was used is final. */
void quotas_close(struct quotas *quotas);
/* After that: what the next rows used, as many as fit one report, *at zero at first. True: there is more. */
bool quotas_used(struct quotas *quotas, size_t *at, struct usage_report *report);

/* Ceilings: their writer's side. */

/* Rows whose ceiling is to be raised or lowered; `all`: every row, as a new file needs them. The entries are the caller's. */
size_t quotas_ceilings_take(struct quotas *quotas, bool all, struct ceiling **ret_list);
bool quotas_ceilings_due(struct quotas *quotas);
/* They are on disk: calls go on. */
void quotas_ceilings_done(struct quotas *quotas, const struct ceiling *list, size_t len);
/* They cannot be written. `gone`: nor is there a file, so that calls need none; else those above theirs are refused. */
void quotas_ceilings_failed(struct quotas *quotas, bool gone);
