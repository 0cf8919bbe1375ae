/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_prefs - stars and bookmarks of a worker without leaders: durable, made once, gone with their users; and what is told of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "common/check.h"
#include "common/file.h"
#include "common/sqlite.h"
#include "tests/unit/remove_tree.h"
#include "worker/accounts/own_prefs.h"
#include "worker/accounts/prefs.h"

static char folder[64];
static uint8_t calls;

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/own_prefs.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	remove_tree(folder);
	return 0;
}

static struct own_prefs *open_own(void)
{
	struct own_prefs *own = NULL;
	struct error err;

	if (!own_prefs_open(&own, folder, &err))
		fail_msg("%s", err.text);
	return own;
}

static struct prefs_toggle toggle_of(enum entity_kind kind, const char *user, const char *repository)
{
	struct prefs_toggle toggle = {
		.kind = kind, .user = str_of(user), .repository = str_of(repository), .there = true
	};

	memset(toggle.call, ++calls, sizeof(toggle.call));
	return toggle;
}

static bool toggle(struct own_prefs *own, enum entity_kind kind, const char *user, const char *repository)
{
	struct prefs_toggle toggle = toggle_of(kind, user, repository);
	struct error err;
	bool on;

	if (!own_prefs_toggle(own, &toggle, &on, &err))
		fail_msg("%s", err.text);
	return on;
}

static uint64_t stars(struct prefs *prefs, const char *repository)
{
	AUTO(state) *view = prefs_view(prefs, NULL);

	return prefs_stars(prefs, view, str_of(repository));
}

static void a_view_tells_what_was_done(void **state)
{
	AUTO(own_prefs) *own = open_own();
	AUTO(prefs) *prefs = prefs_new(own);
	AUTO(state) *before = prefs_view(prefs, NULL);
	AUTO(state) *after = NULL;

	(void)state;
	assert_int_equal(stars(prefs, "a"), 0);
	assert_true(toggle(own, ENTITY_STAR, "ann", "a") && toggle(own, ENTITY_STAR, "ben", "a") &&
		    toggle(own, ENTITY_STAR, "ann", "b") && toggle(own, ENTITY_BOOKMARK, "ann", "b"));
	assert_int_equal(stars(prefs, "a"), 2);
	assert_int_equal(stars(prefs, "b"), 1);
	assert_int_equal(stars(prefs, "c"), 0);
	after = prefs_view(prefs, NULL);
	assert_true(prefs_has(after, ENTITY_STAR, STR("ann"), STR("a")));
	assert_false(prefs_has(after, ENTITY_BOOKMARK, STR("ann"), STR("a")));
	assert_false(prefs_has(after, ENTITY_STAR, STR("cid"), STR("a")));
	assert_int_equal(prefs_list(after, ENTITY_STAR, STR("ann"))->len, 2);
	assert_string_equal(prefs_list(after, ENTITY_BOOKMARK, STR("ann"))->at[0], "b");
	assert_int_equal(prefs_list(after, ENTITY_BOOKMARK, STR("cid"))->len, 0);
	/* One moment each; an older one is asked behind a newer one. */
	assert_int_equal(prefs_stars(prefs, before, STR("a")), 0);
	assert_int_equal(prefs_stars(prefs, after, STR("a")), 2);
	assert_false(toggle(own, ENTITY_STAR, "ann", "a"));
	assert_int_equal(stars(prefs, "a"), 1);
	assert_int_equal(prefs_stars(prefs, after, STR("a")), 2);
}

/* More lists change than are looked at one by one. */
static void many_changes_are_counted_anew(void **state)
{
	AUTO(prefs) *prefs = prefs_new(NULL);
	struct entity **lists = xnew_array(struct entity *, 3000);
	const char *names[] = { "a", "b" };
	const struct user_prefs both = { .repositories = { names, 2 } },
				one = { .repositories = { names, 1 } };
	AUTO(state) *none = state_new();
	AUTO(state) *first = NULL;
	AUTO(state) *second = NULL;
	char user[16];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(user, sizeof(user), "u%u", i);
		lists[i] = entity_new(ENTITY_STAR, str_of(user), 1, i % 3 ? &both : &one);
	}
	first = state_change(none, lists, 2999, 1);
	second = state_change(first, lists + 2999, 1, 2);
	assert_int_equal(prefs_stars(prefs, first, STR("b")), 1999);
	assert_int_equal(prefs_stars(prefs, second, STR("b")), 2000);
	assert_int_equal(prefs_stars(prefs, none, STR("b")), 0);
	assert_int_equal(prefs_stars(prefs, second, STR("a")), 3000);
	for (unsigned i = 0; i < 3000; i++)
		entity_free(lists[i]);
	free(lists);
}

