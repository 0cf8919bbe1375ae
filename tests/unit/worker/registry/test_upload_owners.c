/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is one owner, who has most, and that nothing stays of who has nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "worker/auth/auth.h"
#include "worker/registry/upload_owners.h"

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

static void who_has_most_is_found(void **state)
{
	static const uint64_t bytes[] = { 1, 3, UINT64_C(1) << 40, 1000, UINT64_MAX };
	AUTO(upload_owners) *owners = upload_owners_new();
	struct upload_owner *at[5];

	(void)state;
	assert_null(upload_owners_most(owners));
	for (unsigned i = 0; i < 5; i++) {
		char name[] = { (char)('a' + i), '\0' };
		at[i] = upload_owners_join(owners, str_of(name));
	}
	assert_null(upload_owners_most(owners));
	for (unsigned i = 0; i < 5; i++)
		upload_owners_count(owners, at[i], bytes[i]);
	assert_ptr_equal(upload_owners_most(owners), at[4]);
	upload_owners_count(owners, at[4], 2);
	assert_ptr_equal(upload_owners_most(owners), at[2]);
	upload_owners_count(owners, at[2], 0);
	assert_ptr_equal(upload_owners_most(owners), at[3]);
	for (unsigned i = 0; i < 5; i++) {
		upload_owners_count(owners, at[i], 0);
		upload_owners_leave(owners, at[i]);
	}
	assert_null(upload_owners_most(owners));
	assert_int_equal(upload_owners_len(owners), 0);
}

static void the_last_session_takes_the_owner_along(void **state)
{
	AUTO(upload_owners) *owners = upload_owners_new();
	struct upload_owner *owner = upload_owners_join(owners, STR("a"));

	(void)state;
	assert_ptr_equal(upload_owners_join(owners, STR("a")), owner);
	assert_ptr_equal(upload_owners_find(owners, STR("a")), owner);
	assert_int_equal(owner->sessions, 2);
	upload_owners_leave(owners, owner);
	assert_int_equal(upload_owners_len(owners), 1);
	upload_owners_leave(owners, owner);
	assert_null(upload_owners_find(owners, STR("a")));
	assert_int_equal(upload_owners_len(owners), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_is_a_key_a_user_or_an_address),
		cmocka_unit_test(names_of_every_length_fit),
		cmocka_unit_test(who_has_most_is_found),
		cmocka_unit_test(the_last_session_takes_the_owner_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
