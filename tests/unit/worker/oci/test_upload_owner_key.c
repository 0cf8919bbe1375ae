/* SPDX-License-Identifier: Apache-2.0 */
/* Who is one owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/auth/auth.h"
#include "worker/oci/upload_owner_key.h"

static bool same_owner(const struct identity *a, const char *at, const struct identity *b, const char *bt)
{
	AUTO_FINI(buf) first = buf_limit(UPLOAD_OWNER_KEY_MAX);
	AUTO_FINI(buf) second = buf_limit(UPLOAD_OWNER_KEY_MAX);
	struct ip from, to;

	assert_true(ip_parse(str_of(at), &from) && ip_parse(str_of(bt), &to));
	upload_owner_key(a, &from, &first);
	upload_owner_key(b, &to, &second);
	assert_true(first.len && !first.failed && !second.failed);
	return str_equal(buf_str(&first), buf_str(&second));
}

static void an_owner_is_a_key_a_user_or_an_address(void **state)
{
	struct identity nobody = { .user = "", .apikey = "", .anonymous = true };
	struct identity x = { .user = "x", .apikey = "" }, y = { .user = "y", .apikey = "" };
	struct identity key = { .user = "x", .apikey = "k" }, named_so = { .user = "k", .apikey = "" };
	struct identity peers_x = { .user = "x", .apikey = "", .peer = true };

	(void)state;
	assert_true(same_owner(&x, "10.0.0.1", &x, "10.0.0.2"));
	assert_true(same_owner(&x, "10.0.0.1", &peers_x, "10.0.0.2"));
	assert_false(same_owner(&x, "10.0.0.1", &y, "10.0.0.1"));
	assert_false(same_owner(&x, "10.0.0.1", &key, "10.0.0.1"));
	assert_false(same_owner(&key, "10.0.0.1", &named_so, "10.0.0.1"));
	assert_true(same_owner(&nobody, "10.0.0.1", &nobody, "10.0.0.1"));
	assert_false(same_owner(&nobody, "10.0.0.1", &nobody, "10.0.0.2"));
	assert_true(same_owner(&nobody, "fd00::1", &nobody, "fd00::2"));
	assert_false(same_owner(&nobody, "fd00::1", &nobody, "fd01::1"));
}

static void names_of_every_length_fit(void **state)
{
	AUTO_FINI(buf) key = buf_limit(UPLOAD_OWNER_KEY_MAX);
	char name[256];
	struct identity longest = { .user = name, .apikey = "" };
	struct ip at = { { 0 } };

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	upload_owner_key(&longest, &at, &key);
	assert_false(key.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_is_a_key_a_user_or_an_address),
		cmocka_unit_test(names_of_every_length_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
