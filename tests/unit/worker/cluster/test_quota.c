/* SPDX-License-Identifier: Apache-2.0 */
/* quota: calls are admitted only out of grants, and no further than the disk knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "proto/state.h"
#include "worker/cluster/quota.h"

#define TODAY    "2026-11-20"
#define TOMORROW "2026-11-21"
/* Noon of today; four days on. */
#define TODAY_S      INT64_C(1795176000)
#define LONG_AFTER_S (TODAY_S + 4 * 86400)

struct rig {
	struct quotas *quotas;
	struct loop *loop;
	unsigned resumed;
	struct admission_info info;
	struct quotas_need need;
};

static int start(void **state)
{
	struct rig *rig = xnew(struct rig);

	rig->quotas = quotas_new();
	assert_true(loop_new(&rig->loop, "test", NULL));
	*state = rig;
	return 0;
}

/* Without ceilings, which have tests of their own. */
static int start_off(void **state)
{
	(void)start(state);
	quotas_ceilings_failed(((struct rig *)*state)->quotas, true);
	return 0;
}

static int stop(void **state)
{
	struct rig *rig = *state;

	quotas_free(rig->quotas);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

static void resume(void *arg)
{
	((struct rig *)arg)->resumed++;
}

static enum admission admit_of(
	struct rig *rig, const char *apikey, const char *day, uint64_t limit, struct admission_wait *wait)
{
	struct quotas_of of = { apikey, day, LIMITS_DAY, limit, 1 };
	struct quotas_ask ask = { .loop = rig->loop,
		.of = &of,
		.of_len = 1,
		.now_s = TODAY_S,
		.wait = wait,
		.resume = resume,
		.arg = rig };

	return quotas_admit(rig->quotas, &ask, &rig->info, &rig->need);
}

static enum admission admit_again(struct rig *rig, struct admission_wait *wait)
{
	return admit_of(rig, "key", TODAY, 100, wait);
}

static enum admission admit(struct rig *rig)
{
	struct admission_wait wait = { 0 };

	return admit_again(rig, &wait);
}

static bool demand(struct rig *rig, struct usage_report *report)
{
	*report = (struct usage_report){ 0 };
	return quotas_demand(rig->quotas, TODAY_S, report);
}

struct told {
	uint64_t granted, used, total, limit;
	uint64_t coming;
	const char *window;
	int64_t grant_ms, hold_ms, sent_ms;
	bool recall, stranger;
};

/* What a leader says to a beat. True: at once another one. */
static bool answer(struct rig *rig, const struct usage_report *report, struct told told)
{
	struct usage_grant grant = { .apikey = check_strdup("key"),
		.day = TODAY,
		.granted = told.granted,
		.used = told.used,
		.total = told.total,
		.limit = told.limit ? told.limit : 100,
		.coming = told.coming,
		.recall = told.recall };
	struct usage_answer answer = { .grants = &grant,
		.grants_len = 1,
		.deals = told.window,
		.hold_ms = told.hold_ms,
		.grant_ms = told.grant_ms };
	struct quotas_heard heard = { .report = report,
		.answer = &answer,
		.is_told = !told.stranger,
		.sent_ms = told.sent_ms ? told.sent_ms : clock_ms() };

	if (told.window)
		assert_true(str_copy(str_of(told.window), grant.day, sizeof(grant.day)));
	quotas_answer(rig->quotas, &heard, &rig->need);
	quotas_wake(rig->quotas);
	free(grant.apikey);
	loop_turn(rig->loop, 0);
	return rig->need.beat;
}

/* A beat and what is said to it. */
static bool beat(struct rig *rig, struct told told)
{
	struct usage_report report;
	bool again;

	(void)demand(rig, &report);
	again = answer(rig, &report, told);
	usage_report_fini(&report);
	return again;
}

/* A call waited, so many are granted. */
static void grant(struct rig *rig, uint64_t granted)
{
	assert_int_equal(admit(rig), WAIT);
	assert_false(beat(rig, (struct told){ .granted = granted }));
}

static unsigned admit_many(struct rig *rig, unsigned most)
{
	unsigned admitted = 0;

	while (admitted < most && admit(rig) == ADMIT)
		admitted++;
	return admitted;
}

static void the_first_call_waits_for_a_grant(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct usage_report report;

	assert_int_equal(admit_again(rig, &wait), WAIT);
	assert_true(rig->need.beat);
	assert_false(demand(rig, &report));
	assert_int_equal(report.demands_len, 1);
	assert_true(report.all);
	assert_true(report.demands[0].want >= 1);
	assert_int_equal(report.demands[0].used, 0);
	assert_false(answer(rig, &report, (struct told){ .granted = 3 }));
	usage_report_fini(&report);
	assert_int_equal(rig->resumed, 1);
	assert_int_equal(admit_again(rig, &wait), ADMIT);
	assert_int_equal(admit_many(rig, 10), 2);
}

/* Others hold what is left, and go on holding it. */
static void be_told_of_none(struct rig *rig, struct admission_wait *wait)
{
	int64_t since = clock_ms();

	do {
		(void)beat(rig, (struct told){ .granted = 0, .total = 50 });
		loop_turn(rig->loop, 10);
	} while (admit_again(rig, wait) == WAIT);
	assert_true(clock_ms() - since >= QUOTA_PATIENCE_MS);
}

static void who_was_told_that_there_is_none_is_refused(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	be_told_of_none(rig, &wait);
	assert_int_equal(admit_again(rig, &wait), REFUSE);
	assert_int_equal(rig->info.retry_after_s, 1);
}

static void what_others_hold_is_waited_for_and_asked_for_a_few_times(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct usage_report report;

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .total = 50 });
	assert_int_equal(rig->resumed, 1);
	assert_in_range(rig->need.beat_in_ms, 1, QUOTA_PATIENCE_MS);
	assert_int_equal(admit_again(rig, &wait), WAIT);
	assert_false(rig->need.beat);
	(void)demand(rig, &report);
	assert_true(report.demands[0].want > 0);
	assert_false(answer(rig, &report, (struct told){ .granted = 3, .total = 50 }));
	usage_report_fini(&report);
	assert_int_equal(rig->need.beat_in_ms, 0);
	assert_int_equal(admit_again(rig, &wait), ADMIT);
}

