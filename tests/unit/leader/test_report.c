/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports against a real ledger, without HTTP; the leader's loop does not turn, so rings are written only by
 * those who are in a hurry.
 */
#include "leader/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/loop.h"
#include "leader/first_start.h"
#include "leader/follow.h"
#include "leader/grants.h"
#include "leader/hearing.h"
#include "leader/leader.h"
#include "leader/ledger/driver.h"
#include "leader/members.h"
#include "leader/ring_write.h"
#include "leader/state_log.h"
#include "proto/entity_table.h"
#include "tests/unit/remove_tree.h"

struct rig {
	char folder[64];
	struct leader leader;
	struct leader_settings settings;
	char today[11];
	uint64_t number; /* of the newest report */
	const struct ledger_driver *driver;
	struct ledger_driver broken;
};

static void open_rig(struct rig *rig)
{
	struct leader *leader = &rig->leader;
	struct error err;

	leader->settings = &rig->settings;
	lock_init(&leader->lock);
	leader->log = state_log_new(-1, 0);
	leader->members = members_new();
	leader->grants = grants_new();
	leader->hearing = hearing_new();
	leader->ring = ring_write_new(leader);
	assert_true(loop_new(&leader->loop, "test", &err));
	assert_true(ledger_open_sqlite(&leader->ledger, rig->folder, &err));
	rig->driver = leader->ledger->driver;
	if (!leader_load(leader, &err))
		fail_msg("%s", err.text);
}

static void close_rig(struct rig *rig)
{
	struct leader *leader = &rig->leader;

	loop_free(leader->loop);
	ring_write_free(leader->ring);
	hearing_free(leader->hearing);
	grants_free(leader->grants);
	members_free(leader->members);
	state_log_free(leader->log);
	leader->ledger->driver = rig->driver;
	ledger_close(leader->ledger);
	lock_fini(&leader->lock);
}

static void restart(struct rig *rig)
{
	close_rig(rig);
	rig->leader = (struct leader){ 0 };
	open_rig(rig);
}

static void put_key(struct rig *rig, const char *id, int64_t daily_quota)
{
	AUTO(entity) *entity = NULL;
	struct ledger_change change = { 0 };
	struct apikey key;
	uint64_t revision;
	struct error err;
	size_t at;

	table_defaults(entity_table(ENTITY_APIKEY), &key);
	key.owner = "admin";
	key.secret_hash = "0123456789012345678901234567890123456789012345678901234567890123";
	key.daily_quota = daily_quota;
	entity = entity_new(ENTITY_APIKEY, str_of(id), 0, &key);
	change.entity = entity;
	leader_lock(&rig->leader);
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, &err), LEDGER_WRITTEN);
	leader_unlock(&rig->leader);
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-report-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	rig->settings = (struct leader_settings){ .admin_user = "admin", .admin_password = "password" };
	clock_day(clock_wall_s(), rig->today);
	open_rig(rig);
	assert_true(first_start(&rig->leader, &err));
	put_key(rig, "key-0001", 20);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	close_rig(rig);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

/* A disk that takes nothing. */
static bool merge_fails(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	(void)ledger;
	(void)merge;
	(void)ret;
	return error_set(err, ERROR_FULL, NULL, "the disk is full");
}

static void break_ledger(struct rig *rig)
{
	rig->broken = *rig->driver;
	rig->broken.merge_usage = merge_fails;
	rig->leader.ledger->driver = &rig->broken;
}

/* How often the ledger is asked, or told. */
static const struct ledger_driver *counted;
static unsigned asked;

static bool count_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err)
{
	asked++;
	return counted->boot(ledger, boot, ret, err);
}

static bool count_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len,
	struct ledger_calls *ret, struct error *err)
{
	asked++;
	return counted->calls(ledger, at, len, ret, err);
}

static bool count_merge(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	asked++;
	return counted->merge_usage(ledger, merge, ret, err);
}

/* Nothing else is there. */
static void count_ledger(struct rig *rig)
{
	counted = rig->driver;
	asked = 0;
	rig->broken = (struct ledger_driver){
		.boot = count_boot, .calls = count_calls, .merge_usage = count_merge
	};
	rig->leader.ledger->driver = &rig->broken;
}

static void mend_ledger(struct rig *rig)
{
	rig->leader.ledger->driver = rig->driver;
}

/* Reports. Where nothing else is said: of process p1 of worker w1, the next number, no counts. */
struct given {
	const char *worker, *process, *boot, *state, *key, *witness, *day, *digest;
	const char *leader; /* heard before: this one, and all that it did, if not said */
	uint64_t number, after, seq, calls;
	uint64_t granted, want, used, revision;
	bool release, final, all, no_number;
};

