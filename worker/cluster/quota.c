/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/map.h"
#include "proto/state.h"

/* Held unused, at best: what is used in so long, while a leader may be restarting. */
#define WANT_SECONDS 10
#define WANT_LEAST   8
#define WANT_MOST    1000000
#define WAITERS_MAX  100000
/* A call waits so long for whatever it is. */
#define WAIT_MOST_MS 10000
/* Others hold what is left: it comes back by a recall, which takes their next beat. */
#define ASK_AGAIN_MS 100
/* Ceilings: raised about so often, by so much at most; a key that rests so long gets a low one. */
#define RAISE_EVERY_MS 250
#define AHEAD_MOST     1000
#define REST_MS        1000
#define RETRY_MS       1000
/* A leader that says nothing about it. */
#define GRANT_DEFAULT_MS 15000
/* Rows of days that are so far from the leader's are dropped. */
#define DAYS_KEPT 2

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
	uint64_t answered;     /* turn of the newest beat that wanted more and was answered */
	uint64_t waiting;
	int64_t empty_until_ms; /* the last answer gave nothing: not asked again before */

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

struct quotas *quotas_new(void)
{
	struct quotas *quotas = xnew(struct quotas);

	pthread_mutex_init(&quotas->lock, NULL);
	quotas->rows = map_new();
	quotas->telling = true;
	quotas->round = 1;
	return quotas;
}

static void quota_free(struct quota *quota)
{
	free(quota->apikey);
	free(quota);
}

static void resume_all(struct waiter *waiters)
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
	resume_all(quotas->waiters);
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

static struct quota *row_find(struct quotas *quotas, const char *day, const char *apikey)
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

static void give_back(struct quota *quota)
{
	quota->granted = quota->used;
	quota->release = true;
	quota->released = false;
}

/* Grants that no leader has confirmed for so long as they are good. */
static void expire(struct quotas *quotas, int64_t now)
{
	void *value;

	if (!quotas->valid_until_ms || now < quotas->valid_until_ms)
		return;
	quotas->valid_until_ms = 0;
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);)
		give_back(value);
}

static void measure(struct quota *quota, int64_t now)
{
	int64_t took = now - quota->window_ms;

	if (took < 1000)
		return;
	quota->rate = (quota->used - quota->window_used) * 1000 / (uint64_t)took;
	quota->window_ms = now;
	quota->window_used = quota->used;
}

/* How many unused calls this key should have. */
static uint64_t target_of(const struct quota *quota)
{
	uint64_t lately = quota->used - quota->window_used;
	uint64_t target = WANT_SECONDS * (quota->rate > lately ? quota->rate : lately) + quota->waiting;

	if (target < WANT_LEAST)
		return WANT_LEAST;
	return target < WANT_MOST ? target : WANT_MOST;
}

static uint64_t want_of(const struct quota *quota)
{
	uint64_t target = target_of(quota), unused = quota->granted - quota->used;

	if (!quota->asked || quota->release)
		return 0;
	return target > unused ? target - unused : 1;
}

static bool may_ask(const struct quota *quota, int64_t now)
{
	return quota->total < quota->limit && now >= quota->empty_until_ms;
}

/* ---- ceilings ---- */

static void mark_dirty(struct quotas *quotas, struct quota *quota)
{
	if (quota->dirty || quota->raising)
		return;
	quota->dirty = true;
	quota->next_dirty = quotas->dirty;
	quotas->dirty = quota;
}

static bool may_retry(const struct quotas *quotas, int64_t now)
{
	return (quotas->off || quotas->stuck) && quotas->retry_ms && now >= quotas->retry_ms;
}

/* After a call was admitted, or when one should be. True: somebody is to write. */
static bool raise_if_low(struct quotas *quotas, struct quota *quota, int64_t now)
{
	if (quotas->off || quotas->stuck)
		return may_retry(quotas, now);
	if (quota->ceiling >= quota->granted || quota->ceiling > quota->used + quota->ahead / 2)
		return false;
	mark_dirty(quotas, quota);
	return quota->dirty;
}

static uint64_t next_ceiling(struct quota *quota, int64_t now)
{
	int64_t since = now - quota->raised_ms;
	uint64_t ahead, next;

	if (since < RAISE_EVERY_MS && quota->ahead * 2 <= AHEAD_MOST)
		quota->ahead *= 2;
	else if (since > RAISE_EVERY_MS * 2)
		quota->ahead /= since > REST_MS ? AHEAD_MOST : 2;
	if (!quota->ahead)
		quota->ahead = 1;
	quota->raised_ms = now;
	ahead = quota->ahead > quota->waiting ? quota->ahead : quota->waiting;
	next = quota->used + ahead;
	return next < quota->granted ? next : quota->granted;
}

