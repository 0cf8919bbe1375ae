/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/quota_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "common/loop.h"
#include "proto/state.h"

/* Held unused, at best: what is used in so long, while a leader may be restarting. */
#define WANT_SECONDS 10
#define WANT_LEAST   8
#define WANT_MOST    1000000
/* The same of bytes, beside what calls wait for. */
#define WANT_LEAST_BYTES (UINT64_C(1) << 20)
#define WANT_MOST_BYTES  (UINT64_C(1) << 32)
#define WAITERS_MAX      100000
/* Shares move all the time, and where many do beats are rare: so many of them are waited for. */
#define SHARE_ANSWERS 3
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
	free(quota->subject);
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

#define ROW_NAME_MAX (LIMITS_WINDOW_SIZE + LIMITS_SUBJECT_MAX + 1)

static void row_name(struct buf *into, const char *window, const char *subject)
{
	buf_format(into, "%s %s", window, subject);
	CHECK(!into->failed);
}

struct quota *quotas_find(struct quotas *quotas, const char *window, const char *subject)
{
	AUTO_FINI(buf) name = buf_limit(ROW_NAME_MAX);

	row_name(&name, window, subject);
	return map_find(quotas->rows, buf_str(&name));
}

/* The limit is the request's for a row that is new: later the state and the leaders say it, whatever older
 * snapshot a request has. */
static struct quota *row_of(struct quotas *quotas, const struct quotas_of *of)
{
	AUTO_FINI(buf) name = buf_limit(ROW_NAME_MAX);
	struct quota *quota;

	row_name(&name, of->window, of->subject);
	quota = map_find(quotas->rows, buf_str(&name));
	if (quota)
		return quota;
	quota = xnew(struct quota);
	quota->subject = check_strdup(of->subject);
	CHECK(str_copy(str_of(of->window), quota->window, sizeof(quota->window)));
	quota->kind = of->kind;
	quota->limit = of->limit;
	quota->window_ms = clock_ms();
	(void)map_put(quotas->rows, buf_str(&name), quota);
	return quota;
}

uint64_t quota_taken(const struct quota *quota)
{
	return quota->kind == LIMITS_SECOND ? quota->in_second : quota->used + quota->reserved;
}

static uint64_t unused_of(const struct quota *quota)
{
	uint64_t taken = quota_taken(quota);

	return quota->granted > taken ? quota->granted - taken : 0;
}

void quota_give_back(struct quota *quota, uint64_t keep)
{
	uint64_t unused = unused_of(quota);

	keep = least(keep, unused);
	quota->granted = quota_taken(quota) + keep;
	quota->coming += least(unused - keep, UINT64_MAX - quota->coming);
	quota->release = true;
	quota->released = false;
}

/* Of a share what was used in this second stays out for as long as the second lasts. */
static void expire(struct quota *quota)
{
	quota_give_back(quota, 0);
	quota->ends = quota->kind == LIMITS_SECOND;
}

void quotas_expire(struct quotas *quotas, int64_t now)
{
	void *value;

	if (!quotas->valid_until_ms || now < quotas->valid_until_ms)
		return;
	quotas->valid_until_ms = 0;
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);)
		expire(value);
}

/* Of a second: what comes in one, and a little. */
static uint64_t target_of_second(const struct quota *quota)
{
	uint64_t tried = most(quota->tried, quota->tried_before);

	return least(tried + tried / 4 + 1, quota->limit);
}

uint64_t quota_target(const struct quota *quota)
{
	uint64_t lately = quota->used - quota->window_used;
	uint64_t target = WANT_SECONDS * most(quota->rate, lately) + quota->waiting;
	bool bytes = quota->kind == LIMITS_BYTES;

	if (quota->kind == LIMITS_SECOND)
		return target_of_second(quota);
	target = most(target, bytes ? WANT_LEAST_BYTES : WANT_LEAST);
	return bytes ? least(target, WANT_MOST_BYTES + quota->waiting) : least(target, WANT_MOST);
}

uint64_t quota_own(const struct quota *quota)
{
	return quota->least <= unused_of(quota) ? quota->waiting : 0;
}

bool quota_may_come(const struct quota *quota, uint64_t units)
{
	uint64_t unused = unused_of(quota);

	return quota->kind != LIMITS_SECOND && quota->dry_since_ms &&
	       (units <= unused || units - unused <= quota->coming);
}

