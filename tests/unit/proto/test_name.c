/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_name - the grammar at its edges, and names that would lie on top of the layout.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/name.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void takes(void **state)
{
	static const char *const names[] = {
		"a",
		"0",
		"library/nginx",
		"a--b",
		"a---b",
		"a-b",
		"a_b",
		"a__b",
		"a.b",
		"a/b/c",
		"a1.b2_c3__d4-e5/f",
		"blobs",
		"manifests",
		"tags",
		"referrers",
		"a/blobs",
		"a/manifests/tags",
		"index.json",
		"oci-layout",
		"a/blobs/sha256",
		"a/blobs/sha256/abc",
		"a/blobs/md5/" HEX64,
		"blobs/sha256/" HEX64,
		"a/blobs/sha256/z" HEX64,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct name name;

		if (!name_parse(str_of(names[i]), &name, NULL))
			fail_msg("%s is legal", names[i]);
		assert_string_equal(name.text, names[i]);
		assert_true(str_is(name_str(&name), names[i]));
	}
}

static void refuses(void **state)
{
	static const char *const names[] = {
		"",
		"/",
		"/a",
		"a/",
		"a//b",
		"-a",
		"a-",
		".a",
		"a.",
		"_a",
		"a_",
		"__a",
		"a__",
		"a___b",
		"a..b",
		"a._b",
		"a_.b",
		"a-_b",
		"a.-b",
		"A",
		"aB",
		"a/B",
		"a b",
		" a",
		"a\n",
		"a:b",
		"a@b",
		"..",
		"a/../b",
		"a/./b",
		"_catalog",
		"\xc3\xa9",
		"a%2fb",
		"a\\b",
		"a/-b",
		"a-/b",
		"a/index.json",
		"a/oci-layout/b",
		"a/b/index.log",
		"a/blobs/sha256/" HEX64,
		"a/b/blobs/sha256/" HEX64 "/c",
		"a/blobs/sha512/" HEX64 HEX64,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct name name = { "untouched" };
		struct error err;

		if (name_parse(str_of(names[i]), &name, &err))
			fail_msg("%s is not legal", names[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.code, "NAME_INVALID");
		assert_string_equal(name.text, "untouched");
	}
}

static void is_bounded(void **state)
{
	char text[NAME_MAX_LEN + 1];
	struct name name;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(name_parse(str_from(text, NAME_MAX_LEN), &name, NULL));
	assert_int_equal(strlen(name.text), NAME_MAX_LEN);
	assert_false(name_parse(str_from(text, NAME_MAX_LEN + 1), &name, NULL));
	assert_false(name_parse(str_from("a\0b", 3), &name, NULL));
	assert_false(name_parse(STR_NONE, &name, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes),
		cmocka_unit_test(refuses),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