static void fill(struct rig *rig, const struct given *given, struct usage_report *report)
{
	const char *process = given->process ? given->process : "p1";
	char witness[USAGE_WITNESS_MAX], own[HEARING_ID_SIZE];

	hearing_witness(rig->leader.hearing, witness);
	if (given->number)
		rig->number = given->number;
	else
		rig->number++;
	*report = (struct usage_report){ .number = given->no_number ? 0 : rig->number,
		.after = given->after,
		.seq = given->seq,
		.revision = given->revision,
		.final = given->final,
		.all = given->all,
		.rows = xnew_array(struct usage_row, 1),
		.rows_len = given->calls > 0,
		.demands = xnew_array(struct usage_demand, 1),
		.demands_len = given->want || given->used || given->release || given->granted };
	report->worker = check_strdup(given->worker ? given->worker : "w1");
	report->process = check_strdup(process);
	report->boot = check_strdup(given->boot ? given->boot : process);
	report->state = check_strdup(given->state ? given->state : "active");
	report->url = check_strdup("http://10.0.0.1:1");
	report->state_digest = check_strdup(given->digest ? given->digest : "");
	report->witness = check_strdup(given->witness ? given->witness : given->no_number ? "" : witness);
	hearing_id(rig->leader.hearing, own);
	report->leader = check_strdup(given->no_number ? "" : given->leader ? given->leader : own);
	report->rows[0].calls = given->calls;
	report->demands[0] = (struct usage_demand){
		.granted = given->granted, .used = given->used, .want = given->want, .release = given->release
	};
	if (report->rows_len)
		report->rows[0].apikey = check_strdup(given->key ? given->key : "key-0001");
	if (report->demands_len)
		report->demands[0].apikey = check_strdup(given->key ? given->key : "key-0001");
	memcpy(report->rows[0].day, given->day ? given->day : rig->today, 11);
	memcpy(report->demands[0].day, given->day ? given->day : rig->today, 11);
}

static bool report(struct rig *rig, struct given given, struct usage_answer *ret, struct error *err)
{
	struct usage_report message;
	bool ok;

	fill(rig, &given, &message);
	ok = report_merge(&rig->leader, &message, ret, err);
	usage_report_fini(&message);
	return ok;
}

static enum error_kind refused(struct rig *rig, struct given given)
{
	struct usage_answer answer;
	struct error err;

	assert_false(report(rig, given, &answer, &err));
	return err.kind;
}

struct got {
	uint64_t granted, used, total, limit;
	bool recall;
	size_t rows;
	int64_t hold_ms;
	char witness[USAGE_WITNESS_MAX];
};

/* The first grant of the answer. */
static struct got got(struct rig *rig, struct given given)
{
	struct usage_answer answer;
	struct got got = { 0 };
	struct error err;

	assert_true(report(rig, given, &answer, &err));
	assert_int_equal(answer.seq, given.seq);
	assert_int_equal(answer.number, given.no_number ? 0 : rig->number);
	got.rows = answer.grants_len;
	got.hold_ms = answer.hold_ms;
	assert_true(str_copy(str_of(answer.witness), got.witness, sizeof(got.witness)));
	if (answer.grants_len) {
		got.granted = answer.grants[0].granted;
		got.used = answer.grants[0].used;
		got.total = answer.grants[0].total;
		got.limit = answer.grants[0].limit;
		got.recall = answer.grants[0].recall;
	}
	usage_answer_fini(&answer);
	return got;
}

static uint64_t granted(struct rig *rig)
{
	return grants_granted(rig->leader.grants, "key-0001", rig->today);
}

static uint64_t calls(struct rig *rig)
{
	struct error err;
	struct ledger_key_day at = { "key-0001", rig->today };
	struct ledger_calls count;

	assert_true(ledger_calls(rig->leader.ledger, &at, 1, &count, &err));
	return count.all;
}

/* Counts. */

static void counts_exactly_once(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 3; i++)
		(void)got(rig, (struct given){ .seq = 1, .calls = 3 });
	(void)got(rig, (struct given){ .after = 1, .seq = 2, .calls = 4 });
	/* A copy that was on its way for long, and one under another name. */
	(void)got(rig, (struct given){ .number = 1, .seq = 1, .calls = 3 });
	(void)got(rig, (struct given){ .after = 2, .seq = 5, .calls = 1 });
	(void)got(rig, (struct given){ .after = 2, .seq = 3, .calls = 1 });
	assert_int_equal(calls(rig), 8);
	assert_int_equal(got(rig, (struct given){ .want = 1 }).total, 8);
	assert_int_equal(counter_get(&rig->leader.counters.pushes_repeated_total), 4);
}

/* Those that the worker of before sends know neither of number nor of after. */
static void the_seq_stands_in_for_a_number(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .no_number = true, .seq = 1, .want = 3 }).granted, 3);
	assert_int_equal(
		got(rig, (struct given){ .no_number = true, .after = 1, .seq = 2, .used = 2, .want = 3 })
			.granted,
		5);
	assert_int_equal(
		got(rig, (struct given){ .no_number = true, .after = 0, .seq = 1, .used = 2, .want = 9 })
			.granted,
		2);
	assert_int_equal(granted(rig), 5);
}

static void counts_need_a_seq_above_after(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(refused(rig, (struct given){ .calls = 5 }), ERROR_INVALID);
	assert_int_equal(refused(rig, (struct given){ .after = 3, .seq = 3, .calls = 5 }), ERROR_INVALID);
	assert_int_equal(calls(rig), 0);
}

/* [X3] */
static void counts_of_a_live_process_are_its_own(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .seq = 1, .calls = 3 });
	assert_int_equal(refused(rig, (struct given){ .worker = "w2",
					      .process = "p2",
					      .boot = "p1",
					      .after = 1,
					      .seq = 2,
					      .calls = 5 }),
		ERROR_CONFLICT);
	(void)got(rig, (struct given){ .state = "left" });
	(void)got(rig,
		(struct given){
			.worker = "w2", .process = "p2", .boot = "p1", .after = 1, .seq = 2, .calls = 5 });
	assert_int_equal(calls(rig), 8);
}

/* Demands. */

static void a_copy_of_a_demand_gets_nothing_twice(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .number = 1, .want = 5 }).granted, 5);
	assert_int_equal(got(rig, (struct given){ .number = 1, .want = 5 }).granted, 5);
	assert_int_equal(got(rig, (struct given){ .number = 2, .want = 5 }).granted, 5);
	assert_int_equal(granted(rig), 5);
}

