/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_public_key - keys that count and keys that do not; signatures of each kind, and what is not one.
 */
#include "tests/unit/signing.h"

#include "common/cleanup.h"
#include "common/public_key.h"

static struct public_key *key_of(EVP_PKEY *pkey)
{
	AUTO_FINI(buf) pem = buf_limit(PUBLIC_KEY_PEM_MAX);
	AUTO_FINI(buf) again = buf_limit(PUBLIC_KEY_PEM_MAX);
	struct public_key *key;
	struct error err;

	signing_pem_of(pkey, &pem);
	assert_true(public_key_parse_pem(&key, buf_str(&pem), &err));
	public_key_pem(key, &again);
	assert_true(str_equal(buf_str(&pem), buf_str(&again)));
	return key;
}

static const struct {
	const char *kind, *jose, *digest;
} kinds[] = {
	{ "rsa2048", "PS256", "SHA256" },
	{ "rsa3072", "PS384", "SHA384" },
	{ "P-256", "ES256", "SHA256" },
	{ "P-384", "ES384", "SHA384" },
	{ "P-521", "ES512", "SHA512" },
	{ "ed25519", NULL, NULL },
};

static void each_kind(const char *kind, const char *jose, const char *digest)
{
	/* A large one takes seconds to make. */
	EVP_PKEY *pkey = signing_key(kind), *other = signing_key(!strncmp(kind, "rsa", 3) ? "rsa2048" : kind);
	AUTO(public_key) *key = key_of(pkey);
	AUTO(public_key) *wrong = key_of(other);
	struct str text = STR("what was said");
	struct signing_der plain = signing_sign(pkey, digest ? "SHA256" : NULL, false, text), made;

	assert_true(public_key_verify(key, SIGNATURE_SHA256, text, signing_str(&plain)));
	assert_false(public_key_verify(wrong, SIGNATURE_SHA256, text, signing_str(&plain)));
	assert_false(public_key_verify(key, SIGNATURE_SHA256, STR("what was sais"), signing_str(&plain)));
	assert_false(public_key_verify(key, SIGNATURE_JOSE, text, signing_str(&plain)));
	assert_false(public_key_verify(key, SIGNATURE_SHA256, text, STR_NONE));
	assert_false(public_key_verify(key, SIGNATURE_SHA256, text, str_from(plain.at, plain.len - 1)));
	if (!jose) {
		assert_null(public_key_jose(key));
	} else {
		assert_string_equal(public_key_jose(key), jose);
		made = signing_sign(pkey, digest, true, text);
		assert_true(public_key_verify(key, SIGNATURE_JOSE, text, signing_str(&made)));
		assert_false(public_key_verify(wrong, SIGNATURE_JOSE, text, signing_str(&made)));
		assert_false(public_key_verify(key, SIGNATURE_SHA256, text, signing_str(&made)));
		made.at[made.len / 2] ^= 1;
		assert_false(public_key_verify(key, SIGNATURE_JOSE, text, signing_str(&made)));
	}
	EVP_PKEY_free(pkey);
	EVP_PKEY_free(other);
}

static void signatures_of_each_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		each_kind(kinds[i].kind, kinds[i].jose, kinds[i].digest);
}

static void refuses(struct str pem, const char *why)
{
	struct public_key *key;
	struct error err;

	assert_false(public_key_parse_pem(&key, pem, &err));
	if (!strstr(err.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, err.text);
}

static void weak_and_strange_keys_are_refused(void **state)
{
	static const struct {
		const char *kind, *why;
	} some[] = { { "rsa1024", "1024 bits" }, { "secp256k1", "256 bits" }, { "P-224", "224 bits" } };

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		AUTO_FINI(buf) pem = buf_limit(PUBLIC_KEY_PEM_MAX);
		EVP_PKEY *pkey = signing_key(some[i].kind);

		signing_pem_of(pkey, &pem);
		refuses(buf_str(&pem), some[i].why);
		EVP_PKEY_free(pkey);
	}
}

static void an_exponent_that_is_made_to_cost(void **state)
{
	AUTO_FINI(buf) pem = buf_limit(PUBLIC_KEY_PEM_MAX);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_new();
	EVP_PKEY *pkey = NULL;

	(void)state;
	assert_true(BN_set_bit(exponent, 100) && BN_set_bit(exponent, 0));
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) > 0);
	assert_true(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent) > 0);
	assert_int_equal(EVP_PKEY_generate(ctx, &pkey), 1);
	signing_pem_of(pkey, &pem);
	refuses(buf_str(&pem), "exponent");
	EVP_PKEY_free(pkey);
	EVP_PKEY_CTX_free(ctx);
	BN_free(exponent);
}

static void what_is_no_key(void **state)
{
	AUTO_FINI(buf) pem = buf_limit(PUBLIC_KEY_PEM_MAX);
	AUTO_FINI(buf) text = buf_limit(3 * PUBLIC_KEY_PEM_MAX);
	EVP_PKEY *pkey = signing_key("P-256");
	struct public_key *key;
	struct error err;

	(void)state;
	signing_pem_of(pkey, &pem);
	EVP_PKEY_free(pkey);
	refuses(STR(""), "no PEM");
	refuses(STR("junk"), "no PEM");
	refuses(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "PRIVATE KEY");
	refuses(STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "no public key");
	buf_format(&text, "%s%s", buf_text(&pem), buf_text(&pem));
	refuses(buf_str(&text), "more than one");
	buf_clear(&text);
	buf_format(&text, "x\n%s", buf_text(&pem));
	refuses(buf_str(&text), "more than one");
	while (text.len <= PUBLIC_KEY_PEM_MAX)
		buf_puts(&text, "\n");
	refuses(buf_str(&text), "at most");
	assert_false(public_key_parse(&key, STR(""), &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_of_each_kind),
		cmocka_unit_test(weak_and_strange_keys_are_refused),
		cmocka_unit_test(an_exponent_that_is_made_to_cost),
		cmocka_unit_test(what_is_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
