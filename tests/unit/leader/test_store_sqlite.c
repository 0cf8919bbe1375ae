/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crash is a child process that ends by _exit(): nothing is closed, nothing is checkpointed.
 */
#include "leader/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/file.h"
#include "proto/entity_table.h"

struct rig {
	char folder[64];
	struct store *store;
};

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-store-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	assert_true(store_open_sqlite(&rig->store, rig->folder, &err));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	store_close(rig->store);
	assert_true(file_remove_tree(rig->folder, NULL));
	free(rig);
	return 0;
}

static void reopen(struct rig *rig)
{
	struct error err;

	store_close(rig->store);
	rig->store = NULL;
	assert_true(store_open_sqlite(&rig->store, rig->folder, &err));
}

static struct entity *make_user(const char *name, bool enabled)
{
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	user.enabled = enabled;
	return entity_new(ENTITY_USER, str_of(name), 0, &user);
}

static enum store_result put(
	struct store *store, struct entity *entity, bool check, uint64_t expected, uint64_t *ret_revision)
{
	struct store_change change = { .entity = entity, .check = check, .expected = expected };
	struct error err;
	size_t at = 99;
	enum store_result result = store_write(store, &change, 1, ret_revision, &at, &err);

	entity_free(entity);
	return result;
}

struct seen {
	unsigned count, deleted;
	uint64_t last;
	struct store_loaded loaded;
};

static bool see(void *arg, struct entity *entity)
{
	struct seen *seen = arg;

	seen->count++;
	seen->deleted += entity_is_deleted(entity);
	assert_true(entity_revision(entity) >= seen->last);
	seen->last = entity_revision(entity);
	return true;
}

static struct seen load(struct store *store)
{
	struct seen seen = { 0 };
	struct error err;

	assert_true(store_load_entities(store, see, &seen, &seen.loaded, &err));
	return seen;
}

static void writes_and_compares(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;

	assert_int_equal(put(rig->store, make_user("a", true), true, 0, &revision), STORE_WRITTEN);
	assert_int_equal(revision, 1);
	assert_int_equal(put(rig->store, make_user("a", false), true, 0, &revision), STORE_STALE);
	assert_int_equal(revision, 1);
	assert_int_equal(put(rig->store, make_user("a", false), true, 1, &revision), STORE_WRITTEN);
	assert_int_equal(put(rig->store, make_user("b", true), false, 0, &revision), STORE_WRITTEN);
	assert_int_equal(put(rig->store, entity_new_deleted(ENTITY_USER, STR("a"), 0), true, 2, &revision),
		STORE_WRITTEN);
	assert_int_equal(revision, 4);
	assert_int_equal(put(rig->store, make_user("a", true), true, 2, &revision), STORE_STALE);
	assert_int_equal(revision, 0);
	reopen(rig);
	struct seen seen = load(rig->store);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.deleted, 1);
	assert_int_equal(seen.loaded.revision, 4);
	assert_int_equal(seen.loaded.forgotten, 0);
}

static void a_batch_is_all_or_nothing(void **state)
{
	struct rig *rig = *state;
	AUTO(entity) *a = make_user("a", true);
	AUTO(entity) *b = make_user("b", true);
	struct store_change changes[] = { { .entity = a, .check = true },
		{ .entity = b, .check = true, .expected = 7 } };
	uint64_t revision = 0;
	struct error err;
	size_t at = 99;

	assert_int_equal(store_write(rig->store, changes, 2, &revision, &at, &err), STORE_STALE);
	assert_int_equal(at, 1);
	assert_int_equal(load(rig->store).count, 0);
	changes[1].expected = 0;
	assert_int_equal(store_write(rig->store, changes, 2, &revision, &at, &err), STORE_WRITTEN);
	struct seen seen = load(rig->store);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.loaded.revision, 1);
}

static void too_large_is_refused(void **state)
{
	struct rig *rig = *state;
	struct pair pairs[80];
	struct user user;
	char text[4097];
	uint64_t revision = 0;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	table_defaults(entity_table(ENTITY_USER), &user);
	for (size_t i = 0; i < 80; i++)
		pairs[i] = (struct pair){ "key", text };
	user.metadata = (struct pairs){ pairs, 80 };
	assert_int_equal(put(rig->store, entity_new(ENTITY_USER, STR("big"), 0, &user), false, 0, &revision),
		STORE_FAILED);
	assert_int_equal(load(rig->store).count, 0);
	assert_int_equal(put(rig->store, make_user("a", true), false, 0, &revision), STORE_WRITTEN);
	assert_int_equal(revision, 1);
}

static struct store_merge merge_of(uint64_t seq, struct usage_row *row, struct usage_repository *repository)
{
	return (struct store_merge){ .worker = "w",
		.boot = "b",
		.seq = seq,
		.rows = row,
		.rows_len = 1,
		.repositories = repository,
		.repositories_len = 1 };
}

static uint64_t calls(struct store *store)
{
	struct error err;
	uint64_t count;

	assert_true(store_calls(store, "key", "2026-11-20", &count, &err));
	return count;
}

static bool sum_calls(void *arg, const struct store_usage *usage)
{
	*(uint64_t *)arg += usage->calls + usage->pulls;
	return true;
}

