/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/map.h"

#define WANT_LEAST  8
#define WANT_MOST   1000000
#define WAITERS_MAX 100000
/* Others hold what is left: it comes back by a recall, which takes their next push. */
#define ASK_AGAIN_MS 100

struct waiter {
	struct waiter *next;
	struct loop *loop;
	void (*resume)(void *arg);
	void *arg;
};

struct quota {
	char day[11];
	uint64_t granted, used; /* of this boot and day */
	uint64_t limit, total;  /* total: of the whole fleet, as last told */
	uint64_t used_then;     /* our part of `total`, when it was told */
	uint64_t used_before;   /* used at the last demand: the rate */
	uint64_t waiting;
	bool asked;             /* a demand is wanted in the next push */
	bool recalled, release; /* release: say so until it is acknowledged */
	int64_t empty_until_ms; /* the last answer gave nothing: not asked again before */
};

struct quotas {
	pthread_mutex_t lock;
	struct map *keys; /* client id -> struct quota * */
	struct waiter *waiters;
	size_t waiters_len;
};

struct quotas *quotas_new(void)
{
	struct quotas *quotas = xnew(struct quotas);

	pthread_mutex_init(&quotas->lock, NULL);
	quotas->keys = map_new();
	return quotas;
}

void quotas_free(struct quotas *quotas)
{
	void *value;

	if (!quotas)
		return;
	quotas_wake(quotas);
	for (size_t at = 0; map_next(quotas->keys, &at, NULL, &value);)
		free(value);
	map_free(quotas->keys);
	pthread_mutex_destroy(&quotas->lock);
	free(quotas);
}

static struct quota *quota_of_locked(struct quotas *quotas, const char *apikey, int64_t now_s)
{
	struct quota *quota = map_find(quotas->keys, str_of(apikey));
	char day[11];

	clock_day(now_s, day);
	if (!quota) {
		quota = xnew(struct quota);
		(void)map_put(quotas->keys, str_of(apikey), quota);
	}
	if (strcmp(quota->day, day) != 0) {
		*quota = (struct quota){ 0 };
		memcpy(quota->day, day, sizeof(day));
	}
	return quota;
}

static uint64_t remaining(const struct quota *quota)
{
	uint64_t known = quota->total + (quota->used - quota->used_then);

	return known < quota->limit ? quota->limit - known : 0;
}

static void inform(const struct quota *quota, int64_t now_s, struct admission_info *info)
{
	info->limit = quota->limit;
	info->remaining = remaining(quota);
	info->reset_s = clock_next_day_s(now_s) - now_s;
	/* Used up as far as anybody knows: tomorrow. Else a grant may come back soon. */
	info->retry_after_s = info->remaining ? 1 : info->reset_s;
}

static bool may_ask(const struct quota *quota)
{
	return quota->total < quota->limit && clock_ms() >= quota->empty_until_ms;
}

static void wait_locked(
	struct quotas *quotas, struct quota *quota, struct loop *loop, void (*resume)(void *arg), void *arg)
{
	struct waiter *waiter = xnew(struct waiter);

	*waiter = (struct waiter){ .next = quotas->waiters, .loop = loop, .resume = resume, .arg = arg };
	quotas->waiters = waiter;
	quotas->waiters_len++;
	quota->waiting++;
	quota->asked = true;
}

enum admission quotas_admit(struct quotas *quotas, struct loop *loop, const char *apikey, uint64_t limit,
	int64_t now_s, bool waited, struct admission_info *ret_info, void (*resume)(void *arg), void *arg,
	bool *ret_ask)
{
	enum admission admission = REFUSE;
	struct quota *quota;

	pthread_mutex_lock(&quotas->lock);
	quota = quota_of_locked(quotas, apikey, now_s);
	quota->limit = limit;
	*ret_ask = false;
	if (quota->used < quota->granted && !quota->recalled) {
		quota->used++;
		admission = ADMIT;
		/* Half of the grant is gone: more is fetched before it is needed. */
		*ret_ask =
			!quota->asked && may_ask(quota) && quota->granted - quota->used < quota->granted / 4;
		quota->asked |= *ret_ask;
	} else if (!waited && may_ask(quota) && quotas->waiters_len < WAITERS_MAX) {
		wait_locked(quotas, quota, loop, resume, arg);
		*ret_ask = true;
		admission = WAIT;
	}
	inform(quota, now_s, ret_info);
	pthread_mutex_unlock(&quotas->lock);
	return admission;
}