static void a_call_that_comes_meanwhile_waits_for_it_too(void **state)
{
	struct rig *rig = *state;
	struct admission_wait first = { 0 }, late = { 0 };

	assert_int_equal(admit_again(rig, &first), WAIT);
	(void)beat(rig, (struct told){ .total = 50 });
	assert_int_equal(admit_again(rig, &late), WAIT);
	assert_false(rig->need.beat);
	(void)beat(rig, (struct told){ .granted = 1, .total = 50 });
	assert_int_equal(admit_again(rig, &late), ADMIT);
}

/* It is woken too late to be seen by the answer. */
static void who_waits_alone_asks_by_itself(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .total = 50 });
	(void)beat(rig, (struct told){ .total = 50 });
	assert_int_equal(rig->need.beat_in_ms, 0);
	assert_int_equal(admit_again(rig, &wait), WAIT);
	assert_true(rig->need.beat);
}

static void an_empty_quota_makes_nobody_patient_again(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 }, next = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	be_told_of_none(rig, &wait);
	assert_int_equal(admit_again(rig, &wait), REFUSE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(admit(rig), REFUSE);
	/* Who asks from time to time waits for one answer. */
	while (admit_again(rig, &next) == REFUSE)
		loop_turn(rig->loop, 10);
	(void)beat(rig, (struct told){ .total = 50 });
	assert_int_equal(rig->need.beat_in_ms, 0);
	assert_int_equal(admit_again(rig, &next), REFUSE);
}

static void a_quota_that_is_used_up_is_not_waited_for(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .total = 50 });
	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .total = 100 });
	assert_int_equal(rig->need.beat_in_ms, 0);
	assert_int_equal(admit_again(rig, &wait), REFUSE);
	assert_int_equal(rig->info.retry_after_s, 12 * 3600);
}

static void where_a_grant_is_not_enough_for_all_the_others_ask_again(void **state)
{
	struct rig *rig = *state;
	struct admission_wait first = { 0 }, second = { 0 };

	assert_int_equal(admit_again(rig, &first), WAIT);
	assert_int_equal(admit_again(rig, &second), WAIT);
	(void)beat(rig, (struct told){ .granted = 1 });
	assert_int_equal(admit_again(rig, &first), ADMIT);
	assert_int_equal(admit_again(rig, &second), WAIT);
	assert_true(rig->need.beat);
	(void)beat(rig, (struct told){ .granted = 2 });
	assert_int_equal(admit_again(rig, &second), ADMIT);
}

static void a_call_that_came_after_the_question_waits_for_the_next(void **state)
{
	struct rig *rig = *state;
	struct admission_wait first = { 0 }, late = { 0 };
	struct usage_report report;

	assert_int_equal(admit_again(rig, &first), WAIT);
	(void)demand(rig, &report);
	assert_int_equal(admit_again(rig, &late), WAIT);
	(void)answer(rig, &report, (struct told){ .granted = 1 });
	usage_report_fini(&report);
	assert_int_equal(admit_again(rig, &first), ADMIT);
	assert_int_equal(admit_again(rig, &late), WAIT);
}

