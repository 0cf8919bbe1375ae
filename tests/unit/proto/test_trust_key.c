/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_trust_key - an upload as an entity: its id is made of it, and what has not its form is refused, as JSON too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "proto/trust_key.h"

#define KEY  "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

static void an_id_is_made_of_it(void **state)
{
	AUTO(entity) *key = NULL;
	AUTO(entity) *cert = NULL;
	AUTO(entity) *other = NULL;
	char hex[65];

	(void)state;
	assert_true(trust_key_new(TRUST_COSIGN, STR(KEY), &key, NULL));
	hash_sha256_hex(STR(KEY), hex);
	assert_true(str_starts(entity_id(key), "cosign-"));
	assert_true(str_ends(entity_id(key), hex));
	assert_int_equal(trust_key_type(key), TRUST_COSIGN);
	assert_string_equal(entity_trust(key)->pem, KEY);
	assert_true(trust_key_new(TRUST_CA, STR(CERT), &cert, NULL));
	assert_true(trust_key_new(TRUST_SIGNING_AUTHORITY, STR(CERT), &other, NULL));
	assert_false(str_equal(entity_id(cert), entity_id(other)));
	assert_true(trust_key_check_id(entity_id(key), NULL) && trust_key_check_id(entity_id(cert), NULL) &&
		    trust_key_check_id(entity_id(other), NULL));
}

static void what_has_not_its_form(void **state)
{
	static const char *const ids[] = { "", "cosign", "cosign-", "cosign-ab", "x-",
		"cosign-0000000000000000000000000000000000000000000000000000000000000000f",
		"cosign-000000000000000000000000000000000000000000000000000000000000000F" };
	static char large[TRUST_PEM_MAX + 2];
	struct entity *key;
	struct error err;

	(void)state;
	assert_false(trust_key_new(TRUST_COSIGN, STR(CERT), &key, &err));
	assert_false(trust_key_new(TRUST_CA, STR(KEY), &key, &err));
	assert_false(trust_key_new(TRUST_COSIGN, STR(""), &key, &err));
	assert_false(trust_key_new(TRUST_COSIGN, str_from(KEY, sizeof(KEY)), &key, &err));
	memset(large, 'A', sizeof(large) - 1);
	assert_false(trust_key_new(TRUST_COSIGN, str_of(large), &key, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_false(trust_key_check_id(str_of(ids[i]), &err));
	assert_true(trust_keys_check_room(TRUST_KEYS_MOST - 1, &err));
	assert_false(trust_keys_check_room(TRUST_KEYS_MOST, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
}

static bool from_json(const char *text, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	AUTO(entity) *key = NULL;

	assert_true(json_parse(str_of(text), &doc, NULL));
	return entity_from_json(ENTITY_TRUST,
		STR("cosign-0000000000000000000000000000000000000000000000000000000000000000"),
		json_root(doc), NULL, &key, err);
}

static void the_same_as_json(void **state)
{
	struct error err;

	(void)state;
	assert_true(from_json("{\"type\":\"cosign\",\"pem\":\"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END "
			      "PUBLIC KEY-----\\n\"}",
		&err));
	assert_false(from_json("{\"type\":\"tsa\",\"pem\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END "
			       "CERTIFICATE-----\\n\"}",
		&err));
	assert_false(from_json("{\"type\":\"cosign\",\"pem\":\"junk\"}", &err));
	assert_false(from_json("{\"type\":\"cosign\"}", &err));
	assert_false(from_json("{\"pem\":\"x\"}", &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_made_of_it),
		cmocka_unit_test(what_has_not_its_form),
		cmocka_unit_test(the_same_as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