static uint64_t want_of(const struct quota *quota)
{
	uint64_t want = 2 * (quota->used - quota->used_before) + quota->waiting;

	if (!quota->asked || quota->release)
		return 0;
	if (want < WANT_LEAST)
		want = WANT_LEAST;
	return want < WANT_MOST ? want : WANT_MOST;
}

static void demand_add(struct usage_push *push, struct str apikey, const struct quota *quota, uint64_t want)
{
	struct usage_demand *demand = &push->demands[push->demands_len++];

	*demand = (struct usage_demand){ .apikey = check_strndup(apikey.at, apikey.len),
		.used = quota->used,
		.want = want,
		.release = quota->release };
	memcpy(demand->day, quota->day, sizeof(demand->day));
}

void quotas_demand(struct quotas *quotas, int64_t now_s, bool all, struct usage_push *push)
{
	struct str apikey;
	char today[11];
	void *value;

	clock_day(now_s, today);
	pthread_mutex_lock(&quotas->lock);
	push->demands = xnew_array(struct usage_demand, map_len(quotas->keys) + 1);
	for (size_t at = 0; map_next(quotas->keys, &at, &apikey, &value);) {
		struct quota *quota = value;
		if (strcmp(quota->day, today) != 0) {
			free(map_delete(quotas->keys, apikey));
			continue;
		}
		if (quota->recalled && !quota->release) {
			/* From here on nothing is admitted until the leader has taken it back. */
			quota->granted = quota->used;
			quota->release = true;
		}
		uint64_t want = want_of(quota);
		if (want || quota->release || all || quota->used != quota->used_before)
			demand_add(push, apikey, quota, want);
		quota->used_before = quota->used;
	}
	pthread_mutex_unlock(&quotas->lock);
}

static bool take_grant(struct quota *quota, const struct usage_grant *grant)
{
	bool was_releasing = quota->release;
	bool recall = grant->recall && quota->granted > quota->used;

	quota->total = grant->total;
	quota->used_then = quota->used_before;
	quota->limit = grant->limit;
	quota->release = false;
	quota->recalled = false;
	/* The answer to a release tells what was used then; it cannot be more than what we hold. */
	if (was_releasing && grant->granted < quota->used)
		return false;
	quota->empty_until_ms =
		quota->asked && grant->granted <= quota->granted ? clock_ms() + ASK_AGAIN_MS : 0;
	quota->granted = grant->granted > quota->used ? grant->granted : quota->used;
	quota->asked = false;
	quota->recalled = recall && !was_releasing;
	return quota->recalled;
}

bool quotas_answer(struct quotas *quotas, const struct usage_answer *answer)
{
	bool again = false;

	pthread_mutex_lock(&quotas->lock);
	for (size_t i = 0; i < answer->grants_len; i++) {
		const struct usage_grant *grant = &answer->grants[i];
		struct quota *quota = map_find(quotas->keys, str_of(grant->apikey));
		if (quota && !strcmp(quota->day, grant->day))
			again |= take_grant(quota, grant);
	}
	pthread_mutex_unlock(&quotas->lock);
	return again;
}

void quotas_wake(struct quotas *quotas)
{
	struct waiter *waiters;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	waiters = TAKE(quotas->waiters);
	quotas->waiters_len = 0;
	for (size_t at = 0; map_next(quotas->keys, &at, NULL, &value);)
		((struct quota *)value)->waiting = 0;
	pthread_mutex_unlock(&quotas->lock);
	while (waiters) {
		struct waiter *waiter = waiters;
		waiters = waiter->next;
		loop_post(waiter->loop, waiter->resume, waiter->arg);
		free(waiter);
	}
}

bool quotas_has_waiters(struct quotas *quotas)
{
	bool has;

	pthread_mutex_lock(&quotas->lock);
	has = quotas->waiters != NULL;
	pthread_mutex_unlock(&quotas->lock);
	return has;
}

void quotas_used(struct quotas *quotas, struct usage_push *push)
{
	struct str apikey;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	push->demands = xnew_array(struct usage_demand, map_len(quotas->keys) + 1);
	for (size_t at = 0; map_next(quotas->keys, &at, &apikey, &value);)
		demand_add(push, apikey, value, 0);
	pthread_mutex_unlock(&quotas->lock);
}
