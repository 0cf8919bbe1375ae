/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recent - what was used last stays, what was longest not used goes.
 */
#include "common/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Keys that all fall into one chain. */
static struct recent_key key(uint64_t n)
{
	return (struct recent_key){ { 7, n } };
}

static void a_thing_stays_at_its_place(void **state)
{
	AUTO(recent) *recent = recent_new(4, sizeof(int));
	int *thing = recent_put(recent, key(1));

	(void)state;
	assert_int_equal(*thing, 0);
	*thing = 5;
	assert_null(recent_find(recent, key(2)));
	assert_null(recent_find(recent, (struct recent_key){ { 8, 1 } }));
	for (uint64_t n = 2; n <= 4; n++)
		assert_non_null(recent_put(recent, key(n)));
	assert_ptr_equal(recent_find(recent, key(1)), thing);
	assert_ptr_equal(recent_put(recent, key(1)), thing);
	assert_int_equal(*thing, 5);
	assert_int_equal(recent_len(recent), 4);
}

static void the_one_longest_unused_goes(void **state)
{
	AUTO(recent) *recent = recent_new(3, sizeof(int));

	(void)state;
	for (uint64_t n = 0; n < 3; n++)
		*(int *)recent_put(recent, key(n)) = 1;
	assert_non_null(recent_find(recent, key(0)));
	assert_int_equal(*(int *)recent_put(recent, key(3)), 0);
	assert_null(recent_find(recent, key(1)));
	assert_non_null(recent_find(recent, key(2)));
	assert_non_null(recent_find(recent, key(0)));
	assert_int_equal(recent_len(recent), 3);
}

static void what_is_removed_is_gone(void **state)
{
	AUTO(recent) *recent = recent_new(3, 0);

	(void)state;
	for (uint64_t n = 0; n < 3; n++)
		assert_non_null(recent_put(recent, key(n)));
	recent_remove(recent, key(1));
	recent_remove(recent, key(1));
	assert_null(recent_find(recent, key(1)));
	assert_int_equal(recent_len(recent), 2);
	recent_remove(recent, key(2));
	recent_remove(recent, key(0));
	assert_int_equal(recent_len(recent), 0);
	assert_non_null(recent_put(recent, key(9)));
	assert_non_null(recent_find(recent, key(9)));
}

static void many_pass_through(void **state)
{
	AUTO(recent) *recent = recent_new(100, sizeof(uint64_t));

	(void)state;
	for (uint64_t n = 0; n < 5000; n++)
		*(uint64_t *)recent_put(recent, (struct recent_key){ { n * 31, n } }) = n;
	assert_int_equal(recent_len(recent), 100);
	for (uint64_t n = 0; n < 5000; n++) {
		const uint64_t *thing = recent_find(recent, (struct recent_key){ { n * 31, n } });

		assert_int_equal(thing != NULL, n >= 4900);
		assert_true(!thing || *thing == n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thing_stays_at_its_place),
		cmocka_unit_test(the_one_longest_unused_goes),
		cmocka_unit_test(what_is_removed_is_gone),
		cmocka_unit_test(many_pass_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
