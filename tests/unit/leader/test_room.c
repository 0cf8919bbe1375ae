/* SPDX-License-Identifier: Apache-2.0 */
/* room: what bodies may hold together, and one worker of it. */
#include "leader/api/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIB  (1024 * 1024)
#define MOST (8u * MIB)

static void small_bodies_need_none(void **state)
{
	struct room_held held[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		assert_true(room_take(&held[i], "one", ROOM_SMALL, MOST));
	for (unsigned i = 0; i < 64; i++)
		room_leave(&held[i]);
}

static void large_ones_share(void **state)
{
	struct room_held held[4], small, unknown;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(room_take(&held[i], "", MOST, MOST));
	assert_false(room_take(&held[3], "", ROOM_SMALL + 1, MOST));
	assert_true(room_take(&small, "", ROOM_SMALL, MOST));
	room_leave(&held[3]);
	room_leave(&held[1]);
	/* One that does not say how long it is may become as long as it may. */
	assert_true(room_take(&unknown, "", -1, MOST));
	assert_false(room_take(&held[3], "", -1, MOST));
	room_leave(&unknown);
	room_leave(&held[0]);
	room_leave(&held[2]);
	room_leave(&small);
	for (unsigned i = 0; i < 3; i++)
		assert_true(room_take(&held[i], "", MOST, MOST));
	for (unsigned i = 0; i < 3; i++)
		room_leave(&held[i]);
}

static void one_worker_does_not_take_all(void **state)
{
	struct room_held held[4];

	(void)state;
	assert_true(room_take(&held[0], "one", 5 * MIB, MOST));
	assert_false(room_take(&held[1], "one", 4 * MIB, MOST));
	assert_true(room_take(&held[1], "one", 3 * MIB, MOST));
	assert_true(room_take(&held[2], "two", 8 * MIB, MOST));
	assert_true(room_take(&held[3], "three", 8 * MIB, MOST));
	for (unsigned i = 0; i < 4; i++)
		room_leave(&held[i]);
}

static void what_is_over_its_bound_holds_nothing(void **state)
{
	struct room_held over, held[3];

	(void)state;
	assert_true(room_take(&over, "", INT64_MAX, MOST));
	for (unsigned i = 0; i < 3; i++)
		assert_true(room_take(&held[i], "", MOST, MOST));
	for (unsigned i = 0; i < 3; i++)
		room_leave(&held[i]);
	room_leave(&over);
	room_leave(&over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_bodies_need_none),
		cmocka_unit_test(large_ones_share),
		cmocka_unit_test(one_worker_does_not_take_all),
		cmocka_unit_test(what_is_over_its_bound_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
