/* SPDX-License-Identifier: Apache-2.0 */
/* few_each: so many for each address, so many in all, and the rest is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/few_each.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return ip;
}

static void an_address_has_its_own_few(void **state)
{
	AUTO(few_each) *few =
		few_each_new(&(struct few_each_terms){ .each = 2, .all = 100, .span_ms = 1000 });
	struct ip loud = ip_of("192.0.2.1"), quiet = ip_of("2001:db8::1");

	(void)state;
	assert_true(few_each_take(few, &loud, 5000) && few_each_take(few, &loud, 5001));
	assert_false(few_each_take(few, &loud, 5002));
	assert_true(few_each_take(few, &quiet, 5003));
	assert_true(few_each_take(few, &loud, 6000));
}

/* A site has a /64 to itself. */
static void addresses_of_one_site_are_one(void **state)
{
	AUTO(few_each) *few =
		few_each_new(&(struct few_each_terms){ .each = 1, .all = 100, .span_ms = 1000 });
	struct ip one = ip_of("2001:db8::1"), two = ip_of("2001:db8::2");

	(void)state;
	assert_true(few_each_take(few, &one, 5000));
	assert_false(few_each_take(few, &two, 5000));
}

static void all_of_them_have_few_together(void **state)
{
	AUTO(few_each) *few = few_each_new(&(struct few_each_terms){ .each = 1, .all = 3, .span_ms = 1000 });
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.0.%u", i);
		struct ip ip = ip_of(text);
		taken += few_each_take(few, &ip, 5000);
	}
	assert_int_equal(taken, 3);
	assert_int_equal(few_each_missed(few, 5000), 197);
}

static void what_was_missed_is_told_once_a_span(void **state)
{
	AUTO(few_each) *few = few_each_new(&(struct few_each_terms){ .each = 1, .all = 9, .span_ms = 1000 });
	struct ip ip = ip_of("192.0.2.1");

	(void)state;
	assert_true(few_each_take(few, &ip, 5000));
	assert_int_equal(few_each_missed(few, 5000), 0);
	assert_false(few_each_take(few, &ip, 5100) || few_each_take(few, &ip, 5200));
	assert_int_equal(few_each_missed(few, 5300), 2);
	assert_false(few_each_take(few, &ip, 5400));
	assert_int_equal(few_each_missed(few, 6299), 0);
	assert_int_equal(few_each_missed(few, 6300), 1);
	assert_int_equal(few_each_missed(few, 9000), 0);
}

static void names_have_few_as_addresses_do(void **state)
{
	AUTO(few_each) *few = few_each_new(&(struct few_each_terms){ .each = 2, .all = 3, .span_ms = 1000 });
	struct str loud = STR("ann"), quiet = STR("ben");

	(void)state;
	assert_true(few_each_take_name(few, loud, 5000) && few_each_take_name(few, loud, 5001));
	assert_false(few_each_take_name(few, loud, 5002));
	assert_true(few_each_take_name(few, quiet, 5003));
	assert_false(few_each_take_name(few, quiet, 5004));
	assert_int_equal(few_each_missed(few, 5005), 2);
	assert_true(few_each_take_name(few, loud, 6001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_its_own_few),
		cmocka_unit_test(addresses_of_one_site_are_one),
		cmocka_unit_test(all_of_them_have_few_together),
		cmocka_unit_test(names_have_few_as_addresses_do),
		cmocka_unit_test(what_was_missed_is_told_once_a_span),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
