/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_priv - the rows of quota.h and who waits for them, for quota.c, quota_beat.c, quota_ceilings.c and quota_second.c.
 *
 * Thread  under `lock`.
 */
#pragma once

#include <pthread.h>

#include "common/map.h"
#include "worker/cluster/quota.h"

struct waiter {
	struct waiter *next;
	struct loop *loop;
	void (*resume)(void *arg);
	void *arg;
	int64_t since_ms;
	bool for_disk;
};

/* Of one subject and window. */
struct quota {
	char *subject;
	char window[LIMITS_WINDOW_SIZE];
	enum limits_kind kind;
	uint64_t granted, used; /* of LIMITS_SECOND `used` is 0, and what was admitted in this second is in `in_second` */
	uint64_t reserved;      /* LIMITS_BYTES: admitted, and not known yet to flow */
	uint64_t told_reserved; /* as it was said in a beat that was answered */
	uint64_t limit, total; /* total: of the whole fleet, as last told */
	uint64_t used_then;    /* our part of `total`, when it was told */
	unsigned round;        /* of telling, in which it was said */
	uint64_t told_used;    /* as it was said in a beat that was answered */
	bool asked, release;   /* to be said; release: until it was answered */
	bool released;         /* the beat under way says it */
	uint64_t answered;     /* turn of the newest beat that wanted more and got nothing */
	uint64_t waiting;      /* calls (or bytes) */
	uint64_t least;        /* the smallest of those that wait for a grant; 0: none does */
	uint64_t coming;       /* beside what it holds it may get so many at the most, as last told. What is given back since is in it */
	bool says_needs;       /* the beat under way says what is needed: its answer says what may come */
	bool owed;             /* a leader wants back what is not here now: what comes back unused goes to it */
	int64_t empty_until_ms; /* the last answer gave nothing: who comes anew does not ask before */
	int64_t dry_since_ms;   /* the answers give nothing since then; 0: the last one gave */
	int64_t dry_ms;         /* the last of these */
	unsigned dry_answers;   /* how many there were */

	int64_t window_ms; /* the rate is measured since then */
	uint64_t window_used, rate;

	int64_t second;               /* LIMITS_SECOND: the newest second that a call came in */
	uint64_t in_second;           /* admitted in it */
	uint64_t tried, tried_before; /* calls that came in it, and in the one before */
	bool ends;                    /* with this second: nobody has confirmed the share */

	uint64_t ceiling, ahead; /* on disk; how far beyond `used` the next one is */
	bool dirty, raising;     /* is to be written; is being written */
	int64_t raised_ms, last_ms;
	struct quota *next_dirty;
};

struct quotas {
	pthread_mutex_t lock;
	struct map *rows; /* "<window> <subject>" -> struct quota * */
	struct waiter *waiters;
	size_t waiters_len;
	bool closed;

	uint64_t turn, failed; /* of beats, and of their failures; when the last one failed */
	uint64_t state_turn;   /* of the newest beat when a state came last: its answer may be older than that */
	bool telling;
	unsigned round;
	int64_t valid_until_ms, held_until_ms;
	bool days_alone; /* the leader that answered last deals keys and days alone: other quotas do not hold */

	/* The leader's clock is ahead of ours by at least and at most so much: as known at clock_ms, 0: not at all. */
	int64_t ahead_least_ms, ahead_most_ms, heard_ms;

	struct quota *dirty;
	bool off, stuck; /* no ceilings are kept; those on disk cannot be changed */
	int64_t retry_ms;
};

/* NULL: there is none. */
struct quota *quotas_find(struct quotas *quotas, const char *window, const char *subject);
void quota_free(struct quota *quota);
/* Admitted: of what is granted this is not to be given back. */
uint64_t quota_taken(const struct quota *quota);
/* As far as anybody knows. */
bool quota_is_used_up(const struct quota *quota);
/* How much unused this row should have. */
uint64_t quota_target(const struct quota *quota);
/* The answers have given nothing for a short time only: what others hold may come. */
bool quota_is_patient(const struct quota *quota, int64_t now);
/* It holds no more than `keep` unused, and says so. */
void quota_give_back(struct quota *quota, uint64_t keep);
/* What a recall leaves here: calls that wait and can be served with what is here take it now. */
uint64_t quota_own(const struct quota *quota);
/* Some have been dealt out and not been used, by others or by nobody: with them it would be enough for so many. */
bool quota_may_come(const struct quota *quota, uint64_t units);
/* Grants that no leader has confirmed for so long as they are good. */
void quotas_expire(struct quotas *quotas, int64_t now);

/* After a call was admitted, or when one of so many units should be. True: somebody is to write. */
bool quota_raise_if_low(struct quotas *quotas, struct quota *quota, uint64_t units, int64_t now);
void quota_lower_if_idle(struct quotas *quotas, struct quota *quota, int64_t now);

/* An answer that came now to a question of sent_ms says that the leader's clock was now_ms. */
void quotas_hear_clock(struct quotas *quotas, int64_t sent_ms, int64_t now_ms);
/* Which second of the leader it is; 0: it is sure, else in so many milliseconds it will be. */
int64_t quotas_second(const struct quotas *quotas, int64_t now, int64_t *ret_second);
/* How long it is until the next one. */
int64_t quotas_next_second_ms(const struct quotas *quotas, int64_t now);
/* A row of LIMITS_SECOND is now in this second. */
void quota_roll(struct quota *quota, int64_t second);
/* The same in that of now, where it is sure. */
void quotas_roll(struct quotas *quotas, struct quota *quota, int64_t now);
/* Before a beat: a share that is larger than what comes is given back. */
void quota_shrink(struct quota *quota);

/* Those of one kind, or that have waited too long. They are resumed without the lock. */
struct waiter *quotas_take_waiters(struct quotas *quotas, bool grants, bool disk);
void quotas_resume(struct waiter *waiters);
