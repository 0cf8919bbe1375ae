/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_ceilings - how far the disk says that calls may have come, for its writer (ceiling_writer.h).
 */
#include "worker/cluster/quota_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"

/* Raised about so often, by so much at most; a key that rests so long gets a low one. */
#define RAISE_EVERY_MS    250
#define AHEAD_MOST        1000
#define AHEAD_MOST_BYTES  (UINT64_C(64) << 20)
#define AHEAD_LEAST_BYTES (UINT64_C(64) << 10)
#define REST_MS           1000
#define RETRY_MS          1000

static void mark_dirty(struct quotas *quotas, struct quota *quota)
{
	if (quota->dirty || quota->raising)
		return;
	quota->dirty = true;
	quota->next_dirty = quotas->dirty;
	quotas->dirty = quota;
}

/* How far a ceiling is beyond use: of calls, or of bytes. */
static uint64_t ahead_most(const struct quota *quota)
{
	return quota->kind == LIMITS_BYTES ? AHEAD_MOST_BYTES : AHEAD_MOST;
}

static uint64_t ahead_least(const struct quota *quota)
{
	return quota->kind == LIMITS_BYTES ? AHEAD_LEAST_BYTES : 1;
}

bool quota_raise_if_low(struct quotas *quotas, struct quota *quota, uint64_t units, int64_t now)
{
	if (quota->kind == LIMITS_SECOND)
		return false;
	if (quotas->off || quotas->stuck)
		return now >= quotas->retry_ms;
	if (quota->ceiling >= quota->granted ||
		quota->ceiling > quota_taken(quota) + units + quota->ahead / 2)
		return false;
	mark_dirty(quotas, quota);
	return quota->dirty;
}

static uint64_t next_ceiling(struct quota *quota, int64_t now)
{
	int64_t since = now - quota->raised_ms;
	uint64_t ahead, next;

	if (since < RAISE_EVERY_MS && quota->ahead * 2 <= ahead_most(quota))
		quota->ahead *= 2;
	else if (since > RAISE_EVERY_MS * 2)
		quota->ahead /= since > REST_MS ? AHEAD_MOST : 2;
	quota->ahead = most(quota->ahead, ahead_least(quota));
	quota->raised_ms = now;
	ahead = quota->ahead > quota->waiting ? quota->ahead : quota->waiting;
	next = quota_taken(quota) + ahead;
	return next < quota->granted ? next : quota->granted;
}

void quota_lower_if_idle(struct quotas *quotas, struct quota *quota, int64_t now)
{
	if (!quotas->off && !quotas->stuck && quota->ceiling > quota_taken(quota) + ahead_least(quota) &&
		now - quota->last_ms > REST_MS)
		mark_dirty(quotas, quota);
}

/* What is on disk is never below what calls may go to. */
static void take_row(struct quota *quota, int64_t now, struct ceiling *into)
{
	*into = (struct ceiling){ .apikey = check_strdup(quota->subject), .used = next_ceiling(quota, now) };
	memcpy(into->day, quota->window, sizeof(into->day));
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

		if (!quota->granted || quota->kind == LIMITS_SECOND)
			continue;
		take_row(quota, now, &list[len]);
		/* Without a file nothing held it: from here on it goes so far. */
		if (quotas->off)
			quota->ceiling = list[len].used;
		len++;
	}
	quotas->dirty = NULL;
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

void quotas_ceilings_done(struct quotas *quotas, const struct ceiling *list, size_t len)
{
	struct waiter *waiters;

	pthread_mutex_lock(&quotas->lock);
	quotas->stuck = false;
	for (size_t i = 0; i < len; i++) {
		struct quota *quota = quotas_find(quotas, list[i].day, list[i].apikey);

		if (!quota)
			continue;
		quota->ceiling = list[i].used;
		quota->raising = false;
		quota->waiting = 0;
	}
	waiters = quotas_take_waiters(quotas, false, true);
	pthread_mutex_unlock(&quotas->lock);
	quotas_resume(waiters);
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
	waiters = quotas_take_waiters(quotas, false, true);
	pthread_mutex_unlock(&quotas->lock);
	quotas_resume(waiters);
}
