/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http - methods, header lists, percent-decoding, queries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/http.h"

static void test_words(void **state)
{
	(void)state;
	for (int m = HTTP_GET; m < HTTP_OTHER; m++)
		assert_int_equal(http_method_parse(str_of(http_method_name((enum http_method)m))), m);
	assert_int_equal(http_method_parse(STR("get")), HTTP_OTHER);
	assert_int_equal(http_method_parse(STR("OTHER")), HTTP_OTHER);
	assert_string_equal(http_method_name(HTTP_OTHER), "OTHER");
	assert_string_equal(http_status_text(404), "Not Found");
	assert_string_equal(http_status_text(299), "Unknown");
}

static void test_headers(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	const char *name, *value;

	(void)state;
	assert_true(http_headers_add(headers, STR("Accept"), STR("a/b")));
	assert_true(http_headers_add(headers, STR("accept"), STR(" c/d\t")));
	assert_true(http_headers_add(headers, STR("X-Empty"), STR_NONE));
	assert_true(http_headers_add(headers, STR("X-High"), STR("\xc3\xa9")));
	assert_int_equal(http_headers_len(headers), 4);
	assert_string_equal(http_headers_find(headers, "ACCEPT"), "a/b");
	http_headers_at(headers, 1, &name, &value);
	assert_string_equal(name, "accept");
	assert_string_equal(value, "c/d");
	assert_string_equal(http_headers_find(headers, "x-empty"), "");
	assert_null(http_headers_find(headers, "acc"));
	assert_null(http_headers_find(headers, "accepts"));
	http_headers_free(NULL);
}

/* The example of RFC 7617. */
static void test_basic(void **state)
{
	AUTO_FINI(buf) value = buf_limit(64), small = buf_limit(8);

	(void)state;
	http_basic(STR("Aladdin:open sesame"), &value);
	assert_string_equal(buf_text(&value), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	http_basic(STR("Aladdin:open sesame"), &small);
	assert_true(small.failed);
}

static void test_headers_refuse(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();

	(void)state;
	assert_false(http_headers_add(headers, STR(""), STR("x")));
	assert_false(http_headers_add(headers, STR("a b"), STR("x")));
	assert_false(http_headers_add(headers, STR("a:"), STR("x")));
	assert_false(http_headers_add(headers, STR("a\xc3"), STR("x")));
	assert_false(http_headers_add(headers, STR("a\0"), STR("x")));
	assert_false(http_headers_add(headers, STR("a"), STR("x\r\nb: c")));
	assert_false(http_headers_add(headers, STR("a"), STR("x\0")));
	assert_false(http_headers_add(headers, STR("a"), STR("\x7f")));
	assert_int_equal(http_headers_len(headers), 0);
}

static void test_headers_keep_what_they_were_given(void **state)
{
	AUTO(http_headers) *headers = http_headers_new();
	static char name[16], value[3000];
	const char *there_name, *there_value;

	(void)state;
	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "x-%d", i);
		assert_true(http_headers_add(headers, str_of(name), str_from(value, (size_t)i * 17)));
	}
	assert_true(http_headers_add(headers, STR("long"), str_from(value, sizeof(value))));
	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "X-%d", i);
		assert_int_equal(strlen(http_headers_find(headers, name)), i * 17);
		http_headers_at(headers, (size_t)i, &there_name, &there_value);
		assert_string_equal(there_name + 2, name + 2);
		assert_memory_equal(there_value, value, (size_t)i * 17);
	}
	assert_int_equal(strlen(http_headers_find(headers, "long")), sizeof(value));
}

static void test_token_chars(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++)
		assert_int_equal(
			http_is_token_char((char)c), c && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
								 "RSTUVWXYZ0123456789!#$%&'*+-.^_`|~",
								  (int)c) != NULL);
}

static void test_headers_are_bounded(void **state)
{
	AUTO(http_headers) *lines = http_headers_new();
	AUTO(http_headers) *bytes = http_headers_new();
	static char big[65536];

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_true(http_headers_add(lines, STR("a"), STR("b")));
	assert_false(http_headers_add(lines, STR("a"), STR("b")));
	memset(big, 'x', sizeof(big));
	assert_false(http_headers_add(bytes, STR("a"), str_from(big, 65536)));
	assert_true(http_headers_add(bytes, STR("a"), str_from(big, 65000)));
	assert_true(http_headers_add(bytes, STR("a"), str_from(big, 534)));
	assert_false(http_headers_add(bytes, STR("a"), STR("")));
	assert_int_equal(http_headers_len(bytes), 2);
}