static void a_used_up_quota_is_refused_without_asking(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(admit(rig), WAIT);
	(void)beat(rig, (struct told){ .total = 100 });
	assert_int_equal(admit(rig), REFUSE);
	assert_false(rig->need.beat);
	assert_int_equal(rig->info.remaining, 0);
	assert_int_equal(rig->info.limit, 100);
	assert_int_equal(rig->info.retry_after_s, 12 * 3600);
}

static void a_recalled_grant_is_given_back_and_not_used_meanwhile(void **state)
{
	struct rig *rig = *state;
	struct usage_report report;

	grant(rig, 10);
	assert_int_equal(admit(rig), ADMIT);
	assert_true(beat(rig, (struct told){ .granted = 10, .recall = true }));
	assert_int_not_equal(admit(rig), ADMIT);
	(void)demand(rig, &report);
	assert_int_equal(report.demands_len, 1);
	assert_true(report.demands[0].release);
	assert_int_equal(report.demands[0].granted, 1);
	assert_int_equal(report.demands[0].used, 1);
	usage_report_fini(&report);
	/* Until it is acknowledged it is said again. */
	(void)demand(rig, &report);
	assert_true(report.demands[0].release);
	assert_false(answer(rig, &report, (struct told){ .granted = 1, .used = 1, .total = 1 }));
	usage_report_fini(&report);
	assert_int_equal(admit(rig), WAIT);
	(void)beat(rig, (struct told){ .granted = 4, .used = 1, .total = 1 });
	assert_int_equal(admit_many(rig, 10), 3);
}

/* [X8] The leader had answered before it knew. */
static void an_answer_from_before_a_release_raises_nothing(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *without = state_new();
	struct usage_report report;

	grant(rig, 10);
	(void)demand(rig, &report);
	assert_true(quotas_state(rig->quotas, without));
	(void)answer(rig, &report, (struct told){ .granted = 50 });
	usage_report_fini(&report);
	(void)demand(rig, &report);
	assert_true(report.demands[0].release);
	assert_int_equal(report.demands[0].granted, 0);
	usage_report_fini(&report);
}

/* A call of a key whose quota is gone by now. */
static void what_is_no_part_of_a_grant_says_so(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *without = state_new();

	grant(rig, 10);
	assert_int_equal(admit(rig), ADMIT);
	assert_true(rig->info.granted);
	assert_true(quotas_state(rig->quotas, without));
	rig->info = (struct admission_info){ 0 };
	assert_int_equal(admit(rig), ADMIT);
	assert_false(rig->info.granted);
}

static struct state *state_with(uint64_t quota)
{
	struct apikey body = { .owner = "o", .label = "", .secret_hash = "", .daily_quota = (int64_t)quota };
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key"), 3, &body);
	AUTO(state) *empty = state_new();

	return state_change(empty, &key, 1, 3);
}

/* [X8] */
static void a_lowered_quota_counts_at_once(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *same = state_with(100);
	AUTO(state) *lower = state_with(20);
	struct admission_wait wait = { 0 };

	grant(rig, 50);
	assert_int_equal(admit_many(rig, 5), 5);
	assert_false(quotas_state(rig->quotas, same));
	assert_int_equal(admit_many(rig, 5), 5);
	assert_true(quotas_state(rig->quotas, lower));
	/* With the limit of the snapshot of before. */
	assert_int_equal(admit_of(rig, "key", TODAY, 100, &wait), WAIT);
	assert_int_equal(rig->info.limit, 20);
	(void)beat(rig, (struct told){ .granted = 10, .used = 10, .limit = 20 });
	(void)beat(rig, (struct told){ .granted = 12, .used = 10, .limit = 20 });
	assert_int_equal(admit_many(rig, 10), 2);
}

/* [X8] All that it held is used, and it had asked for more under the quota of before; or that quota was there for a moment alone. */
static void an_answer_that_a_lower_quota_has_overtaken_gives_nothing(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *five = state_with(5);
	struct usage_report report;

	grant(rig, 5);
	assert_int_equal(admit_many(rig, 10), 5);
	for (int round = 0; round < 2; round++) {
		(void)admit(rig);
		(void)demand(rig, &report);
		assert_false(quotas_state(rig->quotas, five));
		assert_true(answer(rig, &report, (struct told){ .granted = 15, .used = 5, .total = 5 }));
		usage_report_fini(&report);
		assert_int_not_equal(admit(rig), ADMIT);
		assert_int_equal(rig->info.limit, 5);
		(void)demand(rig, &report);
		assert_true(report.demands[0].release);
		assert_int_equal(report.demands[0].granted, 5);
		(void)answer(rig, &report, (struct told){ .granted = 5, .used = 5, .total = 5, .limit = 5 });
		usage_report_fini(&report);
	}
	/* What was asked for with that state is as good as any: it may know a newer one. */
	(void)beat(rig, (struct told){ .granted = 7, .used = 5, .total = 5, .limit = 9 });
	assert_int_equal(admit_many(rig, 10), 2);
}

