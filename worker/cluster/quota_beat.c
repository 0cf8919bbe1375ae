/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_beat - what beats say of the grants, and what their answers change.
 */
#include "worker/cluster/quota_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"

/* Others hold what is left: it comes back by a recall, which takes a beat or two of theirs. */
#define ASK_FIRST_MS 10
#define ASK_AGAIN_MS 100
/* Shares of a second, those of all keys at once. */
#define ASK_SHARES_FIRST_MS 30
/* A share that somebody waits for is looked at so long after a second's begin. */
#define GIVE_AFTER_MS 100
#define ASK_SHARES_MS 500
/* Answers that give nothing and are so far apart are no run of them: patience begins anew. */
#define DRY_RUN_MS 1000
/* A leader that says nothing about it. */
#define GRANT_DEFAULT_MS 15000
/* Rows of days that are so far from the leader's are dropped. */
#define DAYS_KEPT 2

static void measure(struct quota *quota, int64_t now)
{
	int64_t took = now - quota->window_ms;

	if (took < 1000)
		return;
	quota->rate = (quota->used - quota->window_used) * 1000 / (uint64_t)took;
	quota->window_ms = now;
	quota->window_used = quota->used;
}

/* Less is of use to none of the calls that wait. */
static uint64_t needs_of(const struct quota *quota)
{
	uint64_t unused = quota->granted - quota_taken(quota);

	if (quota->kind == LIMITS_SECOND || quota->release || quota->least <= unused)
		return 0;
	return quota->least - unused;
}

static uint64_t want_of(const struct quota *quota)
{
	bool stands = quota->kind == LIMITS_SECOND;
	uint64_t target = quota_target(quota);
	uint64_t unused = quota->granted - (stands ? 0 : quota_taken(quota));

	if (!quota->asked || quota->release)
		return 0;
	return most(target > unused ? target - unused : 1, needs_of(quota));
}

/* What calls cannot go on without: a share, and bytes, are given whole, calls one by one as well. */
static uint64_t waits_of(const struct quota *quota, uint64_t want)
{
	uint64_t unused = quota->granted - quota_taken(quota);

	if (quota->kind == LIMITS_SECOND)
		return want;
	if (quota->kind == LIMITS_BYTES && quota->waiting > unused)
		return least(want, most(quota->waiting - unused, needs_of(quota)));
	return 0;
}

void quotas_tell_anew(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->telling = true;
	quotas->round++;
	pthread_mutex_unlock(&quotas->lock);
}

static void drop_far(struct quotas *quotas, int64_t now_s)
{
	struct str name;
	void *value;

	for (size_t at = 0; map_next(quotas->rows, &at, &name, &value);) {
		struct quota *quota = value;

		if (limits_window_is_near(quota->window, now_s, DAYS_KEPT) || quota->dirty || quota->reserved)
			continue;
		(void)map_delete(quotas->rows, name);
		quota_free(quota);
	}
}

static bool is_told_less(const struct quota *quota)
{
	return quota->used != quota->told_used || quota->reserved != quota->told_reserved;
}

static bool is_due(const struct quotas *quotas, const struct quota *quota)
{
	if (quotas->telling)
		return quota->round != quotas->round;
	return quota->asked || quota->release || is_told_less(quota);
}

static bool has_room(const struct usage_report *report, size_t bytes, const struct quota *quota)
{
	return report->demands_len < USAGE_CHUNK_ROWS && bytes + strlen(quota->subject) <= USAGE_CHUNK_BYTES;
}

static struct usage_demand *say_used(const struct quota *quota, struct usage_report *report)
{
	struct usage_demand *demand = &report->demands[report->demands_len++];

	*demand = (struct usage_demand){
		.apikey = check_strdup(quota->subject), .granted = quota->used, .used = quota->used
	};
	memcpy(demand->day, quota->window, sizeof(demand->day));
	return demand;
}