static void a_late_copy_takes_no_grant_back(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .number = 1, .want = 5 });
	assert_int_equal(
		got(rig, (struct given){ .number = 2, .granted = 2, .used = 2, .release = true }).granted, 2);
	assert_int_equal(
		got(rig, (struct given){ .number = 3, .granted = 2, .used = 2, .want = 4 }).granted, 6);
	/* What it said is told all the same, no more. */
	assert_int_equal(
		got(rig, (struct given){ .number = 2, .granted = 2, .used = 2, .release = true }).granted, 2);
	assert_int_equal(granted(rig), 6);
}

static void the_quota_is_shared_out(void **state)
{
	struct rig *rig = *state;
	struct got answer = { 0 };

	assert_int_equal(got(rig, (struct given){ .worker = "w1", .want = 20 }).granted, 10);
	(void)got(rig, (struct given){ .worker = "w2", .process = "p2" });
	(void)got(rig, (struct given){ .worker = "w1" });
	for (int i = 0; i < 30; i++)
		answer = got(rig,
			(struct given){
				.worker = "w2", .process = "p2", .granted = answer.granted, .want = 20 });
	assert_int_equal(answer.granted, 10);
	answer = got(rig, (struct given){ .worker = "w1" });
	assert_true(answer.recall);
	assert_int_equal(answer.limit, 20);
	assert_int_equal(
		got(rig, (struct given){ .worker = "w1", .granted = 4, .used = 4, .release = true }).granted,
		4);
	assert_int_equal(got(rig, (struct given){ .worker = "w1" }).rows, 0);
	assert_int_equal(
		got(rig,
			(struct given){
				.worker = "w2", .process = "p2", .granted = 10, .used = 10, .want = 2 })
			.granted,
		11);
	/* The last report of a boot frees what it did not use. */
	(void)got(rig, (struct given){ .worker = "w2",
			       .process = "p2",
			       .used = 11,
			       .final = true,
			       .all = true,
			       .state = "left" });
	assert_int_equal(granted(rig), 15);
}

/* [X8] */
static void who_holds_what_another_needs_is_wanted(void **state)
{
	struct rig *rig = *state;
	struct members *members = rig->leader.members;
	struct got answer = { 0 };
	int64_t wait_ms;

	(void)got(rig, (struct given){ .worker = "w1", .want = 20 });
	(void)got(rig, (struct given){ .worker = "w2", .process = "p2" });
	(void)got(rig, (struct given){ .worker = "w1" });
	assert_false(members_take_wanted(members, "w1", "p1", clock_ms(), &wait_ms));
	do {
		uint64_t before = answer.granted;
		answer = got(rig, (struct given){ .worker = "w2",
					  .process = "p2",
					  .granted = before,
					  .used = before,
					  .want = 20 });
	} while (answer.granted > answer.used);
	assert_int_equal(answer.used, 10);
	assert_int_equal(answer.total, 10);
	assert_true(members_take_wanted(members, "w1", "p1", clock_ms(), &wait_ms));
	assert_false(members_take_wanted(members, "w2", "p2", clock_ms(), &wait_ms));
}

static void unknown_keys_and_far_days_get_nothing(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .key = "key-0002", .want = 5 }).rows, 0);
	assert_int_equal(got(rig, (struct given){ .day = "2020-01-01", .want = 5 }).rows, 0);
}

/* [X2] The leader's clock is set over midnight and back. */
static void the_days_beside_ours_are_dealt_and_kept(void **state)
{
	struct rig *rig = *state;
	char day[11];

	for (int64_t at = -1; at <= 1; at++) {
		clock_day(clock_wall_s() + at * 86400, day);
		assert_int_equal(got(rig, (struct given){ .day = day, .want = 5 }).granted, 5);
	}
	restart(rig);
	for (int64_t at = -1; at <= 1; at++) {
		clock_day(clock_wall_s() + at * 86400, day);
		assert_int_equal(grants_granted(rig->leader.grants, "key-0001", day), 5);
	}
}

/* [X6] */
static void a_failed_ledger_inflates_nothing(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .want = 5 }).granted, 5);
	break_ledger(rig);
	for (int i = 0; i < 40; i++)
		assert_int_equal(
			refused(rig,
				(struct given){ .granted = 5, .used = 1, .want = 5, .seq = 1, .calls = 1 }),
			ERROR_FULL);
	assert_int_equal(
		refused(rig,
			(struct given){
				.granted = 5, .used = 5, .release = true, .final = true, .all = true }),
		ERROR_FULL);
	assert_int_equal(granted(rig), 5);
	/* A beat needs no disk. */
	assert_int_equal(got(rig, (struct given){ 0 }).rows, 0);
	mend_ledger(rig);
	assert_int_equal(
		got(rig, (struct given){ .granted = 5, .used = 1, .want = 5, .seq = 1, .calls = 1 }).granted,
		10);
	assert_int_equal(calls(rig), 1);
}

/* The last word of who is no member any more, too. */
static void who_left_while_the_ledger_failed_has_not_left(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ 0 });
	(void)got(rig, (struct given){ .state = "left" });
	(void)got(rig, (struct given){ .process = "p2" });
	break_ledger(rig);
	assert_int_equal(
		refused(rig, (struct given){ .worker = "w9", .process = "p9", .state = "left" }), ERROR_FULL);
	assert_int_equal(refused(rig, (struct given){ .process = "p2", .state = "left" }), ERROR_FULL);
	assert_int_equal(members_live(rig->leader.members), 1);
	mend_ledger(rig);
	(void)got(rig, (struct given){ .worker = "w9", .process = "p9" });
	(void)got(rig, (struct given){ .process = "p2" });
	assert_int_equal(members_live(rig->leader.members), 2);
	restart(rig);
	assert_int_equal(members_live(rig->leader.members), 2);
}