static void grants_end_when_no_leader_confirms_them(void **state)
{
	struct rig *rig = *state;
	struct usage_report report;

	assert_int_equal(admit(rig), WAIT);
	(void)beat(rig, (struct told){ .granted = 10, .grant_ms = 60000 });
	assert_int_equal(admit(rig), ADMIT);
	/* A beat that was sent so long ago: what it confirmed is over. */
	(void)beat(rig, (struct told){ .granted = 10, .grant_ms = 60000, .sent_ms = clock_ms() - 60001 });
	assert_int_not_equal(admit(rig), ADMIT);
	(void)demand(rig, &report);
	assert_true(report.demands[0].release);
	assert_int_equal(report.demands[0].granted, 1);
	/* Before it was heard nothing comes back; after it, what the leader says. */
	(void)answer(rig, &report, (struct told){ .granted = 1, .used = 1 });
	usage_report_fini(&report);
	assert_int_equal(admit(rig), WAIT);
	(void)beat(rig, (struct told){ .granted = 2, .used = 1 });
	assert_int_equal(admit_many(rig, 10), 1);
}

static void a_strange_leaders_grants_do_not_count_before_it_was_told(void **state)
{
	struct rig *rig = *state;
	struct usage_report report;

	grant(rig, 2);
	assert_int_equal(admit(rig), ADMIT);
	(void)beat(rig, (struct told){ .granted = 90, .stranger = true });
	assert_int_equal(admit_many(rig, 10), 1);
	quotas_tell_anew(rig->quotas);
	assert_false(demand(rig, &report));
	assert_true(report.all);
	assert_int_equal(report.demands[0].granted, 2);
	assert_int_equal(report.demands[0].used, 2);
	usage_report_fini(&report);
}

/* [X4] */
static void all_is_told_in_chunks_and_all_comes_last(void **state)
{
	struct rig *rig = *state;
	struct usage_report report;
	size_t told = 0;
	char key[16];
	bool more;

	for (unsigned i = 0; i < 2500; i++) {
		struct admission_wait wait = { 0 };
		(void)snprintf(key, sizeof(key), "key-%u", i);
		assert_int_equal(admit_of(rig, key, TODAY, 100, &wait), WAIT);
	}
	do {
		more = demand(rig, &report);
		assert_true(report.demands_len <= USAGE_CHUNK_ROWS);
		assert_int_equal(report.all, !more);
		told += report.demands_len;
		usage_report_fini(&report);
	} while (more);
	assert_int_equal(told, 2500);
	quotas_failed(rig->quotas);
	quotas_wake(rig->quotas);
	loop_turn(rig->loop, 0);
	assert_int_equal(rig->resumed, 2500);
}

/* [X11] */
static void who_waits_goes_on_waiting_while_a_leader_hears_the_others(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 }, another = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .hold_ms = 100000 });
	assert_int_equal(rig->resumed, 0);
	assert_int_equal(admit_again(rig, &another), WAIT);
	assert_false(rig->need.beat);
	(void)beat(rig, (struct told){ .granted = 2 });
	assert_int_equal(rig->resumed, 2);
	assert_int_equal(admit_again(rig, &wait), ADMIT);
	assert_int_equal(admit_again(rig, &another), ADMIT);
}

static void no_call_waits_longer_than_ten_seconds(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)beat(rig, (struct told){ .hold_ms = 100000 });
	wait.since_ms = clock_ms() - 10001;
	assert_int_equal(admit_again(rig, &wait), REFUSE);
}

static void without_a_leader_who_waits_is_refused(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct usage_report report;

	assert_int_equal(admit_again(rig, &wait), WAIT);
	(void)demand(rig, &report);
	usage_report_fini(&report);
	quotas_failed(rig->quotas);
	quotas_wake(rig->quotas);
	loop_turn(rig->loop, 0);
	assert_int_equal(rig->resumed, 1);
	assert_int_equal(admit_again(rig, &wait), REFUSE);
}

