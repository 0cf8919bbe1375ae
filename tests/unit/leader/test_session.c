/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/entity_table.h"

#define NOW 1000000

static struct entity *user_of(const char *name, const char *hash)
{
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	user.password_hash = hash;
	return entity_new(ENTITY_USER, str_of(name), 1, &user);
}

static struct state *state_with(struct entity *key, const char *hash)
{
	AUTO(state) *none = state_new();
	AUTO(entity) *ann = user_of("ann.of@example", hash);
	AUTO(entity) *bob = user_of("bob", hash);
	AUTO(entity) *plain = user_of("plain", "");
	struct entity *all[] = { ann, bob, plain, key };

	return state_change(none, all, key ? 4 : 3, 1);
}

static void test_what_was_sealed_opens(void **unused)
{
	AUTO(entity) *key = session_key_new();
	AUTO(state) *state = state_with(key, "hash");
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	char csrf[SESSION_CSRF_SIZE], again[SESSION_CSRF_SIZE];
	struct session session, opened;

	(void)unused;
	session_begin(&session, STR("ann.of@example"), NOW);
	assert_true(session_seal(state, &session, &text));
	assert_true(session_open(state, buf_str(&text), NOW + SESSION_S - 1, &opened));
	assert_string_equal(opened.user, "ann.of@example");
	assert_string_equal(opened.id, session.id);
	assert_false(session_open(state, buf_str(&text), NOW + SESSION_S, &opened));
	session_csrf(state, &session, csrf);
	/* The same when it is renewed. */
	session.until_s += 10;
	session_csrf(state, &session, again);
	assert_string_equal(csrf, again);
}

static void test_what_ends_it(void **unused)
{
	AUTO(entity) *key = session_key_new();
	AUTO(entity) *other_key = session_key_new();
	AUTO(state) *state = state_with(key, "hash");
	AUTO(state) *another_password = state_with(key, "another");
	AUTO(state) *another_secret = state_with(other_key, "hash");
	AUTO(state) *no_secret = state_with(NULL, "hash");
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	struct session session, opened;

	(void)unused;
	session_begin(&session, STR("bob"), NOW);
	assert_true(session_seal(state, &session, &text));
	assert_true(session_open(state, buf_str(&text), NOW, &opened));
	assert_false(session_open(another_password, buf_str(&text), NOW, &opened));
	assert_false(session_open(another_secret, buf_str(&text), NOW, &opened));
	assert_false(session_open(no_secret, buf_str(&text), NOW, &opened));
	assert_false(session_seal(no_secret, &session, &text));
}

static void test_nobody_without_a_password_has_one(void **unused)
{
	AUTO(entity) *key = session_key_new();
	AUTO(state) *state = state_with(key, "hash");
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	struct session session;

	(void)unused;
	session_begin(&session, STR("plain"), NOW);
	assert_false(session_seal(state, &session, &text));
	session_begin(&session, STR("nobody"), NOW);
	assert_false(session_seal(state, &session, &text));
}

static void test_what_was_touched_does_not_open(void **unused)
{
	AUTO(entity) *key = session_key_new();
	AUTO(state) *state = state_with(key, "hash");
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	struct session session, opened;

	(void)unused;
	session_begin(&session, STR("bob"), NOW);
	assert_true(session_seal(state, &session, &text));
	for (size_t i = 0; i < text.len; i++) {
		text.at[i] ^= 1;
		assert_false(session_open(state, buf_str(&text), NOW, &opened));
		text.at[i] ^= 1;
	}
	for (size_t len = 0; len < text.len; len++)
		assert_false(session_open(state, str_from(text.at, len), NOW, &opened));
	assert_true(session_open(state, buf_str(&text), NOW, &opened));
}

static void test_cookies(void **unused)
{
	(void)unused;
	assert_true(str_is(session_in_cookies("a=b; zot_session=x.y ;c=d"), "x.y"));
	assert_true(str_is(session_in_cookies("zot_session=x"), "x"));
	assert_int_equal(session_in_cookies("not_zot_session=x; zot_sessions=y").len, 0);
	assert_int_equal(session_in_cookies(NULL).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_sealed_opens),
		cmocka_unit_test(test_what_ends_it),
		cmocka_unit_test(test_nobody_without_a_password_has_one),
		cmocka_unit_test(test_what_was_touched_does_not_open),
		cmocka_unit_test(test_cookies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
