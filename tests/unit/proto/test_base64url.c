/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_base64url - RFC 4648's vectors, and one text for each bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base64url.h"

static void has_the_vectors_of_the_rfc(void **state)
{
	static const struct {
		const char *plain, *text;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg" },
		{ "fo", "Zm8" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "-_-_" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[16];
		char plain[16];
		size_t len = 99;

		base64url_encode(str_of(cases[i].plain), text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(strlen(text), BASE64URL_LEN(strlen(cases[i].plain)));
		assert_true(base64url_decode(str_of(text), plain, sizeof(plain), &len));
		assert_int_equal(len, strlen(cases[i].plain));
		assert_memory_equal(plain, cases[i].plain, len);
	}
}

static void refuses(void **state)
{
	static const char *const texts[] = { "Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm9vY", "+/+/", "Zm 9",
		"Zm9v\n", "Zm9\xff", "Zm.9" };
	char plain[16];
	size_t len = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(base64url_decode(str_of(texts[i]), plain, sizeof(plain), &len));
	assert_false(base64url_decode(STR("Zm9v"), plain, 2, &len));
	assert_int_equal(len, 99);
	assert_true(base64url_decode(STR("Zm9v"), plain, 3, &len));
}

static void takes_every_byte(void **state)
{
	uint8_t bytes[256];
	uint8_t again[256];
	char text[BASE64URL_LEN(256) + 1];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	for (size_t n = 0; n <= 256; n++) {
		base64url_encode(str_from(bytes, n), text);
		assert_true(base64url_decode(str_of(text), again, sizeof(again), &len));
		assert_int_equal(len, n);
		assert_memory_equal(bytes, again, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_vectors_of_the_rfc),
		cmocka_unit_test(refuses),
		cmocka_unit_test(takes_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