/* What changes nothing in memory changes nothing in the ledger. */
static void a_late_last_word_is_none(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .number = 5 });
	(void)got(rig, (struct given){ .number = 4, .state = "left" });
	assert_int_equal(members_live(rig->leader.members), 1);
	assert_true(ledger_delete_member(rig->leader.ledger, "w1", NULL, NULL));
	restart(rig);
	(void)got(rig, (struct given){ .number = 6 });
	assert_int_equal(members_live(rig->leader.members), 1);
}

static struct usage_report report_of_demands(struct rig *rig, size_t len)
{
	struct usage_report report;
	char key[32];

	fill(rig, &(struct given){ 0 }, &report);
	free(report.demands);
	report.demands = xnew_array(struct usage_demand, len);
	report.demands_len = len;
	for (size_t i = 0; i < len; i++) {
		(void)snprintf(key, sizeof(key), "many-%zu", i);
		report.demands[i] = (struct usage_demand){ .apikey = check_strdup(key), .want = 1 };
		memcpy(report.demands[i].day, rig->today, sizeof(rig->today));
	}
	return report;
}

static unsigned asked_for_demands(struct rig *rig, size_t len)
{
	struct usage_report report = report_of_demands(rig, len);
	struct usage_answer answer;
	struct error err;

	count_ledger(rig);
	assert_true(report_merge(&rig->leader, &report, &answer, &err));
	mend_ledger(rig);
	assert_int_equal(answer.grants_len, len);
	usage_answer_fini(&answer);
	usage_report_fini(&report);
	return asked;
}

/* While the lock is held. */
static void many_demands_ask_the_ledger_as_often_as_one(void **state)
{
	struct rig *rig = *state;
	char key[32];

	for (unsigned i = 0; i < USAGE_CHUNK_ROWS; i++) {
		(void)snprintf(key, sizeof(key), "many-%u", i);
		put_key(rig, key, 20);
	}
	(void)got(rig, (struct given){ 0 });
	assert_int_equal(asked_for_demands(rig, 1), 3);
	assert_int_equal(asked_for_demands(rig, USAGE_CHUNK_ROWS), 3);
}

/* Neither for the lock nor for the disk. */
static void a_beat_waits_for_nobody(void **state)
{
	struct rig *rig = *state;
	struct usage_answer answer;
	struct error err;

	(void)got(rig, (struct given){ .want = 5 });
	leader_lock(&rig->leader);
	assert_true(report(rig, (struct given){ 0 }, &answer, &err));
	leader_unlock(&rig->leader);
	assert_int_equal(answer.number, rig->number);
	assert_true(answer.lease_ms > 0 && answer.grant_ms > 0 && answer.now_ms > 0);
	usage_answer_fini(&answer);
}

/* [X8] */
static void a_lowered_quota_recalls_what_is_unused(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .want = 8 });
	assert_int_equal(got(rig, (struct given){ 0 }).rows, 0);
	put_key(rig, "key-0001", 5);
	assert_true(got(rig, (struct given){ 0 }).recall);
	assert_int_equal(
		got(rig, (struct given){ .granted = 3, .used = 3, .release = true, .want = 9 }).granted, 4);
	assert_int_equal(got(rig, (struct given){ 0 }).rows, 0);
	assert_true(granted(rig) <= 5);
}

/* The process of w1 has gone without a word, long ago. */
static void silence(struct rig *rig)
{
	struct error err;

	assert_true(ledger_delete_member(rig->leader.ledger, "w1", NULL, &err));
	restart(rig);
	members_begin(rig->leader.members, clock_ms() - leader_cluster(&rig->leader).grant_ms);
}

/* [X9] Its folder may be a copy, while it admits from what it holds. */
static void the_end_of_another_boot_is_believed_after_its_silence(void **state)
{
	struct rig *rig = *state;
	struct given end = { .worker = "w2", .process = "p2", .boot = "p1", .used = 3, .final = true };

	(void)got(rig, (struct given){ .want = 8 });
	assert_int_equal(refused(rig, end), ERROR_CONFLICT);
	restart(rig);
	assert_int_equal(refused(rig, end), ERROR_CONFLICT);
	assert_int_equal(granted(rig), 8);
	silence(rig);
	(void)got(rig, end);
	assert_int_equal(granted(rig), 3);
}

static void its_own_end_is_believed_at_any_time(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .want = 8 });
	(void)got(rig, (struct given){ .used = 3, .final = true, .all = true, .leader = "" });
	assert_int_equal(granted(rig), 3);
	/* What is over already needs no silence. */
	(void)got(rig, (struct given){ .worker = "w2", .process = "p2", .boot = "p1", .final = true });
}

/* [X9] The next process closes the boot before at its ceilings; then nothing of it counts any more. */
static void a_boot_that_is_over_stays_over(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .number = 7, .want = 8 }).granted, 8);
	silence(rig);
	(void)got(
		rig, (struct given){ .process = "p2", .boot = "p1", .number = 1, .used = 3, .final = true });
	assert_int_equal(granted(rig), 3);
	(void)got(rig,
		(struct given){
			.process = "p2", .boot = "p1", .number = 2, .used = 4, .final = true, .all = true });
	assert_int_equal(granted(rig), 4);
	assert_int_equal(
		got(rig, (struct given){ .process = "p2", .boot = "p1", .number = 99, .want = 5 }).rows, 0);
	restart(rig);
	assert_int_equal(granted(rig), 4);
	(void)got(rig, (struct given){ .process = "p2",
			       .boot = "p1",
			       .number = 100,
			       .used = 9,
			       .final = true,
			       .all = true });
	assert_int_equal(granted(rig), 4);
}

