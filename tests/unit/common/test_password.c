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

#include "common/clock.h"
#include "common/password.h"

static void expect_verified(const char *password, const char *hash)
{
	assert_true(password_is_hash(str_of(hash)));
	assert_true(password_verify(str_of(password), str_of(hash), 4));
	assert_false(password_verify(STR("another"), str_of(hash), 4));
	assert_false(password_verify(STR_NONE, str_of(hash), 4));
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
		if (password_is_hash(str_of(none[i])) || password_verify(STR("x"), str_of(none[i]), 4))
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
	assert_true(password_verify(STR("s3cret"), str_of(hash), 4));
	assert_false(password_verify(STR("s3cret\0"), str_of(hash), 4));
	assert_false(password_verify(STR("s3cre"), str_of(hash), 4));
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
		STR("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"), 4));
	assert_false(password_verify(
		str_from(big, 512), STR("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"), 4));
}

static void costs_are_those_of_bcrypt(void **state)
{
	static const struct {
		const char *hash;
		unsigned cost;
	} of[] = {
		{ "", 0 },
		{ "$2b$10$", 0 },
		{ "$2b$05$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96", 5 },
		{ "$2y$12$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96", 12 },
		{ "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 7 },
		{ "$5$rounds=1000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 4 },
		{ "$5$rounds=640000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 14 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		assert_int_equal(password_cost(str_of(of[i].hash)), of[i].cost);
}

static void refuse(const char *hash, unsigned cost, int64_t *least_us)
{
	int64_t begin = clock_cpu_us(), took;

	assert_false(password_verify(STR("wrong password"), str_of(hash), cost));
	took = clock_cpu_us() - begin;
	if (took < *least_us)
		*least_us = took;
}

/* Processor time of this thread, the least of several, one beside the other: what else runs here does not
 * count. */
static void refusals_cost_the_same_whoever_is_asked_for(void **state)
{
	static const char *const hashes[] = {
		"$2b$04$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96",
		"$2b$05$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96",
		"$2b$08$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96",
		"$2b$09$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96",
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
		"$5$rounds=1000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		int64_t nobody = INT64_MAX, took = INT64_MAX, half = INT64_MAX;

		for (unsigned n = 0; n < 7; n++) {
			refuse("", 9, &nobody);
			refuse(hashes[i], 9, &took);
			refuse("", 8, &half);
		}
		if (took < nobody * 3 / 4 || took > nobody * 4 / 3 || half > nobody * 3 / 4)
			fail_msg("%s: %ld us, nobody's %ld us, half of it %ld us", hashes[i], (long)took,
				(long)nobody, (long)half);
	}
}

static void the_right_password_is_right_at_any_cost(void **state)
{
	char hash[PASSWORD_HASH_MAX];

	(void)state;
	assert_true(password_hash(STR("s3cret"), hash, NULL));
	assert_true(password_verify(STR("s3cret"), str_of(hash), 4));
	assert_true(password_verify(STR("s3cret"), str_of(hash), PASSWORD_COST));
	assert_true(password_verify(STR("s3cret"), str_of(hash), 12));
	assert_false(password_verify(STR("s3cre"), str_of(hash), 4));
	assert_false(password_verify(STR(""), STR_NONE, 4));
	assert_false(password_verify(STR("a\0b"), str_of(hash), 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_long_passwords),
		cmocka_unit_test(costs_are_those_of_bcrypt),
		cmocka_unit_test(refusals_cost_the_same_whoever_is_asked_for),
		cmocka_unit_test(the_right_password_is_right_at_any_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
