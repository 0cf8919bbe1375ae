/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_password - published hashes of each kind, and forms that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/password.h"

static void expect_verified(const char *password, const char *hash)
{
	assert_true(password_is_hash(str_of(hash)));
	assert_true(password_verify(str_of(password), str_of(hash)));
	assert_false(password_verify(STR("another"), str_of(hash)));
	assert_false(password_verify(STR_NONE, str_of(hash)));
}

/* bcrypt from the test vectors of crypt_blowfish; the others from "Unix crypt using SHA-256 and SHA-512". */
static void test_vectors(void **state)
{
	(void)state;
	expect_verified("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
	expect_verified("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
	expect_verified("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
	expect_verified("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
	expect_verified("Hello world!",
		"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA");
	expect_verified("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
					"O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1");
}

static void test_forms(void **state)
{
	static const char *const none[] = {
		"",
		"plain",
		"$1$salt$qJH7.N4xYta3aEG/dfqo/0",
		"$apr1$abc$def",
		"{SHA}abc",
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO*W",
		"$5$saltstring$5B8vYYiY",
		"$5$rounds=999999999$s$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
		"$6$saltstring",
		"$6$a:b$svn8",
		"$2b$",
		"$5$",
		"*0",
		"$5$rounds=",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		if (password_is_hash(str_of(none[i])) || password_verify(STR("x"), str_of(none[i])))
			fail_msg("accepted: %s", none[i]);
	}
}

static void test_hash(void **state)
{
	char hash[PASSWORD_HASH_MAX], other[PASSWORD_HASH_MAX], big[73];
	struct error err;

	(void)state;
	assert_true(password_hash(STR("s3cret"), hash, &err));
	assert_true(password_hash(STR("s3cret"), other, &err));
	assert_memory_equal(hash, "$2b$10$", 7);
	assert_string_not_equal(hash, other);
	assert_true(password_verify(STR("s3cret"), str_of(hash)));
	assert_false(password_verify(STR("s3cret\0"), str_of(hash)));
	assert_false(password_verify(STR("s3cre"), str_of(hash)));
	memset(big, 'x', sizeof(big));
	assert_false(password_hash(str_from(big, sizeof(big)), hash, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	assert_false(password_hash(STR("a\0b"), hash, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
}

static void test_long_passwords(void **state)
{
	char big[600];

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_false(password_verify(str_from(big, sizeof(big)),
		STR("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5")));
	assert_false(password_verify(
		str_from(big, 512), STR("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_long_passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
