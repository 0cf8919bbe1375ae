/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/hearing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"

#define GRANT_MS 60000
#define NOW      1000000
#define OLD      "1111111111111111"
#define PRESENT  "2222222222222222"
#define OTHER    "3333333333333333"

/* Two lives: 7 dealings in the old one. */
static struct hearing *begun(enum hearing_first first)
{
	struct hearing *hearing = hearing_new();

	hearing_life(hearing, OLD, 7);
	hearing_life(hearing, PRESENT, 0);
	hearing_expect(hearing, "p1");
	hearing_expect(hearing, "p2");
	hearing_start(hearing, NOW, GRANT_MS, first);
	return hearing;
}

static struct hearing *started(void)
{
	return begun(HEARING_PROOF);
}

struct told {
	const char *process, *boot, *witness;
	uint64_t seq;
	bool not_all, final;
};

static struct usage_report report_of(struct told told)
{
	struct usage_report report = { .seq = told.seq, .all = !told.not_all, .final = told.final };

	report.worker = check_strdup("w");
	report.process = check_strdup(told.process);
	report.boot = check_strdup(told.boot ? told.boot : told.process);
	report.witness = check_strdup(told.witness ? told.witness : "");
	return report;
}

static void hear(struct hearing *hearing, struct told told)
{
	struct usage_report report = report_of(told);
	bool held = hearing_hold_ms(hearing, NOW) > 0;
	bool proof = hearing_heard(hearing, &report, NOW);

	assert_int_equal(proof, held && !hearing_hold_ms(hearing, NOW));
	usage_report_fini(&report);
}

static bool is_news(struct hearing *hearing, const char *witness, enum hearing_state state, int64_t now)
{
	struct usage_report report = report_of((struct told){ .process = "p", .witness = witness });
	bool news = hearing_check(hearing, &report, state, now, GRANT_MS);

	usage_report_fini(&report);
	return news;
}

static bool tell_more(struct hearing *hearing, int64_t now)
{
	struct usage_report report = report_of((struct told){ .process = "p" });
	bool news = hearing_told_more(hearing, &report, now, GRANT_MS);

	usage_report_fini(&report);
	return news;
}

static void holds_from_the_start_for_as_long_as_a_grant_is_good(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS - 1), 1);
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS), 0);
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

static void a_fresh_ledger_has_nothing_to_hear(void **state)
{
	AUTO(hearing) *hearing = begun(HEARING_NONE);

	(void)state;
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
	/* But its folder may have been deleted. */
	assert_true(is_news(hearing, OTHER ":1", HEARING_SAME, NOW + 5));
	assert_int_equal(hearing_hold_ms(hearing, NOW + 5), GRANT_MS);
}

static void ends_when_every_live_member_has_told_all(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p3" });
	hear(hearing, (struct told){ .process = "p2", .not_all = true });
	hear(hearing, (struct told){ .process = "p2", .boot = "another" });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
	hear(hearing, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

/* A beat of such a process, before it is believed. */
static void check(struct hearing *hearing, struct told told)
{
	struct usage_report report = report_of(told);

	assert_false(hearing_check(hearing, &report, HEARING_SAME, NOW, GRANT_MS));
	usage_report_fini(&report);
}

/* Others may have come while it had no lease; what is not its beat says nothing of that. */
static void who_had_no_lease_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = started();
	AUTO(hearing) *lapsed = started();

	(void)state;
	check(hearing, (struct told){ .process = "p3" });
	check(hearing, (struct told){ .process = "p1", .seq = 4 });
	check(hearing, (struct told){ .process = "p1", .boot = "p0", .final = true });
	check(hearing, (struct told){ .process = "p1", .witness = OLD ":7" });
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
	check(lapsed, (struct told){ .process = "p1" });
	hear(lapsed, (struct told){ .process = "p1" });
	hear(lapsed, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(lapsed, NOW), GRANT_MS);
}

static void the_next_process_of_a_name_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "q", .boot = "p2", .final = true });
	hear(hearing, (struct told){ .process = "q" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
}

static void after_a_life_that_has_not_heard_there_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = begun(HEARING_NO_PROOF);

	(void)state;
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS), 0);
}

static void says_what_the_ledger_is_to_know(void **state)
{
	AUTO(hearing) *hearing = started();
	bool heard;

	(void)state;
	assert_false(hearing_is_due(hearing, NOW, &heard));
	assert_true(hearing_is_due(hearing, NOW + GRANT_MS, &heard));
	assert_true(heard);
	hearing_stored(hearing, true);
	assert_false(hearing_is_due(hearing, NOW + GRANT_MS, &heard));
	assert_true(is_news(hearing, OLD ":8", HEARING_SAME, NOW + GRANT_MS));
	assert_true(hearing_is_due(hearing, NOW + GRANT_MS, &heard));
	assert_false(heard);
}

static void without_members_there_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = hearing_new();

	(void)state;
	hearing_life(hearing, PRESENT, 0);
	hearing_start(hearing, NOW, GRANT_MS, HEARING_PROOF);
	hear(hearing, (struct told){ .process = "p1" });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
}

