/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/quota_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "proto/state.h"

/* Held unused, at best: what is used in so long, while a leader may be restarting. */
#define WANT_SECONDS 10
#define WANT_LEAST   8
#define WANT_MOST    1000000
#define WAITERS_MAX  100000
/* A call waits so long for whatever it is. */
#define WAIT_MOST_MS 10000

struct quotas *quotas_new(void)
{
	struct quotas *quotas = xnew(struct quotas);

	pthread_mutex_init(&quotas->lock, NULL);
	quotas->rows = map_new();
	quotas->telling = true;
	quotas->round = 1;
	return quotas;
}

void quota_free(struct quota *quota)
{
	free(quota->apikey);
	free(quota);
}

void quotas_resume(struct waiter *waiters)
{
	while (waiters) {
		struct waiter *waiter = waiters;

		waiters = waiter->next;
		loop_post(waiter->loop, waiter->resume, waiter->arg);
		free(waiter);
	}
}

void quotas_free(struct quotas *quotas)
{
	void *value;

	if (!quotas)
		return;
	quotas_resume(quotas->waiters);
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);)
		quota_free(value);
	map_free(quotas->rows);
	pthread_mutex_destroy(&quotas->lock);
	free(quotas);
}

/* ---- rows ---- */

static void row_name(struct buf *into, const char *day, const char *apikey)
{
	buf_format(into, "%s %s", day, apikey);
	CHECK(!into->failed);
}

struct quota *quotas_find(struct quotas *quotas, const char *day, const char *apikey)
{
	AUTO_FINI(buf) name = buf_limit(sizeof("2026-11-20 ") + USAGE_NAME_MAX);

	row_name(&name, day, apikey);
	return map_find(quotas->rows, buf_str(&name));
}

/* The limit is the request's for a row that is new: later the state and the leaders say it, whatever older
 * snapshot a request has. */
static struct quota *row_of(struct quotas *quotas, const char *day, const char *apikey, uint64_t limit)
{
	AUTO_FINI(buf) name = buf_limit(sizeof("2026-11-20 ") + USAGE_NAME_MAX);
	struct quota *quota;

	row_name(&name, day, apikey);
	quota = map_find(quotas->rows, buf_str(&name));
	if (quota)
		return quota;
	quota = xnew(struct quota);
	quota->apikey = check_strdup(apikey);
	memcpy(quota->day, day, sizeof(quota->day));
	quota->limit = limit;
	quota->window_ms = clock_ms();
	(void)map_put(quotas->rows, buf_str(&name), quota);
	return quota;
}

void quota_give_back(struct quota *quota)
{
	quota->granted = quota->used;
	quota->release = true;
	quota->released = false;
}

void quotas_expire(struct quotas *quotas, int64_t now)
{
	void *value;

	if (!quotas->valid_until_ms || now < quotas->valid_until_ms)
		return;
	quotas->valid_until_ms = 0;
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);)
		quota_give_back(value);
}

uint64_t quota_target(const struct quota *quota)
{
	uint64_t lately = quota->used - quota->window_used;
	uint64_t target = WANT_SECONDS * (quota->rate > lately ? quota->rate : lately) + quota->waiting;

	if (target < WANT_LEAST)
		return WANT_LEAST;
	return target < WANT_MOST ? target : WANT_MOST;
}

bool quota_is_patient(const struct quota *quota, int64_t now)
{
	return quota->dry_since_ms && now - quota->dry_since_ms < QUOTA_PATIENCE_MS;
}

static bool may_ask(const struct quota *quota, int64_t now)
{
	return quota->total < quota->limit && now >= quota->empty_until_ms;
}

/* ---- waiting ---- */

struct waiter *quotas_take_waiters(struct quotas *quotas, bool grants, bool disk)
{
	int64_t now = clock_ms();
	struct waiter **at = &quotas->waiters, *taken = NULL;

	while (*at) {
		struct waiter *waiter = *at;

		if (!(waiter->for_disk ? disk : grants) && now - waiter->since_ms < WAIT_MOST_MS) {
			at = &waiter->next;
			continue;
		}
		*at = waiter->next;
		waiter->next = taken;
		taken = waiter;
		quotas->waiters_len--;
	}
	return taken;
}

/* Who asks again counts again. */
static void forget_waiting(struct quotas *quotas)
{
	void *value;

	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);)
		((struct quota *)value)->waiting = 0;
}

void quotas_wake(struct quotas *quotas)
{
	struct waiter *waiters;
	bool held;

	pthread_mutex_lock(&quotas->lock);
	held = clock_ms() < quotas->held_until_ms;
	if (!held)
		forget_waiting(quotas);
	waiters = quotas_take_waiters(quotas, !held, false);
	pthread_mutex_unlock(&quotas->lock);
	quotas_resume(waiters);
}

void quotas_wake_old(struct quotas *quotas)
{
	struct waiter *waiters;

	pthread_mutex_lock(&quotas->lock);
	waiters = quotas_take_waiters(quotas, false, false);
	pthread_mutex_unlock(&quotas->lock);
	quotas_resume(waiters);
}

/* ---- admission ---- */

static uint64_t remaining(const struct quota *quota)
{
	uint64_t known = quota->total + (quota->used - quota->used_then);

	return known < quota->limit ? quota->limit - known : 0;
}

