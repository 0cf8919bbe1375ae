/* SPDX-License-Identifier: Apache-2.0 */
/* move_left: a copy that was given away answers for what ended here behind its owner's last list; with more than it remembers, for all that lies here. */
#include "tests/unit/worker/moves/moves_rig.h"

#include "worker/moves/moves_priv.h"

static struct digest blob(unsigned n)
{
	return digest_of(HASH_SHA256, str_from(&n, sizeof(n)));
}

static bool tells(struct moves_rig *rig, unsigned n)
{
	struct digest digest = blob(n);

	return moves_tells(rig->moves, str_of(rig->others), &digest);
}

static void end_upload(struct moves_rig *rig, unsigned n)
{
	struct digest digest = blob(n);

	moves_ended(rig->moves, str_of(rig->others), &digest);
}

/* It was given away, and its owner has all. */
static void give(struct moves_rig *rig)
{
	const struct move_record record = {
		.state = MOVE_GIVEN, .to = "127.0.0.1:9", .frozen = 1, .taken = true, .done_s = 1
	};
	struct error err;

	if (!moves_set_record(rig->moves, str_of(rig->others), &record, &err))
		fail_msg("%s", err.text);
}

static void test_only_what_came_behind_the_list(void **state)
{
	struct moves_rig *rig = *state;
	struct error err;

	give(rig);
	assert_true(tells(rig, 0)); /* nothing was listed: as after a restart */
	end_upload(rig, 0);
	moves_begin_left(rig->moves, str_of(rig->others));
	assert_false(tells(rig, 0));
	end_upload(rig, 1);
	assert_true(tells(rig, 1));
	assert_false(tells(rig, 0) || tells(rig, 2));
	/* Listed anew. */
	moves_begin_left(rig->moves, str_of(rig->others));
	assert_false(tells(rig, 1));
	assert_true(moves_set_record(rig->moves, str_of(rig->others), NULL, &err));
	assert_true(tells(rig, 1));
}

static void test_the_bound(void **state)
{
	struct moves_rig *rig = *state;

	give(rig);
	moves_begin_left(rig->moves, str_of(rig->others));
	for (unsigned n = 1; n <= MOVES_ENDED_MAX; n++)
		end_upload(rig, n);
	assert_true(tells(rig, 1) && tells(rig, MOVES_ENDED_MAX));
	end_upload(rig, 1); /* the same is not one more */
	assert_false(tells(rig, 0));
	end_upload(rig, MOVES_ENDED_MAX + 1);
	assert_true(tells(rig, 0) && tells(rig, 1) && tells(rig, MOVES_ENDED_MAX + 1));
	end_upload(rig, MOVES_ENDED_MAX + 2);
	assert_true(tells(rig, 0));
	/* Its owner lists again: what is there now is with it. */
	moves_begin_left(rig->moves, str_of(rig->others));
	assert_false(tells(rig, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_only_what_came_behind_the_list, moves_rig_open, moves_rig_close),
		cmocka_unit_test_setup_teardown(test_the_bound, moves_rig_open, moves_rig_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
