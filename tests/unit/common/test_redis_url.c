/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct redis_url parse(const char *text)
{
	struct redis_url url;
	struct error err;

	if (!redis_url_parse(text, &url, &err))
		fail_msg("%s", err.text);
	return url;
}

static void addresses_are_taken_apart(void **state)
{
	struct redis_url url = parse("redis://ann:s%40c:ret@[::1]:7000/3");

	(void)state;
	assert_string_equal(url.user, "ann");
	assert_string_equal(url.password, "s@c:ret");
	assert_string_equal(url.hosts[0].name, "::1");
	assert_int_equal(url.hosts[0].port, 7000);
	assert_int_equal(url.database, 3);
	url = parse("redis://:secret@redis");
	assert_string_equal(url.user, "");
	assert_string_equal(url.password, "secret");
	assert_int_equal(url.hosts[0].port, 6379);
	url = parse("redis+sentinel://:secret@a,b:1/main/2");
	assert_int_equal(url.hosts_len, 2);
	assert_int_equal(url.hosts[0].port, 26379);
	assert_string_equal(url.master, "main");
	assert_int_equal(url.database, 2);
	url = parse("unix:///run/redis.sock?4");
	assert_string_equal(url.socket, "/run/redis.sock");
	assert_int_equal(url.database, 4);
}

static void what_is_none_is_refused_without_its_password(void **state)
{
	static const char *const wrong[] = { "", "http://a", "redis://", "redis://:hidden@",
		"redis://:hidden@a:b", "redis://:hidden@a:0", "redis://:hidden@a:65536",
		"redis://:hidden@a/x", "redis://a,b", "redis://:hidden@[::1", "redis://[::1]x",
		"redis+sentinel://:hidden@a", "redis+sentinel://a/", "unix://relative", "rediss://:hidden@a",
		"redis://:%00hidden@a" };
	struct redis_url url;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (redis_url_parse(wrong[i], &url, &err))
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_null(strstr(err.text, "hidden"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_taken_apart),
		cmocka_unit_test(what_is_none_is_refused_without_its_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