/* Hearing. [X11] */

static void grants_survive_a_restart(void **state)
{
	struct rig *rig = *state;
	struct got answer = got(rig, (struct given){ .want = 7 });

	assert_int_equal(answer.granted, 7);
	restart(rig);
	assert_int_equal(granted(rig), 7);
	/* Who has not heard this leader only tells. */
	assert_true(
		got(rig,
			(struct given){
				.granted = 7, .all = true, .leader = "before", .witness = answer.witness })
			.hold_ms > 0);
	assert_true(got(rig, (struct given){ .granted = 7, .want = 2 }).hold_ms > 0);
	/* Its only member tells all and knows nothing that the ledger does not: the leader deals again. */
	answer = got(rig, (struct given){ .granted = 7, .used = 1, .want = 7, .all = true });
	assert_int_equal(answer.hold_ms, 0);
	assert_int_equal(answer.granted, 7);
	assert_int_equal(got(rig, (struct given){ .granted = 7, .used = 1, .want = 2 }).granted, 9);
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 0);
}

/* A straggler, or the first report to a leader that has started. */
static void who_has_not_heard_this_leader_only_tells(void **state)
{
	struct rig *rig = *state;
	struct given told = { .granted = 3, .used = 1, .want = 9, .leader = "before" };
	struct got answer;

	assert_int_equal(got(rig, (struct given){ .want = 7 }).granted, 7);
	answer = got(rig, told);
	assert_int_equal(answer.rows, 1);
	assert_int_equal(answer.granted, 3);
	assert_int_equal(answer.used, 1);
	assert_int_equal(granted(rig), 7);
	told.leader = "";
	told.release = true;
	assert_int_equal(got(rig, told).granted, 3);
	assert_int_equal(granted(rig), 7);
	/* What it says then is what it holds. */
	answer = got(rig, (struct given){ .granted = 3, .used = 1 });
	assert_int_equal(answer.granted, 3);
	assert_int_equal(granted(rig), 3);
}

/* As one that has heard the leader, as long as it does not hear itself. */
static void a_push_that_is_made_by_hand_needs_no_leader(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(got(rig, (struct given){ .no_number = true, .seq = 1, .want = 5 }).granted, 5);
	restart(rig);
	assert_int_equal(
		got(rig, (struct given){ .no_number = true, .after = 1, .seq = 2, .used = 1 }).granted, 1);
	assert_int_equal(granted(rig), 5);
}

/* Nobody else would tell of it, if the ledger were put back. */
static void who_is_new_is_dealt_to_when_all_others_know(void **state)
{
	struct rig *rig = *state;
	struct given two = { .worker = "w2", .process = "p2", .want = 4 };
	struct got before = got(rig, (struct given){ 0 }), answer;

	assert_int_equal(before.hold_ms, 0);
	answer = got(rig, two);
	assert_int_equal(answer.hold_ms, leader_cluster(&rig->leader).push_every_ms);
	assert_int_equal(answer.granted, 0);
	/* This one was on its way when w2 came. */
	(void)got(rig, (struct given){ .witness = before.witness });
	assert_int_equal(got(rig, two).granted, 0);
	(void)got(rig, (struct given){ .witness = answer.witness });
	answer = got(rig, two);
	assert_int_equal(answer.granted, 4);
	assert_int_equal(answer.hold_ms, 0);
	/* Who comes later keeps nobody waiting. */
	(void)got(rig, (struct given){ .worker = "w3", .process = "p3" });
	two.granted = 4;
	assert_true(got(rig, two).granted > 4);
}

/* So those who heard of it tell a leader that was put back to before it came. */
static void who_comes_is_a_dealing(void **state)
{
	struct rig *rig = *state;
	struct got one = got(rig, (struct given){ 0 });
	struct got same = got(rig, (struct given){ 0 });

	assert_string_equal(one.witness, same.witness);
	(void)got(rig, (struct given){ .worker = "w2", .process = "p2" });
	assert_string_not_equal(got(rig, (struct given){ 0 }).witness, one.witness);
}

/* What it tells is not taken: a newer report of it was faster. */
static void a_late_push_is_no_proof(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .number = 1, .want = 7 });
	restart(rig);
	assert_true(got(rig, (struct given){ .number = 9, .granted = 7 }).hold_ms > 0);
	assert_true(got(rig, (struct given){ .number = 8, .granted = 7, .all = true }).hold_ms > 0);
	assert_int_equal(got(rig, (struct given){ .number = 10, .granted = 7, .all = true }).hold_ms, 0);
}

/* It has heard something that made it wait, and those who told it have forgotten that by now. */
static void after_a_leader_that_did_not_end_its_hearing_there_is_no_proof(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .want = 7 });
	(void)got(rig, (struct given){ .leader = "before", .witness = "0123456789abcdef:3" });
	for (int i = 0; i < 2; i++) {
		restart(rig);
		assert_true(got(rig, (struct given){ .granted = 7, .all = true }).hold_ms > 0);
	}
}