/* [X2] */
static void each_day_has_its_own_grants_and_the_days_beside_it_are_kept(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct usage_report report;

	grant(rig, 10);
	assert_int_equal(admit(rig), ADMIT);
	assert_int_equal(admit_of(rig, "key", TOMORROW, 100, &wait), WAIT);
	/* Back over midnight. */
	assert_int_equal(admit(rig), ADMIT);
	(void)demand(rig, &report);
	assert_int_equal(report.demands_len, 2);
	usage_report_fini(&report);
	report = (struct usage_report){ 0 };
	(void)quotas_demand(rig->quotas, LONG_AFTER_S, &report);
	usage_report_fini(&report);
	assert_int_equal(admit(rig), WAIT);
}

static void more_is_asked_for_before_it_is_needed(void **state)
{
	struct rig *rig = *state;
	bool asked = false;

	grant(rig, 40);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(admit(rig), ADMIT);
		asked |= rig->need.beat;
	}
	assert_true(asked);
}

static void what_is_closed_admits_nothing_and_says_what_it_used(void **state)
{
	struct rig *rig = *state;
	struct usage_report report = { 0 };
	size_t at = 0;

	grant(rig, 10);
	assert_int_equal(admit_many(rig, 3), 3);
	quotas_close(rig->quotas);
	assert_int_equal(admit(rig), REFUSE);
	assert_false(quotas_used(rig->quotas, &at, &report));
	assert_int_equal(report.demands_len, 1);
	assert_int_equal(report.demands[0].used, 3);
	assert_int_equal(report.demands[0].granted, 3);
	assert_int_equal(report.demands[0].want, 0);
	usage_report_fini(&report);
}

/* Ceilings. */

static uint64_t write_ceilings(struct rig *rig, bool all)
{
	struct ceiling *list;
	size_t len = quotas_ceilings_take(rig->quotas, all, &list);
	uint64_t ceiling = len ? list[0].used : 0;

	quotas_ceilings_done(rig->quotas, list, len);
	ceiling_list_free(list, len);
	loop_turn(rig->loop, 0);
	return ceiling;
}

/* [X9] */
static void a_call_waits_until_its_ceiling_is_on_disk(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct ceiling *list;
	size_t len;

	grant(rig, 10);
	assert_int_equal(admit_again(rig, &wait), WAIT);
	assert_true(rig->need.ceilings);
	len = quotas_ceilings_take(rig->quotas, true, &list);
	assert_int_equal(len, 1);
	assert_true(list[0].used >= 1);
	assert_int_equal(admit_again(rig, &wait), WAIT);
	rig->resumed = 0;
	quotas_ceilings_done(rig->quotas, list, len);
	ceiling_list_free(list, len);
	loop_turn(rig->loop, 0);
	assert_true(rig->resumed >= 1);
	assert_int_equal(admit_again(rig, &wait), ADMIT);
}

static void no_call_passes_the_ceiling(void **state)
{
	struct rig *rig = *state;
	uint64_t admitted = 0, ceiling = 0, written;

	grant(rig, 1000);
	for (int i = 0; i < 20; i++) {
		admitted += admit(rig) == ADMIT;
		assert_true(admitted <= ceiling);
		written = write_ceilings(rig, i == 0);
		ceiling = written ? written : ceiling;
		while (admit(rig) == ADMIT)
			admitted++;
		assert_true(admitted <= ceiling && ceiling <= 1000);
	}
	assert_true(admitted > 20);
}

static void ceilings_that_cannot_be_written_are_done_without(void **state)
{
	struct rig *rig = *state;
	struct ceiling *list;
	size_t len;

	grant(rig, 10);
	assert_int_equal(admit(rig), WAIT);
	len = quotas_ceilings_take(rig->quotas, true, &list);
	ceiling_list_free(list, len);
	quotas_ceilings_failed(rig->quotas, true);
	loop_turn(rig->loop, 0);
	assert_int_equal(admit_many(rig, 4), 4);
	/* A new file holds them from the moment that it is made. */
	len = quotas_ceilings_take(rig->quotas, true, &list);
	assert_int_equal(len, 1);
	assert_true(list[0].used >= 4);
	assert_true(admit_many(rig, 10) <= list[0].used - 4);
	ceiling_list_free(list, len);
}

static void ceilings_that_stay_on_disk_hold(void **state)
{
	struct rig *rig = *state;
	struct ceiling *list;
	size_t len;

	grant(rig, 100);
	assert_int_equal(admit(rig), WAIT);
	(void)write_ceilings(rig, true);
	assert_true(admit_many(rig, 100) < 100);
	len = quotas_ceilings_take(rig->quotas, false, &list);
	ceiling_list_free(list, len);
	quotas_ceilings_failed(rig->quotas, false);
	loop_turn(rig->loop, 0);
	assert_int_equal(admit(rig), REFUSE);
	assert_non_null(rig->info.why);
}

