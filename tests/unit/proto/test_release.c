/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_release - which text is a version, and which versions work together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/release.h"

static struct release of(const char *text)
{
	struct release release = { 0 };

	assert_true(release_parse(str_of(text), &release));
	return release;
}

static void a_version_is_three_numbers(void **state)
{
	static const char *const wrong[] = { "", "1", "1.2", "1.2.", "1.2.3.", "1.2.3.4", "a.b.c", "1.2.x",
		"-1.2.3", "1.2.10000", " 1.2.3", "1.2.3-rc1" };
	struct release release = of("10.20.9999");

	(void)state;
	assert_int_equal(release.major, 10);
	assert_int_equal(release.minor, 20);
	assert_int_equal(release.patch, 9999);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(release_parse(str_of(wrong[i]), &release));
	(void)of(ZOT_VERSION);
}

static bool together(const char *one, const char *other)
{
	struct release a = of(one), b = of(other);

	assert_int_equal(release_works_with(&a, &b), release_works_with(&b, &a));
	return release_works_with(&a, &b);
}

static void one_minor_version_apart_works_together(void **state)
{
	(void)state;
	assert_true(together("0.2.0", "0.2.7"));
	assert_true(together("0.2.0", "0.1.9"));
	assert_true(together("3.9.0", "3.10.1"));
	assert_false(together("0.2.0", "0.4.0"));
	assert_false(together("0.9.0", "1.0.0"));
	assert_false(together("1.0.0", "2.0.0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_is_three_numbers),
		cmocka_unit_test(one_minor_version_apart_works_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
