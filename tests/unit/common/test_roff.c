/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_roff - text that roff would take for its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/roff.h"

static void what_roff_would_take_for_its_own_is_text(void **state)
{
	static const char *const pairs[][2] = {
		{ "plain 100%", "plain 100%" },
		{ "--from a\\b", "\\-\\-from a\\eb" },
		{ ".TH is text", "\\&.TH is text" },
		{ "one\n.two\n'three\nfour.", "one\n\\&.two\n\\&'three\nfour." },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		AUTO_FINI(buf) text = buf_limit(1024);

		roff_put(str_of(pairs[i][0]), &text);
		assert_string_equal(buf_text(&text), pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_roff_would_take_for_its_own_is_text) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
