/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_priv - the rows of quota.h and who waits for them, for quota.c, quota_beat.c and quota_ceilings.c.
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

/* Of one key and day. */
struct quota {
	char *apikey;
	char day[11];
	uint64_t granted, used;
	uint64_t limit, total; /* total: of the whole fleet, as last told */
	uint64_t used_then;    /* our part of `total`, when it was told */
	unsigned round;        /* of telling, in which it was said */
	uint64_t told_used;    /* as it was said in a beat that was answered */
	bool asked, release;   /* to be said; release: until it was answered */
	bool released;         /* the beat under way says it */
	uint64_t answered;     /* turn of the newest beat that wanted more and got nothing */
	uint64_t waiting;
	int64_t empty_until_ms; /* the last answer gave nothing: who comes anew does not ask before */
	int64_t dry_since_ms;   /* the answers give nothing since then; 0: the last one gave */
	int64_t dry_ms;         /* the last of these */

	int64_t window_ms; /* the rate is measured since then */
	uint64_t window_used, rate;

	uint64_t ceiling, ahead; /* on disk; how far beyond `used` the next one is */
	bool dirty, raising;     /* is to be written; is being written */
	int64_t raised_ms, last_ms;
	struct quota *next_dirty;
};

struct quotas {
	pthread_mutex_t lock;
	struct map *rows; /* "<day> <client id>" -> struct quota * */
	struct waiter *waiters;
	size_t waiters_len;
	bool closed;

	uint64_t turn, failed; /* of beats, and of their failures; when the last one failed */
	bool telling;
	unsigned round;
	int64_t valid_until_ms, held_until_ms;

	struct quota *dirty;
	bool off, stuck; /* no ceilings are kept; those on disk cannot be changed */
	int64_t retry_ms;
};

/* NULL: there is none. */
struct quota *quotas_find(struct quotas *quotas, const char *day, const char *apikey);
void quota_free(struct quota *quota);
/* How many unused calls this key should have. */
uint64_t quota_target(const struct quota *quota);
/* The answers have given nothing for a short time only: what others hold may come. */
bool quota_is_patient(const struct quota *quota, int64_t now);
/* It holds nothing unused any more, and says so. */
void quota_give_back(struct quota *quota);
/* Grants that no leader has confirmed for so long as they are good. */
void quotas_expire(struct quotas *quotas, int64_t now);

/* After a call was admitted, or when one should be. True: somebody is to write. */
bool quota_raise_if_low(struct quotas *quotas, struct quota *quota, int64_t now);
void quota_lower_if_idle(struct quotas *quotas, struct quota *quota, int64_t now);

/* Those of one kind, or that have waited too long. They are resumed without the lock. */
struct waiter *quotas_take_waiters(struct quotas *quotas, bool grants, bool disk);
void quotas_resume(struct waiter *waiters);
