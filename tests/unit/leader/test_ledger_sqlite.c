/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQLite's ledger alone does; test_ledger.c has the rest.
 */
#include "leader/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sqlite.h"
#include "tests/unit/leader/ledger_help.h"
#include "tests/unit/leader/ledger_rig.h"

/* Version 1: by worker and boot. */
static const char version_1[] =
	"ALTER TABLE key_usage DROP COLUMN ungranted;"
	"INSERT INTO key_usage VALUES ('key', '2999-01-01', 20, 0, 0), ('key', '2999-01', 20, 0, 0),"
	" ('other', '2999-01-01', 1, 0, 0);"
	"DROP TABLE pushed; DROP TABLE held_grant; DROP TABLE life; DROP TABLE cluster; DROP TABLE pair;"
	"CREATE TABLE pushed (worker TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL, seen INTEGER "
	"NOT "
	"NULL, PRIMARY KEY (worker, boot)) WITHOUT ROWID;"
	"CREATE TABLE held_grant (day TEXT NOT NULL, apikey TEXT NOT NULL, worker TEXT NOT NULL, boot TEXT "
	"NOT "
	"NULL, granted INTEGER NOT NULL, used INTEGER NOT NULL, finished INTEGER NOT NULL,"
	" PRIMARY KEY (day, apikey, worker, boot)) WITHOUT ROWID;"
	"INSERT INTO pushed VALUES ('w', 'a', 7, 4000000000), ('v', 'a', 9, 4000000001), ('w', 'b', 2, "
	"4000000000);"
	"INSERT INTO held_grant VALUES ('2999-01-01', 'key', 'w', 'a', 10, 4, 0),"
	" ('2999-01-01', 'key', 'v', 'a', 5, 5, 0), ('2999-01-01', 'key', 'w', 'b', 3, 3, 1),"
	" ('2999-01-01', 'key', 'w', 'c', 2, 2, 1), ('2999-01-01', 'other', 'w', 'c', 9223372036854775807, "
	"1, 1);"
	"PRAGMA user_version = 1;";

static uint64_t ungranted_of(struct ledger *ledger, const char *apikey, const char *day)
{
	struct ledger_key_day at = { apikey, day };
	struct ledger_calls count;
	struct error err;

	assert_true(ledger_calls(ledger, &at, 1, &count, &err));
	return count.ungranted;
}

static void a_ledger_of_version_1_keeps_its_sums(void **state)
{
	struct rig *rig = *state;
	struct sqlite *db;
	struct error err;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	ledger_close(rig->ledger);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(sqlite_exec(db, version_1, &err));
	sqlite_free(db);
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	assert_int_equal(strlen(load(rig->ledger).loaded.history.cluster), 32);
	assert_int_equal(boot_of(rig->ledger, "a").seq, 9);
	assert_false(boot_of(rig->ledger, "a").finished);
	assert_true(boot_of(rig->ledger, "b").finished);
	assert_int_equal(sums_of(rig->ledger).rows, 3);
	assert_int_equal(sums_of(rig->ledger).used, 4 + 5 + 3 + 2 + 1);
	assert_int_equal(sums_of(rig->ledger).granted, 10 + 5 + 3 + 2 + LEDGER_GRANT_MAX);
	assert_int_equal(ungranted_of(rig->ledger, "key", "2999-01-01"), 20 - 14);
	assert_int_equal(ungranted_of(rig->ledger, "other", "2999-01-01"), 0);
	rig_reopen(rig);
	assert_int_equal(sums_of(rig->ledger).rows, 3);
	assert_int_equal(ungranted_of(rig->ledger, "key", "2999-01-01"), 20 - 14);
}

struct named {
	unsigned rows;
	char owner[64], label[64];
};

static bool see_name(void *arg, const struct ledger_usage *usage)
{
	struct named *named = arg;

	named->rows++;
	assert_true(str_copy(str_of(usage->owner), named->owner, sizeof(named->owner)));
	assert_true(str_copy(str_of(usage->label), named->label, sizeof(named->label)));
	return true;
}