static void merges_exactly_once(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", name[] = "repo";
	struct usage_row row = {
		.apikey = key, .day = "2026-11-20", .calls = 5, .bytes_in = 1, .bytes_out = 2
	};
	struct usage_repository repository = { .name = name, .pulls = 3 };
	struct store_merge merge = merge_of(1, &row, &repository);
	uint64_t sum = 0, seq;
	struct error err;
	bool new;

	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_true(new);
	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_false(new);
	merge.seq = 3;
	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_true(new);
	merge.seq = 2;
	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_false(new);
	merge.boot = "other";
	merge.seq = 1;
	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_true(new);
	reopen(rig);
	assert_int_equal(calls(rig->store), 15);
	assert_true(store_seq(rig->store, "w", "b", &seq, &err));
	assert_int_equal(seq, 3);
	assert_true(store_list_keys(rig->store, "key", "2026-11", 10, sum_calls, &sum, &err));
	assert_int_equal(sum, 15);
	sum = 0;
	assert_true(store_list_repositories(rig->store, NULL, 10, sum_calls, &sum, &err));
	assert_int_equal(sum, 9);
}

static void sums_stop_at_the_end(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", name[] = "repo";
	struct usage_row row = { .apikey = key, .day = "2026-11-20", .calls = INT64_MAX - 1 };
	struct usage_repository repository = { .name = name, .pulls = UINT64_MAX };
	struct store_merge merge = merge_of(1, &row, &repository);
	struct error err;
	bool new;

	for (merge.seq = 1; merge.seq <= 3; merge.seq++)
		assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_int_equal(calls(rig->store), INT64_MAX);
}

static bool take_grant(void *arg, const struct store_grant *grant)
{
	struct store_grant *into = arg;

	into->granted += grant->granted;
	into->used += grant->used;
	return true;
}

static bool take_member(void *arg, const struct store_member *member)
{
	assert_string_equal(member->name, "w1");
	assert_string_equal(member->url, "http://w1");
	++*(unsigned *)arg;
	return true;
}

static void grants_and_members_stay(void **state)
{
	struct rig *rig = *state;
	char worker[] = "w", boot[] = "b", key[] = "key", empty[] = "", name[] = "w1", url[] = "http://w1";
	struct store_grant grants[2] = { { .worker = worker,
						 .boot = boot,
						 .apikey = key,
						 .day = "2999-01-01",
						 .granted = 9,
						 .used = 4 },
		{ .worker = worker, .boot = boot, .apikey = key, .day = "2999-01-02", .granted = 1 } };
	struct store_member member = { .name = name,
		.process = empty,
		.boot = empty,
		.url = url,
		.zone = empty,
		.version = empty,
		.state = empty };
	struct store_merge merge = {
		.worker = worker, .boot = boot, .seq = 1, .grants = grants, .grants_len = 2, .member = &member
	};
	struct store_grant sum = { 0 };
	unsigned members = 0;
	struct error err;
	bool new;

	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	/* A copy of a push brings grants too: they are absolute. */
	grants[0].granted = 10;
	assert_true(store_merge_usage(rig->store, &merge, &new, &err));
	assert_false(new);
	reopen(rig);
	assert_true(store_load_grants(rig->store, "2999-01-01", take_grant, &sum, &err));
	assert_int_equal(sum.granted, 11);
	assert_int_equal(sum.used, 4);
	assert_true(store_load_members(rig->store, take_member, &members, &err));
	assert_int_equal(members, 1);
	assert_true(store_delete_member(rig->store, "w1", &err));
	assert_true(store_load_members(rig->store, take_member, &members, &err));
	assert_int_equal(members, 1);
}

static void in_a_child(struct rig *rig, void (*work)(struct store *store))
{
	int status;
	pid_t child;

	store_close(rig->store);
	rig->store = NULL;
	child = fork();
	if (child == 0) {
		struct store *store;
		if (!store_open_sqlite(&store, rig->folder, NULL))
			_exit(9);
		work(store);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(store_open_sqlite(&rig->store, rig->folder, NULL));
}

static void write_a_hundred(struct store *store)
{
	for (unsigned i = 0; i < 100; i++) {
		char name[16];
		uint64_t revision;
		(void)snprintf(name, sizeof(name), "user-%u", i);
		if (put(store, make_user(name, true), true, 0, &revision) != STORE_WRITTEN)
			_exit(8);
	}
}

static void a_crash_loses_nothing(void **state)
{
	struct rig *rig = *state;

	in_a_child(rig, write_a_hundred);
	struct seen seen = load(rig->store);
	assert_int_equal(seen.count, 100);
	assert_int_equal(seen.loaded.revision, 100);
}

static void one_process_at_a_time(void **state)
{
	struct rig *rig = *state;
	struct store *second = NULL;
	struct error err;

	assert_false(store_open_sqlite(&second, rig->folder, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "another process"));
}

static void old_tombstones_are_forgotten(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;

	assert_int_equal(put(rig->store, make_user("gone", true), false, 0, &revision), STORE_WRITTEN);
	assert_int_equal(
		put(rig->store, entity_new_deleted(ENTITY_USER, STR("gone"), 0), false, 0, &revision),
		STORE_WRITTEN);
	for (unsigned i = 0; i < STORE_CHANGES_KEPT; i++)
		assert_int_equal(put(rig->store, make_user("a", i % 2), false, 0, &revision), STORE_WRITTEN);
	reopen(rig);
	struct seen seen = load(rig->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.loaded.forgotten, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_and_compares, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_is_all_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(too_large_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(merges_exactly_once, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_stop_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(grants_and_members_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(one_process_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(old_tombstones_are_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
