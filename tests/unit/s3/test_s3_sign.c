/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_sign - the examples that AWS publishes with their signatures, and what they leave out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_sign.h"

#define MAY_24_2013 1369353600 /* 20130524T000000Z */
#define HOST        "examplebucket.s3.amazonaws.com"

static const struct s3_keys example = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
};

static struct s3_sign_request request_of(
	const char *method, const char *path, const char *query, const char *body)
{
	return (struct s3_sign_request){
		.method = method,
		.host = HOST,
		.path = path,
		.query = str_of(query),
		.body = body,
		.wall_s = MAY_24_2013,
	};
}

static void add(struct http_headers *headers, const char *name, const char *value)
{
	assert_true(http_headers_add(headers, str_of(name), str_of(value)));
}

static void expect(const struct s3_keys *keys, const struct s3_sign_request *request,
	struct http_headers *headers, const char *signed_names, const char *signature)
{
	struct error err = { 0 };
	char wanted[512];

	if (!s3_sign(keys, request, headers, &err))
		fail_msg("%s", err.text);
	snprintf(wanted, sizeof wanted,
		"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
		"SignedHeaders=%s,Signature=%s",
		signed_names, signature);
	assert_string_equal(http_headers_find(headers, "Authorization"), wanted);
	assert_string_equal(http_headers_find(headers, "x-amz-date"), "20130524T000000Z");
}

static void get_object_with_range(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	struct s3_sign_request request = request_of("GET", "/test.txt", "", S3_SIGN_EMPTY_BODY);

	(void)state;
	add(headers, "Range", "bytes=0-9");
	expect(&example, &request, headers, "host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void put_object(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) path = buf_limit(64);
	struct s3_sign_request request = request_of(
		"PUT", NULL, "", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");

	(void)state;
	buf_url(&path, STR("/test$file.text"), "/");
	request.path = buf_text(&path);
	add(headers, "Date", "Fri, 24 May 2013 00:00:00 GMT");
	add(headers, "x-amz-storage-class", "REDUCED_REDUNDANCY");
	expect(&example, &request, headers, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void parameter_without_value(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	struct s3_sign_request request = request_of("GET", "/", "lifecycle", S3_SIGN_EMPTY_BODY);

	(void)state;
	expect(&example, &request, headers, "host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void parameters_in_any_order(void **state)
{
	static const char *const queries[] = { "max-keys=2&prefix=J", "prefix=J&max-keys=2" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		AUTO(http_headers) *headers = http_headers_new();
		struct s3_sign_request request = request_of("GET", "/", queries[i], S3_SIGN_EMPTY_BODY);

		expect(&example, &request, headers, "host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
	}
}

static void url_for_a_day(void **state)
{
	AUTO_FINI(buf) query = buf_limit(4096);
	struct s3_sign_request request = request_of("GET", "/test.txt", "", NULL);
	struct error err = { 0 };

	(void)state;
	assert_true(s3_sign_url(&example, &request, NULL, 86400, &query, &err));
	assert_string_equal(buf_text(&query),
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-"
		"1%2Fs3%2F"
		"aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-"
		"Signature="
		"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static void url_has_an_end(void **state)
{
	AUTO_FINI(buf) query = buf_limit(4096);
	struct s3_sign_request request = request_of("GET", "/test.txt", "", NULL);
	struct error err = { 0 };

	(void)state;
	assert_false(s3_sign_url(&example, &request, NULL, 0, &query, &err));
	assert_false(s3_sign_url(&example, &request, NULL, 7 * 86400 + 1, &query, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_int_equal(query.len, 0);
}

/* Computed independently from the published recipe. */
static void key_of_a_day(void **state)
{
	uint8_t key[32];
	char hex[65];

	(void)state;
	s3_sign_key(&example, "20130524", key);
	str_hex(key, sizeof key, hex);
	assert_string_equal(hex, "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378");
}

static void session_token_is_signed(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	struct s3_sign_request request = request_of("GET", "/", "", S3_SIGN_EMPTY_BODY);
	struct s3_keys keys = example;
	struct error err = { 0 };

	(void)state;
	keys.session_token = "token/with+signs==";
	assert_true(s3_sign(&keys, &request, headers, &err));
	assert_string_equal(http_headers_find(headers, "x-amz-security-token"), keys.session_token);
	assert_non_null(strstr(http_headers_find(headers, "Authorization"),
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
}

/* Blanks around and within a value do not count. */
static void blanks_are_folded(void **state)
{
	static const char *const values[] = { "a b c", "  a   b c " };
	char first[512] = "";

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		AUTO(http_headers) *headers = http_headers_new();
		struct s3_sign_request request = request_of("GET", "/", "", S3_SIGN_EMPTY_BODY);
		struct error err = { 0 };

		add(headers, "x-amz-meta-text", values[i]);
		assert_true(s3_sign(&example, &request, headers, &err));
		if (i == 0)
			assert_true(str_copy(
				str_of(http_headers_find(headers, "Authorization")), first, sizeof first));
		else
			assert_string_equal(http_headers_find(headers, "Authorization"), first);
	}
}

static void too_much_is_refused(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) query = buf_limit(4096);
	struct s3_sign_request request = request_of("GET", "/", NULL, S3_SIGN_EMPTY_BODY);
	struct error err = { 0 };

	(void)state;
	for (int i = 0; i <= S3_SIGN_PARAMETERS_MAX; i++)
		buf_format(&query, "%sp%d=1", i ? "&" : "", i);
	request.query = buf_str(&query);
	assert_false(s3_sign(&example, &request, headers, &err));

	AUTO(http_headers) *many = http_headers_new();
	for (int i = 0; i < S3_SIGN_HEADERS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof name, "x-%d", i);
		add(many, name, "1");
	}
	request.query = STR_NONE;
	assert_false(s3_sign(&example, &request, many, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_object_with_range),
		cmocka_unit_test(put_object),
		cmocka_unit_test(parameter_without_value),
		cmocka_unit_test(parameters_in_any_order),
		cmocka_unit_test(url_for_a_day),
		cmocka_unit_test(url_has_an_end),
		cmocka_unit_test(key_of_a_day),
		cmocka_unit_test(session_token_is_signed),
		cmocka_unit_test(blanks_are_folded),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
