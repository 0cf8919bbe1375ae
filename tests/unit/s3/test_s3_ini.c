/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3_ini - files as the tools of AWS write them, and as people do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_ini.h"

static const char file[] = "# mine\n"
			   "aws_access_key_id = nobody's\n"
			   "[default]\r\n"
			   "aws_access_key_id=AKIA1\r\n"
			   "aws_secret_access_key =  a/b+c=d  \n"
			   "; an old one\n"
			   "\n"
			   "[ profile  dev ] # the other\n"
			   "Role_Arn = arn:aws:iam::1:role/r ; said who\n"
			   "s3 =\n"
			   "  aws_access_key_id = nested\n"
			   "empty =\n"
			   "no key here\n"
			   "[default]\n"
			   "region = eu-west-3\n"
			   "aws_access_key_id = AKIA2#3";

static void expect(const char *section, const char *key, const char *value)
{
	struct str found = STR_NONE;

	if (!s3_ini_find(str_of(file), str_of(section), key, &found))
		fail_msg("no %s in %s", key, section);
	if (!str_is(found, value))
		fail_msg("%s of %s is \"%.*s\"", key, section, STR_ARGS(found));
}

static void finds(void **state)
{
	(void)state;
	expect("default", "aws_secret_access_key", "a/b+c=d");
	expect("default", "region", "eu-west-3");
	expect("profile dev", "role_arn", "arn:aws:iam::1:role/r");
	expect("profile dev", "s3", "");
	expect("profile dev", "empty", "");
}

static void the_last_one_counts(void **state)
{
	(void)state;
	expect("default", "aws_access_key_id", "AKIA2#3");
}

static void does_not_find(void **state)
{
	struct str found = STR("before");

	(void)state;
	assert_false(s3_ini_find(str_of(file), STR("profile dev"), "aws_access_key_id", &found));
	assert_false(s3_ini_find(str_of(file), STR("profile"), "role_arn", &found));
	assert_false(s3_ini_find(str_of(file), STR("dev"), "role_arn", &found));
	assert_false(s3_ini_find(STR_NONE, STR("default"), "region", &found));
	assert_true(str_is(found, "before"));
}

static void knows_sections(void **state)
{
	(void)state;
	assert_true(s3_ini_has(str_of(file), STR("default")));
	assert_true(s3_ini_has(str_of(file), STR("profile dev")));
	assert_false(s3_ini_has(str_of(file), STR("profile de")));
	assert_false(s3_ini_has(str_of(file), STR("profile dev x")));
	assert_false(s3_ini_has(STR("[default"), STR("default")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(the_last_one_counts),
		cmocka_unit_test(does_not_find),
		cmocka_unit_test(knows_sections),
	};

	return cmocka_run_group_tests_name("s3_ini", tests, NULL, NULL);
}