/* ---- several quotas of one call, bytes ---- */

#define MONTH "2026-11"
#define BYTES "2026-11#bytes"

static enum admission admit_both(struct rig *rig, uint64_t bytes, struct admission_wait *wait)
{
	struct quotas_of of[] = { { "key", TODAY, LIMITS_DAY, 100, 1 },
		{ "key", MONTH, LIMITS_MONTH, 1000, 1 }, { "key", BYTES, LIMITS_BYTES, 5000, bytes } };
	struct quotas_ask ask = { .loop = rig->loop,
		.of = of,
		.of_len = 3,
		.now_s = TODAY_S,
		.wait = wait,
		.resume = resume,
		.arg = rig };

	rig->info = (struct admission_info){ 0 };
	return quotas_admit(rig->quotas, &ask, &rig->info, &rig->need);
}

/* The leader that deals all says what is granted of each. */
static bool deal(struct rig *rig, uint64_t day, uint64_t month, uint64_t bytes, uint64_t total)
{
	struct usage_grant grants[] = {
		{ .apikey = check_strdup("key"), .day = TODAY, .granted = day, .limit = 100, .total = total },
		{ .apikey = check_strdup("key"),
			.day = MONTH,
			.granted = month,
			.limit = 1000,
			.total = total },
		{ .apikey = check_strdup("key"),
			.day = BYTES,
			.granted = bytes,
			.limit = 5000,
			.total = total }
	};
	struct usage_answer answer = { .grants = grants, .grants_len = 3, .deals = true };
	struct usage_report report;
	struct quotas_heard heard = {
		.report = &report, .answer = &answer, .is_told = true, .sent_ms = clock_ms()
	};

	(void)demand(rig, &report);
	quotas_answer(rig->quotas, &heard, &rig->need);
	quotas_wake(rig->quotas);
	for (size_t i = 0; i < 3; i++)
		free(grants[i].apikey);
	usage_report_fini(&report);
	loop_turn(rig->loop, 0);
	return rig->need.beat;
}

static struct usage_demand demand_of(struct rig *rig, const char *window)
{
	struct usage_demand found = { 0 };
	struct usage_report report;

	quotas_tell_anew(rig->quotas);
	(void)demand(rig, &report);
	for (size_t i = 0; i < report.demands_len; i++)
		if (!strcmp(report.demands[i].day, window))
			found = report.demands[i];
	usage_report_fini(&report);
	found.apikey = NULL;
	return found;
}

static void a_call_takes_of_all_its_quotas_or_of_none(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_both(rig, 0, &wait), WAIT);
	(void)deal(rig, 10, 0, 0, 0);
	assert_int_equal(admit_both(rig, 0, &wait), WAIT);
	assert_int_equal(demand_of(rig, TODAY).used, 0);
	(void)deal(rig, 10, 2, 0, 0);
	assert_int_equal(admit_both(rig, 0, &wait), ADMIT);
	assert_true(rig->info.granted && rig->info.granted_month);
	assert_int_equal(demand_of(rig, TODAY).used, 1);
	assert_int_equal(demand_of(rig, MONTH).used, 1);
}

static void what_refuses_is_named_and_its_window_says_when(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_both(rig, 0, &wait), WAIT);
	(void)deal(rig, 10, 0, 0, 1000);
	assert_int_equal(admit_both(rig, 0, &wait), REFUSE);
	assert_int_equal(rig->info.kind, LIMITS_MONTH);
	assert_int_equal(rig->info.limit, 1000);
	assert_int_equal(rig->info.remaining, 0);
	/* From noon of the 20th. */
	assert_int_equal(rig->info.retry_after_s, (10 * 24 + 12) * 3600);
}

static void bytes_that_did_not_flow_are_unused_again(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct quotas_of of = { "key", BYTES, LIMITS_BYTES, 5000, 3000 };

	assert_int_equal(admit_both(rig, 3000, &wait), WAIT);
	assert_int_equal(demand_of(rig, BYTES).waits, 3000);
	(void)deal(rig, 10, 10, 4000, 0);
	assert_int_equal(admit_both(rig, 3000, &wait), ADMIT);
	assert_int_equal(demand_of(rig, BYTES).used, 0);
	/* What is under way is not given back. */
	quotas_failed(rig->quotas);
	quotas_settle(rig->quotas, &of, 1200, &rig->need);
	assert_int_equal(demand_of(rig, BYTES).used, 1200);
	memset(&wait, 0, sizeof(wait));
	assert_int_equal(admit_both(rig, 2800, &wait), ADMIT);
	memset(&wait, 0, sizeof(wait));
	assert_int_equal(admit_both(rig, 1, &wait), WAIT);
}

