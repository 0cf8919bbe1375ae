/* SPDX-License-Identifier: Apache-2.0 */
/* proxies: who the client is, by X-Forwarded-For of those that are trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/proxies.h"

static const char *client(const struct proxies *proxies, const char *peer_text, const char *forwarded)
{
	static char text[INET6_ADDRSTRLEN];
	struct ip peer, found;

	assert_true(ip_parse(str_of(peer_text), &peer));
	found = proxies_client(proxies, &peer, str_of(forwarded));
	ip_format(&found, text);
	return text;
}

static void the_last_address_that_is_not_trusted_is_the_client(void **state)
{
	static const char *const nets[] = { "10.0.0.0/8", "fd00::/8", "192.0.2.7" };
	AUTO(proxies) *proxies = NULL;

	(void)state;
	assert_true(proxies_new(&proxies, nets, 3, NULL));
	/* Not from a proxy: what it says of others does not count. */
	assert_string_equal(client(proxies, "203.0.113.1", "198.51.100.1"), "203.0.113.1");
	assert_string_equal(client(NULL, "10.0.0.1", "198.51.100.1"), "10.0.0.1");
	assert_string_equal(client(proxies, "10.0.0.1", NULL), "10.0.0.1");
	assert_string_equal(client(proxies, "10.0.0.1", "198.51.100.1"), "198.51.100.1");
	/* What the client itself put in front is passed over. */
	assert_string_equal(client(proxies, "10.0.0.1", "1.1.1.1, 198.51.100.1"), "198.51.100.1");
	assert_string_equal(
		client(proxies, "10.0.0.1", "1.1.1.1,198.51.100.1 , 10.2.3.4,192.0.2.7"), "198.51.100.1");
	assert_string_equal(client(proxies, "fd12::1", "2001:db8::5"), "2001:db8::5");
	assert_string_equal(client(proxies, "10.0.0.1", "[2001:db8::5]:4711"), "2001:db8::5");
	assert_string_equal(client(proxies, "10.0.0.1", "198.51.100.1:4711"), "198.51.100.1");
	/* Proxies all the way: the first of them. */
	assert_string_equal(client(proxies, "10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
}

static void what_is_no_address_ends_at_the_proxy_that_sent_it(void **state)
{
	static const char *const nets[] = { "10.0.0.0/8" };
	static const char *const odd[] = { "", ",", " ", "unknown", "198.51.100.1,", "198.51.100.1, x",
		":::ffff", "198.51.100.1;", "\"198.51.100.1\"", "10.0.0.1.5" };
	AUTO(proxies) *proxies = NULL;
	char many[4096] = "198.51.100.1";

	(void)state;
	assert_true(proxies_new(&proxies, nets, 1, NULL));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_string_equal(client(proxies, "10.0.0.1", odd[i]), "10.0.0.1");
	assert_string_equal(client(proxies, "10.0.0.1", "198.51.100.1, nonsense, 10.0.0.9"), "10.0.0.9");
	for (size_t i = 0, len = strlen(many); i < 40; i++, len += 10)
		memcpy(many + len, ",10.0.0.77", 11);
	assert_string_equal(client(proxies, "10.0.0.1", many), "10.0.0.77");
}

static void wrong_networks_are_refused(void **state)
{
	static const char *const nets[] = { "10.0.0.0/8", "10.0.0.1/8" };
	static const char *many[PROXIES_MAX + 1];
	struct proxies *proxies;
	struct error err;

	(void)state;
	assert_false(proxies_new(&proxies, nets, 2, &err));
	assert_non_null(strstr(err.text, "10.0.0.1/8"));
	for (size_t i = 0; i <= PROXIES_MAX; i++)
		many[i] = "10.0.0.1";
	assert_false(proxies_new(&proxies, many, PROXIES_MAX + 1, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_address_that_is_not_trusted_is_the_client),
		cmocka_unit_test(what_is_no_address_ends_at_the_proxy_that_sent_it),
		cmocka_unit_test(wrong_networks_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
