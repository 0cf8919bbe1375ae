/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_signing_chain - what a signer's chain must be, one rule after another; and lists of certificates as they come.
 */
#include "tests/unit/signing.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/public_key.h"
#include "common/signing_chain.h"

#define DAY_MS INT64_C(86400000)

struct world {
	EVP_PKEY *root, *middle, *leaf;
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ signing_key("rsa2048"), signing_key("P-256"), signing_key("P-256") };
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	EVP_PKEY_free(world->root);
	EVP_PKEY_free(world->middle);
	EVP_PKEY_free(world->leaf);
	return 0;
}

static struct signing_chain *chain_of(const struct signing_wish *wishes, size_t len)
{
	struct signing_chain *chain = signing_chain_new();

	for (size_t i = 0; i < len; i++) {
		struct signing_der der = signing_certificate(&wishes[i]);

		assert_true(signing_chain_add(chain, signing_str(&der), NULL));
	}
	return chain;
}

static bool is_good(const struct signing_wish *wishes, size_t len, char *why)
{
	AUTO(signing_chain) *chain = chain_of(wishes, len);
	int64_t from, until;
	struct error err = { .text = "" };
	bool good = signing_chain_check(chain, &from, &until, &err);

	(void)snprintf(why, ERROR_TEXT_MAX, "%s", err.text);
	return good;
}

/* Three of them, each good: a test spoils one. */
#define THREE(world)                                                                                         \
	{                                                                                                    \
		{ .subject = "leaf",                                                                         \
			.issuer = "middle",                                                                  \
			.key = (world)->leaf,                                                                \
			.by = (world)->middle,                                                               \
			SIGNING_LEAF },                                                                      \
			{ .subject = "middle",                                                               \
				.issuer = "root",                                                            \
				.key = (world)->middle,                                                      \
				.by = (world)->root,                                                         \
				SIGNING_CA },                                                                \
		{                                                                                            \
			.subject = "root", .key = (world)->root, SIGNING_CA                                  \
		}                                                                                            \
	}

static void a_good_chain(void **state)
{
	struct world *world = *state;
	struct signing_wish wishes[] = THREE(world);
	AUTO_FINI(buf) subject = buf_limit(1000);
	AUTO(public_key) *key = NULL;
	int64_t from, until, now = clock_wall_ms();

	wishes[1].from_days = -2;
	wishes[1].until_days = 7;
	wishes[2].from_days = -9;
	wishes[2].until_days = 9;
	wishes[0].from_days = -3;
	wishes[0].until_days = 8;
	AUTO(signing_chain) *chain = chain_of(wishes, 3);
	assert_true(signing_chain_check(chain, &from, &until, NULL));
	assert_in_range(now - from, 2 * DAY_MS - 60000, 2 * DAY_MS + 60000);
	assert_in_range(until - now, 7 * DAY_MS - 60000, 7 * DAY_MS + 60000);
	signing_chain_subject(chain, &subject);
	assert_string_equal(buf_text(&subject), "CN=leaf,O=acme");
	assert_true(signing_chain_key(chain, &key, NULL));
	assert_string_equal(public_key_jose(key), "ES256");
}

static void one_that_signed_itself(void **state)
{
	struct world *world = *state;
	struct signing_wish leaf = { .subject = "self", .key = world->leaf, SIGNING_LEAF };
	struct signing_wish ca = { .subject = "self", .key = world->leaf, SIGNING_CA };
	char why[ERROR_TEXT_MAX];

	assert_true(is_good(&leaf, 1, why));
	leaf.purpose = NULL;
	assert_true(is_good(&leaf, 1, why));
	leaf.constraints = NULL;
	assert_true(is_good(&leaf, 1, why));
	assert_false(is_good(&ca, 1, why));
	assert_non_null(strstr(why, "CA"));
	leaf.by = world->middle;
	assert_false(is_good(&leaf, 1, why));
	assert_non_null(strstr(why, "not signed by itself"));
}

