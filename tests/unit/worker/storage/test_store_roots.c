/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store_roots - the suite on three folders that are one store, and what is special to that: which name lies where, the one catalog, blobs
 * from one root to another, a root that is away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "proto/name.h"
#include "tests/unit/remove_tree.h"
#include "tests/unit/worker/storage/store_suite.h"
#include "worker/storage/store_driver.h"
#include "worker/storage/store_roots.h"

static char top[] = "/tmp/test_store_roots.XXXXXX";
static unsigned stores;
static char place[128];

static struct store *open_folder(const char *name)
{
	struct store *store = NULL;
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", place, name);
	OK(store_fs_open(&store, path, &failure));
	return store;
}

/* "a", "a-b" and "lib": two whose order is not that of their paths with a slash behind. */
static struct store *open_next(void)
{
	struct store *first;
	struct store_part parts[3] = { { .component = "lib" }, { .component = "a" }, { .component = "a-b" } };

	(void)snprintf(place, sizeof(place), "%s/%u", top, stores++);
	first = open_folder("first");
	for (size_t i = 0; i < 3; i++)
		parts[i].store = open_folder(parts[i].component);
	return store_roots_new(first, parts, 3);
}

static int setup(void **state)
{
	*state = open_next();
	return 0;
}

static int teardown(void **state)
{
	store_free(*state);
	return 0;
}

static bool is_there(const char *path)
{
	char whole[300];
	struct stat st;

	(void)snprintf(whole, sizeof(whole), "%s/%s", place, path);
	return stat(whole, &st) == 0;
}

static bool same_root(const struct store *store, struct str a, struct str b)
{
	return store->driver->root_of(store, a) == store->driver->root_of(store, b);
}

static void names_lie_below_their_first_component(void **state)
{
	store_suite_create(*state, "a/app");
	store_suite_create(*state, "a/deep/er");
	store_suite_create(*state, "a");
	store_suite_create(*state, "ab/app");
	store_suite_create(*state, "a-b/app");
	store_suite_create(*state, "lib/x");
	assert_true(is_there("a/a/app/index.json"));
	assert_true(is_there("a/a/deep/er/index.json"));
	assert_true(is_there("first/a/index.json"));
	assert_true(is_there("first/ab/app/index.json"));
	assert_true(is_there("a-b/a-b/app/index.json"));
	assert_true(is_there("lib/lib/x/index.json"));
	assert_false(is_there("first/lib"));
	assert_true(same_root(*state, STR("a/app"), STR("a/other")));
	assert_false(same_root(*state, STR("a/app"), STR("a")));
	assert_int_equal(store_roots_len(*state), 4);
}

/* ---- the catalog ---- */

#define NAMES_MAX 200

struct names {
	char at[NAMES_MAX][64];
	size_t len, most;
};

static bool take(void *arg, struct str name)
{
	struct names *names = arg;

	assert_true(names->len < NAMES_MAX);
	assert_true(str_copy(name, names->at[names->len++], 64));
	return names->len < names->most;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* n names behind `after`, by looking at all. */
static void expect_page(
	struct store *store, const struct names *all, const char *after, size_t n, size_t most)
{
	struct names page = { .most = most };
	size_t at = 0, want = n < most ? n : most;
	bool more = false;

	while (at < all->len && strcmp(all->at[at], after) <= 0)
		at++;
	OK(store_catalog(store, str_of(after), n, take, &page, &more, &failure));
	if (want > all->len - at)
		want = all->len - at;
	assert_int_equal(page.len, want);
	for (size_t i = 0; i < want; i++)
		assert_string_equal(page.at[i], all->at[at + i]);
	assert_int_equal(more, at + want < all->len);
}

static void the_catalog_is_one(void **state)
{
	static const char *const firsts[] = { "a", "a-b", "a-a", "a.b", "aa", "a0", "lib", "li", "lib2", "z",
		"0" };
	static const char *const lasts[] = { "", "/app", "/zz", "/a/b", "/0", "/lib" };
	static const char *const others[] = { "", "0/", "a/", "a/zz", "a/{", "a0", "lib", "lib/", "lib/~",
		"zzz", "a-b/zzz" };
	static struct names all;

	all = (struct names){ .most = NAMES_MAX };
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
		for (size_t j = 0; j < sizeof(lasts) / sizeof(lasts[0]); j++) {
			(void)snprintf(all.at[all.len], 64, "%s%s", firsts[i], lasts[j]);
			store_suite_create(*state, all.at[all.len++]);
		}
	qsort(all.at, all.len, sizeof(all.at[0]), compare);
	for (size_t n = 0; n <= 8; n++)
		for (size_t i = 0; i < all.len; i += n % 3 + 1)
			expect_page(*state, &all, all.at[i], n, NAMES_MAX);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		expect_page(*state, &all, others[i], 5, NAMES_MAX);
		expect_page(*state, &all, others[i], 1000, NAMES_MAX);
		expect_page(*state, &all, others[i], SIZE_MAX, NAMES_MAX);
		expect_page(*state, &all, others[i], 1000, 3);
	}
}