bool quota_is_patient(const struct quota *quota, int64_t now)
{
	bool asks_on = quota->kind == LIMITS_SECOND && quota->dry_answers < SHARE_ANSWERS;

	return quota->dry_since_ms && (asks_on || now - quota->dry_since_ms < QUOTA_PATIENCE_MS);
}

bool quota_is_used_up(const struct quota *quota)
{
	return quota->kind == LIMITS_SECOND ? quota->granted >= quota->limit : quota->total >= quota->limit;
}

/* The window has no room for so many any more, whatever comes back unused. What was merged of ours may be a part of the total. */
static bool never_fits(const struct quota *quota, uint64_t units)
{
	uint64_t known = most(quota->total, quota->used);

	return quota->kind != LIMITS_SECOND && (known >= quota->limit || quota->limit - known < units);
}

static bool may_ask(const struct quota *quota, int64_t now)
{
	return !quota_is_used_up(quota) && now >= quota->empty_until_ms;
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

	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;

		quota->waiting = quota->least = 0;
	}
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

/* ---- what the client is told ---- */

static uint64_t remaining(const struct quota *quota)
{
	uint64_t known = quota->total + (quota_taken(quota) - quota->used_then);

	if (quota->kind == LIMITS_SECOND)
		return quota->granted > quota->in_second ? quota->granted - quota->in_second : 0;
	return known < quota->limit ? quota->limit - known : 0;
}

/* The one that is nearest to its end, or the one that refused. */
static void inform(const struct quota *quota, const struct quotas_of *of, int64_t now_s,
	struct admission_info *info, bool refused)
{
	uint64_t left = remaining(quota);
	bool nearer = !info->limit ||
		      (double)left / (double)quota->limit < (double)info->remaining / (double)info->limit;

	if (!refused && !nearer)
		return;
	info->limit = quota->limit;
	info->remaining = left;
	info->reset_s = limits_window_end_s(quota->kind, now_s) - now_s;
	info->kind = quota->kind;
	info->who = limits_who(quota->subject);
	info->is_held = quota->kind != LIMITS_SECOND && !never_fits(quota, of->units);
	/* Used up: when the next window begins. Else some may come back soon. */
	info->retry_after_s = info->is_held || left >= of->units ? 1 : info->reset_s;
}

/* ---- admission ---- */

/* One call, and the row of each of its quotas. */
struct admitting {
	struct quotas *quotas;
	const struct quotas_ask *ask;
	struct quota *rows[QUOTAS_OF_MOST]; /* NULL: it has no limit any more, or the leader deals none */
	int64_t now;
	struct admission_info *info;
	struct quotas_need *need;
	bool for_grant; /* it waits for more than the disk */
};

/* A leader was asked since it waits, and gave nothing for long enough; or none can be. */
static bool has_been_told(const struct quotas *quotas, const struct quota *quota,
	const struct admission_wait *wait, bool patient)
{
	return wait->since_ms && ((!patient && quota->answered > wait->turn) || quotas->failed > wait->turn);
}

/* It waits already, or may begin to. */
static bool may_wait(const struct quota *quota, const struct admission_wait *wait, bool patient, int64_t now)
{
	return !quota_is_used_up(quota) && (wait->since_ms || patient || may_ask(quota, now));
}

/* False: it is refused. */
static bool want_grant(struct admitting *admitting, struct quota *quota, const struct quotas_of *of)
{
	struct quotas *quotas = admitting->quotas;
	const struct admission_wait *wait = admitting->ask->wait;
	bool held = admitting->now < quotas->held_until_ms;
	bool patient = quota_is_patient(quota, admitting->now) || quota_may_come(quota, of->units);

	if (never_fits(quota, of->units) || has_been_told(quotas, quota, wait, patient) ||
		!may_wait(quota, wait, patient, admitting->now))
		return false;
	/* Of a patient one that is asked for the beat is due. */
	admitting->need->beat |= !held && !(patient && quota->asked);
	admitting->for_grant = true;
	quota->asked = true;
	quota->waiting += of->units;
	quota->least = quota->least ? least(quota->least, of->units) : of->units;
	return true;
}

static bool want_disk(struct admitting *admitting, struct quota *quota, const struct quotas_of *of)
{
	struct quotas *quotas = admitting->quotas;

	admitting->need->ceilings |= quota_raise_if_low(quotas, quota, of->units, admitting->now);
	if (quotas->stuck)
		admitting->info->why = "this worker cannot write down what it admits";
	quota->waiting += of->units;
	return !quotas->stuck;
}

