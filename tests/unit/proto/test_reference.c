/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reference - a tag or a digest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/reference.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void tells_a_digest_from_a_tag(void **state)
{
	static const char *const texts[] = { "latest", "_x", "1.2.3-rc.1_a", "A", DIGEST, "sha256-abc" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct reference reference;
		char text[DIGEST_TEXT_SIZE];

		assert_true(reference_parse(str_of(texts[i]), &reference, NULL));
		assert_int_equal(reference.is_digest, i == 4);
		reference_format(&reference, text);
		assert_string_equal(text, texts[i]);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *code;
	} cases[] = {
		{ "", "MANIFEST_INVALID" },
		{ ".a", "MANIFEST_INVALID" },
		{ "-a", "MANIFEST_INVALID" },
		{ "a b", "MANIFEST_INVALID" },
		{ "a/b", "MANIFEST_INVALID" },
		{ "a+b", "MANIFEST_INVALID" },
		{ "\xc3\xa9", "MANIFEST_INVALID" },
		{ "sha256:abc", "DIGEST_INVALID" },
		{ "a:b", "DIGEST_INVALID" },
		{ ":", "DIGEST_INVALID" },
		{ DIGEST "0", "DIGEST_INVALID" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reference reference = { .tag = "untouched" };
		struct error err;

		assert_false(reference_parse(str_of(cases[i].text), &reference, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.code, cases[i].code);
		assert_string_equal(reference.tag, "untouched");
	}
}

static void tags_are_bounded(void **state)
{
	char text[TAG_MAX_LEN + 1];
	struct reference reference;
	char again[DIGEST_TEXT_SIZE];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(reference_parse(str_from(text, TAG_MAX_LEN), &reference, NULL));
	reference_format(&reference, again);
	assert_int_equal(strlen(again), TAG_MAX_LEN);
	assert_false(tag_is_valid(str_from(text, TAG_MAX_LEN + 1)));
	assert_false(tag_is_valid(str_from("a\0b", 3)));
	assert_false(tag_is_valid(STR_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_a_digest_from_a_tag),
		cmocka_unit_test(refuses),
		cmocka_unit_test(tags_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
