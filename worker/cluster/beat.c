/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/beat.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/loop.h"
#include "worker/cluster/chore_rows.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/reach.h"
#include "worker/cluster/report_call.h"
#include "worker/cluster/standing.h"
#include "worker/cluster/usage_priv.h"

/* Beats that follow each other at once in ten seconds. */
#define SOON_MOST    200
#define SOON_SPAN_MS 10000
#define SOON_REST_MS 100
/* After a failure, at the longest. */
#define RETRY_MS 500
/* It is looked at who has waited too long. */
#define WAITS_MS 1000

struct beat {
	struct report_self *self;
	struct usage *usage;
	struct loop *loop;
	struct report_call call;
	struct usage_report item; /* the beat under way */
	struct loop_timer timer, waits;
	struct standing standing;
	struct few soon;
	struct chore_rows chores;
	bool again; /* one is wanted as soon as this one is over */
	bool more;  /* the one under way does not say all */
	bool bare;  /* the one under way, or the next, has no demands: the leader could not take them */
	bool stopping;
	atomic_bool kicked;
	int64_t held_until_ms;
	int64_t again_in_ms; /* the next is due so soon: calls wait for what others hold; 0: they do not */

	bool telling; /* to a leader that we have not told all yet */
	/* Of the newest answer. */
	char leader[USAGE_NAME_MAX + 1], witness[USAGE_WITNESS_MAX + 1];
};

static void cycle(void *arg);

static void cycle_in(struct beat *beat, int64_t ms)
{
	if (!beat->stopping)
		loop_timer_start(beat->loop, &beat->timer, ms, cycle, beat);
}

static void on_waits(void *arg)
{
	struct beat *beat = arg;

	loop_assert(beat->loop);
	if (beat->stopping)
		return;
	quotas_wake_old(beat->usage->quotas);
	loop_timer_start(beat->loop, &beat->waits, WAITS_MS, on_waits, beat);
}

/* ---- whom we have told ---- */

static void tell_anew(struct beat *beat)
{
	beat->telling = true;
	quotas_tell_anew(beat->usage->quotas);
}

/* Does the leader that answered know of all that we hold? If not, it is told next. */
static bool see_leader(struct beat *beat, const struct usage_answer *answer)
{
	bool same = !strcmp(beat->item.leader, answer->leader);

	(void)!str_copy(str_of(answer->leader), beat->leader, sizeof(beat->leader));
	(void)!str_copy(str_of(answer->witness), beat->witness, sizeof(beat->witness));
	if (!same) {
		tell_anew(beat);
		beat->again = true;
	} else if (!beat->more && !beat->bare) {
		beat->telling = false;
	}
	return same && !beat->telling;
}

/* ---- the end of a beat ---- */

static void taken(struct beat *beat, const struct report_result *result)
{
	const struct usage_answer *answer = result->answer;
	struct quotas_heard heard = {
		.report = &beat->item, .answer = answer, .sent_ms = beat->call.sent_ms
	};
	struct quotas_need need;

	cluster_renew(beat->self->cluster, &result->trust);
	cluster_set_unsigned(beat->self->cluster, answer);
	reach_heard(beat->self->cluster->reach, answer->cut);
	atomic_store(&beat->self->cluster->clock_ahead_ms, standing_heard(&beat->standing, result));
	usage_clock_hear(&beat->usage->clock, answer->now_ms);
	chore_rows_taken(&beat->chores, &beat->self->cluster->run, answer, clock_ms());
	beat->held_until_ms = answer->hold_ms ? clock_ms() + answer->hold_ms : 0;
	heard.is_told = see_leader(beat, answer);
	quotas_answer(beat->usage->quotas, &heard, &need);
	beat->again |= need.beat || beat->more;
	beat->again_in_ms = need.beat_in_ms;
	need.beat = false;
	usage_see_to(beat->usage, need);
}

/* As the newest state says: whoever had our name before us has it for no longer. */
static int64_t lease_ms(const struct beat *beat)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(beat->self->cluster);

	return snapshot->lease_ms;
}

static bool may_ask_another(struct beat *beat)
{
	int64_t wait;

	return leaders_next(&beat->call.leaders, clock_ms(), &wait) != NULL;
}

static void failed(struct beat *beat, const struct report_result *result)
{
	if (result->end == REPORT_CONFLICT || result->end == REPORT_REFUSED)
		report_self_say_refused(beat->self, result->why);
	if (result->taken.len)
		standing_taken(&beat->standing, result->taken, lease_ms(beat), clock_ms());
	if (beat->telling)
		tell_anew(beat);
	if ((result->end != REPORT_FAILED && result->end != REPORT_ESTRANGED) || !may_ask_another(beat))
		quotas_failed(beat->usage->quotas);
}

