/* SPDX-License-Identifier: Apache-2.0 */
/* login_refusal: the word for each way in which a login goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/crypto.h"
#include "proto/login_refusal.h"

#define HASH_OF_NONE "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"

static char own[65], before[65];

static void hex_of(const char *secret, char into[65])
{
	uint8_t raw[HASH_MAX];

	hash_bytes(HASH_SHA256, secret, strlen(secret), raw);
	str_hex(raw, 32, into);
}

static struct entity *key_of(const char *id, const char *owner, bool enabled, int64_t before_until)
{
	struct apikey body = { .owner = owner,
		.secret_hash = own,
		.secret_hash_before = before,
		.grace_until = before_until,
		.enabled = enabled };

	return entity_new(ENTITY_APIKEY, str_of(id), 1, &body);
}

static struct entity *user_of(const char *name, const char *hash, bool enabled)
{
	struct user body = { .password_hash = hash, .enabled = enabled };

	return entity_new(ENTITY_USER, str_of(name), 1, &body);
}

static struct state *state_with(struct entity *key)
{
	struct entity *entities[] = { key, user_of("ann", HASH_OF_NONE, true),
		user_of("off", HASH_OF_NONE, false), user_of("empty", "", true) };
	AUTO(state) *empty = state_new();
	struct state *state = state_change(empty, entities, 4, 1);

	for (size_t i = 0; i < 4; i++)
		entity_free(entities[i]);
	return state;
}

static void expect(struct entity *key, const char *user, const char *password, const char *why)
{
	AUTO(state) *with = state_with(key);
	struct login_refusal refusal = { 0 };

	login_refusal_of(with, false, str_of(user), str_of(password), &refusal);
	assert_string_equal(refusal.why, why);
}

static void each_way_has_its_word(void **state)
{
	(void)state;
	hex_of("the secret of now", own);
	hex_of("the secret of before", before);
	expect(key_of("key-12345", "ann", true, 0), "bob", "x", "user_unknown");
	expect(key_of("key-12345", "ann", true, 0), "ann", "x", "password_wrong");
	expect(key_of("key-12345", "ann", true, 0), "off", "x", "user_disabled");
	expect(key_of("key-12345", "ann", true, 0), "empty", "x", "user_without_password");
	expect(key_of("key-12345", "ann", true, 0), "ann", "zak_x", "apikey_unknown");
	expect(key_of("key-12345", "ann", true, 0), "bob", "zak_the secret of now", "apikey_needs_owner");
	expect(key_of("key-12345", "ann", true, 0), "key-12345", "zak_the secret of now",
		"apikey_needs_owner");
	expect(key_of("key-12345", "ann", true, 1), "ann", "zak_the secret of before", "apikey_secret_over");
	expect(key_of("key-12345", "ann", true, 1), "key-12345", "the secret of before",
		"apikey_secret_over");
	expect(key_of("key-12345", "ann", true, 0), "key-12345", "x", "apikey_secret_wrong");
	expect(key_of("key-12345", "ann", false, 0), "ann", "zak_the secret of now", "apikey_disabled");
	expect(key_of("key-12345", "off", true, 0), "key-12345", "the secret of now",
		"apikey_owner_disabled");
}

static void the_key_that_was_meant_is_told(void **state)
{
	AUTO(state) *with = state_with(key_of("key-12345", "ann", false, 0));
	struct login_refusal refusal = { 0 };

	(void)state;
	login_refusal_of(with, false, STR("ann"), STR("zak_the secret of now"), &refusal);
	assert_string_equal(refusal.user, "ann");
	assert_string_equal(refusal.apikey, "key-12345");
}

/* A secret in the place of the name does not go to the log. */
static void of_a_name_that_nobody_has_little_is_told(void **state)
{
	AUTO(state) *with = state_with(key_of("key-12345", "ann", true, 0));
	struct login_refusal refusal = { 0 };

	(void)state;
	login_refusal_of(with, false, STR("correct horse battery staple"), STR("ann"), &refusal);
	assert_string_equal(refusal.user, "correct horse ba...");
	assert_string_equal(refusal.apikey, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_has_its_word),
		cmocka_unit_test(the_key_that_was_meant_is_told),
		cmocka_unit_test(of_a_name_that_nobody_has_little_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
