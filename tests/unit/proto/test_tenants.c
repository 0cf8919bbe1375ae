/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tenants - whom a worker serves, by how names begin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "proto/tenants.h"

static void names_begin(void **state)
{
	static const struct {
		const char *tenants, *name;
		bool have;
	} cases[] = {
		{ "", "anything", true },
		{ "team-a", "team-a", true },
		{ "team-a", "team-a/app", true },
		{ "team-a", "team-a/app/x", true },
		{ "team-a", "team-ab", false },
		{ "team-a", "team", false },
		{ "team-a", "x/team-a", false },
		{ "team-a, labs/x", "labs/x/y", true },
		{ "team-a,labs/x", "labs", false },
		{ "team-a,labs/x", "labs/xy", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tenants_have(str_of(cases[i].tenants), str_of(cases[i].name)) != cases[i].have)
			fail_msg("%s and %s", cases[i].tenants, cases[i].name);
}

static void refused(struct str tenants, const char *why)
{
	struct error err;

	assert_false(tenants_check(tenants, &err));
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
}

static void bounds(void **state)
{
	AUTO_FINI(buf) many = buf_limit(4096);

	(void)state;
	assert_true(tenants_check(STR(""), NULL));
	assert_true(tenants_check(STR("team-a, labs/x"), NULL));
	refused(STR("Team"), "\"Team\"");
	refused(STR("team-a,,b"), "\"\"");
	refused(STR("team-a/"), "\"team-a/\"");
	refused(STR("team-*"), "\"team-*\"");
	for (unsigned i = 0; i < TENANTS_EACH; i++)
		buf_puts(&many, i ? ",a" : "a");
	assert_true(tenants_check(buf_str(&many), NULL));
	buf_puts(&many, ",a");
	refused(buf_str(&many), "more than 64");
	while (many.len <= TENANTS_MAX)
		buf_puts(&many, "aaaaaaaa");
	refused(buf_str(&many), "1024 are allowed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_begin),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
