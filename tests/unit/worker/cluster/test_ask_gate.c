/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ask_gate - what one client, and all, may have under way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "worker/cluster/ask_gate.h"

static void a_client_has_its_share(void **state)
{
	AUTO(ask_gate) *gate = ask_gate_new();
	size_t half = ASK_WEIGHT_EACH / 2;

	(void)state;
	assert_int_equal(ask_gate_enter(gate, STR("a"), half), ASK_MAY);
	assert_int_equal(ask_gate_enter(gate, STR("a"), half), ASK_MAY);
	assert_int_equal(ask_gate_enter(gate, STR("a"), 1), ASK_CLIENT_HAS_MANY);
	assert_int_equal(ask_gate_enter(gate, STR("b"), half), ASK_MAY);
	ask_gate_leave(gate, STR("a"), half);
	assert_int_equal(ask_gate_enter(gate, STR("a"), half), ASK_MAY);
}

/* One that is heavier than a share goes alone. */
static void one_heavy_question_goes_alone(void **state)
{
	AUTO(ask_gate) *gate = ask_gate_new();
	size_t heavy = ask_weight(1024, ASK_WEIGHT_LEAST / 2);

	(void)state;
	assert_int_equal(heavy, 1024 * ASK_WEIGHT_LEAST);
	assert_true(heavy > ASK_WEIGHT_EACH);
	assert_int_equal(ask_gate_enter(gate, STR("a"), heavy), ASK_MAY);
	assert_int_equal(ask_gate_enter(gate, STR("a"), 1), ASK_CLIENT_HAS_MANY);
	ask_gate_leave(gate, STR("a"), heavy);
	assert_int_equal(ask_gate_enter(gate, STR("a"), ASK_WEIGHT_ALL * 2), ASK_MAY);
	assert_int_equal(ask_gate_enter(gate, STR("b"), 1), ASK_ALL_HAVE_MANY);
}

static void all_have_a_bound(void **state)
{
	AUTO(ask_gate) *gate = ask_gate_new();
	size_t each = ASK_WEIGHT_ALL / 16;
	char name[16];

	(void)state;
	for (int i = 0; i < 16; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(ask_gate_enter(gate, str_of(name), each), ASK_MAY);
	}
	assert_int_equal(ask_gate_enter(gate, STR("late"), 1), ASK_ALL_HAVE_MANY);
	ask_gate_leave(gate, STR("c3"), each);
	assert_int_equal(ask_gate_enter(gate, STR("late"), each), ASK_MAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_has_its_share),
		cmocka_unit_test(one_heavy_question_goes_alone),
		cmocka_unit_test(all_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