static void nothing_is_listed_of_nothing(void **state)
{
	struct names none = { .most = 1 };

	expect_page(*state, &none, "", 0, 1);
	expect_page(*state, &none, "", 10, 1);
	store_suite_create(*state, "lib/x");
	(void)snprintf(none.at[none.len++], 64, "lib/x");
	expect_page(*state, &none, "", 0, 1);
	expect_page(*state, &none, "", 1, 1);
	expect_page(*state, &none, "lib/x", 1, 1);
}

/* They were there before the path was given to another root, or came by mistake. */
static void what_is_another_roots_is_not_seen(void **state)
{
	const struct store_import how = { .older_s = 0 };
	struct names seen = { .most = NAMES_MAX };
	struct store_version version;
	uint64_t found = 0;
	const char *path;
	bool more;
	struct store *first = store_root_at(*state, 0, &path), *lib = NULL;

	for (size_t i = 1; i < store_roots_len(*state); i++)
		if (store_root_at(*state, i, &path) && !strcmp(path, "/lib"))
			lib = store_root_at(*state, i, &path);
	store_suite_create(first, "a/old");
	store_suite_create(first, "z/own");
	store_suite_create(lib, "other/x");
	store_suite_create(lib, "lib");
	store_suite_create(lib, "lib/own");
	OK(store_catalog(*state, STR_NONE, 100, take, &seen, &more, &failure));
	assert_int_equal(seen.len, 2);
	assert_string_equal(seen.at[0], "lib/own");
	assert_string_equal(seen.at[1], "z/own");
	assert_int_equal(store_index_get_if_changed(*state, STR("a/old"), &nothing,
				 &(struct buf){ .max = 100 }, &version, &failure),
		STORE_FAILED);
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
	/* Nor imported: */
	OK(file_make_folders(place, 0700, &failure));
	for (size_t i = 0; i < 4; i++) {
		static const char *const keys[] = { "first/a/came", "first/new", "lib/lib/new", "lib/wrong" };
		char folder[300], file[320];
		FILE *f;

		(void)snprintf(folder, sizeof(folder), "%s/%s", place, keys[i]);
		OK(file_make_folders(folder, 0700, &failure));
		(void)snprintf(file, sizeof(file), "%s/index.json", folder);
		f = fopen(file, "w");
		assert_non_null(f);
		assert_int_equal(fclose(f), 0);
	}
	OK(store_import(*state, &how, &found, &failure));
	assert_int_equal(found, 2);
	seen.len = 0;
	OK(store_catalog(*state, STR_NONE, 100, take, &seen, &more, &failure));
	assert_int_equal(seen.len, 4);
	assert_string_equal(seen.at[0], "lib/new");
	assert_string_equal(seen.at[2], "new");
}

/* ---- from one to another ---- */

