/* SPDX-License-Identifier: Apache-2.0 */
/* limits: windows, subjects, and whose quota it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/limits.h"

/* 2026-11-20 12:00, 2026-12-31 23:59:59, 2028-02-29 12:00. */
#define NOON  INT64_C(1795176000)
#define LAST  INT64_C(1798761599)
#define LEAP  INT64_C(1835438400)
#define DAY_S 86400

static void assert_window(enum limits_kind kind, int64_t now_s, const char *wanted)
{
	char window[LIMITS_WINDOW_SIZE];
	enum limits_kind parsed;

	limits_window(kind, now_s, window);
	assert_string_equal(window, wanted);
	assert_true(limits_window_parse(str_of(window), &parsed));
	assert_int_equal(parsed, kind);
	assert_true(limits_window_is_near(window, now_s, 0));
}

static void windows_have_names_that_say_their_kind(void **state)
{
	(void)state;
	assert_window(LIMITS_SECOND, NOON, "second");
	assert_window(LIMITS_DAY, NOON, "2026-11-20");
	assert_window(LIMITS_MONTH, NOON, "2026-11");
	assert_window(LIMITS_BYTES, NOON, "2026-11#bytes");
	assert_window(LIMITS_MONTH, LAST, "2026-12");
	assert_window(LIMITS_DAY, LEAP, "2028-02-29");
}

static void other_texts_are_no_windows(void **state)
{
	static const char *const others[] = { "", "2026", "2026-1", "2026-11-2", "2026-11-200",
		"2026-11#calls", "2026-11#bytes2", "seconds", "2026/11", "-026-11", "2026-11-20#bytes" };
	enum limits_kind kind;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(limits_window_parse(str_of(others[i]), &kind));
}

static void a_window_ends_when_the_next_begins(void **state)
{
	(void)state;
	assert_int_equal(limits_window_end_s(LIMITS_SECOND, NOON), NOON + 1);
	assert_int_equal(limits_window_end_s(LIMITS_DAY, NOON), NOON + DAY_S / 2);
	assert_int_equal(limits_window_end_s(LIMITS_MONTH, NOON), NOON + DAY_S / 2 + 10 * DAY_S);
	assert_int_equal(limits_window_end_s(LIMITS_BYTES, LAST), LAST + 1);
	assert_int_equal(limits_window_end_s(LIMITS_MONTH, LEAP), LEAP + DAY_S / 2);
}

static void days_on_both_sides_are_near_and_their_months(void **state)
{
	(void)state;
	assert_true(limits_window_is_near("2026-11-19", NOON, 1));
	assert_true(limits_window_is_near("2026-11-21", NOON, 1));
	assert_false(limits_window_is_near("2026-11-18", NOON, 1));
	assert_false(limits_window_is_near("2026-12", NOON, 1));
	assert_true(limits_window_is_near("2027-01", LAST, 1));
	assert_true(limits_window_is_near("2027-01#bytes", LAST, 1));
	assert_false(limits_window_is_near("2026-11", LAST, 1));
	assert_true(limits_window_is_near("second", LAST, 0));
	assert_false(limits_window_is_near("nothing", LAST, 1));
}

static void a_month_is_kept_while_its_days_are(void **state)
{
	(void)state;
	assert_true(limits_window_is_since("2026-11-18", "2026-11-18"));
	assert_false(limits_window_is_since("2026-11-17", "2026-11-18"));
	assert_true(limits_window_is_since("2026-11", "2026-11-18"));
	assert_true(limits_window_is_since("2026-11#bytes", "2026-11-18"));
	assert_false(limits_window_is_since("2026-10", "2026-11-01"));
	assert_false(limits_window_is_since("2026-10#bytes", "2026-11-01"));
	assert_true(limits_window_is_since("second", "2026-11-18"));
}

static struct state *make_state(void)
{
	struct apikey key = { .owner = "ann",
		.enabled = true,
		.throttling_quota = 1,
		.daily_quota = 2,
		.monthly_quota = 3,
		.monthly_bytes = 4 };
	struct user ann = { .enabled = true,
		.throttling_quota = 5,
		.daily_quota = 6,
		.monthly_quota = 7,
		.monthly_bytes = 8 };
	struct user_group group = {
		.throttling_quota = 9, .daily_quota = 10, .monthly_quota = 11, .monthly_bytes = 12
	};
	struct entity *entities[] = { entity_new(ENTITY_APIKEY, STR("key-of-ann"), 1, &key),
		entity_new(ENTITY_USER, STR("ann"), 1, &ann),
		entity_new(ENTITY_USER, STR("key-of-ann"), 1, &(struct user){ 0 }),
		entity_new(ENTITY_GROUP, STR("ann"), 1, &group) };
	AUTO(state) *empty = state_new();
	struct state *state = state_change(empty, entities, 4, 1);

	for (size_t i = 0; i < 4; i++)
		entity_free(entities[i]);
	return state;
}

static void a_subject_is_a_key_a_user_or_a_group(void **unused)
{
	AUTO(state) *state = make_state();
	struct limits limits;

	(void)unused;
	for (unsigned i = 0; i < LIMITS_KINDS; i++) {
		assert_int_equal(limits_get(state, "key-of-ann", (enum limits_kind)i), 1 + i);
		assert_int_equal(limits_get(state, "user:ann", (enum limits_kind)i), 5 + i);
		assert_int_equal(limits_get(state, "group:ann", (enum limits_kind)i), 9 + i);
		assert_int_equal(limits_get(state, "user:key-of-ann", (enum limits_kind)i), 0);
		assert_int_equal(limits_get(state, "ann", (enum limits_kind)i), 0);
	}
	assert_true(limits_subject_exists(state, "user:key-of-ann"));
	assert_false(limits_subject_exists(state, "user:bob"));
	assert_false(limits_subject_exists(state, "ann"));
	assert_true(limits_of(state_find(state, ENTITY_GROUP, STR("ann")), &limits));
	assert_string_equal(limits.subject, "group:ann");
	assert_int_equal(limits_who(limits.subject), LIMITS_OF_GROUP);
	assert_true(limits_of(state_find(state, ENTITY_APIKEY, STR("key-of-ann")), &limits));
	assert_string_equal(limits.subject, "key-of-ann");
	assert_int_equal(limits_who(limits.subject), LIMITS_OF_KEY);
	assert_true(limits_has_any(state_find(state, ENTITY_USER, STR("ann"))));
	assert_false(limits_has_any(state_find(state, ENTITY_USER, STR("key-of-ann"))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_have_names_that_say_their_kind),
		cmocka_unit_test(other_texts_are_no_windows),
		cmocka_unit_test(a_window_ends_when_the_next_begins),
		cmocka_unit_test(days_on_both_sides_are_near_and_their_months),
		cmocka_unit_test(a_month_is_kept_while_its_days_are),
		cmocka_unit_test(a_subject_is_a_key_a_user_or_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
