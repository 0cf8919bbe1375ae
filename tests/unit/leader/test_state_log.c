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
	AUTO(state) *now = state_log_state(log);

	state_log_apply(log, state_change(now, &entity, 1, revision), &entity, 1);
	entity_free(entity);
}

static void load(struct state_log *log, struct entity *const *entities, size_t len, uint64_t revision,
	uint64_t forgotten)
{
	const struct state_loaded loaded = { .revision = revision, .forgotten = forgotten };

	state_log_load(log, entities, len, &loaded);
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

/* What somebody has, as they say it. */
static struct state_question question_of(const struct state *has)
{
	struct state_question question = { .since = has ? state_revision(has) : 0 };

	if (question.since)
		state_digest_hex(has, question.digest);
	return question;
}

static struct state_answer *answer_to(struct state_log *log, const struct state_question *question)
{
	struct state_want want;

	return state_log_want(log, question, &want) ? state_log_answer(log, &want) : NULL;
}

static struct state_answer *answer_for(struct state_log *log, const struct state *has)
{
	const struct state_question question = question_of(has);

	return answer_to(log, &question);
}

static struct state_answer *find_for(struct state_log *log, const struct state *has)
{
	const struct state_question question = question_of(has);
	struct state_want want;

	return state_log_want(log, &question, &want) ? state_log_find(log, &want) : NULL;
}

static struct state_answer *lines_since(struct state_log *log, uint64_t since)
{
	const struct state_question question = { .since = since, .lines = true };
	struct state_want want;

	return state_log_want(log, &question, &want) ? state_log_lines(log, &want) : NULL;
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
	full = answer_for(log, NULL);
	assert_true(full->full && full->gzip.len);
	first = follow(full, NULL);
	assert_int_equal(state_count(first, ENTITY_USER), 2);
	assert_null(answer_for(log, first));
	put_user(log, "c", 3);
	put(log, entity_new_deleted(ENTITY_USER, STR("a"), 4), 4);
	put_user(log, "c", 5);
	delta = answer_for(log, first);
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
	AUTO(state) *has = NULL;

	(void)state;
	put_user(log, "a", 1);
	has = state_log_state(log);
	put_user(log, "b", 2);
	assert_null(find_for(log, NULL));
	first = answer_for(log, NULL);
	again = answer_for(log, NULL);
	assert_ptr_equal(first, again);
	assert_int_equal(first->gzip.len, 0);
	delta = answer_for(log, has);
	same = find_for(log, has);
	assert_ptr_equal(delta, same);
	put_user(log, "c", 3);
	assert_null(find_for(log, has));
	assert_null(find_for(log, NULL));
	state_log_free(log);
}

static void a_young_full_state_is_given_again(void **state)
{
	struct state_log *log = state_log_new(4, 60000);
	AUTO(state_answer) *old = NULL;
	AUTO(state_answer) *full = NULL;
	AUTO(state_answer) *delta = NULL;
	AUTO(state) *has = NULL;

	(void)state;
	put_user(log, "a", 1);
	old = answer_for(log, NULL);
	put_user(log, "b", 2);
	full = answer_for(log, NULL);
	assert_ptr_equal(old, full);
	has = follow(full, NULL);
	delta = answer_for(log, has);
	assert_false(delta->full);
	assert_int_equal(delta->revision, 2);
	state_log_free(log);
}

/* [X10] The kept one is of revision 1. */
static void a_kept_state_is_not_for_those_who_have_a_newer_one(void **state)
{
	struct state_log *log = state_log_new(4, 60000);
	AUTO(state_answer) *old = NULL, *known = NULL, *unknown = NULL, *without = NULL;
	AUTO(state) *first = NULL, *second = NULL;
	struct state_question question;

	(void)state;
	put_user(log, "a", 1);
	first = state_log_state(log);
	old = answer_for(log, NULL);
	put_user(log, "b", 2);
	second = state_log_state(log);
	put_user(log, "c", 3);
	question = question_of(first);
	question.whole = true;
	known = answer_to(log, &question);
	assert_ptr_equal(known, old);
	state_answer_free(known);
	question = question_of(second);
	question.whole = true;
	known = answer_to(log, &question);
	assert_true(known->full);
	assert_int_equal(known->revision, 3);
	put_user(log, "d", 4);
	question = (struct state_question){ .since = 1 };
	memset(question.digest, 'a', sizeof(question.digest) - 1);
	unknown = answer_to(log, &question);
	assert_true(unknown->full);
	assert_int_equal(unknown->revision, 4);
	put_user(log, "e", 5);
	question = (struct state_question){ .since = 2 };
	without = answer_to(log, &question);
	assert_true(without->full);
	assert_int_equal(without->revision, 5);
	state_log_free(log);
}

/* The whole is given although it is what they have. */
static void whoever_asks_for_the_whole_gets_it(void **state)
{
	struct state_log *log = state_log_new(-1, 0);
	AUTO(state_answer) *answer = NULL;
	AUTO(state) *has = NULL;
	struct state_question question;

	(void)state;
	put_user(log, "a", 1);
	has = state_log_state(log);
	question = question_of(has);
	assert_null(answer_to(log, &question));
	question.whole = true;
	answer = answer_to(log, &question);
	assert_true(answer->full);
	assert_string_equal(answer->result, question.digest);
	state_log_free(log);
}

static enum history_position position_of(struct state_log *log, const struct state *state)
{
	char digest[STATE_DIGEST_TEXT];

	state_digest_hex(state, digest);
	return state_log_position(log, state_revision(state), digest);
}

/* [X1] The ledger is put back: the same revisions come again, with other things in them. */
static void a_ledger_that_was_put_back_is_not_taken_for_what_it_was(void **state)
{
	struct state_log *before = state_log_new(-1, 0), *after = state_log_new(-1, 0);
	struct entity *loaded = make_user("a", 1, true);
	AUTO(state) *old = NULL, *had = NULL, *ahead = NULL, *has = NULL;
	AUTO(state_answer) *answer = NULL;

	(void)state;
	put_user(before, "a", 1);
	old = state_log_state(before);
	put_user(before, "b", 2);
	had = state_log_state(before);
	put_user(before, "c", 3);
	ahead = state_log_state(before);
	load(after, &loaded, 1, 1, 0);
	entity_free(loaded);
	assert_int_equal(position_of(after, old), HISTORY_KNOWN);
	assert_null(answer_for(after, old));
	assert_int_equal(position_of(after, had), HISTORY_UNKNOWN);
	put(after, make_user("b", 2, false), 2);
	assert_int_equal(position_of(after, had), HISTORY_UNKNOWN);
	assert_int_equal(position_of(after, ahead), HISTORY_UNKNOWN);
	assert_int_equal(position_of(after, old), HISTORY_KNOWN);
	answer = answer_for(after, had);
	assert_true(answer->full);
	has = follow(answer, had);
	assert_false(entity_user(state_find(has, ENTITY_USER, STR("b")))->enabled);
	state_log_free(before);
	state_log_free(after);
}

static void what_is_told_of_a_state_says_where_it_is_from(void **state)
{
	struct state_log *log = state_log_new(-1, 0);
	struct entity *loaded[] = { make_user("a", 5, true), make_user("b", 9, true) };
	AUTO(state) *newest = NULL;
	AUTO(state_answer) *answer = NULL;
	struct state_question question = { .since = 5 };
	char other[STATE_DIGEST_TEXT] = "";

	(void)state;
	memset(other, 'a', sizeof(other) - 1);
	assert_int_equal(state_log_position(log, 0, ""), HISTORY_KNOWN);
	load(log, loaded, 2, 9, 4);
	entity_free(loaded[0]);
	entity_free(loaded[1]);
	newest = state_log_state(log);
	assert_int_equal(position_of(log, newest), HISTORY_KNOWN);
	assert_int_equal(state_log_position(log, 0, ""), HISTORY_KNOWN);
	assert_int_equal(state_log_position(log, 9, ""), HISTORY_OLDER);
	assert_int_equal(state_log_position(log, 9, other), HISTORY_UNKNOWN);
	assert_int_equal(state_log_position(log, 5, other), HISTORY_OLDER);
	assert_int_equal(state_log_position(log, 10, ""), HISTORY_UNKNOWN);
	assert_int_equal(state_log_position(log, 10, other), HISTORY_UNKNOWN);
	memcpy(question.digest, other, sizeof(other));
	answer = answer_to(log, &question);
	assert_true(answer->full);
	/* A revision that this history does not have. */
	put_user(log, "c", 12);
	assert_int_equal(state_log_position(log, 11, other), HISTORY_UNKNOWN);
	assert_int_equal(position_of(log, newest), HISTORY_KNOWN);
	state_log_free(log);
}

/* What the ledger kept is known after a start, whatever a newer program makes of the newest. */
static void pairs_of_before_the_start_are_known(void **state)
{
	struct state_log *before = state_log_new(-1, 0), *after = state_log_new(-1, 0);
	struct entity *loaded[] = { make_user("a", 1, true), make_user("b", 2, true) };
	static const uint8_t of_the_program_before[STATE_DIGEST_BYTES] = { 1 };
	AUTO(state) *first = NULL, *second = NULL, *has = NULL;
	AUTO(state_answer) *delta = NULL;
	char hex[STATE_DIGEST_TEXT];

	(void)state;
	put_user(before, "a", 1);
	first = state_log_state(before);
	put_user(before, "b", 2);
	second = state_log_state(before);
	state_log_load_pair(after, 1, state_digest(first));
	state_log_load_pair(after, 2, of_the_program_before);
	load(after, loaded, 2, 2, 0);
	entity_free(loaded[0]);
	entity_free(loaded[1]);
	str_hex(of_the_program_before, sizeof(of_the_program_before), hex);
	assert_int_equal(position_of(after, first), HISTORY_KNOWN);
	assert_int_equal(position_of(after, second), HISTORY_KNOWN);
	assert_int_equal(state_log_position(after, 2, hex), HISTORY_KNOWN);
	assert_int_equal(state_log_position(after, 1, hex), HISTORY_UNKNOWN);
	delta = answer_for(after, first);
	assert_false(delta->full);
	has = follow(delta, first);
	assert_true(state_same(has, second));
	state_log_free(before);
	state_log_free(after);
}

static void a_change_stays_in_its_history(void **state)
{
	struct state_log *log = state_log_new(-1, 0);
	struct state_loaded loaded = { .revision = 0 };
	AUTO(state_answer) *full = NULL, *delta = NULL;
	AUTO(state) *first = NULL, *second = NULL;

	(void)state;
	assert_true(history_set(&loaded.history, STR("00112233445566778899aabbccddeeff"), 3));
	state_log_load(log, NULL, 0, &loaded);
	put_user(log, "a", 1);
	full = answer_for(log, NULL);
	first = follow(full, NULL);
	put_user(log, "b", 2);
	delta = answer_for(log, first);
	assert_false(delta->full);
	second = follow(delta, first);
	assert_true(history_same(state_history(first), &loaded.history));
	assert_true(history_same(state_history(second), &loaded.history));
	state_log_free(log);
}

static void who_is_far_behind_gets_it_all(void **state)
{
	struct state_log *log = state_log_new(0, 0);
	AUTO(state_answer) *delta = NULL;
	AUTO(state_answer) *full = NULL;
	AUTO(state_answer) *ahead = NULL;
	AUTO(state) *oldest = NULL, *near = NULL;
	struct state_question question = { .since = 999999 };
	char name[32];

	(void)state;
	for (uint64_t i = 1; i <= STATE_LOG_PAIRS + 10; i++) {
		(void)snprintf(name, sizeof(name), "user-%d", (int)(i % 50));
		put_user(log, name, i);
		if (i == 10)
			oldest = state_log_state(log);
		if (i == STATE_LOG_PAIRS + 11 - STATE_LOG_CHANGES)
			near = state_log_state(log);
	}
	assert_int_equal(position_of(log, oldest), HISTORY_OLDER);
	assert_int_equal(position_of(log, near), HISTORY_KNOWN);
	delta = answer_for(log, near);
	assert_false(delta->full);
	full = answer_for(log, oldest);
	assert_true(full->full);
	/* The leader was restored from an older ledger: whoever is ahead of it gets it all. */
	memset(question.digest, 'a', sizeof(question.digest) - 1);
	ahead = answer_to(log, &question);
	assert_true(ahead->full);
	state_log_free(log);
}

static void what_was_loaded_gives_people_deltas(void **state)
{
	struct state_log *log = state_log_new(4, 0);
	struct entity *loaded[] = { make_user("a", 5, true), entity_new_deleted(ENTITY_USER, STR("b"), 7),
		make_user("c", 9, true) };
	AUTO(state_answer) *delta = NULL, *full = NULL;
	AUTO(state) *all = NULL;

	(void)state;
	load(log, loaded, 3, 9, 4);
	for (size_t i = 0; i < 3; i++)
		entity_free(loaded[i]);
	all = state_log_state(log);
	assert_int_equal(state_count(all, ENTITY_USER), 2);
	/* To people; of states before the start nobody knows the digest. */
	full = lines_since(log, 3);
	assert_true(full->full);
	delta = lines_since(log, 4);
	assert_false(delta->full);
	assert_int_equal(delta->revision, 9);
	assert_non_null(memmem(delta->plain.at, delta->plain.len, "\"deleted\":true", 14));
	state_log_free(log);
}

static void gzip_is_the_same_bytes(void **state)
{
	struct state_log *log = state_log_new(9, 0);
	AUTO_FINI(buf) plain = buf_limit(1024 * 1024);
	AUTO(state_answer) *full = NULL;

	(void)state;
	put_user(log, "a", 1);
	full = answer_for(log, NULL);
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
	lines = lines_since(log, 0);
	assert_non_null(memmem(lines->plain.at, lines->plain.len, "client-id", 9));
	assert_null(memmem(lines->plain.at, lines->plain.len, "0123456789", 10));
	put(log, entity_new_deleted(ENTITY_USER, STR("a"), 3), 3);
	changed = lines_since(log, 2);
	assert_non_null(memmem(changed->plain.at, changed->plain.len, "\"deleted\":true", 14));
	assert_null(lines_since(log, 3));
	state_log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_then_delta),
		cmocka_unit_test(answers_are_made_once),
		cmocka_unit_test(a_young_full_state_is_given_again),
		cmocka_unit_test(a_kept_state_is_not_for_those_who_have_a_newer_one),
		cmocka_unit_test(whoever_asks_for_the_whole_gets_it),
		cmocka_unit_test(a_ledger_that_was_put_back_is_not_taken_for_what_it_was),
		cmocka_unit_test(what_is_told_of_a_state_says_where_it_is_from),
		cmocka_unit_test(pairs_of_before_the_start_are_known),
		cmocka_unit_test(a_change_stays_in_its_history),
		cmocka_unit_test(who_is_far_behind_gets_it_all),
		cmocka_unit_test(what_was_loaded_gives_people_deltas),
		cmocka_unit_test(gzip_is_the_same_bytes),
		cmocka_unit_test(lines_hold_no_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