static void say(struct quotas *quotas, struct quota *quota, struct usage_report *report)
{
	struct usage_demand *demand = say_used(quota, report);

	demand->granted = quota->granted;
	demand->want = want_of(quota);
	demand->waits = waits_of(quota, demand->want);
	demand->needs = demand->want ? needs_of(quota) : 0;
	demand->reserved = quota->reserved;
	quota->says_needs = demand->needs > 0;
	/* What is reserved, or used in this second, is still out: then `granted` says what is given back. */
	demand->release = quota->release && quota->granted == quota->used;
	quota->round = quotas->round;
	quota->released = quota->release;
}

static bool say_due(struct quotas *quotas, int64_t now, struct usage_report *report)
{
	size_t bytes = 0;
	bool more = false;
	void *value;

	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;

		quotas_roll(quotas, quota, now);
		quota_shrink(quota);
		quota_lower_if_idle(quotas, quota, now);
		measure(quota, now);
		quota->released = quota->says_needs = false;
		if (!is_due(quotas, quota))
			continue;
		if (!has_room(report, bytes, quota)) {
			more = true;
			continue;
		}
		bytes += strlen(quota->subject);
		say(quotas, quota, report);
	}
	return more;
}

bool quotas_demand(struct quotas *quotas, int64_t now_s, struct usage_report *report)
{
	int64_t now = clock_ms();
	bool more;

	pthread_mutex_lock(&quotas->lock);
	quotas->turn++;
	quotas_expire(quotas, now);
	drop_far(quotas, now_s);
	report->demands = xnew_array(struct usage_demand, USAGE_CHUNK_ROWS);
	more = say_due(quotas, now, report);
	report->all = quotas->telling && !more;
	pthread_mutex_unlock(&quotas->lock);
	return more;
}

bool quotas_used(struct quotas *quotas, size_t *at, struct usage_report *report)
{
	size_t bytes = 0;
	bool more = false;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	report->demands = xnew_array(struct usage_demand, USAGE_CHUNK_ROWS);
	for (size_t next = *at; !more && map_next(quotas->rows, &next, NULL, &value);) {
		const struct quota *quota = value;

		if (quota->kind == LIMITS_SECOND)
			continue;
		more = !has_room(report, bytes, quota);
		if (more)
			break;
		bytes += strlen(quota->subject);
		(void)say_used(quota, report);
		*at = next;
	}
	pthread_mutex_unlock(&quotas->lock);
	return more;
}

static int64_t first_ms(const struct quota *quota)
{
	return quota->kind == LIMITS_SECOND ? ASK_SHARES_FIRST_MS : ASK_FIRST_MS;
}

static void beat_within(struct quotas_need *need, int64_t ms)
{
	if (!need->beat_in_ms || ms < need->beat_in_ms)
		need->beat_in_ms = ms;
}

/* What was said has arrived. */
static void take_demand(struct quotas *quotas, const struct usage_demand *demand, struct quotas_need *need,
	bool held, int64_t now)
{
	struct quota *quota = quotas_find(quotas, demand->day, demand->apikey);

	if (!quota)
		return;
	quota->told_used = demand->used;
	quota->told_reserved = demand->reserved;
	if (quota->released) {
		quota->release = quota->released = false;
		/* Beside a release nothing is wanted. */
		if (quota->asked && !held)
			beat_within(need, first_ms(quota));
	}
	if (!demand->want || held)
		return;
	quota->asked = false;
	/* Unless the answer has a grant. */
	quota->answered = quotas->turn;
	quota->empty_until_ms =
		quota->kind == LIMITS_SECOND ? (now / ASK_SHARES_MS + 1) * ASK_SHARES_MS : now + ASK_AGAIN_MS;
}

static void got_more(struct quota *quota)
{
	quota->answered = 0;
	quota->empty_until_ms = quota->dry_since_ms = 0;
}

/* After 10, 20, 40 and 80 ms and at the end of patience, and then from time to time while it may come. */
static int64_t again_ms(const struct quota *quota, int64_t now)
{
	int64_t dry = now - quota->dry_since_ms, first = first_ms(quota);

	if (dry < QUOTA_PATIENCE_MS)
		return least(most(dry, first), QUOTA_PATIENCE_MS - dry);
	return quota->kind == LIMITS_SECOND ? first : ASK_AGAIN_MS;
}

