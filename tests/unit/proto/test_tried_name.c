/* SPDX-License-Identifier: Apache-2.0 */
/* tried_name: what the log says of a name that may be a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/tried_name.h"

static void expect(const char *typed, bool known, const char *said)
{
	char into[TRIED_NAME_SIZE];

	tried_name(str_of(typed), known, into);
	assert_string_equal(into, said);
}

static void a_name_that_is_known_is_told(void **state)
{
	(void)state;
	expect("ann.of.the.far.too.long.name", true, "ann.of.the.far.too.long.name");
	expect("", false, "");
}

static void of_any_other_only_its_beginning_is(void **state)
{
	(void)state;
	expect("bob", false, "bob");
	expect("0123456789abcdef", false, "0123456789abcdef");
	expect("0123456789abcdef0", false, "0123456789abcdef...");
}

static void of_a_secret_nothing_is(void **state)
{
	(void)state;
	expect("zak_0011223344", false, "zak_...");
	expect("zwk_0011223344", true, "zwk_...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_is_known_is_told),
		cmocka_unit_test(of_any_other_only_its_beginning_is),
		cmocka_unit_test(of_a_secret_nothing_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
