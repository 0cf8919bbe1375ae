/* SPDX-License-Identifier: Apache-2.0 */
/* cross_site: whose page it is, by what browsers say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/cross_site.h"

static bool allowed(const char *fetch_site, const char *origin, const char *host)
{
	struct cross_site from = { fetch_site, origin, host };
	struct error err = { 0 };
	bool ok = cross_site_check(HTTP_POST, &from, &err);

	assert_true(ok || (err.kind == ERROR_DENIED && str_of(err.text).len));
	return ok;
}

static void programs_say_nothing_and_go_on(void **state)
{
	(void)state;
	assert_true(allowed(NULL, NULL, "registry:8080"));
	assert_true(allowed(NULL, NULL, NULL));
}

static void the_browser_says_whose_page_it_is(void **state)
{
	(void)state;
	assert_true(allowed("same-origin", NULL, "a"));
	assert_true(allowed("none", NULL, "a"));
	/* Behind a proxy that puts another Host, what the browser found is what counts. */
	assert_true(allowed("same-origin", "https://registry.example", "10.0.0.1:8080"));
	assert_false(allowed("same-site", NULL, "a"));
	assert_false(allowed("cross-site", NULL, "a"));
	assert_false(allowed("cross-site", "https://a", "a"));
	assert_false(allowed("", NULL, "a"));
	assert_false(allowed("Same-Origin", NULL, "a"));
	assert_false(allowed("same-origin, cross-site", NULL, "a"));
}

static void an_origin_must_be_the_host_that_was_asked(void **state)
{
	(void)state;
	assert_true(allowed(NULL, "http://a", "a"));
	assert_true(allowed(NULL, "https://Registry.Example", "registry.example"));
	assert_true(allowed(NULL, "http://a:8080", "a:8080"));
	assert_true(allowed(NULL, "https://a", "a:443"));
	assert_true(allowed(NULL, "http://a:80", "a"));
	assert_true(allowed(NULL, "http://[::1]:8080", "[::1]:8080"));
	assert_true(allowed(NULL, "http://[::80]", "[::80]"));
	assert_false(allowed(NULL, "http://a:8081", "a:8080"));
	assert_false(allowed(NULL, "http://a", "a:443"));
	assert_false(allowed(NULL, "http://a.evil", "a"));
	assert_false(allowed(NULL, "http://a", "a.evil"));
	assert_false(allowed(NULL, "null", "a"));
	assert_false(allowed(NULL, "null", "null"));
	assert_false(allowed(NULL, "", ""));
	assert_false(allowed(NULL, "http://", ""));
	assert_false(allowed(NULL, "a", "a"));
	assert_false(allowed(NULL, "http://a", NULL));
	assert_false(allowed(NULL, "ftp://a", "a"));
	assert_false(allowed(NULL, "http://a http://b", "a"));
}

static void what_changes_nothing_may_always_be_asked(void **state)
{
	struct cross_site from = { "cross-site", "http://evil", "a" };

	(void)state;
	assert_true(cross_site_check(HTTP_GET, &from, NULL));
	assert_true(cross_site_check(HTTP_HEAD, &from, NULL));
	assert_true(cross_site_check(HTTP_OPTIONS, &from, NULL));
	for (enum http_method method = HTTP_POST; method <= HTTP_DELETE; method++)
		assert_false(cross_site_check(method, &from, NULL));
	assert_false(cross_site_check(HTTP_OTHER, &from, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_say_nothing_and_go_on),
		cmocka_unit_test(the_browser_says_whose_page_it_is),
		cmocka_unit_test(an_origin_must_be_the_host_that_was_asked),
		cmocka_unit_test(what_changes_nothing_may_always_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
