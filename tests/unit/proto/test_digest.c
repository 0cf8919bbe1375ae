/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_digest - sha256 and sha512, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/digest.h"

#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY_512                                                                                            \
	"sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"                            \
	"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"

static void parses_and_formats(void **state)
{
	static const char *const texts[] = { EMPTY_256, EMPTY_512 };
	char text[DIGEST_TEXT_SIZE];
	char encoded[129];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct digest digest;

		assert_true(digest_parse(str_of(texts[i]), &digest, NULL));
		assert_int_equal(digest.alg, i ? HASH_SHA512 : HASH_SHA256);
		digest_format(&digest, text);
		assert_string_equal(text, texts[i]);
		digest_encoded(&digest, encoded);
		assert_string_equal(encoded, texts[i] + 7);
		assert_string_equal(digest_algorithm(&digest), i ? "sha512" : "sha256");
	}
}

static void refuses(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		"sha256",
		"sha256:",
		EMPTY_256 "0",
		"sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
		"SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha256:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b785",
		"md5:d41d8cd98f00b204e9800998ecf8427e",
		" " EMPTY_256,
		EMPTY_256 "\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct digest digest = { .alg = HASH_MD5 };
		struct error err;

		assert_false(digest_parse(str_of(texts[i]), &digest, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.code, "DIGEST_INVALID");
		assert_int_equal(digest.alg, HASH_MD5);
	}
}

static void compares(void **state)
{
	struct digest a = digest_of(HASH_SHA256, STR("a"));
	struct digest b = digest_of(HASH_SHA256, STR("b"));
	struct digest again = a;

	(void)state;
	again.raw[63] ^= 1; /* not part of a sha256 */
	assert_true(digest_equal(&a, &again));
	assert_false(digest_equal(&a, &b));
	again.alg = HASH_SHA512;
	assert_false(digest_equal(&a, &again));
}

static void hashes(void **state)
{
	AUTO(hasher) *hasher = hasher_new(HASH_SHA512);
	struct digest digest = digest_of(HASH_SHA256, STR(""));
	char text[DIGEST_TEXT_SIZE];

	(void)state;
	digest_format(&digest, text);
	assert_string_equal(text, EMPTY_256);
	digest = digest_of_hasher(HASH_SHA512, hasher);
	digest_format(&digest, text);
	assert_string_equal(text, EMPTY_512);
	hasher_add(hasher, "x", 1);
	digest = digest_of_hasher(HASH_SHA512, hasher);
	digest_format(&digest, text);
	assert_string_not_equal(text, EMPTY_512);
}

static void knows_its_algorithms(void **state)
{
	enum hash_kind kind = HASH_MD5;

	(void)state;
	assert_true(digest_algorithm_parse(STR("sha512"), &kind) && kind == HASH_SHA512);
	assert_true(digest_algorithm_parse(STR("sha256"), &kind) && kind == HASH_SHA256);
	assert_false(digest_algorithm_parse(STR("md5"), &kind));
	assert_false(digest_algorithm_parse(STR("sha"), &kind));
	assert_false(digest_algorithm_parse(STR_NONE, &kind));
	assert_int_equal(kind, HASH_SHA256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_formats),
		cmocka_unit_test(refuses),
		cmocka_unit_test(compares),
		cmocka_unit_test(hashes),
		cmocka_unit_test(knows_its_algorithms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
