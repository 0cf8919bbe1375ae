/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_own_keys - keys of a worker without leaders: found by their secret, durable, bounded, and their owner's alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/sqlite.h"
#include "tests/unit/remove_tree.h"
#include "worker/accounts/own_keys.h"

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/own_keys.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	remove_tree(folder);
	return 0;
}

static struct own_keys *open_keys(void)
{
	struct own_keys *keys = NULL;
	struct error err;

	if (!own_keys_open(&keys, folder, &err))
		fail_msg("%s", err.text);
	return keys;
}

static struct entity *key_of(const char *owner, char hash[65])
{
	const struct own_key_maker maker = { .owner = owner, .agent = "test/1", .now_s = 1700000000 };
	char secret[OWN_KEY_SECRET_SIZE];
	struct entity *key = NULL;

	assert_true(own_key_make(STR("{\"label\":\"x\"}"), &maker, &key, secret, NULL));
	hash_sha256_hex(str_of(secret), hash);
	return key;
}

static bool is_there(struct own_keys *keys, const char hash[65])
{
	AUTO(entity) *key = own_keys_find(keys, hash);

	return key;
}

static void they_survive_the_process(void **state)
{
	AUTO(own_keys) *keys = open_keys();
	char first[65], second[65];
	AUTO(entity) *a = key_of("ann", first);
	AUTO(entity) *b = key_of("ann", second);
	bool removed = false;

	(void)state;
	assert_true(own_keys_add(keys, a, NULL) && own_keys_add(keys, b, NULL));
	assert_true(own_keys_remove(keys, STR("ann"), entity_id(a), &removed, NULL) && removed);
	assert_false(is_there(keys, first));
	own_keys_free(TAKE(keys));
	keys = open_keys();
	assert_false(is_there(keys, first));
	assert_true(is_there(keys, second));
}

static void they_are_their_owners(void **state)
{
	AUTO(own_keys) *keys = open_keys();
	AUTO_FINI(buf) list = buf_limit(65536);
	char hash[65];
	AUTO(entity) *a = key_of("ann", hash);
	bool removed = true;

	(void)state;
	assert_true(own_keys_add(keys, a, NULL));
	assert_true(own_keys_remove(keys, STR("ben"), entity_id(a), &removed, NULL) && !removed);
	assert_true(own_keys_remove(keys, STR("ann"), STR("none"), &removed, NULL) && !removed);
	assert_true(is_there(keys, hash));
	own_keys_list(keys, STR("ben"), 0, &list);
	assert_string_equal(buf_text(&list), "{\"apiKeys\":[]}");
	buf_clear(&list);
	own_keys_list(keys, STR("ann"), 0, &list);
	assert_non_null(strstr(buf_text(&list), "\"label\":\"x\""));
	assert_null(strstr(buf_text(&list), hash));
}

static void each_has_a_hundred_at_most(void **state)
{
	AUTO(own_keys) *keys = open_keys();
	char hash[65];
	struct error err;

	(void)state;
	for (unsigned i = 0; i < OWN_KEYS_MAX; i++) {
		AUTO(entity) *key = key_of("full", hash);

		assert_true(own_keys_add(keys, key, NULL));
	}
	AUTO(entity) *more = key_of("full", hash);
	AUTO(entity) *other = key_of("other", hash);
	assert_false(own_keys_add(keys, more, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "100"));
	assert_true(own_keys_add(keys, other, NULL));
}

static void changes_are_few_in_a_minute(void **state)
{
	AUTO(own_keys) *keys = open_keys();

	(void)state;
	for (unsigned i = 0; i < OWN_KEYS_CHANGES; i++)
		assert_true(own_keys_may_change(keys, STR("busy"), 1000));
	assert_false(own_keys_may_change(keys, STR("busy"), 1000 + OWN_KEYS_CHANGES_MS - 1));
	assert_true(own_keys_may_change(keys, STR("ann"), 1000));
	assert_true(own_keys_may_change(keys, STR("busy"), 1000 + OWN_KEYS_CHANGES_MS));
}

static void what_a_newer_version_wrote_is_not_touched(void **state)
{
	char path[128];
	struct own_keys *keys = open_keys();
	struct sqlite *db = NULL;
	struct error err;

	(void)state;
	own_keys_free(keys);
	(void)snprintf(path, sizeof(path), "%s/" OWN_KEYS_FILE, folder);
	assert_true(sqlite_open(&db, path, NULL) && sqlite_exec(db, "PRAGMA user_version = 2", NULL));
	sqlite_free(db);
	assert_false(own_keys_open(&keys, folder, &err));
	assert_non_null(strstr(err.text, "newer zot-worker"));
}

static void a_file_that_is_none_is_refused(void **state)
{
	char path[128];
	struct own_keys *keys = NULL;
	struct error err;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" OWN_KEYS_FILE, folder);
	assert_true(file_write_durable(
		path, STR("no database at all, but long enough to be looked at"), 0600, NULL));
	assert_false(own_keys_open(&keys, folder, &err));
	assert_non_null(strstr(err.text, OWN_KEYS_FILE));
	assert_null(keys);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(they_survive_the_process),
		ONE(they_are_their_owners),
		ONE(each_has_a_hundred_at_most),
		ONE(changes_are_few_in_a_minute),
		ONE(what_a_newer_version_wrote_is_not_touched),
		ONE(a_file_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