static bool is_above_ceiling(const struct quotas *quotas, const struct quota *quota, uint64_t units)
{
	return quota->kind != LIMITS_SECOND && !quotas->off && quota_taken(quota) + units > quota->ceiling;
}

static bool is_above_grant(const struct quota *quota, uint64_t units)
{
	return quota_taken(quota) + units > quota->granted;
}

static enum admission wait_for(struct admitting *admitting)
{
	struct quotas *quotas = admitting->quotas;
	const struct quotas_ask *ask = admitting->ask;
	struct waiter *waiter;

	if (!ask->wait->since_ms)
		*ask->wait = (struct admission_wait){ .since_ms = admitting->now, .turn = quotas->turn };
	if (admitting->now - ask->wait->since_ms >= WAIT_MOST_MS || quotas->waiters_len >= WAITERS_MAX)
		return REFUSE;
	waiter = xnew(struct waiter);
	*waiter = (struct waiter){ .next = quotas->waiters,
		.loop = ask->loop,
		.resume = ask->resume,
		.arg = ask->arg,
		.since_ms = ask->wait->since_ms,
		.for_disk = !admitting->for_grant };
	quotas->waiters = waiter;
	quotas->waiters_len++;
	return WAIT;
}

/* More is fetched before it is needed. */
static bool is_low(const struct quota *quota, int64_t now)
{
	return !quota->asked && may_ask(quota, now) &&
	       quota->granted - quota_taken(quota) < quota_target(quota) / 2;
}

static bool is_share_low(const struct quota *quota, int64_t now)
{
	return !quota->asked && may_ask(quota, now) &&
	       quota->granted < most(quota->tried, quota->tried_before);
}

static void take(struct admitting *admitting, struct quota *quota, const struct quotas_of *of)
{
	bool low;

	if (quota->kind == LIMITS_SECOND)
		quota->in_second++;
	else if (quota->kind == LIMITS_BYTES)
		quota->reserved += of->units;
	else
		quota->used += of->units;
	quota->last_ms = admitting->now;
	admitting->need->ceilings |= quota_raise_if_low(admitting->quotas, quota, 0, admitting->now);
	low = quota->kind == LIMITS_SECOND ? is_share_low(quota, admitting->now)
					   : is_low(quota, admitting->now);
	quota->asked |= low;
	admitting->need->beat |= low;
}

/* A key's alone: those of users and groups have no sums of their own. */
static void note_granted(const struct quotas_of *of, struct admission_info *info)
{
	bool of_key = limits_who(of->subject) == LIMITS_OF_KEY;

	info->granted |= of_key && of->kind == LIMITS_DAY;
	info->granted_month |= of_key && of->kind == LIMITS_MONTH;
}

static enum admission take_all(struct admitting *admitting)
{
	const struct quotas_ask *ask = admitting->ask;

	for (size_t i = 0; i < ask->of_len; i++) {
		if (!admitting->rows[i])
			continue;
		take(admitting, admitting->rows[i], &ask->of[i]);
		note_granted(&ask->of[i], admitting->info);
		inform(admitting->rows[i], &ask->of[i], ask->now_s, admitting->info, false);
	}
	return ADMIT;
}

/* What is missing of all of them is asked for at once. */
static enum admission want_all(struct admitting *admitting)
{
	const struct quotas_ask *ask = admitting->ask;

	for (size_t i = 0; i < ask->of_len; i++) {
		struct quota *quota = admitting->rows[i];
		const struct quotas_of *of = &ask->of[i];
		bool above_grant = quota && is_above_grant(quota, of->units);

		if (!above_grant && !(quota && is_above_ceiling(admitting->quotas, quota, of->units)))
			continue;
		inform(quota, of, ask->now_s, admitting->info, true);
		if (above_grant ? !want_grant(admitting, quota, of) : !want_disk(admitting, quota, of))
			return REFUSE;
	}
	return wait_for(admitting);
}

static bool is_dealt(const struct quotas *quotas, const struct quotas_of *of)
{
	return !quotas->days_alone || (of->kind == LIMITS_DAY && limits_who(of->subject) == LIMITS_OF_KEY);
}

