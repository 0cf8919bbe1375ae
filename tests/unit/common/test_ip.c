/* SPDX-License-Identifier: Apache-2.0 */
/* ip: addresses of both families, what a proxy writes, networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/ip.h"

static bool is_v4(const struct ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	ip_format(ip, text);
	return !strchr(text, ':');
}

static void addresses_are_read_and_written(void **state)
{
	static const char *const same[] = { "1.2.3.4", "255.255.255.255", "::1", "::", "2001:db8::1" };
	static const char *const wrong[] = { "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"fe80::1%eth0", ":::", "g::1", " 1.2.3.4", "1.2.3.4:80", "[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" };
	char text[INET6_ADDRSTRLEN];
	struct ip ip, mapped;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(ip_parse(str_of(same[i]), &ip));
		ip_format(&ip, text);
		assert_string_equal(text, same[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(ip_parse(str_of(wrong[i]), &ip));
	assert_true(ip_parse(STR("::ffff:1.2.3.4"), &mapped) && ip_parse(STR("1.2.3.4"), &ip));
	assert_true(ip_equal(&ip, &mapped) && is_v4(&mapped));
}

static void a_port_of_a_host_is_passed_over(void **state)
{
	static const char *const good[][2] = { { "1.2.3.4", "1.2.3.4" }, { "1.2.3.4:80", "1.2.3.4" },
		{ "::1", "::1" }, { "[::1]", "::1" }, { "[2001:db8::1]:443", "2001:db8::1" },
		{ "2001:db8::1:443", "2001:db8::1:443" } };
	static const char *const wrong[] = { "", ":", ":80", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "[::1",
		"[::1]80", "[1.2.3.4]", "[]", "unknown", "_hidden", "[::1]:", "\"1.2.3.4\"" };
	char text[INET6_ADDRSTRLEN];
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(ip_parse_host(str_of(good[i][0]), &ip));
		ip_format(&ip, text);
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(ip_parse_host(str_of(wrong[i]), &ip));
}

static bool has(const char *net_text, const char *ip_text)
{
	struct ip_net net;
	struct error err;
	struct ip ip;

	assert_true(ip_parse(str_of(ip_text), &ip));
	if (!ip_net_parse(str_of(net_text), &net, &err))
		fail_msg("%s", err.text);
	return ip_net_has(&net, &ip);
}

static void networks(void **state)
{
	static const char *const wrong[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
		"fd00::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "example.org", "10.0.0.0/0x8" };
	struct ip_net net;
	struct error err;

	(void)state;
	assert_true(has("10.0.0.0/8", "10.255.0.1"));
	assert_false(has("10.0.0.0/8", "11.0.0.1"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1")); /* the other family */
	assert_true(has("::/0", "2001:db8::1"));
	assert_true(has("192.0.2.1", "192.0.2.1"));
	assert_false(has("192.0.2.1", "192.0.2.2"));
	assert_true(has("192.0.2.128/25", "192.0.2.200"));
	assert_false(has("192.0.2.128/25", "192.0.2.100"));
	assert_true(has("fd00::/8", "fdab::1"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(ip_net_parse(str_of(wrong[i]), &net, &err));
		assert_non_null(strstr(err.text, "10.0.0.0/8"));
	}
}

static void a_prefix_is_for_v6_alone(void **state)
{
	struct ip v4, v6, cut;
	char text[INET6_ADDRSTRLEN];

	(void)state;
	assert_true(ip_parse(STR("1.2.3.4"), &v4) && ip_parse(STR("2001:db8:1:2:3:4:5:6"), &v6));
	cut = ip_client(&v4);
	assert_true(ip_equal(&cut, &v4));
	cut = ip_client(&v6);
	ip_format(&cut, text);
	assert_string_equal(text, "2001:db8:1:2::");
}

static void a_client_is_an_address_or_a_network(void **state)
{
	struct ip v4, near, far, six;

	(void)state;
	assert_true(ip_parse(STR("192.0.2.1"), &v4) && ip_parse(STR("2001:db8::1:2:3:4"), &near) &&
		    ip_parse(STR("2001:db8:0:1::1"), &far) && ip_parse(STR("2001:db8::"), &six));
	v4 = ip_client(&v4);
	near = ip_client(&near);
	far = ip_client(&far);
	assert_true(is_v4(&v4) && v4.at[15] == 1);
	assert_true(ip_equal(&near, &six) && !ip_equal(&far, &six));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_an_address_or_a_network),
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(a_port_of_a_host_is_passed_over),
		cmocka_unit_test(networks),
		cmocka_unit_test(a_prefix_is_for_v6_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