static void copy_ledger(struct rig *rig, const char *from, const char *to)
{
	char path[2][100];
	AUTO_FINI(buf) bytes = buf_limit(16 * 1024 * 1024);
	struct error err;

	(void)snprintf(path[0], sizeof(path[0]), "%s/%s", rig->folder, from);
	(void)snprintf(path[1], sizeof(path[1]), "%s/%s", rig->folder, to);
	assert_true(file_read(path[0], &bytes, &err));
	assert_true(file_write_durable(path[1], buf_str(&bytes), 0600, &err));
}

static void put_back(struct rig *rig)
{
	close_rig(rig);
	copy_ledger(rig, "backup", "leader.db");
	rig->leader = (struct leader){ 0 };
	open_rig(rig);
}

static void back_up(struct rig *rig)
{
	close_rig(rig);
	copy_ledger(rig, "leader.db", "backup");
	rig->leader = (struct leader){ 0 };
	open_rig(rig);
}

static void a_restored_leader_hears_first(void **state)
{
	struct rig *rig = *state;
	struct given two = { .worker = "w2", .process = "p2", .want = 20, .all = true };
	struct got answer;

	(void)got(rig, (struct given){ .want = 2 });
	back_up(rig);
	(void)got(rig, (struct given){ .granted = 2, .all = true });
	answer = got(rig, (struct given){ .granted = 2, .used = 2, .want = 8 });
	assert_int_equal(answer.granted, 10);
	put_back(rig);
	assert_int_equal(granted(rig), 2);
	/* Another one asks before the first one has told. */
	assert_int_equal(got(rig, two).granted, 0);
	answer = got(rig, (struct given){ .granted = 10,
				  .used = 2,
				  .want = 8,
				  .all = true,
				  .leader = "before",
				  .witness = answer.witness });
	assert_true(answer.hold_ms > 0);
	assert_int_equal(answer.granted, 10);
	assert_int_equal(granted(rig), 10);
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 1);
	assert_true(got(rig, (struct given){ .granted = 10, .used = 2, .all = true }).hold_ms > 0);
	assert_int_equal(got(rig, two).granted, 0);
}

/* What was released since is not held again because the ledger remembers it. */
static void a_restored_leader_tells_no_more_than_it_was_told(void **state)
{
	struct rig *rig = *state;
	struct got answer;

	(void)got(rig, (struct given){ .want = 8 });
	back_up(rig);
	(void)got(rig, (struct given){ .granted = 8, .all = true });
	answer = got(rig, (struct given){ .granted = 3, .used = 3, .release = true });
	put_back(rig);
	assert_int_equal(granted(rig), 8);
	answer = got(rig, (struct given){ .granted = 3,
				  .used = 3,
				  .all = true,
				  .leader = "before",
				  .witness = answer.witness });
	assert_int_equal(answer.granted, 3);
	assert_int_equal(granted(rig), 8);
	answer = got(rig, (struct given){ .granted = 3, .used = 3, .all = true });
	assert_int_equal(answer.granted, 3);
	assert_int_equal(granted(rig), 3);
}

/* What the report itself tells begins the hold before anything of it is given. */
static void a_loss_is_noticed_before_anything_is_given(void **state)
{
	struct rig *rig = *state;
	struct got answer = got(rig, (struct given){ .granted = 9, .used = 1, .want = 9 });

	assert_int_equal(answer.granted, 9);
	assert_true(answer.hold_ms > 0);
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 1);
	restart(rig);
	answer = got(rig, (struct given){ .revision = 1000, .granted = 9, .used = 1, .all = true });
	assert_true(answer.hold_ms > 0);
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 1);
}

/* [X1] The same revision in another history of the ledger. */
static void another_state_of_the_same_revision_is_a_loss(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *newest = leader_state(&rig->leader);
	char digest[STATE_DIGEST_TEXT];

	state_digest_hex(newest, digest);
	(void)got(rig, (struct given){ .revision = state_revision(newest), .digest = digest });
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 0);
	digest[0] = digest[0] == '0' ? '1' : '0';
	assert_true(
		got(rig, (struct given){ .revision = state_revision(newest), .digest = digest }).hold_ms > 0);
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 1);
}

/* Members. */

static uint64_t epoch_of(struct rig *rig)
{
	AUTO(state) *state = leader_state(&rig->leader);

	return leader_ring_epoch(state);
}

static void who_goes_is_out_at_once(void **state)
{
	struct rig *rig = *state;
	struct usage_answer answer;
	struct error err;

	(void)got(rig, (struct given){ .worker = "w1" });
	leader_lock(&rig->leader);
	ring_write_now_locked(rig->leader.ring);
	leader_unlock(&rig->leader);
	uint64_t before = epoch_of(rig);
	assert_true(report(rig, (struct given){ .worker = "w1", .state = "left" }, &answer, &err));
	assert_int_equal(answer.ring_epoch, before + 1);
	usage_answer_fini(&answer);
}

/* [X5] */
static void who_left_stays_left(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ .number = 1 });
	(void)got(rig, (struct given){ .number = 3, .state = "left" });
	(void)got(rig, (struct given){ .number = 2 });
	assert_int_equal(members_live(rig->leader.members), 0);
	/* Its row is forgotten by then. */
	assert_true(ledger_delete_member(rig->leader.ledger, "w1", NULL, NULL));
	restart(rig);
	(void)got(rig, (struct given){ .number = 2 });
	assert_int_equal(members_live(rig->leader.members), 0);
}