static void a_mount_across_roots_copies(void **state)
{
	static char bytes[200000];
	const struct str large = str_from(bytes, sizeof(bytes));
	char encoded[129], path[300];
	uint64_t size = 0;
	FILE *f;

	memset(bytes, 'x', sizeof(bytes));
	const struct digest right = digest_of(HASH_SHA256, large);
	OK(store_blob_put(*state, STR("a/app"), &right, large, &failure));
	OK(store_blob_mount(*state, STR("a/app"), STR("lib/app"), &right, &failure));
	OK(store_blob_size(*state, STR("lib/app"), &right, &size, &failure));
	assert_int_equal(size, sizeof(bytes));
	assert_false(store_blob_mount(*state, STR("a/none"), STR("lib/app2"), &right, &failure));
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
	/* What is damaged does not go on. */
	digest_encoded(&right, encoded);
	(void)snprintf(path, sizeof(path), "%s/lib/lib/app/blobs/sha256/%s", place, encoded);
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fputc('y', f), 'y');
	assert_int_equal(fclose(f), 0);
	assert_false(store_blob_mount(*state, STR("lib/app"), STR("first/app"), &right, &failure));
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
	assert_false(store_blob_size(*state, STR("first/app"), &right, &size, &failure));
}

/* ---- one that is away ---- */

static void one_that_is_away_takes_no_other_with_it(void **state)
{
	char path[160], aside[170];
	struct store_version version;
	AUTO_FINI(buf) text = buf_limit(100);
	bool more = false;
	struct names seen = { .most = NAMES_MAX };

	store_suite_create(*state, "lib/x");
	store_suite_create(*state, "z/x");
	(void)snprintf(path, sizeof(path), "%s/lib", place);
	(void)snprintf(aside, sizeof(aside), "%s/lib.away", place);
	assert_int_equal(rename(path, aside), 0);
	assert_false(store_check(*state, &failure));
	assert_non_null(strstr(failure.text, "/lib"));
	OK(store_index_get(*state, STR("z/x"), &text, &version, &failure));
	store_suite_create(*state, "z/y");
	assert_int_equal(rename(aside, path), 0);
	OK(store_check(*state, &failure));
	OK(store_catalog(*state, STR_NONE, 10, take, &seen, &more, &failure));
	assert_int_equal(seen.len, 3);
}

static bool end_or_fail(struct store *store, const struct pace *pace, const struct would *dry,
	uint64_t *ret_ended, struct error *err)
{
	(void)pace;
	(void)dry;
	*ret_ended = 5;
	return !strstr(store->place, "/a") ||
	       error_set(err, ERROR_UNAVAILABLE, NULL, "%s is away", store->place);
}

/* Each root is asked; the first that fails is named. */
static void what_was_abandoned_ends_in_all_roots(void **state)
{
	static struct store_driver ends;
	struct error err;
	uint64_t ended = 1;
	const char *path;

	assert_true(store_abandoned(*state, NULL, NULL, &ended, &err));
	assert_int_equal(ended, 0);
	for (size_t i = 0; i < store_roots_len(*state); i++) {
		struct store *root = store_root_at(*state, i, &path);

		ends = *root->driver;
		ends.abandoned = end_or_fail;
		root->driver = &ends;
	}
	assert_false(store_abandoned(*state, NULL, NULL, &ended, &err));
	assert_int_equal(ended, 4 * 5);
	assert_string_equal(err.text + strlen(err.text) - strlen("/a-b is away"), "/a-b is away");
	assert_true(str_starts(str_of(err.text), "storage.subPaths /a-b: "));
	assert_false(store_abandoned(*state, NULL, NULL, &ended, NULL));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_lie_below_their_first_component),
		TEST(the_catalog_is_one),
		TEST(nothing_is_listed_of_nothing),
		TEST(what_is_another_roots_is_not_seen),
		TEST(a_mount_across_roots_copies),
		TEST(one_that_is_away_takes_no_other_with_it),
		TEST(what_was_abandoned_ends_in_all_roots),
	};

	return store_suite_main(top, open_next, "roots", tests, sizeof(tests) / sizeof(tests[0]));
}
