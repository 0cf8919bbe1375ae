/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ?n=, ?last= and the Link to the next page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/oci/oci_page.h"

static void nothing_asked_is_the_maximum(void **state)
{
	struct oci_page page;

	(void)state;
	assert_true(oci_page_parse(STR_NONE, 100, &page, NULL));
	assert_int_equal(page.n, 100);
	assert_false(page.has_n);
	assert_false(page.has_last);
}

static void n_and_last_are_taken(void **state)
{
	struct oci_page page;

	(void)state;
	assert_true(oci_page_parse(STR("last=a%2Fb+c&n=7&x=y"), 100, &page, NULL));
	assert_int_equal(page.n, 7);
	assert_string_equal(page.last, "a/b c");
	assert_true(oci_page_parse(STR("n=0"), 100, &page, NULL));
	assert_true(page.has_n);
	assert_int_equal(page.n, 0);
	assert_true(oci_page_parse(STR("n=1000"), 100, &page, NULL));
	assert_int_equal(page.n, 100);
	assert_true(oci_page_parse(STR("last="), 100, &page, NULL));
	assert_true(page.has_last);
}

static void nonsense_is_refused(void **state)
{
	static const char *const queries[] = { "n=", "n=-1", "n=x", "n=1&n=2", "n=1.5",
		"n=99999999999999999999999999", "last=a&last=b", "n=%31%zz" };
	struct oci_page page;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		if (oci_page_parse(str_of(queries[i]), 100, &page, &err))
			fail_msg("%s was taken", queries[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
	}
}

static void a_link_is_escaped(void **state)
{
	AUTO_FINI(buf) link = buf_limit(1024);

	(void)state;
	oci_page_link(STR("/v2/a/b/tags/list"), 5, STR("v1>;x"), "", &link);
	assert_string_equal(buf_text(&link), "</v2/a/b/tags/list?n=5&last=v1%3E%3Bx>; rel=\"next\"");
	buf_clear(&link);
	oci_page_link(STR("/v2/a/referrers/sha256:00"), 5, STR("x"), "&artifactType=y", &link);
	assert_string_equal(
		buf_text(&link), "</v2/a/referrers/sha256%3A00?n=5&last=x&artifactType=y>; rel=\"next\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_is_the_maximum),
		cmocka_unit_test(n_and_last_are_taken),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_link_is_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