static void lower_if_idle(struct quotas *quotas, struct quota *quota, int64_t now)
{
	if (!quotas->off && !quotas->stuck && quota->ceiling > quota->used + 1 &&
		now - quota->last_ms > REST_MS)
		mark_dirty(quotas, quota);
}

/* What is on disk is never below what calls may go to. */
static void take_row(struct quota *quota, int64_t now, struct ceiling *into)
{
	*into = (struct ceiling){ .apikey = check_strdup(quota->apikey), .used = next_ceiling(quota, now) };
	memcpy(into->day, quota->day, sizeof(into->day));
	if (quota->ceiling > into->used)
		quota->ceiling = into->used;
	quota->dirty = false;
	quota->raising = true;
}

static size_t take_all(struct quotas *quotas, int64_t now, struct ceiling *list)
{
	size_t len = 0;
	void *value;

	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;

		if (!quota->granted)
			continue;
		take_row(quota, now, &list[len]);
		/* Without a file nothing held it: from here on it goes so far. */
		if (quotas->off)
			quota->ceiling = list[len].used;
		len++;
	}
	quotas->dirty = NULL;
	if (quotas->off)
		quotas->retry_ms = 0;
	quotas->off = false;
	return len;
}

static size_t take_dirty(struct quotas *quotas, int64_t now, struct ceiling *list)
{
	struct quota *quota = TAKE(quotas->dirty);
	size_t len = 0;

	for (; quota; quota = quota->next_dirty)
		take_row(quota, now, &list[len++]);
	return len;
}

size_t quotas_ceilings_take(struct quotas *quotas, bool all, struct ceiling **ret_list)
{
	int64_t now = clock_ms();
	struct ceiling *list;
	size_t len;

	pthread_mutex_lock(&quotas->lock);
	list = xnew_array(struct ceiling, map_len(quotas->rows) + 1);
	len = all ? take_all(quotas, now, list) : take_dirty(quotas, now, list);
	pthread_mutex_unlock(&quotas->lock);
	*ret_list = list;
	return len;
}

bool quotas_ceilings_due(struct quotas *quotas)
{
	bool due;

	pthread_mutex_lock(&quotas->lock);
	due = quotas->dirty != NULL;
	pthread_mutex_unlock(&quotas->lock);
	return due;
}

/* Those of one kind, or that have waited too long. */
static struct waiter *take_waiters(struct quotas *quotas, bool grants, bool disk)
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

void quotas_ceilings_done(struct quotas *quotas, const struct ceiling *list, size_t len)
{
	struct waiter *waiters;

	pthread_mutex_lock(&quotas->lock);
	quotas->stuck = false;
	for (size_t i = 0; i < len; i++) {
		struct quota *quota = row_find(quotas, list[i].day, list[i].apikey);

		if (!quota)
			continue;
		quota->ceiling = list[i].used;
		quota->raising = false;
		quota->waiting = 0;
	}
	waiters = take_waiters(quotas, false, true);
	pthread_mutex_unlock(&quotas->lock);
	resume_all(waiters);
}

static void end_raising(struct quotas *quotas)
{
	void *value;

	quotas->dirty = NULL;
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;

		quota->dirty = quota->raising = false;
	}
}

void quotas_ceilings_failed(struct quotas *quotas, bool gone)
{
	struct waiter *waiters;

	pthread_mutex_lock(&quotas->lock);
	quotas->off = gone;
	quotas->stuck = !gone;
	quotas->retry_ms = clock_ms() + RETRY_MS;
	end_raising(quotas);
	waiters = take_waiters(quotas, false, true);
	pthread_mutex_unlock(&quotas->lock);
	resume_all(waiters);
}

