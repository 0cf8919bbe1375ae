/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/state_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/gzip.h"
#include "proto/entity_table.h"

static struct entity *make_user(const char *name, uint64_t revision, bool enabled)
{
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	user.enabled = enabled;
	return entity_new(ENTITY_USER, str_of(name), revision, &user);
}

static void put(struct state_log *log, struct entity *entity, uint64_t revision)
{
	state_log_apply(log, &entity, 1, revision);
	entity_free(entity);
}

static void put_user(struct state_log *log, const char *name, uint64_t revision)
{
	put(log, make_user(name, revision, true), revision);
}

/* What a worker does with an answer: digest, then apply. */
static struct state *follow(const struct state_answer *answer, const struct state *old)
{
	struct state *state = NULL;
	uint8_t raw[HASH_MAX];
	char hex[65];

	hash_bytes(HASH_SHA256, answer->plain.at, answer->plain.len, raw);
	str_hex(raw, 32, hex);
	assert_string_equal(answer->digest + 7, hex);
	assert_true(state_apply(answer->plain, old, &state, NULL));
	assert_int_equal(state_revision(state), answer->revision);
	return state;
}

static void full_then_delta(void **state)
{
	struct state_log *log = state_log_new(4, 0);
	AUTO(state_answer) *full = NULL;
	AUTO(state_answer) *delta = NULL;
	AUTO(state) *first = NULL;
	AUTO(state) *second = NULL;

	(void)state;
	put_user(log, "a", 1);
	put_user(log, "b", 2);
	full = state_log_answer(log, 0);
	assert_true(full->full && full->gzip.len);
	first = follow(full, NULL);
	assert_int_equal(state_count(first, ENTITY_USER), 2);
	assert_null(state_log_answer(log, 2));
	put_user(log, "c", 3);
	put(log, entity_new_deleted(ENTITY_USER, STR("a"), 4), 4);
	put_user(log, "c", 5);
	delta = state_log_answer(log, 2);
	assert_false(delta->full);
	second = follow(delta, first);
	assert_int_equal(state_count(second, ENTITY_USER), 2);
	assert_null(state_find(second, ENTITY_USER, STR("a")));
	assert_int_equal(entity_revision(state_find(second, ENTITY_USER, STR("c"))), 5);
	state_log_free(log);
}

static void answers_are_made_once(void **state)
{
	struct state_log *log = state_log_new(-1, 0);
	AUTO(state_answer) *first = NULL;
	AUTO(state_answer) *again = NULL;
	AUTO(state_answer) *delta = NULL;
	AUTO(state_answer) *same = NULL;

	(void)state;
	put_user(log, "a", 1);
	put_user(log, "b", 2);
	assert_null(state_log_find(log, 0));
	first = state_log_answer(log, 0);
	again = state_log_answer(log, 0);
	assert_ptr_equal(first, again);
	assert_int_equal(first->gzip.len, 0);
	delta = state_log_answer(log, 1);
	same = state_log_find(log, 1);
	assert_ptr_equal(delta, same);
	put_user(log, "c", 3);
	assert_null(state_log_find(log, 1));
	assert_null(state_log_find(log, 0));
	state_log_free(log);
}

static void a_young_full_state_is_given_again(void **state)
{
	struct state_log *log = state_log_new(4, 60000);
	AUTO(state_answer) *old = NULL;
	AUTO(state_answer) *full = NULL;
	AUTO(state_answer) *delta = NULL;

	(void)state;
	put_user(log, "a", 1);
	old = state_log_answer(log, 0);
	put_user(log, "b", 2);
	full = state_log_answer(log, 0);
	assert_ptr_equal(old, full);
	delta = state_log_answer(log, full->revision);
	assert_false(delta->full);
	assert_int_equal(delta->revision, 2);
	state_log_free(log);
}

static void who_is_far_behind_gets_it_all(void **state)
{
	struct state_log *log = state_log_new(0, 0);
	AUTO(state_answer) *delta = NULL;
	AUTO(state_answer) *full = NULL;
	AUTO(state_answer) *ahead = NULL;
	char name[32];

	(void)state;
	for (uint64_t i = 1; i <= STATE_LOG_CHANGES + 10; i++) {
		(void)snprintf(name, sizeof(name), "user-%d", (int)(i % 50));
		put_user(log, name, i);
	}
	assert_int_equal(state_log_since(log, 9), 0);
	assert_int_equal(state_log_since(log, 10), 10);
	delta = state_log_answer(log, 10);
	assert_false(delta->full);
	full = state_log_answer(log, 9);
	assert_true(full->full);
	/* The leader was restored from an older store: whoever is ahead of it gets it all. */
	ahead = state_log_answer(log, 999999);
	assert_true(ahead->full);
	state_log_free(log);
}

static void what_was_loaded_gives_deltas(void **state)
{
	struct state_log *log = state_log_new(4, 0);
	struct entity *loaded[] = { make_user("a", 5, true), entity_new_deleted(ENTITY_USER, STR("b"), 7),
		make_user("c", 9, true) };
	AUTO(state_answer) *delta = NULL;
	AUTO(state) *all = NULL;

	(void)state;
	state_log_load(log, loaded, 3, 9, 4);
	for (size_t i = 0; i < 3; i++)
		entity_free(loaded[i]);
	all = state_log_state(log);
	assert_int_equal(state_count(all, ENTITY_USER), 2);
	assert_int_equal(state_log_since(log, 3), 0);
	assert_int_equal(state_log_since(log, 4), 4);
	delta = state_log_answer(log, 6);
	assert_false(delta->full);
	assert_int_equal(delta->revision, 9);
	state_log_free(log);
}

static void gzip_is_the_same_bytes(void **state)
{
	struct state_log *log = state_log_new(9, 0);
	AUTO_FINI(buf) plain = buf_limit(1024 * 1024);
	AUTO(state_answer) *full = NULL;

	(void)state;
	put_user(log, "a", 1);
	full = state_log_answer(log, 0);
	assert_true(gzip_expand(full->gzip, &plain, NULL));
	assert_true(str_equal(buf_str(&plain), full->plain));
	state_log_free(log);
}

static void lines_hold_no_secrets(void **state)
{
	struct state_log *log = state_log_new(4, 0);
	struct apikey key;
	AUTO(state_answer) *lines = NULL;
	AUTO(state_answer) *changed = NULL;

	(void)state;
	put_user(log, "a", 1);
	table_defaults(entity_table(ENTITY_APIKEY), &key);
	key.owner = "a";
	key.secret_hash = "0123456789012345678901234567890123456789012345678901234567890123";
	put(log, entity_new(ENTITY_APIKEY, STR("client-id"), 2, &key), 2);
	lines = state_log_lines(log, 0);
	assert_non_null(memmem(lines->plain.at, lines->plain.len, "client-id", 9));
	assert_null(memmem(lines->plain.at, lines->plain.len, "0123456789", 10));
	put(log, entity_new_deleted(ENTITY_USER, STR("a"), 3), 3);
	changed = state_log_lines(log, 2);
	assert_non_null(memmem(changed->plain.at, changed->plain.len, "\"deleted\":true", 14));
	assert_null(state_log_lines(log, 3));
	state_log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_then_delta),
		cmocka_unit_test(answers_are_made_once),
		cmocka_unit_test(a_young_full_state_is_given_again),
		cmocka_unit_test(who_is_far_behind_gets_it_all),
		cmocka_unit_test(what_was_loaded_gives_deltas),
		cmocka_unit_test(gzip_is_the_same_bytes),
		cmocka_unit_test(lines_hold_no_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