static void spoiled(struct signing_wish *wishes, size_t len, const char *expected)
{
	char why[ERROR_TEXT_MAX];

	assert_false(is_good(wishes, len, why));
	if (!strstr(why, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, why);
}

static void each_rule(void **state)
{
	struct world *world = *state;
	const struct signing_wish good[] = THREE(world);
	EVP_PKEY *weak = signing_key("P-224");
	struct signing_wish w[3];
	char why[ERROR_TEXT_MAX];

#define SPOIL(expected, ...)                                                                                 \
	memcpy(w, good, sizeof(w));                                                                          \
	__VA_ARGS__;                                                                                         \
	spoiled(w, 3, expected)
	assert_true(is_good(good, 3, why));
	SPOIL("certificate 1 of the chain is a CA's", w[0].constraints = "critical,CA:TRUE");
	SPOIL("may not sign", w[0].usage = NULL);
	SPOIL("may not sign", w[0].usage = "critical,keyEncipherment");
	SPOIL("may not sign", w[0].usage = "critical,digitalSignature,keyCertSign");
	SPOIL("may not sign code", w[0].purpose = "serverAuth");
	SPOIL("certificate 1 of the chain is not signed by the next", w[0].by = world->root);
	SPOIL("certificate 1 of the chain is not signed by the next", w[0].issuer = "other");
	SPOIL("certificate 2 of the chain is no CA's", w[1].constraints = "critical,CA:FALSE");
	SPOIL("certificate 2 of the chain is no CA's", w[1].constraints = NULL);
	SPOIL("certificate 2 of the chain may not sign certificates",
		w[1].usage = "critical,digitalSignature");
	SPOIL("certificate 2 of the chain is not signed by the next", w[1].by = world->leaf);
	SPOIL("certificate 3 of the chain is the last", w[2].issuer = "other"; w[2].by = world->leaf);
	SPOIL("certificate 3 of the chain allows fewer", w[2].constraints = "critical,CA:TRUE,pathlen:0");
	SPOIL("too weak", w[1].digest = "SHA1");
	SPOIL("certificate 2 of the chain: a key of type EC with 224 bits", w[1].key = w[0].by = weak);
	EVP_PKEY_free(weak);
	spoiled(w, 0, "no certificate");
	memcpy(w, good, sizeof(w));
	spoiled(w, 2, "is the last, and not signed by itself");
}

static void lists_as_they_come(void **state)
{
	struct world *world = *state;
	struct signing_wish wishes[] = THREE(world);
	AUTO(signing_chain) *three = chain_of(wishes, 3);
	AUTO(signing_chain) *other = chain_of(wishes, 3);
	AUTO(signing_chain) *pem = NULL;
	AUTO(signing_chain) *der = NULL;
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);
	AUTO_FINI(buf) again = buf_limit(65536);
	AUTO_FINI(buf) bytes = buf_limit(65536);
	struct signing_der one = signing_certificate(&wishes[0]);
	struct error err;

	buf_puts(&text, "subject=somebody\n");
	signing_chain_pem(three, &text);
	assert_true(signing_chain_parse(&pem, buf_str(&text), NULL));
	assert_int_equal(signing_chain_len(pem), 3);
	signing_chain_pem(pem, &again);
	assert_true(str_ends(buf_str(&text), buf_text(&again)));
	assert_true(signing_chain_meets(three, pem));
	assert_false(signing_chain_meets(three, other)); /* the same names, other certificates */
	buf_add(&bytes, signing_str(&one));
	buf_add(&bytes, signing_str(&one));
	assert_true(signing_chain_parse(&der, buf_str(&bytes), NULL));
	assert_int_equal(signing_chain_len(der), 2);
	buf_puts(&bytes, "x");
	assert_false(signing_chain_add(der, buf_str(&bytes), &err));
	assert_non_null(strstr(err.text, "behind"));
	while (signing_chain_len(der) < SIGNING_CHAIN_MOST)
		assert_true(signing_chain_add(der, signing_str(&one), NULL));
	assert_false(signing_chain_add(der, signing_str(&one), &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

static void what_is_none(void **state)
{
	static const char *const texts[] = { "", "junk",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n" };
	struct signing_chain *chain;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(signing_chain_parse(&chain, str_of(texts[i]), &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_chain),
		cmocka_unit_test(one_that_signed_itself),
		cmocka_unit_test(each_rule),
		cmocka_unit_test(lists_as_they_come),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