static void expect_owner(struct ledger *ledger, const char *owner, const char *label)
{
	struct ledger_keys which = { .apikey = "key-12345", .window = "2999-01-01" };
	struct named named = { 0 };
	struct error err;

	assert_true(ledger_list_keys(ledger, &which, 10, see_name, &named, &err));
	assert_int_equal(named.rows, 1);
	assert_string_equal(named.owner, owner);
	assert_string_equal(named.label, label);
}

static void forget_table(struct rig *rig)
{
	struct sqlite *db;
	struct error err;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	ledger_close(rig->ledger);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(sqlite_exec(db, "DROP TABLE key_name;", &err));
	sqlite_free(db);
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
}

/* The keys of a file from before get their names when it is opened, and a deleted one keeps what it has. */
static void usage_knows_whose_a_key_is(void **state)
{
	struct rig *rig = *state;
	char name[] = "key-12345";
	struct usage_row row = { .apikey = name, .day = "2999-01-01", .calls = 5 };
	struct ledger_merge merge = merge_of(0, 1, &row);
	struct apikey body = { .owner = "ann",
		.label = "ci",
		.secret_hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	uint64_t revision;

	assert_true(merged(rig->ledger, &merge).added);
	expect_owner(rig->ledger, "", "");
	assert_int_equal(
		put(rig->ledger, entity_new(ENTITY_APIKEY, str_of(name), 0, &body), false, 0, &revision),
		LEDGER_WRITTEN);
	expect_owner(rig->ledger, "ann", "ci");
	forget_table(rig);
	expect_owner(rig->ledger, "ann", "ci");
	assert_int_equal(
		put(rig->ledger, entity_new_deleted(ENTITY_APIKEY, str_of(name), 0), false, 0, &revision),
		LEDGER_WRITTEN);
	rig_reopen(rig);
	expect_owner(rig->ledger, "ann", "ci");
	forget_table(rig);
	expect_owner(rig->ledger, "", "");
}

static void one_process_at_a_time(void **state)
{
	struct rig *rig = *state;
	struct ledger *second = NULL;
	struct error err;

	assert_false(ledger_open_sqlite(&second, rig->folder, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "another process"));
}

/* The version before wrote in between: of its writes only the last is known, so what is older is not taken for
 * another history. */
static void pairs_with_a_gap_are_forgotten(void **state)
{
	struct rig *rig = *state;
	AUTO(sqlite) *db = NULL;
	uint64_t revision = 0;
	struct error err;
	char path[100];

	assert_int_equal(put(rig->ledger, make_user("a", true), true, 0, &revision), LEDGER_WRITTEN);
	struct seen before = load(rig->ledger);
	ledger_close(rig->ledger);
	rig->ledger = NULL;
	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(sqlite_exec(db, "UPDATE meta SET number = 5 WHERE name = 'revision'", &err));
	sqlite_free(TAKE(db));
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	struct seen seen = load(rig->ledger);
	assert_int_equal(pairs_of(rig->ledger).len, 0);
	assert_true(history_same(&before.loaded.history, &seen.loaded.history));
}

static void a_newer_schema_is_refused_by_its_number(void **state)
{
	struct rig *rig = *state;
	char path[128];
	AUTO(sqlite) *db = NULL;
	struct error err;

	ledger_close(rig->ledger);
	rig->ledger = NULL;
	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(sqlite_exec(db, "PRAGMA user_version = 99", &err));
	sqlite_free(db);
	db = NULL;
	assert_false(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	assert_non_null(strstr(err.text, "newer"));
	assert_non_null(strstr(err.text, "99"));
}

/* Between two of its steps others write: the copy is of its last one. */
static void a_copy_is_of_the_moment_of_its_last_step(void **state)
{
	struct rig *rig = *state;
	AUTO(ledger_copy) *copy = NULL;
	struct ledger_loaded loaded, looked;
	char path[100], name[16];
	uint64_t revision = 0;
	bool more = true;
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/copy", rig->folder);
	for (unsigned i = 0; i < 400; i++) {
		(void)snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(put(rig->ledger, make_user(name, true), true, 0, &revision), LEDGER_WRITTEN);
	}
	assert_true(ledger_copy_new(&copy, rig->ledger, path, &err));
	assert_int_equal(put(rig->ledger, make_user("u0", false), false, 0, &revision), LEDGER_WRITTEN);
	while (more)
		assert_true(ledger_copy_step(copy, &more, &err));
	uint64_t copied = revision;
	assert_int_equal(put(rig->ledger, make_user("u1", false), false, 0, &revision), LEDGER_WRITTEN);
	assert_true(ledger_copy_end(copy, &loaded, &err));
	assert_int_equal(loaded.revision, copied);
	assert_true(ledger_look(path, &looked, &err));
	assert_true(history_same(&looked.history, &loaded.history));
}

static void a_restored_ledger_has_a_higher_generation(void **state)
{
	struct rig *rig = *state;
	struct ledger_restored restored;
	struct ledger_loaded loaded;
	char path[100];
	uint64_t revision = 0;
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/copy", rig->folder);
	assert_int_equal(put(rig->ledger, make_user("a", true), true, 0, &revision), LEDGER_WRITTEN);
	struct history before = load(rig->ledger).loaded.history;
	assert_false(ledger_restore(rig->folder, path, &restored, &err));
	assert_non_null(strstr(err.text, "another process"));
	ledger_close(rig->ledger);
	rig->ledger = NULL;
	assert_true(ledger_copy_folder(rig->folder, path, &loaded, &err));
	assert_true(ledger_restore(rig->folder, path, &restored, &err));
	assert_string_equal(restored.loaded.history.cluster, before.cluster);
	assert_true(restored.loaded.history.generation > before.generation);
	assert_int_equal(access(restored.aside, F_OK), 0);
	assert_true(ledger_restore(rig->folder, path, &restored, &err));
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	struct seen seen = load(rig->ledger);
	assert_true(history_same(&seen.loaded.history, &restored.loaded.history));
	assert_int_equal(seen.count, 1);
	assert_int_equal(pairs_of(rig->ledger).len, 1);
}

/* What a worker has, with the revisions that it knows, so that its pair is known. */
static void what_a_worker_knows_becomes_a_ledger(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *empty = state_new();
	AUTO(state) *has = NULL;
	struct entity *user = entity_with_revision_of("ann", 5);
	struct ledger_restored restored;
	struct history history;
	struct error err;

	ledger_close(rig->ledger);
	rig->ledger = NULL;
	assert_true(history_set(&history, STR("00112233445566778899aabbccddeeff"), 3));
	state_set_history(empty, &history);
	has = state_change(empty, &user, 1, 9);
	entity_free(user);
	if (!ledger_restore_state(rig->folder, has, &restored, &err))
		fail_msg("%s", err.text);
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last, 5);
	assert_int_equal(seen.loaded.revision, 9);
	assert_string_equal(seen.loaded.history.cluster, history.cluster);
	assert_true(seen.loaded.history.generation > 3);
	struct told_pairs pairs = pairs_of(rig->ledger);
	assert_int_equal(pairs.len, 1);
	assert_memory_equal(pairs.last.digest, state_digest(has), STATE_DIGEST_BYTES);
}

static struct ledger_calls calls_of(struct ledger *ledger, const char *apikey, const char *window)
{
	struct ledger_key_day at = { apikey, window };
	struct ledger_calls count;
	struct error err;

	assert_true(ledger_calls(ledger, &at, 1, &count, &err));
	return count;
}

static void months_and_bytes_have_sums_of_their_own(void **state)
{
	struct rig *rig = *state;
	char key[] = "key";
	struct usage_row row = { .apikey = key,
		.day = "2999-01-01",
		.calls = 10,
		.ungranted = 1,
		.granted_month = 4,
		.bytes_in = 100,
		.bytes_out = 50,
		.granted_bytes = 120 };
	struct ledger_merge merge = {
		.worker = "w", .process = "p", .boot = "b", .seq = 1, .rows = &row, .rows_len = 1
	};
	struct ledger_usage sum;
	struct ledger_keys which = { .apikey = "key" };
	struct error err;

	assert_true(merged(rig->ledger, &merge).added);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01-01").ungranted, 1);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01").all, 10);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01").ungranted, 6);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01#bytes").all, 150);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01#bytes").ungranted, 30);
	assert_true(ledger_sum_keys(rig->ledger, &which, &sum, &err));
	assert_int_equal(sum.calls, 10);
}