static void inform(const struct quota *quota, int64_t day_left_s, struct admission_info *info)
{
	info->limit = quota->limit;
	info->remaining = remaining(quota);
	info->reset_s = day_left_s;
	/* Used up as far as anybody knows: tomorrow. Else a grant may come back soon. */
	info->retry_after_s = info->remaining ? 1 : info->reset_s;
}

static enum admission wait_for(
	struct quotas *quotas, struct quota *quota, const struct quotas_ask *ask, int64_t now, bool for_disk)
{
	struct waiter *waiter;

	if (!ask->wait->since_ms)
		*ask->wait = (struct admission_wait){ .since_ms = now, .turn = quotas->turn };
	if (now - ask->wait->since_ms >= WAIT_MOST_MS || quotas->waiters_len >= WAITERS_MAX)
		return REFUSE;
	waiter = xnew(struct waiter);
	*waiter = (struct waiter){ .next = quotas->waiters,
		.loop = ask->loop,
		.resume = ask->resume,
		.arg = ask->arg,
		.since_ms = ask->wait->since_ms,
		.for_disk = for_disk };
	quotas->waiters = waiter;
	quotas->waiters_len++;
	quota->waiting++;
	return WAIT;
}

/* A leader was asked since it waits, and gave nothing for long enough; or none can be. */
static bool has_been_told(const struct quotas *quotas, const struct quota *quota,
	const struct admission_wait *wait, bool patient)
{
	return wait->since_ms && ((!patient && quota->answered > wait->turn) || quotas->failed > wait->turn);
}

/* It waits already, or may begin to. */
static bool may_wait(const struct quota *quota, const struct admission_wait *wait, bool patient, int64_t now)
{
	return quota->total < quota->limit && (wait->since_ms || patient || may_ask(quota, now));
}

static enum admission admit_above(struct quotas *quotas, struct quota *quota, const struct quotas_ask *ask,
	int64_t now, struct quotas_need *need)
{
	bool held = now < quotas->held_until_ms, patient = quota_is_patient(quota, now);

	if (has_been_told(quotas, quota, ask->wait, patient) || !may_wait(quota, ask->wait, patient, now) ||
		wait_for(quotas, quota, ask, now, false) == REFUSE)
		return REFUSE;
	/* Of a patient one that is asked for the beat is due. */
	need->beat = !held && !(patient && quota->asked);
	quota->asked = true;
	return WAIT;
}

static enum admission admit_granted(struct quotas *quotas, struct quota *quota, const struct quotas_ask *ask,
	int64_t now, struct admission_info *info, struct quotas_need *need)
{
	if (!quotas->off && quota->used >= quota->ceiling) {
		need->ceilings = quota_raise_if_low(quotas, quota, now);
		if (quotas->stuck)
			info->why = "this worker cannot write down what it admits";
		return quotas->stuck ? REFUSE : wait_for(quotas, quota, ask, now, true);
	}
	quota->used++;
	info->granted = true;
	quota->last_ms = now;
	need->ceilings = quota_raise_if_low(quotas, quota, now);
	/* More is fetched before it is needed. */
	need->beat = !quota->asked && may_ask(quota, now) &&
		     quota->granted - quota->used < quota_target(quota) / 2;
	quota->asked |= need->beat;
	return ADMIT;
}

enum admission quotas_admit(struct quotas *quotas, const struct quotas_ask *ask,
	struct admission_info *ret_info, struct quotas_need *ret_need)
{
	int64_t now = clock_ms();
	enum admission admission = REFUSE;
	struct quota *quota;

	*ret_need = (struct quotas_need){ 0 };
	pthread_mutex_lock(&quotas->lock);
	if (quotas->closed) {
		pthread_mutex_unlock(&quotas->lock);
		ret_info->why = "this worker ends";
		ret_info->retry_after_s = 1;
		return REFUSE;
	}
	quotas_expire(quotas, now);
	quota = row_of(quotas, ask->day, ask->apikey, ask->limit);
	if (!quota->limit)
		admission = ADMIT; /* the state has none any more, whatever the request's snapshot says */
	else if (quota->used < quota->granted)
		admission = admit_granted(quotas, quota, ask, now, ret_info, ret_need);
	else
		admission = admit_above(quotas, quota, ask, now, ret_need);
	inform(quota, ask->day_left_s, ret_info);
	pthread_mutex_unlock(&quotas->lock);
	return admission;
}

void quotas_close(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->closed = true;
	pthread_mutex_unlock(&quotas->lock);
}

/* ---- the state ---- */

static uint64_t limit_of(const struct state *state, const char *apikey)
{
	const struct entity *entity = state_find(state, ENTITY_APIKEY, str_of(apikey));
	int64_t quota = entity ? entity_apikey(entity)->daily_quota : 0;

	return quota > 0 ? (uint64_t)quota : 0;
}

bool quotas_state(struct quotas *quotas, const struct state *state)
{
	bool any = false;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;
		uint64_t limit = limit_of(state, quota->apikey);

		if (limit < quota->limit && quota->granted > quota->used) {
			quota_give_back(quota);
			any = true;
		}
		quota->limit = limit;
	}
	pthread_mutex_unlock(&quotas->lock);
	return any;
}
