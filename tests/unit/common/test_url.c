/* SPDX-License-Identifier: Apache-2.0 */
/* url: what can be called, and what only looks so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/url.h"

static void addresses(void **state)
{
	static const char *const good[] = { "a", "zot-1.example:8080", "10.0.0.1", "10.0.0.1:1", "[::1]",
		"[2001:db8::1]:65535", "under_score" };
	static const char *const bad[] = { "", "::::", "a:", "a:0", "a:65536", "a:b", ":80", "[::1", "[]:1",
		"[1.2.3.4]:1", "::1", "a b", "user@a", "http://a", "a/b" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!url_is_authority(str_of(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_is_authority(str_of(bad[i])))
			fail_msg("%s", bad[i]);
}

static void urls(void **state)
{
	static const char *const good[] = { "http://a", "https://a:1/", "http://[::1]:80/base/path",
		"https://leader.example" };
	static const char *const bad[] = { "", "a", "::::", "ftp://a", "http://", "http:///x", "https://a:0",
		"http://a?x=1", "http://a/#x", "http://a/b c", "HTTP//a", "http://user:pw@a" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!url_is_base(str_of(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_is_base(str_of(bad[i])))
			fail_msg("%s", bad[i]);
}

static void one_that_is_called_may_have_a_query(void **state)
{
	static const char *const good[] = { "http://a", "https://a:1/b?c=d&e=/f?g", "http://[::1]/?" };
	static const char *const bad[] = { "", "?", "a?b", "http://a/?b c", "http://a/?b#c",
		"http://u:p@a/?b", "http://a/b|c?d" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!url_is_call(str_of(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_is_call(str_of(bad[i])))
			fail_msg("%s", bad[i]);
}

static void what_may_be_shown_of_it(void **state)
{
	static const char *const from[] = { "https://a:1/secret", "http://a?secret", "nats://a:4222", "a/b",
		"" };
	static const char *const to[] = { "https://a:1", "http://a", "nats://a:4222", "a", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		assert_true(str_is(url_origin(str_of(from[i])), to[i]));
}

static void a_path_may_follow(void **state)
{
	static const char *const from[] = { "http://a", "http://a/", "https://a/base///", "/", "" };
	static const char *const to[] = { "http://a", "http://a", "https://a/base", "", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		assert_true(str_is(url_without_end(str_of(from[i])), to[i]));
	assert_int_equal(url_without_end(STR_NONE).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(urls),
		cmocka_unit_test(one_that_is_called_may_have_a_query),
		cmocka_unit_test(what_may_be_shown_of_it),
		cmocka_unit_test(a_path_may_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