/* Without what version 4 has made of it. */
static const char version_3[] =
	"INSERT INTO key_usage (apikey, window, calls, bytes_in, bytes_out, ungranted) VALUES"
	" ('key', '2999-01-01', 20, 7, 8, 3), ('key', '2999-01', 20, 7, 8, 3), ('none', '2999-01', 5, 0, 0, "
	"0);"
	"PRAGMA user_version = 3;";

static void a_ledger_of_version_3_knows_what_was_used_of_the_month(void **state)
{
	struct rig *rig = *state;
	struct sqlite *db;
	struct error err;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	ledger_close(rig->ledger);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(sqlite_exec(db, version_3, &err));
	sqlite_free(db);
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01-01").ungranted, 3);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01").ungranted, 20);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01#bytes").ungranted, 15);
	assert_int_equal(calls_of(rig->ledger, "none", "2999-01#bytes").all, 0);
	rig_reopen(rig);
	assert_int_equal(calls_of(rig->ledger, "key", "2999-01#bytes").ungranted, 15);
}

static bool no_entity(void *arg, struct entity *entity)
{
	(void)arg;
	(void)entity;
	fail();
	return false;
}

/* A newer program wrote it, or a fault: it is no reason to end in the middle of a word. */
static void an_entity_of_an_unknown_kind_is_refused(void **state)
{
	struct rig *rig = *state;
	struct ledger_loaded loaded;
	struct sqlite *db;
	struct error err;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/leader.db", rig->folder);
	ledger_close(rig->ledger);
	assert_true(sqlite_open(&db, path, &err));
	assert_true(
		sqlite_exec(db, "INSERT INTO entity VALUES (99, 'x', 1, 0, x'81a46b696e64a36f6464')", &err));
	sqlite_free(db);
	assert_true(ledger_open_sqlite(&rig->ledger, rig->folder, &err));
	assert_false(ledger_load_entities(rig->ledger, no_entity, NULL, &loaded, &err));
	assert_non_null(strstr(err.text, "a newer version"));
	assert_non_null(strstr(err.text, " x"));
}

