/* SPDX-License-Identifier: Apache-2.0 */
/* move_late: what ended here, and whose repository is not here, is remembered once, up to a bound, and until its owner has it. */
#include "tests/unit/worker/moves/moves_rig.h"

#include "worker/moves/moves_priv.h"

static void end_upload(struct moves_rig *rig, const char *name, unsigned n)
{
	struct digest digest = digest_of(HASH_SHA256, str_from(&n, sizeof(n)));

	moves_late_add(rig->moves, str_of(name), &digest);
}

static void test_only_what_is_of_others(void **state)
{
	struct moves_rig *rig = *state;

	end_upload(rig, rig->others, 1);
	end_upload(rig, rig->others, 1);
	assert_int_equal(moves_late_len(rig->moves), 1);
	end_upload(rig, rig->others, 2);
	assert_int_equal(moves_late_len(rig->moves), 2);
}

static void test_the_bound(void **state)
{
	struct moves_rig *rig = *state;

	for (unsigned n = 1; n <= MOVES_LATE_MAX; n++)
		end_upload(rig, rig->others, n);
	assert_int_equal(moves_late_len(rig->moves), MOVES_LATE_MAX);
	end_upload(rig, rig->others, 0);
	end_upload(rig, rig->others, MOVES_LATE_MAX);
	assert_int_equal(moves_late_len(rig->moves), MOVES_LATE_MAX);
}

/* Its owner is not reached: nothing is forgotten. */
static void test_an_owner_that_is_away(void **state)
{
	struct moves_rig *rig = *state;
	AUTO(snapshot) *snapshot = cluster_snapshot(rig->cluster);
	struct error err;

	end_upload(rig, rig->others, 1);
	assert_false(moves_hand_over(rig->moves, snapshot, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_int_equal(moves_late_len(rig->moves), 1);
}

/* By the ring it is ours, and who is away may have it: it could be that one's again before it comes. */
static void test_what_is_ours_and_not_known_to_be_here(void **state)
{
	struct moves_rig *rig = *state;
	AUTO(snapshot) *snapshot = cluster_snapshot(rig->cluster);
	struct error err;

	end_upload(rig, rig->ours, 1);
	assert_int_equal(moves_late_len(rig->moves), 1);
	assert_false(moves_hand_over(rig->moves, snapshot, &err));
	assert_int_equal(moves_late_len(rig->moves), 1);
	moves_lock(rig->moves);
	moves_add_ready_locked(rig->moves, str_of(rig->ours));
	rig->moves->mark = ring_mark(snapshot->ring);
	moves_unlock(rig->moves);
	end_upload(rig, rig->ours, 2);
	assert_int_equal(moves_late_len(rig->moves), 1);
	if (!moves_hand_over(rig->moves, snapshot, &err))
		fail_msg("%s", err.text);
	assert_int_equal(moves_late_len(rig->moves), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_is_of_others, moves_rig_open, moves_rig_close),
		cmocka_unit_test_setup_teardown(
			test_what_is_ours_and_not_known_to_be_here, moves_rig_open, moves_rig_close),
		cmocka_unit_test_setup_teardown(test_the_bound, moves_rig_open, moves_rig_close),
		cmocka_unit_test_setup_teardown(test_an_owner_that_is_away, moves_rig_open, moves_rig_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