static int64_t soon_ms(struct beat *beat, int64_t wanted, int64_t now)
{
	return few_take(&beat->soon, SOON_MOST, SOON_SPAN_MS, now) ? wanted : SOON_REST_MS;
}

static int64_t pause_ms(struct beat *beat, const struct report_result *result)
{
	int64_t every = beat->self->every_ms, now = clock_ms();

	if (result->end != REPORT_TAKEN && !result->reached)
		return every < RETRY_MS ? every : RETRY_MS;
	if (result->end != REPORT_TAKEN && !beat->bare)
		return every;
	if (beat->again || beat->bare)
		return soon_ms(beat, 0, now);
	if (beat->again_in_ms)
		return soon_ms(beat, beat->again_in_ms, now);
	if (beat->held_until_ms > now && beat->held_until_ms - now < every)
		return beat->held_until_ms - now;
	return every;
}

static void after(struct beat *beat, const struct report_result *result)
{
	int64_t pause;

	/* A leader whose disk is full, or that has too much to do, keeps our lease all the same. */
	beat->bare = result->end == REPORT_FAILED && result->reached && beat->item.demands_len;
	pause = pause_ms(beat, result);
	beat->again = false;
	beat->again_in_ms = 0;
	usage_report_fini(&beat->item);
	quotas_wake(beat->usage->quotas);
	cycle_in(beat, pause);
}

static void on_done(void *arg, const struct report_result *result)
{
	struct beat *beat = arg;

	loop_assert(beat->loop);
	if (result->end == REPORT_TAKEN)
		taken(beat, result);
	else
		failed(beat, result);
	after(beat, result);
}

/* ---- a beat ---- */

static void compose(struct beat *beat)
{
	/* Others may have come while we had no lease: nobody waited for us. */
	beat->item = (struct usage_report){ .boot = check_strdup(beat->self->cluster->process),
		.leader = check_strdup(beat->leader),
		.witness = check_strdup(cluster_lease_left_ms(beat->self->cluster) ? beat->witness : "") };
	chore_rows_put(&beat->chores, &beat->self->cluster->run, clock_ms(), &beat->item);
	beat->more = !beat->bare &&
		     quotas_demand(beat->usage->quotas, usage_clock_s(&beat->usage->clock), &beat->item);
}

static void no_leader(struct beat *beat, int64_t wait_ms)
{
	usage_report_fini(&beat->item);
	if (beat->telling)
		tell_anew(beat);
	quotas_failed(beat->usage->quotas);
	quotas_wake(beat->usage->quotas);
	cycle_in(beat, wait_ms < RETRY_MS ? wait_ms : RETRY_MS);
}

static void cycle(void *arg)
{
	struct beat *beat = arg;
	int64_t wait_ms;

	loop_assert(beat->loop);
	if (beat->stopping || beat->call.call)
		return;
	compose(beat);
	usage_see_to(
		beat->usage, (struct quotas_need){ .ceilings = quotas_ceilings_due(beat->usage->quotas) });
	if (!report_call_send(&beat->call, &beat->item, &wait_ms))
		no_leader(beat, wait_ms);
}

static void on_kick(void *arg)
{
	struct beat *beat = arg;

	loop_assert(beat->loop);
	atomic_store(&beat->kicked, false);
	if (beat->stopping) {
		quotas_failed(beat->usage->quotas);
		quotas_wake(beat->usage->quotas);
		return;
	}
	if (beat->call.call)
		beat->again = true;
	else if (few_take(&beat->soon, SOON_MOST, SOON_SPAN_MS, clock_ms()))
		cycle(beat);
	else
		cycle_in(beat, SOON_REST_MS);
}

void beat_kick(void *arg)
{
	struct beat *beat = arg;

	if (!atomic_exchange(&beat->kicked, true))
		loop_post(beat->loop, on_kick, beat);
}

/* ---- life ---- */

struct beat *beat_start(struct report_self *self)
{
	struct beat *beat = xnew(struct beat);

	beat->self = self;
	beat->usage = self->cluster->run.usage;
	beat->loop = self->cluster->run.loop;
	loop_assert(beat->loop);
	beat->telling = true;
	report_call_init(&beat->call, self, on_done, beat);
	standing_init(&beat->standing, self->cluster->complaints, self->cluster->settings.secret != NULL);
	beat_kick(beat);
	on_waits(beat);
	return beat;
}

void beat_stop(struct beat *beat)
{
	loop_assert(beat->loop);
	beat->stopping = true;
	loop_timer_stop(beat->loop, &beat->timer);
	loop_timer_stop(beat->loop, &beat->waits);
	report_call_cancel(&beat->call);
	quotas_failed(beat->usage->quotas);
	quotas_wake(beat->usage->quotas);
}

void beat_free(struct beat *beat)
{
	if (!beat)
		return;
	usage_report_fini(&beat->item);
	report_call_fini(&beat->call);
	free(beat);
}