static void another_process_is_refused(void **state)
{
	struct rig *rig = *state;

	(void)got(rig, (struct given){ 0 });
	assert_int_equal(
		refused(rig, (struct given){ .process = "p2", .seq = 1, .calls = 5 }), ERROR_CONFLICT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Several leaders: another one is faster, and what it stored is told by following. */

static struct other {
	const struct ledger_driver *driver;
	unsigned times; /* it is faster */
	unsigned followed;
	struct ledger_entry entry;
} other;

static bool is_behind(struct error *err)
{
	if (!other.times)
		return false;
	other.times--;
	(void)error_set(err, ERROR_CONFLICT, NULL, "another leader was faster");
	return true;
}

static bool merge_behind(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	return !is_behind(err) && other.driver->merge_usage(ledger, merge, ret, err);
}

static bool heard_behind(struct ledger *ledger, bool heard, struct error *err)
{
	return !is_behind(err) && other.driver->put_heard(ledger, heard, err);
}

static enum ledger_result write_behind(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	if (is_behind(err))
		return LEDGER_BEHIND;
	return other.driver->write(ledger, changes, len, digest, ret_revision, ret_at, err);
}

static bool follow_other(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err)
{
	(void)ledger;
	(void)err;
	other.followed++;
	fn(arg, &other.entry);
	return true;
}

static void share_ledger(struct rig *rig, unsigned times, struct ledger_entry entry)
{
	other = (struct other){ .driver = rig->driver, .times = times, .entry = entry };
	rig->broken = *rig->driver;
	rig->broken.merge_usage = merge_behind;
	rig->broken.put_heard = heard_behind;
	rig->broken.write = write_behind;
	rig->broken.follow = follow_other;
	rig->leader.ledger->driver = &rig->broken;
}

static char others_boot[] = "p9", others_key[] = "key-0001";

/* As another leader would store it: a process of another worker is granted so much. */
static struct ledger_merge others_grant(struct rig *rig, struct ledger_grant *grant, uint64_t amount)
{
	*grant = (struct ledger_grant){ .boot = others_boot, .apikey = others_key, .granted = amount };
	memcpy(grant->day, rig->today, sizeof(grant->day));
	return (struct ledger_merge){
		.worker = "w9", .process = "p9", .boot = "p9", .number = 7, .grants = grant, .grants_len = 1
	};
}

/* Two leaders never give the same call: what another one gave in the last moment counts. */
static void a_grant_of_another_leader_counts_before_its_own(void **state)
{
	struct rig *rig = *state;
	struct ledger_grant grant;
	uint64_t own;
	struct ledger_merge merge = others_grant(rig, &grant, 15);

	(void)got(rig, (struct given){ 0 });
	share_ledger(rig, 1, (struct ledger_entry){ .by = "b", .merge = &merge, .dealings = 3 });
	own = got(rig, (struct given){ .want = 100 }).granted;
	assert_int_equal(other.followed, 1);
	for (int i = 0; i < 20; i++)
		own = got(rig, (struct given){ .granted = own, .want = 100 }).granted;
	assert_int_equal(own, 5);
	mend_ledger(rig);
	assert_int_equal(granted(rig), 20);
}

static void somebody_who_is_always_faster_does_not_hold_it_up_for_ever(void **state)
{
	struct rig *rig = *state;
	struct ledger_grant grant;
	struct ledger_merge merge = others_grant(rig, &grant, 1);

	(void)got(rig, (struct given){ 0 });
	share_ledger(rig, 1000, (struct ledger_entry){ .by = "b", .merge = &merge });
	assert_int_equal(refused(rig, (struct given){ .want = 1 }), ERROR_BUSY);
	mend_ledger(rig);
}

static void a_write_stands_where_no_entity_changed(void **state)
{
	struct rig *rig = *state;
	struct ledger_grant grant;
	struct ledger_merge merge = others_grant(rig, &grant, 1);
	AUTO(state) *now = leader_state(&rig->leader);
	AUTO(entity) *own = entity_new_deleted(ENTITY_POLICY, STR("own/**"), 0);
	struct ledger_change change = { .entity = own };
	uint64_t revision;
	struct error err;
	size_t at;

	leader_lock(&rig->leader);
	share_ledger(rig, 1, (struct ledger_entry){ .by = "b", .merge = &merge });
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, &err), LEDGER_WRITTEN);
	assert_int_equal(revision, state_revision(now) + 1);
	mend_ledger(rig);
	leader_unlock(&rig->leader);
}

static void a_write_is_decided_anew_where_one_did(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *now = leader_state(&rig->leader);
	AUTO(entity) *user =
		entity_with_revision(state_find(now, ENTITY_USER, STR("admin")), state_revision(now) + 1);
	AUTO(entity) *own = entity_new_deleted(ENTITY_POLICY, STR("own/**"), 0);
	struct ledger_change change = { .entity = own };
	AUTO(state) *next = state_change(now, &user, 1, state_revision(now) + 1);
	uint64_t revision;
	struct error err;
	size_t at;

	leader_lock(&rig->leader);
	share_ledger(rig, 1,
		(struct ledger_entry){ .by = "b",
			.revision = state_revision(next),
			.entities = &user,
			.entities_len = 1,
			.digest = state_digest(next) });
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, &err), LEDGER_BEHIND);
	mend_ledger(rig);
	leader_unlock(&rig->leader);
	assert_int_equal(state_log_revision(rig->leader.log), state_revision(next));
	assert_int_equal(counter_get(&rig->leader.counters.entries_followed_total), 1);
}

/* It has lost something, and holds; so do all. */
static void all_leaders_hold_and_deal_together(void **state)
{
	struct rig *rig = *state;
	struct ledger_life life = { .heard = false };
	struct error err;

	leader_lock(&rig->leader);
	share_ledger(rig, 0, (struct ledger_entry){ .by = "b", .life = &life });
	assert_true(follow_locked(&rig->leader, &err));
	assert_true(hearing_hold_ms(rig->leader.hearing, clock_ms()) > 0);
	life.heard = true;
	assert_true(follow_locked(&rig->leader, &err));
	assert_int_equal(hearing_hold_ms(rig->leader.hearing, clock_ms()), 0);
	mend_ledger(rig);
	leader_unlock(&rig->leader);
}