void quotas_ceilings_off(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->off = true;
	quotas->retry_ms = 0;
	pthread_mutex_unlock(&quotas->lock);
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

/* A leader was asked since it waits, and gave nothing; or none can be. */
static bool has_been_told(
	const struct quotas *quotas, const struct quota *quota, const struct admission_wait *wait)
{
	return wait->since_ms && (quota->answered > wait->turn || quotas->failed > wait->turn);
}

static enum admission admit_above(struct quotas *quotas, struct quota *quota, const struct quotas_ask *ask,
	int64_t now, struct quotas_need *need)
{
	bool held = now < quotas->held_until_ms;

	if (has_been_told(quotas, quota, ask->wait) || !(ask->wait->since_ms || may_ask(quota, now)) ||
		quota->total >= quota->limit || wait_for(quotas, quota, ask, now, false) == REFUSE)
		return REFUSE;
	quota->asked = true;
	need->beat = !held;
	return WAIT;
}

static enum admission admit_granted(struct quotas *quotas, struct quota *quota, const struct quotas_ask *ask,
	int64_t now, struct admission_info *info, struct quotas_need *need)
{
	if (!quotas->off && quota->used >= quota->ceiling) {
		need->ceilings = raise_if_low(quotas, quota, now);
		if (quotas->stuck)
			info->why = "this worker cannot write down what it admits";
		return quotas->stuck ? REFUSE : wait_for(quotas, quota, ask, now, true);
	}
	quota->used++;
	info->granted = true;
	quota->last_ms = now;
	need->ceilings = raise_if_low(quotas, quota, now);
	/* More is fetched before it is needed. */
	need->beat =
		!quota->asked && may_ask(quota, now) && quota->granted - quota->used < target_of(quota) / 2;
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
	expire(quotas, now);
	quota = row_of(quotas, ask->day, ask->apikey, ask->limit);
	if (!quota->limit)
		admission = ADMIT; /* the state has no quota for it any more, whatever the request's snapshot
				      says */
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

/* ---- beats ---- */

void quotas_tell_anew(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->telling = true;
	quotas->round++;
	pthread_mutex_unlock(&quotas->lock);
}

/* Days as texts are in the order of time. */
static void drop_far(struct quotas *quotas, int64_t now_s)
{
	char oldest[11], newest[11];
	struct str name;
	void *value;

	clock_day(now_s - DAYS_KEPT * 86400, oldest);
	clock_day(now_s + DAYS_KEPT * 86400, newest);
	for (size_t at = 0; map_next(quotas->rows, &at, &name, &value);) {
		struct quota *quota = value;
		bool is_near = strcmp(quota->day, oldest) >= 0 && strcmp(quota->day, newest) <= 0;

		if (is_near || quota->dirty)
			continue;
		(void)map_delete(quotas->rows, name);
		quota_free(quota);
	}
}

static bool is_due(const struct quotas *quotas, const struct quota *quota)
{
	if (quotas->telling)
		return quota->round != quotas->round;
	return quota->asked || quota->release || quota->used != quota->told_used;
}

static bool has_room(const struct usage_push *push, size_t bytes, const struct quota *quota)
{
	return push->demands_len < USAGE_CHUNK_ROWS && bytes + strlen(quota->apikey) <= USAGE_CHUNK_BYTES;
}

static struct usage_demand *say_used(const struct quota *quota, struct usage_push *push)
{
	struct usage_demand *demand = &push->demands[push->demands_len++];

	*demand = (struct usage_demand){
		.apikey = check_strdup(quota->apikey), .granted = quota->used, .used = quota->used
	};
	memcpy(demand->day, quota->day, sizeof(demand->day));
	return demand;
}

static void say(struct quotas *quotas, struct quota *quota, struct usage_push *push)
{
	struct usage_demand *demand = say_used(quota, push);

	demand->granted = quota->granted;
	demand->want = want_of(quota);
	demand->release = quota->release;
	quota->round = quotas->round;
	quota->released = demand->release;
}

static bool say_due(struct quotas *quotas, int64_t now, struct usage_push *push)
{
	size_t bytes = 0;
	bool more = false;
	void *value;

	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;

		lower_if_idle(quotas, quota, now);
		measure(quota, now);
		quota->released = false;
		if (!is_due(quotas, quota))
			continue;
		if (!has_room(push, bytes, quota)) {
			more = true;
			continue;
		}
		bytes += strlen(quota->apikey);
		say(quotas, quota, push);
	}
	return more;
}

bool quotas_demand(struct quotas *quotas, int64_t now_s, struct usage_push *push)
{
	int64_t now = clock_ms();
	bool more;

	pthread_mutex_lock(&quotas->lock);
	quotas->turn++;
	expire(quotas, now);
	drop_far(quotas, now_s);
	push->demands = xnew_array(struct usage_demand, USAGE_CHUNK_ROWS);
	more = say_due(quotas, now, push);
	push->all = quotas->telling && !more;
	pthread_mutex_unlock(&quotas->lock);
	return more;
}

bool quotas_used(struct quotas *quotas, size_t *at, struct usage_push *push)
{
	size_t bytes = 0;
	bool more = false;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	push->demands = xnew_array(struct usage_demand, USAGE_CHUNK_ROWS);
	for (size_t next = *at; !more && map_next(quotas->rows, &next, NULL, &value);) {
		const struct quota *quota = value;

		more = !has_room(push, bytes, quota);
		if (more)
			break;
		bytes += strlen(quota->apikey);
		(void)say_used(quota, push);
		*at = next;
	}
	pthread_mutex_unlock(&quotas->lock);
	return more;
}

/* What was said has arrived. */
static void take_demand(struct quotas *quotas, const struct usage_demand *demand, bool held, int64_t now)
{
	struct quota *quota = row_find(quotas, demand->day, demand->apikey);

	if (!quota)
		return;
	quota->told_used = demand->used;
	if (quota->released)
		quota->release = quota->released = false;
	if (!demand->want || held)
		return;
	quota->answered = quotas->turn;
	quota->asked = false;
	/* Unless the answer has a grant. */
	quota->empty_until_ms = now + ASK_AGAIN_MS;
}

static void take_grant(
	struct quotas *quotas, const struct usage_grant *grant, struct quotas_need *need, int64_t now)
{
	struct quota *quota = row_find(quotas, grant->day, grant->apikey);

	if (!quota)
		return;
	quota->total = grant->total;
	quota->used_then = quota->told_used;
	if (grant->used > quota->used)
		quota->used = grant->used;
	if (quota->granted < quota->used)
		quota->granted = quota->used;
	if (quota->release)
		return;
	if (grant->limit)
		quota->limit = grant->limit;
	if (grant->granted > quota->granted)
		quota->empty_until_ms = 0;
	quota->granted = grant->granted > quota->used ? grant->granted : quota->used;
	if (grant->recall && quota->granted > quota->used) {
		give_back(quota);
		need->beat = true;
	} else if (quota->waiting || quota->used) {
		need->ceilings |= raise_if_low(quotas, quota, now);
	}
}

void quotas_answer(struct quotas *quotas, const struct quotas_heard *heard, struct quotas_need *ret_need)
{
	const struct usage_answer *answer = heard->answer;
	int64_t now = clock_ms(), good = answer->grant_ms ? answer->grant_ms : GRANT_DEFAULT_MS;

	*ret_need = (struct quotas_need){ 0 };
	pthread_mutex_lock(&quotas->lock);
	expire(quotas, now);
	quotas->held_until_ms = answer->hold_ms ? now + answer->hold_ms : 0;
	if (heard->is_told) {
		quotas->telling = false;
		quotas->valid_until_ms = heard->sent_ms + good;
		for (size_t i = 0; i < heard->push->demands_len; i++)
			take_demand(quotas, &heard->push->demands[i], answer->hold_ms > 0, now);
		for (size_t i = 0; i < answer->grants_len; i++)
			take_grant(quotas, &answer->grants[i], ret_need, now);
	}
	pthread_mutex_unlock(&quotas->lock);
}

void quotas_failed(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->failed = ++quotas->turn;
	quotas->held_until_ms = 0;
	pthread_mutex_unlock(&quotas->lock);
}

void quotas_wake(struct quotas *quotas)
{
	struct waiter *waiters;
	bool held;

	pthread_mutex_lock(&quotas->lock);
	held = clock_ms() < quotas->held_until_ms;
	if (!held)
		forget_waiting(quotas);
	waiters = take_waiters(quotas, !held, false);
	pthread_mutex_unlock(&quotas->lock);
	resume_all(waiters);
}

void quotas_wake_old(struct quotas *quotas)
{
	struct waiter *waiters;

	pthread_mutex_lock(&quotas->lock);
	waiters = take_waiters(quotas, false, false);
	pthread_mutex_unlock(&quotas->lock);
	resume_all(waiters);
}

bool quotas_has_waiters(struct quotas *quotas)
{
	bool has;

	pthread_mutex_lock(&quotas->lock);
	has = quotas->waiters != NULL;
	pthread_mutex_unlock(&quotas->lock);
	return has;
}

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
			give_back(quota);
			any = true;
		}
		quota->limit = limit;
	}
	pthread_mutex_unlock(&quotas->lock);
	return any;
}