static void test_hops(void **state)
{
	(void)state;
	assert_true(http_header_is_hop(STR("Connection")) && http_header_is_hop(STR("TE")) &&
		    http_header_is_hop(STR("proxy-Authorization")) &&
		    http_header_is_hop(STR("transfer-encoding")) && http_header_is_hop(STR("Keep-Alive")) &&
		    http_header_is_hop(STR("trailer")) && http_header_is_hop(STR("upgrade")));
	assert_false(http_header_is_hop(STR("Content-Length")) || http_header_is_hop(STR("Proxy")) ||
		     http_header_is_hop(STR_NONE));
}

static void test_unescape(void **state)
{
	static const char *const wrong[] = { "%", "a%2", "%zz", "%2g", "%00", "%%20" };
	AUTO_FINI(buf) b = buf_limit(10);

	(void)state;
	assert_true(http_unescape(STR("a%2Fb+%c3"), false, &b));
	assert_string_equal(buf_text(&b), "a/b+\xc3");
	buf_clear(&b);
	assert_true(http_unescape(STR("a+b%2B"), true, &b));
	assert_string_equal(buf_text(&b), "a b+");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(http_unescape(str_of(wrong[i]), false, &b));
	assert_false(http_unescape(STR("x\0"), false, &b));
	assert_string_equal(buf_text(&b), "a b+");
	assert_false(b.failed);
	assert_false(http_unescape(STR("0123456789"), false, &b));
	assert_true(b.failed);
	assert_string_equal(buf_text(&b), "a b+");
}

static void test_query(void **state)
{
	struct str query = STR("&n=10&&last=a%2Fb&flag&n=11&=x&e="), name, value;
	AUTO_FINI(buf) b = buf_limit(100);

	(void)state;
	assert_int_equal(http_query_get(query, "n", &b), 2);
	assert_string_equal(buf_text(&b), "10");
	buf_clear(&b);
	assert_int_equal(http_query_get(query, "last", &b), 1);
	assert_string_equal(buf_text(&b), "a/b");
	assert_int_equal(http_query_get(query, "flag", NULL), 1);
	assert_int_equal(http_query_get(query, "fla", NULL), 0);
	assert_int_equal(http_query_get(query, "", NULL), 1);
	assert_int_equal(http_query_get(STR("l%61st=1&l%6=2"), "last", NULL), 1);
	assert_int_equal(http_query_get(STR_NONE, "last", NULL), 0);
	assert_true(http_query_next(&query, &name, &value) && str_is(name, "n") && str_is(value, "10"));
	assert_true(http_query_next(&query, &name, &value) && str_is(value, "a%2Fb"));
	assert_true(http_query_next(&query, &name, &value) && str_is(name, "flag") && value.len == 0);
	assert_true(http_query_next(&query, &name, &value) && str_is(value, "11"));
	assert_true(http_query_next(&query, &name, &value) && name.len == 0 && str_is(value, "x"));
	assert_true(http_query_next(&query, &name, &value) && str_is(name, "e") && value.len == 0);
	assert_false(http_query_next(&query, &name, &value));
}

static void test_query_with_a_broken_value(void **state)
{
	AUTO_FINI(buf) b = buf_limit(100);

	(void)state;
	assert_int_equal(http_query_get(STR("a=%zz&b=1"), "a", &b), 1);
	assert_true(b.failed);
	assert_string_equal(buf_text(&b), "");
}

static void test_dates(void **state)
{
	static const char *const wrong[] = {
		"",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT",
		"Sun, 06 November 1994 08:49:37 GMT",
		"Sun, 32 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:-7 GMT",
		"Sun, 06 Nov 1969 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	int64_t at = 0;

	(void)state;
	assert_true(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &at));
	assert_true(at == 784111777);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (http_date_parse(str_of(wrong[i]), &at))
			fail_msg("\"%s\" is no date", wrong[i]);
	for (int64_t s = 0; s < INT64_C(4102444800); s += 86400 * 13 + 3661) {
		char text[32];
		clock_http_date(s, text);
		assert_true(http_date_parse(str_of(text), &at));
		assert_true(at == s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_headers_refuse),
		cmocka_unit_test(test_headers_keep_what_they_were_given),
		cmocka_unit_test(test_token_chars),
		cmocka_unit_test(test_headers_are_bounded),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_query_with_a_broken_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
