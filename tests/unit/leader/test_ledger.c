/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every ledger does: each test runs with each driver.
 *
 * A crash is a child process that ends by _exit(): nothing is closed, nothing is checkpointed.
 */
#include "leader/ledger.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/leader/ledger_help.h"
#include "tests/unit/leader/ledger_rig.h"

static void writes_and_compares(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;

	assert_int_equal(put(rig->ledger, make_user("a", true), true, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(revision, 1);
	assert_int_equal(put(rig->ledger, make_user("a", false), true, 0, &revision), LEDGER_STALE);
	assert_int_equal(revision, 1);
	assert_int_equal(put(rig->ledger, make_user("a", false), true, 1, &revision), LEDGER_WRITTEN);
	assert_int_equal(put(rig->ledger, make_user("b", true), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(put(rig->ledger, entity_new_deleted(ENTITY_USER, STR("a"), 0), true, 2, &revision),
		LEDGER_WRITTEN);
	assert_int_equal(revision, 4);
	assert_int_equal(put(rig->ledger, make_user("a", true), true, 2, &revision), LEDGER_STALE);
	assert_int_equal(revision, 0);
	rig_reopen(rig);
	struct seen seen = load(rig->ledger);
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
	struct ledger_change changes[] = { { .entity = a, .check = true },
		{ .entity = b, .check = true, .expected = 7 } };
	uint64_t revision = 0;
	struct error err;
	size_t at = 99;

	assert_int_equal(
		ledger_write(rig->ledger, changes, 2, some_digest, &revision, &at, &err), LEDGER_STALE);
	assert_int_equal(at, 1);
	assert_int_equal(load(rig->ledger).count, 0);
	changes[1].expected = 0;
	assert_int_equal(
		ledger_write(rig->ledger, changes, 2, some_digest, &revision, &at, &err), LEDGER_WRITTEN);
	struct seen seen = load(rig->ledger);
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
	assert_int_equal(put(rig->ledger, entity_new(ENTITY_USER, STR("big"), 0, &user), false, 0, &revision),
		LEDGER_FAILED);
	assert_int_equal(load(rig->ledger).count, 0);
	assert_int_equal(put(rig->ledger, make_user("a", true), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(revision, 1);
}

static uint64_t calls(struct ledger *ledger)
{
	struct error err;
	struct ledger_key_day at = { "key", "2026-11-20" };
	struct ledger_calls count;

	assert_true(ledger_calls(ledger, &at, 1, &count, &err));
	return count.all;
}

static bool sum_calls(void *arg, const struct ledger_usage *usage)
{
	*(uint64_t *)arg += usage->calls + usage->pulls;
	return true;
}

/* Nothing of the boot after `after` may have been merged. */
static void merges_exactly_once(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", name[] = "repo";
	struct usage_row row = {
		.apikey = key, .day = "2026-11-20", .calls = 5, .bytes_in = 1, .bytes_out = 2
	};
	struct usage_repository repository = { .name = name, .pulls = 3 };
	struct ledger_merge merge = merge_of(0, 1, &row);
	uint64_t sum = 0;
	struct error err;

	merge.repositories = &repository;
	merge.repositories_len = 1;
	assert_true(merged(rig->ledger, &merge).added);
	assert_false(merged(rig->ledger, &merge).added);
	merge.after = 1;
	merge.seq = 3;
	assert_true(merged(rig->ledger, &merge).added);
	merge.after = 1;
	merge.seq = 2;
	assert_false(merged(rig->ledger, &merge).added);
	merge.boot = "other";
	merge.after = 0;
	merge.seq = 1;
	assert_true(merged(rig->ledger, &merge).added);
	rig_reopen(rig);
	assert_int_equal(calls(rig->ledger), 15);
	assert_int_equal(boot_of(rig->ledger, "b").seq, 3);
	struct ledger_keys which = { .apikey = "key", .window = "2026-11" };
	assert_true(ledger_list_keys(rig->ledger, &which, 10, sum_calls, &sum, &err));
	assert_int_equal(sum, 15);
	sum = 0;
	assert_true(ledger_list_repositories(rig->ledger, NULL, 10, sum_calls, &sum, &err));
	assert_int_equal(sum, 9);
}

/* [X3] A folder that was renamed, or copied, brings the same counts under another name. */
static void the_boot_alone_says_whose_counts_they_are(void **state)
{
	struct rig *rig = *state;
	char key[] = "key";
	struct usage_row row = { .apikey = key, .day = "2026-11-20", .calls = 5 };
	struct ledger_merge merge = merge_of(0, 1, &row);

	assert_true(merged(rig->ledger, &merge).added);
	merge.worker = "renamed";
	merge.process = "q";
	assert_false(merged(rig->ledger, &merge).added);
	assert_int_equal(calls(rig->ledger), 5);
}

/* A copy of the folder went on with more under the same `after`. */
static void what_was_merged_in_part_is_given_up(void **state)
{
	struct rig *rig = *state;
	char key[] = "key";
	struct usage_row row = { .apikey = key, .day = "2026-11-20", .calls = 5 };
	struct ledger_merge merge = merge_of(0, 3, &row);
	struct ledger_merged result;

	assert_true(merged(rig->ledger, &merge).added);
	merge.seq = 5;
	result = merged(rig->ledger, &merge);
	assert_false(result.added);
	assert_true(result.partly);
	merge.seq = 2;
	assert_false(merged(rig->ledger, &merge).partly);
	merge.after = 5;
	merge.seq = 6;
	assert_true(merged(rig->ledger, &merge).added);
	assert_int_equal(calls(rig->ledger), 10);
}

static void calls_of_many_keys_are_one_question(void **state)
{
	struct rig *rig = *state;
	char plain[] = "key", odd[] = "k\"\\\n\x01\xc3\xa4";
	struct usage_row rows[] = {
		{ .apikey = odd, .day = "2026-11-20", .calls = 7, .ungranted = 2 },
		{ .apikey = plain, .day = "2026-11-21", .calls = 5, .ungranted = 1 },
	};
	const struct ledger_key_day at[] = { { "unknown", "2026-11-20" }, { odd, "2026-11-20" },
		{ plain, "2026-11-20" }, { plain, "2026-11-21" }, { odd, "2026-11-20" } };
	static const struct ledger_calls wanted[] = { { 0, 0 }, { 7, 2 }, { 0, 0 }, { 5, 1 }, { 7, 2 } };
	struct ledger_calls found[5];
	struct ledger_merge merge = merge_of(0, 1, rows);

	merge.rows_len = 2;
	assert_true(merged(rig->ledger, &merge).added);
	memset(found, 'x', sizeof(found));
	assert_true(ledger_calls(rig->ledger, at, 5, found, NULL));
	assert_memory_equal(found, wanted, sizeof(wanted));
}

static void sums_stop_at_the_end(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", name[] = "repo";
	struct usage_row row = { .apikey = key, .day = "2026-11-20", .calls = INT64_MAX - 1 };
	struct usage_repository repository = { .name = name, .pulls = UINT64_MAX };
	struct ledger_merge merge = merge_of(0, 1, &row);

	merge.repositories = &repository;
	merge.repositories_len = 1;
	for (; merge.seq <= 3; merge.after++, merge.seq++)
		assert_true(merged(rig->ledger, &merge).added);
	assert_int_equal(calls(rig->ledger), INT64_MAX);
}

static void a_boot_never_goes_back(void **state)
{
	struct rig *rig = *state;
	struct ledger_merge merge = { .worker = "w", .process = "p", .boot = "b", .number = 9 };
	struct ledger_boot boot;

	(void)merged(rig->ledger, &merge);
	merge.number = 3;
	merge.finished = true;
	(void)merged(rig->ledger, &merge);
	merge.finished = false;
	(void)merged(rig->ledger, &merge);
	rig_reopen(rig);
	boot = boot_of(rig->ledger, "b");
	assert_int_equal(boot.number, 9);
	assert_true(boot.finished);
	assert_false(boot.gone);
	assert_int_equal(boot_of(rig->ledger, "unknown").number, 0);
}

static bool join(void *arg, const char *process)
{
	strcat(arg, process); /* NOLINT */
	return true;
}

/* [X5] Who said "left" is known by its process, whosever counts its last report brought. */
static void who_left_is_known_after_a_restart(void **state)
{
	struct rig *rig = *state;
	struct ledger_merge merge = { .worker = "w", .process = "p", .boot = "b", .gone = true };
	char all[64] = "", newest[64] = "";
	struct error err;

	(void)merged(rig->ledger, &merge);
	rig_reopen(rig);
	assert_true(boot_of(rig->ledger, "p").gone);
	assert_false(boot_of(rig->ledger, "b").gone);
	merge.process = "q";
	(void)merged(rig->ledger, &merge);
	assert_true(ledger_load_gone(rig->ledger, 10, join, all, &err));
	assert_int_equal(strlen(all), 2);
	assert_true(ledger_load_gone(rig->ledger, 1, join, newest, &err));
	assert_int_equal(strlen(newest), 1);
}

struct lives {
	unsigned len;
	struct ledger_life last, before;
};

static bool take_life(void *arg, const struct ledger_life *life)
{
	struct lives *lives = arg;

	lives->len++;
	lives->before = lives->last;
	lives->last = *life;
	return true;
}

static struct lives begin_life(struct rig *rig)
{
	struct lives lives = { 0 };
	struct error err;

	bool joined;

	assert_true(ledger_begin_life(rig->ledger, take_life, &lives, &joined, &err));
	assert_false(joined);
	return lives;
}

/* [X11] */
static void dealings_are_counted_in_each_life(void **state)
{
	struct rig *rig = *state;
	char boot[] = "b", key[] = "key";
	struct ledger_grant grant = { .boot = boot, .apikey = key, .day = "2999-01-01", .granted = 1 };
	struct ledger_merge merge = { .worker = "w", .process = "p", .boot = boot, .grants = &grant };
	struct lives first = begin_life(rig), second;

	assert_int_equal(first.len, 1);
	assert_int_equal(merged(rig->ledger, &merge).dealings, 0);
	/* It is known though nothing was dealt in it: its witness was told. */
	rig_reopen(rig);
	first = begin_life(rig);
	assert_int_equal(first.len, 2);
	merge.registers = true;
	assert_int_equal(merged(rig->ledger, &merge).dealings, 1);
	merge.registers = false;
	merge.grants_len = 1;
	assert_int_equal(merged(rig->ledger, &merge).dealings, 2);
	rig_reopen(rig);
	second = begin_life(rig);
	assert_int_equal(second.len, 3);
	assert_string_equal(second.before.id, first.last.id);
	assert_int_equal(second.before.dealings, 2);
	assert_int_equal(second.last.dealings, 0);
	assert_string_not_equal(second.last.id, first.last.id);
	for (unsigned i = 0; i < LEDGER_LIVES_KEPT + 1; i++) {
		assert_int_equal(merged(rig->ledger, &merge).dealings, 1);
		second = begin_life(rig);
	}
	assert_int_equal(second.len, LEDGER_LIVES_KEPT + 1);
	assert_string_not_equal(second.last.id, second.before.id);
}

/* [X11] */
static void each_life_says_whether_it_has_heard(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_false(begin_life(rig).last.heard);
	assert_true(ledger_put_heard(rig->ledger, true, &err));
	rig_reopen(rig);
	assert_true(begin_life(rig).before.heard);
	rig_reopen(rig);
	assert_false(begin_life(rig).before.heard);
	assert_true(ledger_put_heard(rig->ledger, true, &err));
	assert_true(ledger_put_heard(rig->ledger, false, &err));
	rig_reopen(rig);
	assert_false(begin_life(rig).before.heard);
}

static void hold(struct rig *rig, const char *boot, unsigned keys, uint64_t granted, uint64_t used)
{
	char key[16], *own = check_strdup(boot);

	for (unsigned i = 0; i < keys; i++) {
		struct ledger_grant grant = {
			.boot = own, .apikey = key, .day = "2999-01-01", .granted = granted, .used = used
		};
		struct ledger_merge merge = {
			.worker = "w", .process = "p", .boot = boot, .grants = &grant, .grants_len = 1
		};
		(void)snprintf(key, sizeof(key), "key-%u", i);
		(void)merged(rig->ledger, &merge);
	}
	free(own);
}

/* Rows are bounded by the boots that live. */
static void boots_that_are_over_are_one_row(void **state)
{
	struct rig *rig = *state;
	struct ledger_merge over = { .worker = "w", .process = "p", .boot = "a", .finished = true };
	bool more = true;
	unsigned steps = 0;
	struct error err;

	hold(rig, "a", 5, 9, 4);
	hold(rig, "b", 5, 9, 3);
	hold(rig, "c", 5, 9, 2);
	(void)merged(rig->ledger, &over);
	assert_int_equal(sums_of(rig->ledger).granted, 5 * (4 + 9 + 9));
	over.boot = "b";
	(void)merged(rig->ledger, &over);
	/* A few rows at a time, and the sums are the same at any moment. */
	for (; more; steps++) {
		assert_true(ledger_fold(rig->ledger, 2, &more, &err));
		assert_int_equal(sums_of(rig->ledger).granted, 5 * (4 + 3 + 9));
		assert_int_equal(sums_of(rig->ledger).used, 5 * (4 + 3 + 2));
		if (steps % 2)
			rig_reopen(rig);
	}
	assert_int_equal(steps, 3 + 3 + 1);
	assert_int_equal(sums_of(rig->ledger).rows, 10);
}

static bool take_member(void *arg, const struct ledger_member *member)
{
	assert_string_equal(member->name, "w1");
	assert_string_equal(member->url, "http://w1");
	assert_string_equal(member->tenants, "team-a");
	++*(unsigned *)arg;
	return true;
}

static void grants_and_members_stay(void **state)
{
	struct rig *rig = *state;
	char boot[] = "b", key[] = "key", empty[] = "", name[] = "w1", url[] = "http://w1", team[] = "team-a";
	struct ledger_grant grants[2] = {
		{ .boot = boot, .apikey = key, .day = "2999-01-01", .granted = 9, .used = 4 },
		{ .boot = boot, .apikey = key, .day = "2999-01-02", .granted = 1 }
	};
	struct ledger_member member = { .name = name,
		.process = empty,
		.boot = empty,
		.url = url,
		.zone = empty,
		.tenants = team,
		.version = empty,
		.state = empty };
	struct ledger_merge merge = { .worker = "w",
		.process = "p",
		.boot = boot,
		.after = 0,
		.seq = 1,
		.grants = grants,
		.grants_len = 2,
		.member = &member };
	struct sums sum = { 0 };
	unsigned members = 0;
	struct error err;

	assert_true(merged(rig->ledger, &merge).added);
	/* A copy of the counts brings grants too: they are absolute. */
	grants[0].granted = 10;
	assert_false(merged(rig->ledger, &merge).added);
	rig_reopen(rig);
	assert_true(ledger_load_grants(rig->ledger, "2999-01-01", take_grant, &sum, &err));
	assert_int_equal(sum.granted, 11);
	assert_int_equal(sum.used, 4);
	assert_true(ledger_load_members(rig->ledger, take_member, &members, &err));
	assert_int_equal(members, 1);
	assert_true(ledger_delete_member(rig->ledger, "w1", NULL, &err));
	assert_true(ledger_load_members(rig->ledger, take_member, &members, &err));
	assert_int_equal(members, 1);
}

static void in_a_child(struct rig *rig, void (*work)(struct ledger *ledger))
{
	int status;
	pid_t child;

	ledger_close(rig->ledger);
	rig->ledger = NULL;
	child = fork();
	if (child == 0) {
		if (!rig_open(rig, NULL))
			_exit(9);
		work(rig->ledger);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(rig_open(rig, NULL));
}

static void write_a_hundred(struct ledger *ledger)
{
	for (unsigned i = 0; i < 100; i++) {
		char name[16];
		uint64_t revision;
		(void)snprintf(name, sizeof(name), "user-%u", i);
		if (put(ledger, make_user(name, true), true, 0, &revision) != LEDGER_WRITTEN)
			_exit(8);
	}
}

static void a_crash_loses_nothing(void **state)
{
	struct rig *rig = *state;

	in_a_child(rig, write_a_hundred);
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 100);
	assert_int_equal(seen.loaded.revision, 100);
}

static void old_tombstones_are_forgotten(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;

	assert_int_equal(put(rig->ledger, make_user("gone", true), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(
		put(rig->ledger, entity_new_deleted(ENTITY_USER, STR("gone"), 0), false, 0, &revision),
		LEDGER_WRITTEN);
	for (unsigned i = 0; i < LEDGER_CHANGES_KEPT; i++)
		assert_int_equal(
			put(rig->ledger, make_user("a", i % 2), false, 0, &revision), LEDGER_WRITTEN);
	rig_reopen(rig);
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.loaded.forgotten, 2);
	assert_int_equal(pairs_of(rig->ledger).len, LEDGER_CHANGES_KEPT);
	assert_int_equal(pairs_of(rig->ledger).first.revision, 3);
}

static void a_ledger_knows_whose_it_is_and_what_it_wrote(void **state)
{
	struct rig *rig = *state;
	struct ledger_loaded first = load(rig->ledger).loaded;
	struct ledger_pair other = { .revision = 2, .digest = { 9 } };
	uint64_t revision = 0;
	struct error err;

	assert_int_equal(strlen(first.history.cluster), 32);
	assert_int_equal(first.history.generation, 1);
	assert_int_equal(pairs_of(rig->ledger).len, 0);
	assert_int_equal(put(rig->ledger, make_user("a", true), true, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(put(rig->ledger, make_user("a", true), true, 0, &revision), LEDGER_STALE);
	assert_int_equal(put(rig->ledger, make_user("b", true), true, 0, &revision), LEDGER_WRITTEN);
	assert_true(ledger_put_pair(rig->ledger, &other, &err));
	assert_true(ledger_put_pair(rig->ledger, &other, &err));
	rig_reopen(rig);
	struct ledger_loaded second = load(rig->ledger).loaded;
	struct told_pairs pairs = pairs_of(rig->ledger);
	assert_true(history_same(&first.history, &second.history));
	assert_int_equal(pairs.len, 3);
	assert_int_equal(pairs.first.revision, 1);
	assert_memory_equal(pairs.first.digest, some_digest, sizeof(some_digest));
	assert_int_equal(pairs.last.revision, 2);
	assert_int_equal(pairs.last.digest[0], 9);
}

/* ---- large writes ---- */

static bool count_row(void *arg, const struct ledger_audit *row)
{
	*(unsigned *)arg += !strcmp(row->user, "ann");
	return true;
}

static unsigned audit_rows(struct ledger *ledger)
{
	const struct ledger_audit_ask ask = { .kind = "user" };
	unsigned rows = 0;
	struct error err;

	assert_true(ledger_list_audit(ledger, &ask, 100000, count_row, &rows, &err));
	return rows;
}

/* Nobody sees it before it is published, and what others write meanwhile stays. */
static void a_large_write_counts_from_one_moment_on(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;
	struct error err;

	assert_int_equal(put(rig->ledger, make_user("before", true), true, 0, &revision), LEDGER_WRITTEN);
	stage(rig->ledger, "user", 300, 1001, true);
	assert_int_equal(put(rig->ledger, make_user("meanwhile", true), true, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(revision, 2);
	assert_int_equal(audit_rows(rig->ledger), 0);
	assert_true(ledger_is_settled(rig->ledger));
	assert_int_equal(ledger_stage_publish(rig->ledger, 1001, some_digest, &err), LEDGER_WRITTEN);
	assert_false(ledger_is_settled(rig->ledger));
	/* One that is newer than a row of it, one that deletes such a row, one that is new. */
	assert_int_equal(put(rig->ledger, make_user("user0000", false), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(revision, 1002);
	assert_int_equal(
		put(rig->ledger, entity_new_deleted(ENTITY_USER, STR("user0299"), 0), false, 0, &revision),
		LEDGER_WRITTEN);
	assert_int_equal(put(rig->ledger, make_user("behind", true), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(settle_all(rig->ledger), rig->redis ? 3 : 4);
	assert_true(ledger_is_settled(rig->ledger));
	assert_int_equal(audit_rows(rig->ledger), 300);
	/* It compares again, with what was settled. */
	assert_int_equal(put(rig->ledger, make_user("user0001", false), true, 0, &revision), LEDGER_STALE);
	assert_int_equal(revision, 1001);
	assert_int_equal(
		put(rig->ledger, make_user("user0000", true), true, 1002, &revision), LEDGER_WRITTEN);
	rig_reopen(rig);
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 303);
	assert_int_equal(seen.deleted, 1);
	assert_int_equal(seen.loaded.revision, 1005);
	assert_int_equal(audit_rows(rig->ledger), 300);
	assert_int_equal(pairs_of(rig->ledger).last.revision, 1005);
}

static void one_that_was_not_published_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	struct error err;

	stage(rig->ledger, "user", 300, 1001, true);
	assert_true(ledger_stage_drop(rig->ledger, &err));
	stage(rig->ledger, "other", 200, 1001, true);
	rig_reopen(rig);
	assert_true(ledger_is_settled(rig->ledger));
	assert_int_equal(load(rig->ledger).count, 0);
	assert_int_equal(audit_rows(rig->ledger), 0);
	assert_true(ledger_stage_begin(rig->ledger, &err));
	put_aside(rig->ledger, "third", 3, 5, false);
	assert_int_equal(ledger_stage_publish(rig->ledger, 5, some_digest, &err), LEDGER_WRITTEN);
	(void)settle_all(rig->ledger);
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.loaded.revision, 5);
}

/* Whoever opens the ledger has all of it; what was settled is not settled twice. */
static void a_crash_behind_the_publishing_loses_nothing(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;
	struct error err;
	bool more;

	stage(rig->ledger, "user", 400, 1001, true);
	assert_int_equal(ledger_stage_publish(rig->ledger, 1001, some_digest, &err), LEDGER_WRITTEN);
	assert_true(ledger_settle(rig->ledger, &more, &err) && more);
	assert_int_equal(put(rig->ledger, make_user("user0399", false), false, 0, &revision), LEDGER_WRITTEN);
	rig_reopen(rig);
	struct seen seen = load(rig->ledger);
	assert_int_equal(seen.count, 400);
	assert_int_equal(seen.last, 1002);
	assert_int_equal(seen.loaded.revision, 1002);
	(void)settle_all(rig->ledger);
	assert_int_equal(audit_rows(rig->ledger), 400);
	seen = load(rig->ledger);
	assert_int_equal(seen.count, 400);
	assert_int_equal(seen.last, 1002);
}

static void its_revision_is_above_all_and_it_is_alone(void **state)
{
	struct rig *rig = *state;
	uint64_t revision = 0;
	struct error err;

	stage(rig->ledger, "user", 2, 2, false);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(put(rig->ledger, make_user("ann", i), false, 0, &revision), LEDGER_WRITTEN);
	assert_int_equal(ledger_stage_publish(rig->ledger, 2, some_digest, &err), LEDGER_STALE);
	assert_true(ledger_stage_drop(rig->ledger, &err));
	stage(rig->ledger, "user", 2, 9, false);
	assert_int_equal(ledger_stage_publish(rig->ledger, 9, some_digest, &err), LEDGER_WRITTEN);
	assert_int_equal(ledger_stage_publish(rig->ledger, 10, some_digest, &err), LEDGER_STALE);
	(void)settle_all(rig->ledger);
	assert_int_equal(load(rig->ledger).count, 3);
}

/* A copy that is made before it is settled has it, and is one that can be restored. */
static void a_copy_has_what_is_not_settled(void **state)
{
	struct rig *rig = *state;
	char path[128];
	struct ledger_copy *copy;
	struct ledger_loaded loaded;
	struct ledger_restored restored;
	struct error err;
	bool more = true;

	(void)snprintf(path, sizeof(path), "%s/copy.db", rig->folder);
	stage(rig->ledger, "user", 400, 1001, true);
	assert_int_equal(ledger_stage_publish(rig->ledger, 1001, some_digest, &err), LEDGER_WRITTEN);
	assert_true(ledger_settle(rig->ledger, &more, &err) && more);
	assert_true(ledger_copy_new(&copy, rig->ledger, path, &err));
	while (more)
		assert_true(ledger_copy_step(copy, &more, &err));
	if (!ledger_copy_end(copy, &loaded, &err))
		fail_msg("%s", err.text);
	ledger_copy_free(copy);
	assert_int_equal(loaded.revision, 1001);
	ledger_close(rig->ledger);
	rig->ledger = NULL;
	rig->redis = false;
	assert_true(ledger_restore(rig->folder, path, &restored, &err));
	assert_true(rig_open(rig, &err));
	assert_int_equal(load(rig->ledger).count, 400);
	assert_int_equal(audit_rows(rig->ledger), 400);
}

static void a_damaged_piece_is_refused(void **state)
{
	struct rig *rig = *state;
	struct error err;
	bool more;

	assert_true(ledger_stage_begin(rig->ledger, &err));
	assert_true(ledger_stage_put(rig->ledger, STR("\x91\x92\xc4\x01x\xc4\x00"), &err));
	assert_int_equal(ledger_stage_publish(rig->ledger, 7, some_digest, &err), LEDGER_WRITTEN);
	assert_false(ledger_settle(rig->ledger, &more, &err));
	assert_non_null(strstr(err.text, "a piece of a large write"));
	assert_false(ledger_is_settled(rig->ledger));
}

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		cmocka_unit_test_setup_teardown(writes_and_compares, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_batch_is_all_or_nothing, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(too_large_is_refused, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(merges_exactly_once, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			the_boot_alone_says_whose_counts_they_are, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_merged_in_part_is_given_up, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_boot_never_goes_back, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(who_left_is_known_after_a_restart, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(dealings_are_counted_in_each_life, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			each_life_says_whether_it_has_heard, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(boots_that_are_over_are_one_row, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			calls_of_many_keys_are_one_question, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(sums_stop_at_the_end, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(grants_and_members_stay, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_crash_loses_nothing, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(old_tombstones_are_forgotten, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_ledger_knows_whose_it_is_and_what_it_wrote, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_large_write_counts_from_one_moment_on, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			one_that_was_not_published_leaves_nothing, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_crash_behind_the_publishing_loses_nothing, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			its_revision_is_above_all_and_it_is_alone, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_copy_has_what_is_not_settled, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_piece_is_refused, rig_sqlite, rig_teardown),
	};
	const struct CMUnitTest redis[] = {
		cmocka_unit_test_setup_teardown(writes_and_compares, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_batch_is_all_or_nothing, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(too_large_is_refused, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(merges_exactly_once, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			the_boot_alone_says_whose_counts_they_are, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(what_was_merged_in_part_is_given_up, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_boot_never_goes_back, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(who_left_is_known_after_a_restart, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(dealings_are_counted_in_each_life, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(each_life_says_whether_it_has_heard, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(boots_that_are_over_are_one_row, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(calls_of_many_keys_are_one_question, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(sums_stop_at_the_end, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(grants_and_members_stay, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_crash_loses_nothing, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(old_tombstones_are_forgotten, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_ledger_knows_whose_it_is_and_what_it_wrote, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_large_write_counts_from_one_moment_on, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			one_that_was_not_published_leaves_nothing, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_crash_behind_the_publishing_loses_nothing, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			its_revision_is_above_all_and_it_is_alone, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_copy_has_what_is_not_settled, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_piece_is_refused, rig_redis, rig_teardown),
	};

	return cmocka_run_group_tests(sqlite, NULL, NULL) +
	       cmocka_run_group_tests(redis, rig_start_server, rig_stop_server);
}