static void bytes_under_way_are_held_when_a_leader_recalls(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct usage_grant grant = {
		.apikey = check_strdup("key"), .day = BYTES, .granted = 4000, .limit = 5000, .recall = true
	};
	struct usage_answer answer = { .grants = &grant, .grants_len = 1, .deals = true };
	struct usage_report report = { 0 };
	struct quotas_heard heard = {
		.report = &report, .answer = &answer, .is_told = true, .sent_ms = clock_ms()
	};

	assert_int_equal(admit_both(rig, 3000, &wait), WAIT);
	(void)deal(rig, 10, 10, 4000, 0);
	assert_int_equal(admit_both(rig, 3000, &wait), ADMIT);
	quotas_answer(rig->quotas, &heard, &rig->need);
	free(grant.apikey);
	assert_true(rig->need.beat);
	assert_int_equal(demand_of(rig, BYTES).granted, 3000);
	assert_false(demand_of(rig, BYTES).release);
}

/* ---- what others have of a quota of bytes ---- */

static enum admission admit_bytes(struct rig *rig, uint64_t bytes, struct admission_wait *wait)
{
	struct quotas_of of = { "key", BYTES, LIMITS_BYTES, 5000, bytes };
	struct quotas_ask ask = { .loop = rig->loop,
		.of = &of,
		.of_len = 1,
		.now_s = TODAY_S,
		.wait = wait,
		.resume = resume,
		.arg = rig };

	rig->info = (struct admission_info){ 0 };
	return quotas_admit(rig->quotas, &ask, &rig->info, &rig->need);
}

static struct told of_bytes(uint64_t granted, uint64_t total, uint64_t coming)
{
	return (struct told){
		.window = BYTES, .limit = 5000, .granted = granted, .total = total, .coming = coming
	};
}

/* For longer than anybody is patient. */
static enum admission answers_of(
	struct rig *rig, struct told told, uint64_t bytes, struct admission_wait *wait)
{
	int64_t since = clock_ms();
	enum admission admission;

	do {
		(void)beat(rig, told);
		loop_turn(rig->loop, 10);
		admission = admit_bytes(rig, bytes, wait);
	} while (admission == WAIT && clock_ms() - since < 2 * QUOTA_PATIENCE_MS);
	return admission;
}

static void what_may_come_is_waited_for_as_long_as_it_may(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 }, more = { 0 };

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	assert_int_equal(demand_of(rig, BYTES).needs, 3000);
	assert_int_equal(answers_of(rig, of_bytes(1000, 1000, 2000), 3000, &wait), WAIT);
	assert_int_equal(demand_of(rig, BYTES).needs, 2000);
	/* It could not be served with all that may come: the rest is under way. */
	assert_int_equal(admit_bytes(rig, 3001, &more), REFUSE);
	assert_true(rig->info.is_held);
	assert_int_equal(rig->info.retry_after_s, 1);
	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	(void)beat(rig, of_bytes(3000, 1000, 0));
	assert_int_equal(admit_bytes(rig, 3000, &wait), ADMIT);
}

static void what_is_under_way_is_waited_for_a_short_time(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	assert_int_equal(answers_of(rig, of_bytes(1000, 1000, 1999), 3000, &wait), REFUSE);
	assert_true(rig->info.is_held);
	assert_int_equal(rig->info.retry_after_s, 1);
}

/* Not by who asks first, and without a beat. */
static void what_the_month_has_no_room_for_is_refused_at_once(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	(void)beat(rig, of_bytes(0, 2001, 2999));
	assert_int_equal(admit_bytes(rig, 3000, &wait), REFUSE);
	assert_false(rig->info.is_held);
	assert_true(rig->info.retry_after_s > 3600);
	assert_false(rig->need.beat);
	memset(&wait, 0, sizeof(wait));
	assert_int_equal(admit_bytes(rig, 2999, &wait), WAIT);
}

/* Else somebody's recall takes what was gathered for them in the moment that it comes. */
static void a_recall_leaves_what_calls_here_take_now(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct told told = of_bytes(3500, 0, 0);

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	told.recall = true;
	assert_true(beat(rig, told));
	assert_int_equal(admit_bytes(rig, 3000, &wait), ADMIT);
	assert_int_equal(demand_of(rig, BYTES).granted, 3000);
	assert_int_equal(demand_of(rig, BYTES).reserved, 3000);
}