/* False: something is missing. */
static bool find_rows(struct admitting *admitting, int64_t second)
{
	const struct quotas_ask *ask = admitting->ask;
	bool fits = true;

	CHECK(ask->of_len <= QUOTAS_OF_MOST);
	for (size_t i = 0; i < ask->of_len; i++) {
		struct quota *quota = row_of(admitting->quotas, &ask->of[i]);
		uint64_t units = ask->of[i].units;

		/* The state has none any more, whatever the request's snapshot says. */
		admitting->rows[i] = quota->limit && is_dealt(admitting->quotas, &ask->of[i]) ? quota : NULL;
		if (!admitting->rows[i])
			continue;
		if (quota->kind == LIMITS_SECOND)
			quota_roll(quota, second);
		quota->tried += !ask->wait->since_ms;
		fits &= !is_above_grant(quota, units) && !is_above_ceiling(admitting->quotas, quota, units);
	}
	return fits;
}

/* Which second it is matters to those that are counted by it. */
static int64_t wait_for_second(const struct admitting *admitting, int64_t *ret_second)
{
	const struct quotas_ask *ask = admitting->ask;
	int64_t wait_ms = quotas_second(admitting->quotas, admitting->now, ret_second);
	bool matters = false;

	for (size_t i = 0; i < ask->of_len; i++)
		matters |= ask->of[i].kind == LIMITS_SECOND;
	return matters ? wait_ms : 0;
}

static enum admission admit_locked(struct admitting *admitting)
{
	struct quotas *quotas = admitting->quotas;
	int64_t second;

	if (quotas->closed) {
		admitting->info->why = "this worker ends";
		admitting->info->retry_after_s = 1;
		return REFUSE;
	}
	quotas_expire(quotas, admitting->now);
	admitting->info->wait_ms = wait_for_second(admitting, &second);
	if (admitting->info->wait_ms)
		return WAIT;
	return find_rows(admitting, second) ? take_all(admitting) : want_all(admitting);
}

enum admission quotas_admit(struct quotas *quotas, const struct quotas_ask *ask,
	struct admission_info *ret_info, struct quotas_need *ret_need)
{
	struct admitting admitting = {
		.quotas = quotas, .ask = ask, .now = clock_ms(), .info = ret_info, .need = ret_need
	};
	enum admission admission;

	*ret_need = (struct quotas_need){ 0 };
	pthread_mutex_lock(&quotas->lock);
	admission = admit_locked(&admitting);
	pthread_mutex_unlock(&quotas->lock);
	return admission;
}

/* To those who wait here, and else to who asked for it. */
static struct waiter *hand_back(struct quotas *quotas, struct quota *quota, struct quotas_need *need)
{
	struct waiter *waiters;

	if (quota->owed && unused_of(quota) > quota_own(quota)) {
		quota_give_back(quota, quota_own(quota));
		need->beat = true;
	}
	waiters = quotas_take_waiters(quotas, true, false);
	if (waiters)
		forget_waiting(quotas);
	return waiters;
}

void quotas_settle(
	struct quotas *quotas, const struct quotas_of *of, uint64_t flowed, struct quotas_need *ret_need)
{
	struct waiter *waiters = NULL;
	struct quota *quota;
	uint64_t held;

	*ret_need = (struct quotas_need){ 0 };
	pthread_mutex_lock(&quotas->lock);
	quota = quotas_find(quotas, of->window, of->subject);
	if (quota) {
		held = least(of->units, quota->reserved);
		quota->reserved -= held;
		quota->used += least(flowed, held);
		if (flowed < held)
			waiters = hand_back(quotas, quota, ret_need);
	}
	pthread_mutex_unlock(&quotas->lock);
	quotas_resume(waiters);
}

void quotas_close(struct quotas *quotas)
{
	pthread_mutex_lock(&quotas->lock);
	quotas->closed = true;
	pthread_mutex_unlock(&quotas->lock);
}

/* ---- the state ---- */

bool quotas_state(struct quotas *quotas, const struct state *state)
{
	bool any = false;
	void *value;

	pthread_mutex_lock(&quotas->lock);
	quotas->state_turn = quotas->turn;
	for (size_t at = 0; map_next(quotas->rows, &at, NULL, &value);) {
		struct quota *quota = value;
		uint64_t limit = limits_get(state, quota->subject, quota->kind);

		if (limit < quota->limit && quota->granted > quota_taken(quota)) {
			quota_give_back(quota, 0);
			any = true;
		}
		quota->limit = limit;
	}
	pthread_mutex_unlock(&quotas->lock);
	return any;
}