static void what_the_ledger_has_is_no_news(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	hearing_dealt(hearing, 3);
	assert_false(is_news(hearing, "", HEARING_SAME, NOW));
	assert_false(is_news(hearing, OLD ":7", HEARING_SAME, NOW));
	assert_false(is_news(hearing, OLD ":1", HEARING_SAME, NOW));
	assert_false(is_news(hearing, PRESENT ":3", HEARING_SAME, NOW));
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
}

/* Everybody was told of what was lost before this start: nobody prolongs it by telling it again. */
static void each_loss_is_news_once(void **state)
{
	static const char *const witnesses[] = { OLD ":8", OTHER ":1", PRESENT ":1", "nonsense", OLD "0:1" };
	int64_t now = NOW + GRANT_MS;

	(void)state;
	for (size_t i = 0; i < sizeof(witnesses) / sizeof(witnesses[0]); i++) {
		AUTO(hearing) *hearing = started();
		assert_int_equal(hearing_hold_ms(hearing, now), 0);
		assert_true(is_news(hearing, witnesses[i], HEARING_SAME, now));
		assert_int_equal(hearing_hold_ms(hearing, now), GRANT_MS);
		assert_false(is_news(hearing, witnesses[i], HEARING_SAME, now + 10));
		assert_int_equal(hearing_hold_ms(hearing, now + 10), GRANT_MS - 10);
	}
	AUTO(hearing) *hearing = started();
	assert_true(is_news(hearing, "", HEARING_NEWER, now));
	assert_int_equal(hearing_hold_ms(hearing, now), GRANT_MS);
	assert_false(is_news(hearing, "", HEARING_NEWER, now + 10));
	assert_int_equal(hearing_hold_ms(hearing, now + 10), GRANT_MS - 10);
}

/* However many others are told of. */
static void lives_are_bounded(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char witness[32];
		(void)snprintf(witness, sizeof(witness), "%016u:1", i);
		assert_true(is_news(hearing, witness, HEARING_SAME, NOW));
	}
	assert_false(is_news(hearing, OLD ":7", HEARING_SAME, NOW));
	assert_true(is_news(hearing, OLD ":8", HEARING_SAME, NOW));
}

static void after_a_loss_there_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	assert_true(is_news(hearing, OLD ":8", HEARING_SAME, NOW));
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
}

static void more_granted_than_known_is_a_loss_unless_it_hears(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	assert_false(tell_more(hearing, NOW + 10));
	assert_int_equal(hearing_hold_ms(hearing, NOW + 10), GRANT_MS - 10);
	hear(hearing, (struct told){ .process = "p1" });
	hear(hearing, (struct told){ .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW + 10), GRANT_MS - 10);
	assert_true(tell_more(hearing, NOW + GRANT_MS));
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS), GRANT_MS);
	assert_false(tell_more(hearing, NOW + GRANT_MS + 10));
}

static void the_witness_is_of_the_newest_dealing(void **state)
{
	AUTO(hearing) *hearing = started();
	char witness[USAGE_WITNESS_MAX];

	(void)state;
	hearing_witness(hearing, witness);
	assert_string_equal(witness, PRESENT ":0");
	assert_false(is_news(hearing, witness, HEARING_SAME, NOW));
	hearing_dealt(hearing, 12);
	hearing_witness(hearing, witness);
	assert_string_equal(witness, PRESENT ":12");
	assert_int_equal(hearing_dealings(hearing), 12);
	assert_false(is_news(hearing, witness, HEARING_SAME, NOW));
}

static void an_echo_is_of_the_present_life(void **state)
{
	AUTO(hearing) *hearing = started();

	(void)state;
	hearing_dealt(hearing, 5);
	assert_int_equal(hearing_echo(hearing, PRESENT ":0"), 1);
	assert_int_equal(hearing_echo(hearing, PRESENT ":5"), 6);
	assert_int_equal(hearing_echo(hearing, PRESENT ":6"), 0);
	assert_int_equal(hearing_echo(hearing, OLD ":5"), 0);
	assert_int_equal(hearing_echo(hearing, ""), 0);
	assert_int_equal(hearing_echo(hearing, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_from_the_start_for_as_long_as_a_grant_is_good),
		cmocka_unit_test(a_fresh_ledger_has_nothing_to_hear),
		cmocka_unit_test(ends_when_every_live_member_has_told_all),
		cmocka_unit_test(who_had_no_lease_is_no_proof),
		cmocka_unit_test(the_next_process_of_a_name_is_no_proof),
		cmocka_unit_test(after_a_life_that_has_not_heard_there_is_no_proof),
		cmocka_unit_test(says_what_the_ledger_is_to_know),
		cmocka_unit_test(without_members_there_is_no_proof),
		cmocka_unit_test(what_the_ledger_has_is_no_news),
		cmocka_unit_test(each_loss_is_news_once),
		cmocka_unit_test(lives_are_bounded),
		cmocka_unit_test(after_a_loss_there_is_no_proof),
		cmocka_unit_test(more_granted_than_known_is_a_loss_unless_it_hears),
		cmocka_unit_test(the_witness_is_of_the_newest_dealing),
		cmocka_unit_test(an_echo_is_of_the_present_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
