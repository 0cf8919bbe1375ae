/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OURS   "00112233445566778899aabbccddeeff"
#define OTHERS "ffeeddccbbaa99887766554433221100"

static struct history history_of(const char *cluster, uint64_t generation)
{
	struct history history;

	assert_true(history_set(&history, str_of(cluster), generation));
	return history;
}

static enum history_verdict judge(
	const struct history *own, uint64_t revision, struct history leader, enum history_position position)
{
	const struct history_claim claim = { .history = leader, .position = position };

	return history_judge(own, revision, &claim);
}

static void what_follows_and_what_does_not(void **state)
{
	const struct history own = history_of(OURS, 5), same = own;
	const struct history higher = history_of(OURS, 6), lower = history_of(OURS, 4);
	const struct history foreign = history_of(OTHERS, 9), none = { .cluster = "" };

	(void)state;
	assert_int_equal(judge(&own, 7, same, HISTORY_KNOWN), HISTORY_FOLLOW);
	assert_int_equal(judge(&own, 7, same, HISTORY_OLDER), HISTORY_FOLLOW);
	assert_int_equal(judge(&own, 7, same, HISTORY_UNKNOWN), HISTORY_REWOUND);
	assert_int_equal(judge(&own, 7, higher, HISTORY_UNKNOWN), HISTORY_FOLLOW);
	assert_int_equal(judge(&own, 7, lower, HISTORY_KNOWN), HISTORY_BEFORE);
	assert_int_equal(judge(&own, 7, foreign, HISTORY_KNOWN), HISTORY_FOREIGN);
	assert_int_equal(judge(&own, 7, none, HISTORY_KNOWN), HISTORY_SILENT);
}

static void who_has_nothing_follows_whoever_answers(void **state)
{
	const struct history nothing = { .cluster = "" };

	(void)state;
	assert_int_equal(judge(&nothing, 0, history_of(OTHERS, 1), HISTORY_KNOWN), HISTORY_FOLLOW);
	assert_int_equal(judge(&nothing, 0, nothing, HISTORY_UNKNOWN), HISTORY_FOLLOW);
	/* A leader of before there were clusters. */
	assert_int_equal(judge(&nothing, 7, nothing, HISTORY_UNKNOWN), HISTORY_FOLLOW);
	/* Saved before there were clusters. */
	assert_int_equal(judge(&nothing, 7, history_of(OTHERS, 1), HISTORY_KNOWN), HISTORY_FOLLOW);
	assert_int_equal(judge(&nothing, 7, history_of(OTHERS, 1), HISTORY_UNKNOWN), HISTORY_FOREIGN);
}

static void a_new_beginning_names_what_it_replaces(void **state)
{
	const struct history own = history_of(OURS, 5),
			     third = history_of("0123456789abcdef0123456789abcdef", 1);
	const struct history_claim claim = {
		.history = history_of(OTHERS, 1), .replaces = OURS, .position = HISTORY_UNKNOWN
	};
	const struct history_claim lost_again = { .history =
							  history_of("fedcba9876543210fedcba9876543210", 1),
		.replaces = OURS,
		.position = HISTORY_UNKNOWN };

	(void)state;
	assert_int_equal(history_judge(&own, 7, &claim), HISTORY_FOLLOW);
	assert_int_equal(history_judge(&third, 7, &claim), HISTORY_FOREIGN);
	/* The setting was forgotten there, and the data is lost once more. */
	assert_int_equal(history_judge(&claim.history, 3, &lost_again), HISTORY_FOREIGN);
}

static void only_ids_and_generations_are_taken(void **state)
{
	struct history history;
	enum history_position position;

	(void)state;
	assert_false(history_set(&history, STR(OURS "0"), 1));
	assert_false(history_set(&history, STR("00112233445566778899AABBCCDDEEFF"), 1));
	assert_false(history_set(&history, STR_NONE, 1));
	assert_false(history_set(&history, STR(OURS), 0));
	assert_false(history_set(&history, STR(OURS), UINT64_MAX));
	assert_true(history_position_parse("older", &position));
	assert_int_equal(position, HISTORY_OLDER);
	assert_false(history_position_parse("younger", &position));
	assert_false(history_position_parse(NULL, &position));
}

static void both_sides_are_told(void **state)
{
	const struct history own = history_of(OURS, INT64_MAX);
	const struct history_claim claim = { .history = history_of(OTHERS, INT64_MAX) };
	AUTO_FINI(buf) text = buf_limit(HISTORY_TEXT_MAX);

	(void)state;
	for (enum history_verdict verdict = HISTORY_FOLLOW; verdict <= HISTORY_SILENT; verdict++) {
		buf_clear(&text);
		history_explain(verdict, &own, UINT64_MAX, &claim, UINT64_MAX, &text);
		assert_false(text.failed);
		assert_non_null(strstr(buf_text(&text), OURS));
		assert_non_null(strstr(buf_text(&text), OTHERS));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_and_what_does_not),
		cmocka_unit_test(who_has_nothing_follows_whoever_answers),
		cmocka_unit_test(a_new_beginning_names_what_it_replaces),
		cmocka_unit_test(only_ids_and_generations_are_taken),
		cmocka_unit_test(both_sides_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
