/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has most, and that nothing stays of who has nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "worker/registry/upload_owners.h"

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
		cmocka_unit_test(who_has_most_is_found),
		cmocka_unit_test(the_last_session_takes_the_owner_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