static bool count_grant(void *arg, const struct ledger_grant *grant)
{
	assert_non_null(grant);
	++*(unsigned *)arg;
	return true;
}

static void grants_of_months_are_loaded_while_their_days_are(void **state)
{
	struct rig *rig = *state;
	char boot[] = "b", key[] = "user:ann";
	struct ledger_grant grants[] = { { .boot = boot, .apikey = key, .day = "2999-01", .granted = 1 },
		{ .boot = boot, .apikey = key, .day = "2999-01#bytes", .granted = 1 },
		{ .boot = boot, .apikey = key, .day = "2999-01-09", .granted = 1 },
		{ .boot = boot, .apikey = key, .day = "2998-12", .granted = 1 },
		{ .boot = boot, .apikey = key, .day = "second", .granted = 1 } };
	struct ledger_merge merge = {
		.worker = "w", .process = "p", .boot = boot, .grants = grants, .grants_len = 5
	};
	unsigned seen = 0;
	struct error err;

	(void)merged(rig->ledger, &merge);
	rig_reopen(rig);
	assert_true(ledger_load_grants(rig->ledger, "2999-01-10", count_grant, &seen, &err));
	assert_int_equal(seen, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_ledger_of_version_1_keeps_its_sums, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(one_process_at_a_time, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_copy_is_of_the_moment_of_its_last_step, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_restored_ledger_has_a_higher_generation, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			what_a_worker_knows_becomes_a_ledger, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(pairs_with_a_gap_are_forgotten, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_newer_schema_is_refused_by_its_number, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(usage_knows_whose_a_key_is, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			months_and_bytes_have_sums_of_their_own, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_ledger_of_version_3_knows_what_was_used_of_the_month, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			an_entity_of_an_unknown_kind_is_refused, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			grants_of_months_are_loaded_while_their_days_are, rig_sqlite, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
