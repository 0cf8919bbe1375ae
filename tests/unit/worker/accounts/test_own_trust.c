/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_own_trust - keys of a worker without leaders: durable, the same once, gone when deleted, so many and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/remove_tree.h"
#include "worker/accounts/own_trust.h"

static int setup(void **state)
{
	static char folder[] = "/tmp/test_own_trust.XXXXXX";

	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	*state = mkdtemp(folder);
	return *state ? 0 : 1;
}

static int teardown(void **state)
{
	return remove_tree(*state) ? 0 : 1;
}

static struct entity *key_of(unsigned number)
{
	char pem[200];
	struct entity *key;

	(void)snprintf(
		pem, sizeof(pem), "-----BEGIN PUBLIC KEY-----\n%u\n-----END PUBLIC KEY-----\n", number);
	assert_true(trust_key_new(TRUST_COSIGN, str_of(pem), &key, NULL));
	return key;
}

static bool add(struct own_trust *own, unsigned number, struct error *err)
{
	AUTO(entity) *key = key_of(number);

	return own_trust_add(own, key, err);
}

static size_t count(struct own_trust *own)
{
	AUTO(state) *state = own_trust_state(own);

	return state_count(state, ENTITY_TRUST);
}

static struct own_trust *opened(const char *folder)
{
	struct own_trust *own;
	struct error err;

	if (!own_trust_open(&own, folder, &err))
		fail_msg("%s", err.text);
	return own;
}

static void keys_come_and_go(void **state)
{
	const char *folder = *state;
	struct own_trust *own = opened(folder);
	AUTO(entity) *one = key_of(1);
	struct error err;

	assert_true(add(own, 1, &err) && add(own, 1, &err) && add(own, 2, &err));
	assert_int_equal(count(own), 2);
	assert_true(own_trust_remove(own, entity_id(one), &err));
	assert_false(own_trust_remove(own, entity_id(one), &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	own_trust_free(own);
	own = opened(folder);
	assert_int_equal(count(own), 1);
	own_trust_free(own);
}

static void so_many_and_no_more(void **state)
{
	AUTO(own_trust) *own = opened(*state);
	struct error err;

	for (unsigned i = 0; i < TRUST_KEYS_MOST; i++)
		assert_true(add(own, i, &err));
	assert_false(add(own, TRUST_KEYS_MOST, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_true(add(own, 0, &err));
	assert_int_equal(count(own), TRUST_KEYS_MOST);
}

static void a_file_of_something_else(void **state)
{
	char path[300];
	struct own_trust *own;
	struct error err;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/" OWN_TRUST_FILE, (const char *)*state);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("this is no database, but long enough to be looked at as one "
			  "............................................................",
			    file) > 0);
	assert_int_equal(fclose(file), 0);
	assert_false(own_trust_open(&own, *state, &err));
	assert_non_null(strstr(err.text, OWN_TRUST_FILE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(so_many_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_of_something_else, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
