/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_user_prefs - a list of repositories: toggled once for each call, in order, bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/check.h"
#include "proto/state.h"
#include "proto/user_prefs.h"

static struct prefs_toggle toggle_of(const char *repository, uint8_t call)
{
	struct prefs_toggle toggle = {
		.kind = ENTITY_STAR, .user = STR("ann"), .repository = str_of(repository), .there = true
	};

	memset(toggle.call, call, sizeof(toggle.call));
	return toggle;
}

/* The list is the new one. */
static bool toggle(struct entity **list, struct prefs_toggle toggle)
{
	struct entity *made = NULL;
	struct error err;
	bool on;

	if (!prefs_toggle(*list, &toggle, &made, &on, &err))
		fail_msg("%s", err.text);
	if (made) {
		entity_free(*list);
		*list = made;
	}
	return on;
}

static void expect(const struct entity *list, const char *wanted)
{
	const struct texts *texts = prefs_repositories(list);
	char text[256] = "";

	for (size_t i = 0; i < texts->len; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", texts->at[i]);
	assert_string_equal(text, wanted);
}

static void a_toggle_puts_in_and_takes_out(void **state)
{
	AUTO(entity) *list = NULL;

	(void)state;
	expect(list, "");
	assert_true(toggle(&list, toggle_of("m", 1)));
	assert_true(toggle(&list, toggle_of("z", 2)));
	assert_true(toggle(&list, toggle_of("a/b", 3)));
	assert_true(toggle(&list, toggle_of("a", 4)));
	expect(list, "a a/b m z ");
	assert_true(prefs_contain(list, STR("a/b")) && !prefs_contain(list, STR("a/")) &&
		    !prefs_contain(list, STR("zz")));
	assert_int_equal(entity_kind(list), ENTITY_STAR);
	assert_true(str_is(entity_id(list), "ann"));
	assert_false(toggle(&list, toggle_of("m", 5)));
	expect(list, "a a/b z ");
	assert_false(toggle(&list, toggle_of("z", 6)) || toggle(&list, toggle_of("a", 7)) ||
		     toggle(&list, toggle_of("a/b", 8)));
	expect(list, "");
	assert_false(entity_is_deleted(list)); /* what was done is remembered */
}

static void a_call_that_comes_again_changes_nothing(void **state)
{
	AUTO(entity) *list = NULL;
	struct prefs_toggle first = toggle_of("a", 1);
	struct entity *made = (struct entity *)&list;
	bool on = false;

	(void)state;
	assert_true(toggle(&list, first));
	assert_true(toggle(&list, toggle_of("b", 2)));
	assert_true(toggle(&list, toggle_of("c", 3)));
	assert_true(prefs_toggle(list, &first, &made, &on, NULL));
	assert_null(made);
	assert_true(on);
	expect(list, "a b c ");
	assert_false(toggle(&list, toggle_of("a", 4)));
	/* Also of one that took it out; the same id, as it is still known. */
	assert_false(toggle(&list, toggle_of("a", 4)));
	assert_true(prefs_toggle(list, &first, &made, &on, NULL));
	assert_null(made);
	assert_false(on);
	/* The oldest one is forgotten. */
	assert_true(toggle(&list, toggle_of("d", 5)));
	assert_true(toggle(&list, first));
	expect(list, "a b c d ");
}

static void what_is_not_there_only_goes_out(void **state)
{
	AUTO(entity) *list = NULL;
	struct prefs_toggle absent = toggle_of("a", 9);
	struct entity *made;
	struct error err;
	bool on;

	(void)state;
	absent.there = false;
	assert_false(prefs_toggle(list, &absent, &made, &on, &err));
	assert_string_equal(err.code, "NAME_UNKNOWN");
	assert_true(toggle(&list, toggle_of("a", 1)));
	assert_false(toggle(&list, absent));
	expect(list, "");
}

static void a_list_is_bounded(void **state)
{
	AUTO(entity) *list = NULL;
	struct prefs_toggle toggling;
	struct entity *made;
	struct error err;
	char name[256];
	bool on;

	(void)state;
	for (unsigned i = 0; i < PREFS_MOST; i++) {
		(void)snprintf(name, sizeof(name), "app-%u", i * 7919 % 10007);
		toggling = toggle_of(name, (uint8_t)(i % 251));
		assert_true(toggle(&list, toggling));
	}
	assert_true(prefs_check(entity_star(list), &err));
	toggling = toggle_of("one-more", 252);
	assert_false(prefs_toggle(list, &toggling, &made, &on, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "1000"));
	/* One goes, one comes. */
	assert_false(toggle(&list, toggle_of("app-0", 253)));
	assert_true(toggle(&list, toggle_of("one-more", 254)));
	/* Long names: before the entity is too large to be read again. */
	entity_free(TAKE(list));
	memset(name, 'a', 255);
	name[255] = '\0';
	for (unsigned i = 0;; i++) {
		AUTO_FINI(buf) bytes = buf_limit(2 * ENTITY_BYTES_MAX);
		AUTO(pack_doc) *doc = NULL;
		AUTO(entity) *again = NULL;
		(void)snprintf(name + 250, 6, "%05u", i);
		toggling = toggle_of(name, (uint8_t)(i % 251));
		if (!prefs_toggle(list, &toggling, &made, &on, &err)) {
			assert_true(i > 700 && i < PREFS_MOST);
			entity_encode(list, &bytes);
			assert_true(pack_parse(buf_str(&bytes), &doc, &err));
			if (!entity_decode(pack_root(doc), &again, &err))
				fail_msg("%s", err.text);
			break;
		}
		entity_free(list);
		list = made;
	}
	assert_int_equal(err.kind, ERROR_CONFLICT);
}

static bool reads(const char *text, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	AUTO(entity) *list = NULL;

	assert_true(json_parse(str_of(text), &doc, NULL));
	return entity_from_json(ENTITY_BOOKMARK, STR("ann"), json_root(doc), NULL, &list, err);
}

static void what_comes_from_outside_is_in_order(void **state)
{
	struct error err;

	(void)state;
	assert_true(reads("{\"repositories\":[\"a\",\"a/b\",\"b\"]}", &err));
	assert_false(reads("{\"repositories\":[\"b\",\"a\"]}", &err));
	assert_non_null(strstr(err.text, "\"a\" is there twice, or not in the order"));
	assert_false(reads("{\"repositories\":[\"a\",\"a\"]}", &err));
	assert_false(reads("{\"repositories\":[\"A\"]}", &err));
	assert_false(reads("{\"calls\":[\"x\"]}", &err));
}

static void actions_are_zots(void **state)
{
	enum entity_kind kind;

	(void)state;
	assert_true(prefs_parse_action(STR("toggleStar"), &kind));
	assert_int_equal(kind, ENTITY_STAR);
	assert_true(prefs_parse_action(str_of(prefs_action(ENTITY_BOOKMARK)), &kind));
	assert_int_equal(kind, ENTITY_BOOKMARK);
	assert_false(prefs_parse_action(STR("togglestar"), &kind));
	assert_false(prefs_parse_action(STR(""), &kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_toggle_puts_in_and_takes_out),
		cmocka_unit_test(a_call_that_comes_again_changes_nothing),
		cmocka_unit_test(what_is_not_there_only_goes_out),
		cmocka_unit_test(a_list_is_bounded),
		cmocka_unit_test(what_comes_from_outside_is_in_order),
		cmocka_unit_test(actions_are_zots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
