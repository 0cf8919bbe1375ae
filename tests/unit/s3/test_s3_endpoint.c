/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_endpoint - URLs from settings, and settings that make none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_endpoint.h"

static struct s3_settings settings_of(
	const char *url, const char *bucket, const char *prefix, bool path_style)
{
	return (struct s3_settings){
		.endpoint = url,
		.region = "eu-west-3",
		.bucket = bucket,
		.prefix = prefix,
		.path_style = path_style,
	};
}

static void expect(struct s3_settings settings, const char *host, const char *url, const char *bucket_url)
{
	struct s3_endpoint endpoint = { 0 };
	AUTO_FINI(buf) text = buf_limit(1024);
	struct error err = { 0 };

	if (!s3_endpoint_init(&endpoint, &settings, &err))
		fail_msg("%s", err.text);
	assert_string_equal(endpoint.host, host);
	buf_puts(&text, endpoint.origin);
	s3_endpoint_path(&endpoint, "a+b/c d%2F", &text);
	assert_string_equal(buf_text(&text), url);
	buf_clear(&text);
	buf_puts(&text, endpoint.origin);
	s3_endpoint_path(&endpoint, NULL, &text);
	assert_string_equal(buf_text(&text), bucket_url);
	s3_endpoint_fini(&endpoint);
}

static void refuse(struct s3_settings settings, const char *word)
{
	struct s3_endpoint endpoint = { 0 };
	struct error err = { 0 };

	assert_false(s3_endpoint_init(&endpoint, &settings, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	if (!strstr(err.text, word))
		fail_msg("%s", err.text);
	s3_endpoint_fini(&endpoint);
}

static void both_styles(void **state)
{
	(void)state;
	expect(settings_of("http://127.0.0.1:9000/", "bucket", "zot/zot", true), "127.0.0.1:9000",
		"http://127.0.0.1:9000/bucket/zot/zot/a%2Bb/c%20d%252F", "http://127.0.0.1:9000/bucket");
	expect(settings_of("https://s3.example.com:9000", "bucket", "", false), "bucket.s3.example.com:9000",
		"https://bucket.s3.example.com:9000/a%2Bb/c%20d%252F", "https://bucket.s3.example.com:9000/");
	expect(settings_of("https://s3.example.com", "bucket", "a b", false), "bucket.s3.example.com",
		"https://bucket.s3.example.com/a%20b/a%2Bb/c%20d%252F", "https://bucket.s3.example.com/");
	expect(settings_of("http://[::1]:8000", "Old_Bucket", NULL, true), "[::1]:8000",
		"http://[::1]:8000/Old_Bucket/a%2Bb/c%20d%252F", "http://[::1]:8000/Old_Bucket");
}

/* The Host header leaves out the port of the scheme, and so must the signature. */
static void ports_of_the_scheme(void **state)
{
	(void)state;
	expect(settings_of("https://s3.example.com:443/", "bucket", "", true), "s3.example.com",
		"https://s3.example.com/bucket/a%2Bb/c%20d%252F", "https://s3.example.com/bucket");
	expect(settings_of("http://s3.example.com:80", "bucket", "", true), "s3.example.com",
		"http://s3.example.com/bucket/a%2Bb/c%20d%252F", "http://s3.example.com/bucket");
	expect(settings_of("http://s3.example.com:443", "bucket", "", true), "s3.example.com:443",
		"http://s3.example.com:443/bucket/a%2Bb/c%20d%252F", "http://s3.example.com:443/bucket");
}

static void amazon(void **state)
{
	struct s3_settings china = settings_of(NULL, "bucket", "", true);

	(void)state;
	expect(settings_of(NULL, "bucket", "", false), "bucket.s3.eu-west-3.amazonaws.com",
		"https://bucket.s3.eu-west-3.amazonaws.com/a%2Bb/c%20d%252F",
		"https://bucket.s3.eu-west-3.amazonaws.com/");
	china.region = "cn-north-1";
	expect(china, "s3.cn-north-1.amazonaws.com.cn",
		"https://s3.cn-north-1.amazonaws.com.cn/bucket/a%2Bb/c%20d%252F",
		"https://s3.cn-north-1.amazonaws.com.cn/bucket");
}

static void other_hosts_of_amazon(void **state)
{
	static const struct {
		bool dual_stack, accelerate, fips;
		const char *host;
	} hosts[] = { { true, false, false, "bucket.s3.dualstack.eu-west-3.amazonaws.com" },
		{ false, false, true, "bucket.s3-fips.eu-west-3.amazonaws.com" },
		{ true, false, true, "bucket.s3-fips.dualstack.eu-west-3.amazonaws.com" },
		{ false, true, false, "bucket.s3-accelerate.amazonaws.com" },
		{ true, true, false, "bucket.s3-accelerate.dualstack.amazonaws.com" } };
	struct s3_settings wrong = settings_of(NULL, "bucket", "", true);

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct s3_settings settings = settings_of(NULL, "bucket", "", false);
		struct s3_endpoint endpoint = { 0 };
		struct error err;

		settings.dual_stack = hosts[i].dual_stack;
		settings.accelerate = hosts[i].accelerate;
		settings.fips = hosts[i].fips;
		if (!s3_endpoint_init(&endpoint, &settings, &err))
			fail_msg("%s", err.text);
		assert_string_equal(endpoint.host, hosts[i].host);
		s3_endpoint_fini(&endpoint);
	}
	wrong.accelerate = true;
	refuse(wrong, "the bucket in the host");
	wrong.path_style = false;
	wrong.fips = true;
	refuse(wrong, "no FIPS endpoint");
	/* Where there is an endpoint they say nothing. */
	wrong.endpoint = "http://h";
	expect(wrong, "bucket.h", "http://bucket.h/a%2Bb/c%20d%252F", "http://bucket.h/");
}

static void refused(void **state)
{
	struct s3_settings settings = settings_of("http://h", "bucket", "", true);

	(void)state;
	refuse(settings_of("http://h/path", "bucket", "", true), "has a path");
	refuse(settings_of("http://h//", "bucket", "", true), "has a path");
	refuse(settings_of("h:9000", "bucket", "", true), "http:// or https://");
	refuse(settings_of("http://", "bucket", "", true), "not the URL");
	refuse(settings_of("http://user@h", "bucket", "", true), "not the URL");
	refuse(settings_of("http://h?x", "bucket", "", true), "not the URL");
	refuse(settings_of("http://h", "a/b", "", true), "bucket");
	refuse(settings_of("http://h", NULL, "", true), "bucket");
	refuse(settings_of("http://h", "Upper", "", false), "bucket");
	refuse(settings_of("https://h", "my.bucket", "", false), "path style");
	refuse(settings_of("http://h", "bucket", "/zot", true), "slash");
	refuse(settings_of("http://h", "bucket", "zot/", true), "slash");
	settings.region = NULL;
	refuse(settings, "region");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_styles),
		cmocka_unit_test(ports_of_the_scheme),
		cmocka_unit_test(amazon),
		cmocka_unit_test(other_hosts_of_amazon),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