/* One that found nobody: what workers heard of the life before is a witness of nothing newer, and they hear the new id. */
static void another_life_that_another_leader_began(void **state)
{
	struct rig *rig = *state;
	struct ledger_life life = { .id = "00000000000000aa" };
	char id[HEARING_ID_SIZE], witness[USAGE_WITNESS_MAX];
	struct error err;

	hearing_witness(rig->leader.hearing, witness);
	leader_lock(&rig->leader);
	share_ledger(rig, 0, (struct ledger_entry){ .by = "b", .life = &life, .life_begins = true });
	assert_true(follow_locked(&rig->leader, &err));
	mend_ledger(rig);
	leader_unlock(&rig->leader);
	hearing_id(rig->leader.hearing, id);
	assert_string_equal(id, "00000000000000aa");
	assert_true(hearing_hold_ms(rig->leader.hearing, clock_ms()) > 0);
	(void)got(rig, (struct given){ .witness = witness, .leader = "00000000000000aa" });
	assert_int_equal(counter_get(&rig->leader.counters.store_rewound_total), 0);
}

static void members_that_another_leader_stored(void **state)
{
	struct rig *rig = *state;
	struct ledger_member row = { .name = check_strdup("w1"), .process = check_strdup("p1") };
	struct error err;

	(void)got(rig, (struct given){ 0 });
	assert_int_equal(members_live(rig->leader.members), 1);
	row.lost_wall_s = clock_wall_s();
	leader_lock(&rig->leader);
	share_ledger(rig, 0, (struct ledger_entry){ .by = "b", .member = &row });
	assert_true(follow_locked(&rig->leader, &err));
	assert_int_equal(members_live(rig->leader.members), 0);
	assert_int_equal(members_count(rig->leader.members), 1);
	other.entry = (struct ledger_entry){ .by = "b", .forgotten = "w1" };
	assert_true(follow_locked(&rig->leader, &err));
	assert_int_equal(members_count(rig->leader.members), 0);
	mend_ledger(rig);
	leader_unlock(&rig->leader);
	ledger_member_fini(&row);
}

/* A beat that another leader answered keeps the lease here, and brings nobody in who is not known. */
static void a_beat_that_is_overheard(void **state)
{
	struct rig *rig = *state;
	struct usage_report message;
	const struct given known = { .number = 8 },
			   unknown = { .worker = "w2", .process = "p2", .number = 1 };

	(void)got(rig, (struct given){ .number = 7 });
	fill(rig, &known, &message);
	report_overhear(&rig->leader, &message);
	usage_report_fini(&message);
	fill(rig, &unknown, &message);
	report_overhear(&rig->leader, &message);
	usage_report_fini(&message);
	assert_int_equal(members_count(rig->leader.members), 1);
	/* An older one says nothing about the member any more. */
	(void)got(rig, (struct given){ .number = 8, .state = "draining" });
	assert_int_equal(members_live(rig->leader.members), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_exactly_once),
		TEST(the_seq_stands_in_for_a_number),
		TEST(counts_need_a_seq_above_after),
		TEST(counts_of_a_live_process_are_its_own),
		TEST(a_copy_of_a_demand_gets_nothing_twice),
		TEST(a_late_copy_takes_no_grant_back),
		TEST(the_quota_is_shared_out),
		TEST(who_holds_what_another_needs_is_wanted),
		TEST(unknown_keys_and_far_days_get_nothing),
		TEST(the_days_beside_ours_are_dealt_and_kept),
		TEST(a_failed_ledger_inflates_nothing),
		TEST(who_left_while_the_ledger_failed_has_not_left),
		TEST(a_late_last_word_is_none),
		TEST(many_demands_ask_the_ledger_as_often_as_one),
		TEST(a_beat_waits_for_nobody),
		TEST(a_lowered_quota_recalls_what_is_unused),
		TEST(the_end_of_another_boot_is_believed_after_its_silence),
		TEST(its_own_end_is_believed_at_any_time),
		TEST(a_boot_that_is_over_stays_over),
		TEST(grants_survive_a_restart),
		TEST(who_has_not_heard_this_leader_only_tells),
		TEST(a_push_that_is_made_by_hand_needs_no_leader),
		TEST(who_is_new_is_dealt_to_when_all_others_know),
		TEST(who_comes_is_a_dealing),
		TEST(a_late_push_is_no_proof),
		TEST(after_a_leader_that_did_not_end_its_hearing_there_is_no_proof),
		TEST(a_restored_leader_hears_first),
		TEST(a_restored_leader_tells_no_more_than_it_was_told),
		TEST(a_loss_is_noticed_before_anything_is_given),
		TEST(another_state_of_the_same_revision_is_a_loss),
		TEST(who_goes_is_out_at_once),
		TEST(who_left_stays_left),
		TEST(another_process_is_refused),
		TEST(a_grant_of_another_leader_counts_before_its_own),
		TEST(somebody_who_is_always_faster_does_not_hold_it_up_for_ever),
		TEST(a_write_stands_where_no_entity_changed),
		TEST(a_write_is_decided_anew_where_one_did),
		TEST(all_leaders_hold_and_deal_together),
		TEST(another_life_that_another_leader_began),
		TEST(members_that_another_leader_stored),
		TEST(a_beat_that_is_overheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