static void what_was_answered_is_there_after_a_kill(void **state)
{
	struct own_prefs *own = open_own();
	struct prefs_toggle again = toggle_of(ENTITY_STAR, "ann", "a");
	struct prefs *prefs;
	bool on = false;

	(void)state;
	assert_true(own_prefs_toggle(own, &again, &on, NULL) && on);
	assert_true(toggle(own, ENTITY_BOOKMARK, "ben", "b"));
	own_prefs_free(own);
	own = open_own();
	prefs = prefs_new(own);
	assert_int_equal(stars(prefs, "a"), 1);
	/* Its sender has no answer, and sends it again. */
	assert_true(own_prefs_toggle(own, &again, &on, NULL) && on);
	assert_int_equal(stars(prefs, "a"), 1);
	assert_false(toggle(own, ENTITY_STAR, "ann", "a"));
	prefs_free(prefs);
	own_prefs_free(own);
}

#define ASKS 200

static void *ask_all_the_time(void *arg)
{
	struct prefs *prefs = arg;

	for (unsigned i = 0; i < ASKS; i++)
		assert_true(stars(prefs, "a") <= 1);
	return NULL;
}

static void it_is_asked_while_it_changes(void **state)
{
	AUTO(own_prefs) *own = open_own();
	AUTO(prefs) *prefs = prefs_new(own);
	pthread_t threads[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, ask_all_the_time, prefs));
	for (unsigned i = 0; i < 41; i++)
		(void)toggle(own, ENTITY_STAR, "ann", "a");
	for (unsigned i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	assert_int_equal(stars(prefs, "a"), 1);
}

static bool is_ann(const void *arg, struct str user)
{
	(void)arg;
	return str_is(user, "ann");
}

static void lists_go_with_their_users(void **state)
{
	struct own_prefs *own = open_own();
	struct prefs *prefs;
	struct error err;
	size_t gone = 9;

	(void)state;
	(void)toggle(own, ENTITY_STAR, "ann", "a");
	(void)toggle(own, ENTITY_STAR, "ben", "a");
	(void)toggle(own, ENTITY_BOOKMARK, "ben", "a");
	assert_true(own_prefs_keep(own, is_ann, NULL, &gone, &err));
	assert_int_equal(gone, 2);
	assert_true(own_prefs_keep(own, is_ann, NULL, &gone, &err));
	assert_int_equal(gone, 0);
	own_prefs_free(own);
	own = open_own();
	prefs = prefs_new(own);
	assert_int_equal(stars(prefs, "a"), 1);
	assert_true(toggle(own, ENTITY_STAR, "ben", "a"));
	prefs_free(prefs);
	own_prefs_free(own);
}

static void nobody_changes_all_the_time(void **state)
{
	AUTO(own_prefs) *own = open_own();
	unsigned may = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		may += own_prefs_may_change(own, STR("ann"), 1000);
	assert_true(may > 0 && may < 1000);
	assert_true(own_prefs_may_change(own, STR("ann"), 1000 + 61000));
}

/* What cannot be read is told by its name, and left as it is. */
static void a_file_that_is_not_ours_is_an_error(void **state)
{
	struct own_prefs *own = open_own();
	struct sqlite *db = NULL;
	AUTO_FINI(buf) path = buf_limit(256);
	struct error err;

	(void)state;
	(void)toggle(own, ENTITY_STAR, "ann", "a");
	own_prefs_free(own);
	buf_format(&path, "%s/" OWN_PREFS_FILE, folder);
	assert_true(sqlite_open(&db, buf_text(&path), &err));
	assert_true(sqlite_exec(db, "PRAGMA user_version = 2", &err));
	sqlite_free(db);
	assert_false(own_prefs_open(&own, folder, &err));
	assert_non_null(strstr(err.text, "prefs.db"));
	assert_non_null(strstr(err.text, "newer zot-worker"));
	assert_true(sqlite_open(&db, buf_text(&path), &err));
	assert_true(sqlite_exec(db, "PRAGMA user_version = 1; UPDATE prefs SET body = x'c0'", &err));
	sqlite_free(db);
	assert_false(own_prefs_open(&own, folder, &err));
	assert_non_null(strstr(err.text, "prefs.db"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_view_tells_what_was_done, make_folder, drop_folder),
		cmocka_unit_test(many_changes_are_counted_anew),
		cmocka_unit_test_setup_teardown(it_is_asked_while_it_changes, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(
			what_was_answered_is_there_after_a_kill, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(lists_go_with_their_users, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(nobody_changes_all_the_time, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_not_ours_is_an_error, make_folder, drop_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
