/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_own_key - zot's bodies of API keys: what is taken, what is refused, what is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/own_key.h"

#define NOW 1700000000 /* 2023-11-14T22:13:20Z */

static bool make(const char *body, const char *agent, struct entity **ret_key,
	char secret[OWN_KEY_SECRET_SIZE], struct error *err)
{
	const struct own_key_maker maker = { .owner = "ann", .agent = agent, .now_s = NOW };

	return own_key_make(str_of(body), &maker, ret_key, secret, err);
}

static void told(const struct entity *key, const char *secret, int64_t now_s, const char *part)
{
	AUTO_FINI(buf) text = buf_limit(65536);
	struct json_writer w = json_writer(&text);

	own_key_write(&w, key, secret, now_s);
	if (!strstr(buf_text(&text), part))
		fail_msg("%s is not in %s", part, buf_text(&text));
}

static void a_key_is_made_and_told(void **state)
{
	AUTO(entity) *key = NULL;
	char secret[OWN_KEY_SECRET_SIZE], hash[65], whole[128];

	(void)state;
	assert_true(make(
		"{\"label\":\"ci\",\"scopes\":[\"a/**:read\"],\"expirationDate\":\"2024-01-01T00:00:00Z\"}",
		"curl/8", &key, secret, NULL));
	hash_sha256_hex(str_of(secret), hash);
	assert_string_equal(entity_apikey(key)->secret_hash, hash);
	assert_string_equal(entity_apikey(key)->owner, "ann");
	assert_true(entity_apikey(key)->enabled);
	told(key, NULL, NOW, "\"createdAt\":\"2023-11-14T22:13:20");
	told(key, NULL, NOW, "\"expirationDate\":\"2024-01-01T00:00:00");
	told(key, NULL, NOW, "\"isExpired\":false");
	told(key, NULL, NOW + 365 * 86400, "\"isExpired\":true");
	told(key, NULL, NOW, "\"creatorUa\":\"curl/8\"");
	told(key, NULL, NOW, "\"scopes\":[\"a/**:read\"]");
	(void)snprintf(whole, sizeof(whole), "\"apiKey\":\"zak_%s\"}", secret);
	told(key, secret, NOW, whole);
}

static void nothing_is_needed(void **state)
{
	AUTO(entity) *key = NULL;
	char secret[OWN_KEY_SECRET_SIZE];

	(void)state;
	assert_true(make(
		"{\"label\":null,\"expirationDate\":\"0001-01-01T00:00:00Z\"}", NULL, &key, secret, NULL));
	told(key, NULL, NOW, "\"expirationDate\":\"0001-01-01T00:00:00Z\"");
	told(key, NULL, NOW, "\"isExpired\":false");
	told(key, NULL, NOW, "\"scopes\":[]");
}

/* Keys that an administrator made have no such notes. */
static void keys_of_others_can_be_told(void **state)
{
	const struct apikey body = { .owner = "ann", .secret_hash = "" };
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("0123"), 1, &body);

	(void)state;
	told(key, NULL, NOW, "\"createdAt\":\"0001-01-01T00:00:00Z\"");
	told(key, NULL, NOW, "\"creatorUa\":\"\"");
	told(key, NULL, NOW, "\"uuid\":\"0123\"");
}

static void a_long_agent_is_cut_between_characters(void **state)
{
	AUTO(entity) *key = NULL;
	char secret[OWN_KEY_SECRET_SIZE], agent[600];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(agent); i += 2)
		memcpy(agent + i, "\xc3\xa9", 2);
	agent[sizeof(agent) - 2] = '\0';
	assert_true(make("{}", agent, &key, secret, NULL));
	assert_true(str_is_utf8(str_of(entity_apikey(key)->metadata.at[1].value)));
	assert_true(strlen(entity_apikey(key)->metadata.at[1].value) == 254);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *body, *why;
	} wrong[] = {
		{ "", "" },
		{ "[]", "JSON object" },
		{ "{\"label\":1}", "label" },
		{ "{\"scopes\":\"a\"}", "scopes" },
		{ "{\"scopes\":[\"\"]}", "scopes" },
		{ "{\"owner\":\"ben\"}", "unknown member \"owner\"" },
		{ "{\"expirationDat\":\"x\"}", "did you mean \"expirationDate\"" },
		{ "{\"expirationDate\":7}", "must be a text" },
		{ "{\"expirationDate\":\"2023-11-14T22:13:20Z\"}", "in the past" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct entity *key = NULL;
		char secret[OWN_KEY_SECRET_SIZE];
		struct error err;

		assert_false(make(wrong[i].body, "x", &key, secret, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_null(key);
		if (!strstr(err.text, wrong[i].why))
			fail_msg("\"%s\" does not say \"%s\"", err.text, wrong[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_made_and_told),
		cmocka_unit_test(nothing_is_needed),
		cmocka_unit_test(keys_of_others_can_be_told),
		cmocka_unit_test(a_long_agent_is_cut_between_characters),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
