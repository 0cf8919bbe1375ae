/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3_loan - answers with keys in them, as AWS documents them, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_loan.h"

#define NOON 1763812800 /* 2025-11-22T12:00:00Z */

static const char xml[] =
	"<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
	"<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>amzn1</SubjectFromWebIdentityToken>"
	"<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/zot</Arn></AssumedRoleUser><Credentials>"
	"<SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>"
	"<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>"
	"<Expiration>2025-11-22T13:00:00Z</Expiration><AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>"
	"</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

#define JSON(end)                                                                                            \
	"{\"Code\":\"Success\",\"LastUpdated\":\"2012-04-26T16:39:16Z\",\"Type\":\"AWS-HMAC\","              \
	"\"AccessKeyId\":"                                                                                   \
	"\"ASIAIOSFODNN7EXAMPLE\",\"SecretAccessKey\":\"wJalr/"                                              \
	"K7\",\"Token\":\"token\",\"Expiration\":\"" end "\"}"

static void answers_of_sts(void **state)
{
	struct s3_loan loan;
	struct error err;

	(void)state;
	if (!s3_loan_parse_xml(str_of(xml), NOON, &loan, &err))
		fail_msg("%s", err.text);
	assert_string_equal(loan.access_key, "ASgeIAIOSFODNN7EXAMPLE");
	assert_string_equal(loan.secret_key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
	assert_string_equal(loan.session_token, "AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE");
	assert_true(loan.ends);
	assert_int_equal(loan.left_ms, 3600 * 1000);
}

static void answers_of_a_machine(void **state)
{
	struct s3_loan loan;
	struct error err;

	(void)state;
	if (!s3_loan_parse_json(STR(JSON("2025-11-22T12:10:00Z")), NOON, &loan, &err))
		fail_msg("%s", err.text);
	assert_string_equal(loan.access_key, "ASIAIOSFODNN7EXAMPLE");
	assert_string_equal(loan.session_token, "token");
	assert_int_equal(loan.left_ms, 600 * 1000);
}

static void refuse_json(const char *text, enum error_kind kind, const char *word)
{
	struct s3_loan loan = { .left_ms = 7 };
	struct error err = { 0 };

	assert_false(s3_loan_parse_json(str_of(text), NOON, &loan, &err));
	assert_int_equal(loan.left_ms, 7);
	if (err.kind != kind || !strstr(err.text, word))
		fail_msg("%s: %s", error_kind_name(err.kind), err.text);
	assert_null(strstr(err.text, "wJalr"));
}

static void broken_ones(void **state)
{
	char huge[20000];

	(void)state;
	refuse_json("<html>", ERROR_INVALID, "no JSON");
	refuse_json("{}", ERROR_INVALID, "access key is missing");
	refuse_json("{\"AccessKeyId\":\"a\"}", ERROR_INVALID, "secret key is missing");
	refuse_json("{\"AccessKeyId\":\"a b\",\"SecretAccessKey\":\"wJalr\"}", ERROR_INVALID, "access key");
	refuse_json("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"wJalr\\r\\nX: y\"}", ERROR_INVALID,
		"secret key has a character");
	refuse_json("{\"AccessKeyId\":7,\"SecretAccessKey\":\"wJalr\"}", ERROR_INVALID, "missing");
	refuse_json("{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", ERROR_UNAVAILABLE,
		"AssumeRoleUnauthorizedAccess");
	refuse_json(JSON("2025-11-22T12:00:00Z"), ERROR_UNAVAILABLE, "ended already");
	refuse_json(JSON("tomorrow"), ERROR_INVALID, "no time");
	snprintf(huge, sizeof huge, "{\"AccessKeyId\":\"%0300d\",\"SecretAccessKey\":\"s\"}", 1);
	refuse_json(huge, ERROR_TOO_LARGE, "over 256 bytes");
	snprintf(huge, sizeof huge, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"%09000d\"}",
		1);
	refuse_json(huge, ERROR_TOO_LARGE, "session token is over 8192");
}

static void xml_without_keys(void **state)
{
	struct s3_loan loan;
	struct error err;

	(void)state;
	assert_false(s3_loan_parse_xml(
		STR("<ErrorResponse><Code>ExpiredTokenException</Code></ErrorResponse>"), NOON, &loan, &err));
	assert_non_null(strstr(err.text, "no keys"));
}

static void times(void **state)
{
	static const char *const wrong[] = { "", "2025-11-22", "2025-11-22T12:00:00",
		"2025-11-22T12:00:00+01:00", "2025-13-22T12:00:00Z", "2025-00-22T12:00:00Z",
		"2025-11-22T24:00:00Z", "2025-11-22T12:00:00.Z", "1969-11-22T12:00:00Z",
		"2025-11-2212:00:00Z", "2025-11-22T12:00:00Zx" };
	int64_t at = 0;

	(void)state;
	assert_true(s3_loan_parse_time(STR("2025-11-22T12:00:00Z"), &at));
	assert_int_equal(at, NOON);
	assert_true(s3_loan_parse_time(STR("2025-11-22T12:00:00.123456Z"), &at));
	assert_int_equal(at, NOON);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (s3_loan_parse_time(str_of(wrong[i]), &at))
			fail_msg("%s", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_of_sts),
		cmocka_unit_test(answers_of_a_machine),
		cmocka_unit_test(broken_ones),
		cmocka_unit_test(xml_without_keys),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests_name("s3_loan", tests, NULL, NULL);
}
