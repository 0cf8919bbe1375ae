/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chore_rows - all at first, then what is new alone, and nothing where nothing is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/check.h"
#include "worker/cluster/chore_rows.h"
#include "worker/cluster/cluster_new.h"

struct rig {
	struct chore_rows rows;
	struct cluster_run run;
	uint64_t removed; /* of the second chore's last run */
	uint64_t ordered;
};

static size_t chores_of(void *arg, struct usage_chore *into)
{
	const struct rig *rig = arg;

	into[0] = (struct usage_chore){ .name = "fold" };
	into[1] = (struct usage_chore){ .name = "gc",
		.last = { .how = check_strdup("done"), .removed = rig->removed } };
	return 2;
}

static void order(void *arg, const struct usage_order *order)
{
	((struct rig *)arg)->ordered += order->id;
}

static void rig_init(struct rig *rig)
{
	*rig = (struct rig){ .run = { .chores = chores_of, .order = order } };
	rig->run.arg = rig;
}

/* How many rows a beat at this time has. */
static size_t beat(struct rig *rig, int64_t now_ms, bool *ret_whole)
{
	AUTO_FINI(usage_report) report = { 0 };

	chore_rows_put(&rig->rows, &rig->run, now_ms, &report);
	*ret_whole = report.chores_whole;
	return report.chores_len;
}

static void take(struct rig *rig, int64_t now_ms, bool tell)
{
	struct usage_order orders[] = { { .id = 3 } };
	const struct usage_answer answer = { .tell_chores = tell, .orders = orders, .orders_len = 1 };

	chore_rows_taken(&rig->rows, &rig->run, &answer, now_ms);
}

static void what_is_new_is_told(void **state)
{
	struct rig rig;
	bool whole;

	(void)state;
	rig_init(&rig);
	assert_int_equal(beat(&rig, 1, &whole), 2);
	assert_true(whole);
	assert_int_equal(beat(&rig, 2, &whole), 2); /* the first was not taken */
	take(&rig, 3, false);
	assert_int_equal(rig.ordered, 3);
	assert_int_equal(beat(&rig, 4, &whole), 0);
	assert_false(whole);
	rig.removed = 7;
	assert_int_equal(beat(&rig, 5, &whole), 1);
	assert_int_equal(beat(&rig, 6, &whole), 1);
	take(&rig, 7, false);
	assert_int_equal(beat(&rig, 8, &whole), 0);
}

static void all_is_told_to_who_does_not_know_it_and_now_and_then(void **state)
{
	struct rig rig;
	bool whole;

	(void)state;
	rig_init(&rig);
	(void)beat(&rig, 1, &whole);
	take(&rig, 2, true); /* it had them in this very beat */
	assert_int_equal(beat(&rig, 3, &whole), 0);
	take(&rig, 4, true); /* another one */
	assert_int_equal(beat(&rig, 5, &whole), 2);
	assert_true(whole);
	take(&rig, 6, false);
	assert_int_equal(beat(&rig, 5 + 2 * CHORE_ROWS_SOON_MS, &whole), 0);
	assert_int_equal(beat(&rig, 6 + 2 * CHORE_ROWS_SOON_MS, &whole), 2);
	for (int i = 0; i < 10; i++) {
		take(&rig, 10000 + i * CHORE_ROWS_EVERY_MS, false);
		(void)beat(&rig, 10000 + (i + 1) * CHORE_ROWS_EVERY_MS, &whole);
		assert_true(whole);
	}
	take(&rig, 1000000, false);
	(void)beat(&rig, 1000000 + CHORE_ROWS_EVERY_MS - 1, &whole);
	assert_false(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_new_is_told),
		cmocka_unit_test(all_is_told_to_who_does_not_know_it_and_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
