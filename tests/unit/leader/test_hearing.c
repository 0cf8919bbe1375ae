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
static struct hearing *started(bool fresh)
{
	struct hearing *hearing = hearing_new();

	hearing_life(hearing, OLD, 7);
	hearing_life(hearing, PRESENT, 0);
	hearing_expect(hearing, "w1", "p1", false);
	hearing_expect(hearing, "w2", "p2", false);
	hearing_start(hearing, NOW, GRANT_MS, fresh);
	return hearing;
}

struct told {
	const char *worker, *process, *boot, *witness;
	bool not_all, final;
};

static struct usage_push push_of(struct told told)
{
	struct usage_push push = { .all = !told.not_all, .final = told.final };

	push.worker = check_strdup(told.worker);
	push.process = check_strdup(told.process);
	push.boot = check_strdup(told.boot ? told.boot : told.process);
	push.witness = check_strdup(told.witness ? told.witness : "");
	return push;
}

static void hear(struct hearing *hearing, struct told told)
{
	struct usage_push push = push_of(told);

	hearing_heard(hearing, &push, NOW);
	usage_push_fini(&push);
}

static bool is_news(struct hearing *hearing, const char *witness, enum hearing_state state, int64_t now)
{
	struct usage_push push = push_of((struct told){ .worker = "w", .process = "p", .witness = witness });
	bool news = hearing_check(hearing, &push, state, now, GRANT_MS);

	usage_push_fini(&push);
	return news;
}

static bool tell_more(struct hearing *hearing, int64_t now)
{
	struct usage_push push = push_of((struct told){ .worker = "w", .process = "p" });
	bool news = hearing_told_more(hearing, &push, now, GRANT_MS);

	usage_push_fini(&push);
	return news;
}

static void holds_from_the_start_for_as_long_as_a_grant_is_good(void **state)
{
	AUTO(hearing) *hearing = started(false);

	(void)state;
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS - 1), 1);
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS), 0);
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

static void a_fresh_store_has_nothing_to_hear(void **state)
{
	AUTO(hearing) *hearing = started(true);

	(void)state;
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
	/* But its folder may have been deleted. */
	assert_true(is_news(hearing, OTHER ":1", HEARING_SAME, NOW + 5));
	assert_int_equal(hearing_hold_ms(hearing, NOW + 5), GRANT_MS);
}

static void ends_when_every_live_member_has_told_all(void **state)
{
	AUTO(hearing) *hearing = started(false);

	(void)state;
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	hear(hearing, (struct told){ .worker = "w3", .process = "p3" });
	hear(hearing, (struct told){ .worker = "w2", .process = "p2", .not_all = true });
	hear(hearing, (struct told){ .worker = "w2", .process = "p2", .boot = "another" });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
	hear(hearing, (struct told){ .worker = "w2", .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

/* What the process before held is told by the end of its boot alone. */
static void another_process_counts_when_the_boot_before_is_over(void **state)
{
	AUTO(hearing) *hearing = started(false);

	(void)state;
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	hear(hearing, (struct told){ .worker = "w2", .process = "q" });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
	hear(hearing, (struct told){ .worker = "w2", .process = "q", .boot = "p2", .final = true });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
	hear(hearing, (struct told){ .worker = "w2", .process = "q" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

static void a_boot_that_the_store_knows_to_be_over_needs_not_be_told(void **state)
{
	AUTO(hearing) *hearing = hearing_new();

	(void)state;
	hearing_life(hearing, PRESENT, 0);
	hearing_expect(hearing, "w1", "p1", true);
	hearing_start(hearing, NOW, GRANT_MS, false);
	hear(hearing, (struct told){ .worker = "w1", .process = "q" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), 0);
}

static void without_members_there_is_no_proof(void **state)
{
	AUTO(hearing) *hearing = hearing_new();

	(void)state;
	hearing_life(hearing, PRESENT, 0);
	hearing_start(hearing, NOW, GRANT_MS, false);
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	assert_true(hearing_hold_ms(hearing, NOW) > 0);
}

static void what_the_store_has_is_no_news(void **state)
{
	AUTO(hearing) *hearing = started(false);

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
		AUTO(hearing) *hearing = started(false);
		assert_int_equal(hearing_hold_ms(hearing, now), 0);
		assert_true(is_news(hearing, witnesses[i], HEARING_SAME, now));
		assert_int_equal(hearing_hold_ms(hearing, now), GRANT_MS);
		assert_false(is_news(hearing, witnesses[i], HEARING_SAME, now + 10));
		assert_int_equal(hearing_hold_ms(hearing, now + 10), GRANT_MS - 10);
	}
	AUTO(hearing) *hearing = started(false);
	assert_true(is_news(hearing, "", HEARING_NEWER, now));
	assert_int_equal(hearing_hold_ms(hearing, now), GRANT_MS);
	assert_false(is_news(hearing, "", HEARING_NEWER, now + 10));
	assert_int_equal(hearing_hold_ms(hearing, now + 10), GRANT_MS - 10);
}

/* However many others are told of. */
static void lives_are_bounded(void **state)
{
	AUTO(hearing) *hearing = started(false);

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
	AUTO(hearing) *hearing = started(false);

	(void)state;
	assert_true(is_news(hearing, OLD ":8", HEARING_SAME, NOW));
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	hear(hearing, (struct told){ .worker = "w2", .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW), GRANT_MS);
}

static void more_granted_than_known_is_a_loss_unless_it_hears(void **state)
{
	AUTO(hearing) *hearing = started(false);

	(void)state;
	assert_false(tell_more(hearing, NOW + 10));
	assert_int_equal(hearing_hold_ms(hearing, NOW + 10), GRANT_MS - 10);
	hear(hearing, (struct told){ .worker = "w1", .process = "p1" });
	hear(hearing, (struct told){ .worker = "w2", .process = "p2" });
	assert_int_equal(hearing_hold_ms(hearing, NOW + 10), GRANT_MS - 10);
	assert_true(tell_more(hearing, NOW + GRANT_MS));
	assert_int_equal(hearing_hold_ms(hearing, NOW + GRANT_MS), GRANT_MS);
	assert_false(tell_more(hearing, NOW + GRANT_MS + 10));
}

static void the_witness_is_of_the_newest_dealing(void **state)
{
	AUTO(hearing) *hearing = started(false);
	char witness[USAGE_WITNESS_MAX];

	(void)state;
	hearing_witness(hearing, witness);
	assert_string_equal(witness, OLD ":7");
	assert_false(is_news(hearing, witness, HEARING_SAME, NOW));
	hearing_dealt(hearing, 12);
	hearing_witness(hearing, witness);
	assert_string_equal(witness, PRESENT ":12");
	assert_false(is_news(hearing, witness, HEARING_SAME, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_from_the_start_for_as_long_as_a_grant_is_good),
		cmocka_unit_test(a_fresh_store_has_nothing_to_hear),
		cmocka_unit_test(ends_when_every_live_member_has_told_all),
		cmocka_unit_test(another_process_counts_when_the_boot_before_is_over),
		cmocka_unit_test(a_boot_that_the_store_knows_to_be_over_needs_not_be_told),
		cmocka_unit_test(without_members_there_is_no_proof),
		cmocka_unit_test(what_the_store_has_is_no_news),
		cmocka_unit_test(each_loss_is_news_once),
		cmocka_unit_test(lives_are_bounded),
		cmocka_unit_test(after_a_loss_there_is_no_proof),
		cmocka_unit_test(more_granted_than_known_is_a_loss_unless_it_hears),
		cmocka_unit_test(the_witness_is_of_the_newest_dealing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
