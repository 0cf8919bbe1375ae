/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3_v2 - the examples that AWS published with their signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_v2.h"

static const struct s3_keys example = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
};

static void add(struct http_headers *headers, const char *name, const char *value)
{
	assert_true(http_headers_add(headers, str_of(name), str_of(value)));
}

static void expect(struct s3_v2_request request, struct http_headers *headers, const char *signature)
{
	char wanted[128];
	struct error err;

	if (!s3_v2_sign(&example, &request, headers, &err))
		fail_msg("%s", err.text);
	snprintf(wanted, sizeof wanted, "AWS AKIAIOSFODNN7EXAMPLE:%s", signature);
	assert_string_equal(http_headers_find(headers, "Authorization"), wanted);
}

static void objects(void **state)
{
	AUTO(http_headers) *get = http_headers_new();
	AUTO(http_headers) *put = http_headers_new();

	(void)state;
	add(get, "Date", "Tue, 27 Mar 2007 19:36:42 +0000");
	expect((struct s3_v2_request){ .method = "GET", .bucket = "johnsmith", .path = "/photos/puppy.jpg" },
		get, "bWq2s1WEIj+Ydj0vQ697zp+IXMU=");
	add(put, "Content-Type", "image/jpeg");
	add(put, "Date", "Tue, 27 Mar 2007 21:15:45 +0000");
	expect((struct s3_v2_request){ .method = "PUT", .path = "/johnsmith/photos/puppy.jpg" }, put,
		"MyyxeRY7whkBe+bq8fHCL/2kKUg=");
}

static void only_some_parameters_count(void **state)
{
	AUTO(http_headers) *list = http_headers_new();
	AUTO(http_headers) *acl = http_headers_new();

	(void)state;
	add(list, "Date", "Tue, 27 Mar 2007 19:42:41 +0000");
	expect((struct s3_v2_request){ .method = "GET",
		       .bucket = "johnsmith",
		       .path = "/",
		       .query = STR("prefix=photos&max-keys=50&marker=puppy") },
		list, "htDYFYduRNen8P9ZfE/s9SuKy0U=");
	add(acl, "Date", "Tue, 27 Mar 2007 19:44:46 +0000");
	expect(
		(struct s3_v2_request){
			.method = "GET", .bucket = "johnsmith", .path = "/", .query = STR("acl") },
		acl, "c2WLPFtWHVgbEmeEG93a4cG37dM=");
}

static void headers_of_amazon(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();

	(void)state;
	add(headers, "User-Agent", "curl/7.15.5");
	add(headers, "Date", "Tue, 27 Mar 2007 21:06:08 +0000");
	add(headers, "x-amz-acl", "public-read");
	add(headers, "content-type", "application/x-download");
	add(headers, "Content-MD5", "4gJE4saaMU4BqNR0kLY+lw==");
	add(headers, "X-Amz-Meta-ReviewedBy", "joe@johnsmith.net,jane@johnsmith.net");
	add(headers, "X-Amz-Meta-FileChecksum", "0x02661779");
	add(headers, "X-Amz-Meta-ChecksumAlgorithm", "crc32");
	expect(
		(struct s3_v2_request){
			.method = "PUT", .bucket = "static.johnsmith.net", .path = "/db-backup.dat.gz" },
		headers, "ilyl83RwaSoYIEdixDQcA4OnAnc=");
}

static void in_the_url(void **state)
{
	AUTO_FINI(buf) query = buf_limit(4096);
	const struct s3_v2_request request = {
		.method = "GET", .bucket = "johnsmith", .path = "/photos/puppy.jpg"
	};
	struct error err;

	(void)state;
	assert_true(s3_v2_sign_url(&example, &request, 1175139620, &query, &err));
	assert_string_equal(buf_text(&query),
		"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&Signature="
		"NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D");
}

/* Without a Date x-amz-date says when, and is signed in its place. */
static void our_own_date(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	struct s3_keys keys = example;
	const struct s3_v2_request request = { .method = "GET", .path = "/b/k", .wall_s = 1175024202 };
	struct error err;

	(void)state;
	keys.session_token = "token";
	assert_true(s3_v2_sign(&keys, &request, headers, &err));
	assert_string_equal(http_headers_find(headers, "x-amz-date"), "Tue, 27 Mar 2007 19:36:42 GMT");
	assert_string_equal(http_headers_find(headers, "x-amz-security-token"), "token");
	assert_string_equal(http_headers_find(headers, "Authorization"),
		"AWS AKIAIOSFODNN7EXAMPLE:LORH4BzVtp3MfVe8bSNtRsmr8fI=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects),
		cmocka_unit_test(only_some_parameters_count),
		cmocka_unit_test(headers_of_amazon),
		cmocka_unit_test(in_the_url),
		cmocka_unit_test(our_own_date),
	};

	return cmocka_run_group_tests_name("s3_v2", tests, NULL, NULL);
}