/* Or not enough: somebody waits on. */
static void got_nothing(struct quota *quota, struct quotas_need *need, int64_t now)
{
	if (!quota->dry_since_ms || now - quota->dry_ms >= DRY_RUN_MS) {
		quota->dry_since_ms = now;
		quota->dry_answers = 0;
	}
	quota->dry_ms = now;
	quota->dry_answers++;
	if ((!quota->waiting && !quota->least) || quota_is_used_up(quota) ||
		(!quota_is_patient(quota, now) && !quota_may_come(quota, quota->least)))
		return;
	quota->asked = true;
	beat_within(need, again_ms(quota, now));
}

/* A share that calls here wait for goes to them first. */
static bool is_for_own_calls(const struct quota *quota)
{
	return quota->kind == LIMITS_SECOND && quota->waiting;
}

static void recalled(struct quota *quota, bool lowered, struct quotas_need *need)
{
	uint64_t own = lowered ? 0 : quota_own(quota);

	if (quota->granted - quota_taken(quota) > own) {
		quota_give_back(quota, own);
		need->beat = true;
	} else if (own || is_told_less(quota)) {
		/* Who recalls waits for what is not unused any more, until it is told. */
		beat_within(need, ASK_FIRST_MS);
	}
}

/* The question was sent before the newest state came, which has a lower limit: the leader had not known that either. */
static bool is_of_before(
	const struct quotas *quotas, const struct quota *quota, const struct usage_grant *grant)
{
	return quotas->state_turn == quotas->turn && quota->limit && grant->limit > quota->limit;
}

static void take_grant(
	struct quotas *quotas, const struct usage_grant *grant, struct quotas_need *need, int64_t now)
{
	struct quota *quota = quotas_find(quotas, grant->day, grant->apikey);
	bool lowered;

	if (!quota)
		return;
	quota->total = grant->total;
	quota->used_then = quota->told_used;
	if (grant->used > quota->used)
		quota->used = grant->used;
	if (quota->granted < quota_taken(quota))
		quota->granted = quota_taken(quota);
	if (!quota->release && is_of_before(quotas, quota, grant)) {
		quota_give_back(quota, 0);
		need->beat = true;
	}
	if (quota->release)
		return;
	lowered = grant->limit && grant->limit < quota->limit;
	if (grant->limit)
		quota->limit = grant->limit;
	if (quota->says_needs)
		quota->coming = grant->coming;
	quota->owed = grant->recall;
	if (grant->granted > quota->granted)
		got_more(quota);
	else if (quota->answered == quotas->turn)
		got_nothing(quota, need, now);
	quota->granted =
		quota->kind == LIMITS_SECOND ? grant->granted : most(grant->granted, quota_taken(quota));
	if (grant->recall && quota->kind != LIMITS_SECOND) {
		recalled(quota, lowered, need);
	} else if (grant->recall && quota->granted > quota_taken(quota) && !is_for_own_calls(quota)) {
		quota_give_back(quota, 0);
		need->beat = true;
	} else if (grant->recall && quota->granted && quota->kind == LIMITS_SECOND) {
		/* Nothing of this second is left; of the next one something may be. */
		beat_within(need, quotas_next_second_ms(quotas, now) + GIVE_AFTER_MS);
	}
	if (quota->waiting || quota->used)
		need->ceilings |= quota_raise_if_low(quotas, quota, 0, now);
}

void quotas_answer(struct quotas *quotas, const struct quotas_heard *heard, struct quotas_need *ret_need)
{
	const struct usage_answer *answer = heard->answer;
	int64_t now = clock_ms(), good = answer->grant_ms ? answer->grant_ms : GRANT_DEFAULT_MS;

	*ret_need = (struct quotas_need){ 0 };
	pthread_mutex_lock(&quotas->lock);
	quotas_expire(quotas, now);
	quotas_hear_clock(quotas, heard->sent_ms, answer->now_ms);
	quotas->days_alone = !answer->deals;
	quotas->held_until_ms = answer->hold_ms ? now + answer->hold_ms : 0;
	if (heard->is_told) {
		quotas->telling = false;
		quotas->valid_until_ms = heard->sent_ms + good;
		for (size_t i = 0; i < heard->report->demands_len; i++)
			take_demand(quotas, &heard->report->demands[i], ret_need, answer->hold_ms > 0, now);
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
