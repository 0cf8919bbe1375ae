/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_buf - limits, sticky failing, and the encodings that append.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"

static void test_appends(void **state)
{
	AUTO_FINI(buf) b = buf_limit(100000);

	(void)state;
	assert_string_equal(buf_text(&b), "");
	buf_puts(&b, "a");
	buf_putc(&b, 'b');
	buf_add(&b, STR("cd"));
	buf_add(&b, STR_NONE);
	buf_append(&b, "e\0f", 3);
	buf_decimal(&b, 42);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.at, "abcde\0f42", 10);
	buf_clear(&b);
	for (int i = 0; i < 5000; i++)
		buf_format(&b, "%d ", i % 10);
	assert_int_equal(b.len, 10000);
	assert_int_equal(strlen(b.at), 10000);
	assert_false(b.failed);
}

static void test_limit_is_exact_and_sticky(void **state)
{
	AUTO_FINI(buf) b = buf_limit(5);
	struct error err;

	(void)state;
	buf_puts(&b, "12345");
	assert_true(buf_check(&b, "it", &err));
	buf_puts(&b, "");
	assert_false(b.failed);
	buf_putc(&b, '6');
	assert_true(b.failed);
	assert_string_equal(buf_text(&b), "12345");
	b.len = 0;
	buf_putc(&b, 'x');
	assert_int_equal(b.len, 0);
	assert_false(buf_check(&b, "the thing", &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	assert_string_equal(err.text, "the thing is over 5 bytes");
	buf_clear(&b);
	buf_puts(&b, "ok");
	assert_true(!b.failed && str_is(buf_str(&b), "ok"));
}

static void test_limit_of_nothing_and_of_all(void **state)
{
	AUTO_FINI(buf) none = { 0 };
	AUTO_FINI(buf) all = buf_limit(SIZE_MAX);

	(void)state;
	buf_puts(&none, "");
	assert_false(none.failed);
	buf_putc(&none, 'x');
	assert_true(none.failed);
	buf_puts(&all, "x");
	assert_false(all.failed);
	assert_null(buf_reserve(&all, SIZE_MAX - 1));
	assert_true(all.failed);
	assert_string_equal(buf_text(&all), "x");
}

static void test_long_formats(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000), small = buf_limit(300);

	(void)state;
	buf_format(&b, "%*d|%s", 500, 7, "end");
	assert_int_equal(b.len, 504);
	assert_true(str_ends(buf_str(&b), "7|end"));
	buf_format(&small, "%*d", 301, 7);
	assert_true(small.failed);
	assert_int_equal(small.len, 0);
}

static void test_reserve(void **state)
{
	AUTO_FINI(buf) b = buf_limit(10);
	char *at = buf_reserve(&b, 10);

	(void)state;
	assert_non_null(at);
	memcpy(at, "0123456789", 10);
	buf_grew(&b, 4);
	assert_string_equal(buf_text(&b), "0123");
	assert_non_null(buf_reserve(&b, 0));
	assert_non_null(buf_reserve(&b, 6));
	assert_null(buf_reserve(&b, 7));
}

static void test_take(void **state)
{
	struct buf b = buf_limit(10);
	size_t len = 9;
	AUTO_STR *empty = buf_take(&b, &len);

	(void)state;
	assert_string_equal(empty, "");
	assert_int_equal(len, 0);
	buf_puts(&b, "abc");
	AUTO_STR *text = buf_take(&b, &len);

	assert_string_equal(text, "abc");
	assert_int_equal(len, 3);
	assert_null(b.at);
	assert_int_equal(b.max, 10);
}

static void test_url(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);

	(void)state;
	buf_url(&b, STR("aZ0-._~/ %\xff\0?"), "/");
	assert_string_equal(buf_text(&b), "aZ0-._~/%20%25%FF%00%3F");
	buf_clear(&b);
	buf_url(&b, STR("a/b"), NULL);
	assert_string_equal(buf_text(&b), "a%2Fb");
}

static void expect_base64(struct str plain, const char *text)
{
	AUTO_FINI(buf) b = buf_limit(1000), back = buf_limit(1000);

	buf_base64(&b, plain.at, plain.len);
	assert_string_equal(buf_text(&b), text);
	assert_true(buf_unbase64(&back, buf_str(&b)));
	assert_true(str_equal(buf_str(&back), plain));
}

static void test_base64(void **state)
{
	static const char *const wrong[] = { "Z", "Zg=", "Zg===", "=", "====", "Zh",
		"Zm9=", "Zg==Zg==", "Zm9 v", "Z-_=", "Zm9v=" };
	AUTO_FINI(buf) b = buf_limit(100);

	(void)state;
	expect_base64(STR(""), "");
	expect_base64(STR("f"), "Zg==");
	expect_base64(STR("fo"), "Zm8=");
	expect_base64(STR("foo"), "Zm9v");
	expect_base64(STR("foob"), "Zm9vYg==");
	expect_base64(STR("\x00\xff\xfe\xfb"), "AP/++w==");
	assert_true(buf_unbase64(&b, STR("Zg")) && str_is(buf_str(&b), "f"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (buf_unbase64(&b, str_of(wrong[i])))
			fail_msg("accepted: %s", wrong[i]);
	}
	assert_true(str_is(buf_str(&b), "f"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_limit_is_exact_and_sticky),
		cmocka_unit_test(test_limit_of_nothing_and_of_all),
		cmocka_unit_test(test_long_formats),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