/* A part that helps nobody here goes to who gathers, and may come back. */
static void a_recall_takes_what_helps_no_call_here(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct told told = of_bytes(2000, 0, 1000);

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	told.recall = true;
	assert_true(beat(rig, told));
	assert_int_equal(demand_of(rig, BYTES).granted, 0);
	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
}

static void what_comes_back_unused_goes_to_who_recalled_it(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };
	struct quotas_of of = { "key", BYTES, LIMITS_BYTES, 5000, 3000 };
	struct told told = of_bytes(3000, 0, 0);

	assert_int_equal(admit_bytes(rig, 3000, &wait), WAIT);
	(void)beat(rig, told);
	assert_int_equal(admit_bytes(rig, 3000, &wait), ADMIT);
	told.recall = true;
	/* Nothing is here, and that is told soon. */
	assert_false(beat(rig, told));
	assert_int_equal(demand_of(rig, BYTES).granted, 3000);
	quotas_settle(rig->quotas, &of, 1000, &rig->need);
	assert_true(rig->need.beat);
	assert_int_equal(demand_of(rig, BYTES).granted, 1000);
}

/* It deals keys and days alone: other quotas do not hold, as before. */
static void a_leader_of_before_deals_days_alone(void **state)
{
	struct rig *rig = *state;
	struct admission_wait wait = { 0 };

	assert_int_equal(admit_both(rig, 10, &wait), WAIT);
	assert_false(beat(rig, (struct told){ .granted = 1 }));
	assert_int_equal(admit_both(rig, 10, &wait), ADMIT);
	assert_true(rig->info.granted);
	assert_false(rig->info.granted_month);
	assert_int_equal(admit_both(rig, 10, &wait), WAIT);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, start_off, stop)
#define TEST_DISK(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_call_waits_for_a_grant),
		TEST(who_was_told_that_there_is_none_is_refused),
		TEST(what_others_hold_is_waited_for_and_asked_for_a_few_times),
		TEST(a_call_that_comes_meanwhile_waits_for_it_too),
		TEST(who_waits_alone_asks_by_itself),
		TEST(an_empty_quota_makes_nobody_patient_again),
		TEST(a_quota_that_is_used_up_is_not_waited_for),
		TEST(where_a_grant_is_not_enough_for_all_the_others_ask_again),
		TEST(a_call_that_came_after_the_question_waits_for_the_next),
		TEST(a_used_up_quota_is_refused_without_asking),
		TEST(a_recalled_grant_is_given_back_and_not_used_meanwhile),
		TEST(an_answer_from_before_a_release_raises_nothing),
		TEST(what_is_no_part_of_a_grant_says_so),
		TEST(a_lowered_quota_counts_at_once),
		TEST(an_answer_that_a_lower_quota_has_overtaken_gives_nothing),
		TEST(grants_end_when_no_leader_confirms_them),
		TEST(a_strange_leaders_grants_do_not_count_before_it_was_told),
		TEST(all_is_told_in_chunks_and_all_comes_last),
		TEST(who_waits_goes_on_waiting_while_a_leader_hears_the_others),
		TEST(no_call_waits_longer_than_ten_seconds),
		TEST(without_a_leader_who_waits_is_refused),
		TEST(each_day_has_its_own_grants_and_the_days_beside_it_are_kept),
		TEST(more_is_asked_for_before_it_is_needed),
		TEST(what_is_closed_admits_nothing_and_says_what_it_used),
		TEST_DISK(a_call_waits_until_its_ceiling_is_on_disk),
		TEST_DISK(no_call_passes_the_ceiling),
		TEST_DISK(ceilings_that_cannot_be_written_are_done_without),
		TEST_DISK(ceilings_that_stay_on_disk_hold),
		TEST(a_call_takes_of_all_its_quotas_or_of_none),
		TEST(what_refuses_is_named_and_its_window_says_when),
		TEST(bytes_that_did_not_flow_are_unused_again),
		TEST(bytes_under_way_are_held_when_a_leader_recalls),
		TEST(what_may_come_is_waited_for_as_long_as_it_may),
		TEST(what_is_under_way_is_waited_for_a_short_time),
		TEST(what_the_month_has_no_room_for_is_refused_at_once),
		TEST(a_recall_leaves_what_calls_here_take_now),
		TEST(a_recall_takes_what_helps_no_call_here),
		TEST(what_comes_back_unused_goes_to_who_recalled_it),
		TEST(a_leader_of_before_deals_days_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
