/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_error - kinds, context, and texts that are too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/error.h"

static void test_set(void **state)
{
	struct error err = { .sys = 5 };

	(void)state;
	assert_false(error_set(&err, ERROR_DENIED, "DENIED", "user %s", "eve"));
	assert_int_equal(err.kind, ERROR_DENIED);
	assert_string_equal(err.code, "DENIED");
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.text, "user eve");
	assert_false(error_set(NULL, ERROR_DENIED, NULL, "x"));
	assert_false(error_sys(NULL, "x"));
	assert_false(error_add(NULL, "x"));
}

static enum error_kind kind_of(int sys)
{
	struct error err;

	errno = sys;
	assert_false(error_sys(&err, "open %s", "/x"));
	assert_int_equal(err.sys, sys);
	assert_null(err.code);
	assert_memory_equal(err.text, "open /x: ", 9);
	return err.kind;
}

static void test_sys(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(kind_of(ENOSPC), ERROR_FULL);
	assert_int_equal(kind_of(EDQUOT), ERROR_FULL);
	assert_int_equal(kind_of(ENOENT), ERROR_UNKNOWN);
	assert_int_equal(kind_of(EIO), ERROR_INTERNAL);
	assert_int_equal(kind_of(EROFS), ERROR_UNAVAILABLE);
	assert_int_equal(kind_of(EACCES), ERROR_UNAVAILABLE);
	errno = ENOENT;
	assert_false(error_sys(&err, "open"));
	assert_string_equal(err.text, "open: No such file or directory");
}

static void test_add(void **state)
{
	struct error err;

	(void)state;
	error_set(&err, ERROR_BUSY, "CODE", "inner");
	assert_false(error_add(&err, "outer %d", 1));
	assert_string_equal(err.text, "outer 1: inner");
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_string_equal(err.code, "CODE");
	error_set(&err, err.kind, err.code, "again %s", err.text);
	assert_string_equal(err.text, "again outer 1: inner");
}

static void test_cuts(void **state)
{
	struct error err;
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, ERROR_INVALID, NULL, "%s", text);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_add(&err, "front");
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	assert_memory_equal(err.text, "front: xxx", 10);
	errno = EIO;
	error_sys(&err, "%s", text);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void test_names(void **state)
{
	(void)state;
	for (int kind = ERROR_INTERNAL; kind <= ERROR_FULL; kind++) {
		for (int other = ERROR_INTERNAL; other < kind; other++)
			assert_string_not_equal(error_kind_name((enum error_kind)kind),
				error_kind_name((enum error_kind)other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
