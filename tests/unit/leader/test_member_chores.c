/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_member_chores - what one process tells of its chores, and what is asked of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "leader/member_chores.h"

static char running[] = "running", idle[] = "idle", unit[] = "repositories", failed[] = "failed";

static void tell(struct member_chores *chores, struct usage_chore *rows, size_t len, bool whole)
{
	const struct usage_report report = { .chores = rows, .chores_len = len, .chores_whole = whole };

	member_chores_take(chores, &report);
}

static void tell_both(struct member_chores *chores, char *state_of_gc, uint64_t order)
{
	struct usage_chore rows[] = {
		{ .name = "fold", .state = idle },
		{ .name = "gc", .state = state_of_gc, .can_dry_run = true, .order = order, .run.unit = unit }
	};

	tell(chores, rows, 2, true);
}

static void ask(struct member_chores *chores, const char *name, bool stop, bool dry, struct usage_order *ret)
{
	struct chore_view_order what = { .stop = stop, .dry_run = dry };
	struct error err;

	assert_true(str_copy(str_of(name), what.chore, sizeof(what.chore)));
	if (!member_chores_order(chores, &what, false, 1000, ret, &err))
		fail_msg("%s", err.text);
}

static void refused(struct member_chores *chores, const char *name, bool stop, bool dry, enum error_kind kind,
	const char *says)
{
	struct chore_view_order what = { .stop = stop, .dry_run = dry };
	struct usage_order order;
	struct error err;

	assert_true(str_copy(str_of(name), what.chore, sizeof(what.chore)));
	assert_false(member_chores_order(chores, &what, true, 1000, &order, &err));
	assert_int_equal(err.kind, kind);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static size_t count_orders(struct member_chores *chores, int64_t now_ms)
{
	size_t len;

	free(member_chores_orders(chores, now_ms, &len));
	return len;
}

static void an_order_stays_until_it_is_named_or_too_old(void **state)
{
	struct member_chores chores = { 0 };
	struct usage_order first, second, *orders;
	size_t len;

	(void)state;
	tell_both(&chores, idle, 0);
	assert_true(chores.whole);
	ask(&chores, "gc", false, true, &first);
	ask(&chores, "fold", false, false, &second);
	assert_true(first.id && second.id && first.id != second.id);
	orders = member_chores_orders(&chores, 1001, &len);
	assert_int_equal(len, 2);
	assert_string_equal(orders[0].chore, "gc");
	assert_true(orders[0].dry_run && !orders[1].dry_run);
	free(orders);
	tell_both(&chores, running, first.id);
	assert_int_equal(count_orders(&chores, 1002), 1);
	assert_int_equal(count_orders(&chores, 1000 + MEMBER_ORDER_MS), 0);
	member_chores_fini(&chores);
}

static void the_newest_order_of_a_chore_counts(void **state)
{
	struct member_chores chores = { 0 };
	struct usage_order first, second, *orders;
	size_t len;

	(void)state;
	tell_both(&chores, idle, 0);
	ask(&chores, "gc", false, false, &first);
	ask(&chores, "gc", true, false, &second);
	orders = member_chores_orders(&chores, 1001, &len);
	assert_int_equal(len, 1);
	assert_true(orders[0].stop && orders[0].id == second.id);
	free(orders);
	member_chores_fini(&chores);
}

static void what_cannot_be_is_said(void **state)
{
	struct member_chores chores = { 0 };
	struct usage_order order;

	(void)state;
	refused(&chores, "gc", false, false, ERROR_CONFLICT, "has not told of its chores yet");
	tell_both(&chores, idle, 0);
	refused(&chores, "fodl", false, false, ERROR_UNKNOWN, "did you mean \"fold\"?");
	refused(&chores, "nothing", false, false, ERROR_UNKNOWN, "it has: fold, gc");
	refused(&chores, "fold", false, true, ERROR_INVALID, "these have one: gc");
	refused(&chores, "gc", true, false, ERROR_CONFLICT, "does not run");
	ask(&chores, "gc", false, false, &order);
	refused(&chores, "gc", false, false, ERROR_CONFLICT, "is about to run");
	tell_both(&chores, running, order.id);
	refused(&chores, "gc", false, false, ERROR_CONFLICT, "runs already");
	member_chores_fini(&chores);
}

static void rows_are_bounded(void **state)
{
	static char long_text[USAGE_WHY_MAX + 1];
	struct member_chores chores = { 0 };
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	struct json_writer w = json_writer(&b);

	(void)state;
	memset(long_text, 'x', USAGE_WHY_MAX);
	for (char c = 'a'; c <= 'z'; c++) {
		struct usage_chore row = {
			.name = { c }, .state = idle, .last = { .how = failed, .error = long_text }
		};

		tell(&chores, &row, 1, false);
	}
	assert_true(chores.bytes <= MEMBER_CHORES_BYTES && chores.len > 5 && chores.len < 26);
	for (unsigned i = 0; i < 1000; i++)
		tell(&chores, &(struct usage_chore){ .name = "a", .state = idle }, 1, false);
	member_chores_write(&chores, &w);
	assert_non_null(strstr(
		buf_text(&b), "[{\"name\":\"a\",\"state\":\"idle\",\"canDryRun\":false},{\"name\":\"b\""));
	assert_false(chores.whole);
	member_chores_fini(&chores);
	assert_int_equal(chores.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_stays_until_it_is_named_or_too_old),
		cmocka_unit_test(the_newest_order_of_a_chore_counts),
		cmocka_unit_test(what_cannot_be_is_said),
		cmocka_unit_test(rows_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
