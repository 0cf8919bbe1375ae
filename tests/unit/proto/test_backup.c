/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_backup - what was put away comes back whole, or not at all and with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "proto/backup.h"

#define RAW   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WORDS "correct horse battery staple"

static struct state *a_state(void)
{
	const struct user user = { .enabled = true };
	const struct worker_key credential = { .enabled = true,
		.secret_hash = "aa00000000000000000000000000000000000000000000000000000000000000" };
	struct entity *entities[] = { entity_new(ENTITY_USER, STR("alice"), 6, &user),
		entity_new(ENTITY_WORKER, STR("zwk_w1"), 7, &credential) };
	AUTO(state) *empty = state_new();
	struct history history = { 0 };
	struct state *state = state_change(empty, entities, 2, 7);

	assert_true(history_set(&history, STR("0123456789abcdef0123456789abcdef"), 3));
	state_set_history(state, &history);
	entity_free(entities[0]);
	entity_free(entities[1]);
	return state;
}

static struct backup_key *key_of(const char *text)
{
	struct backup_key *key = NULL;

	assert_true(backup_key_new(&key, str_of(text), NULL));
	return key;
}

static void encode(const char *key_text, struct buf *into)
{
	AUTO(state) *state = a_state();
	AUTO(backup_key) *key = key_text ? key_of(key_text) : NULL;

	backup_encode(state, 1700000000000, key, into);
	assert_false(into->failed);
}

static bool decode(struct str bytes, const char *key_text, enum backup_for whom, struct state **ret_state,
	struct error *err)
{
	AUTO(backup_key) *key = key_text ? key_of(key_text) : NULL;

	return backup_decode(bytes, key, whom, STATE_BYTES_MAX, ret_state, err);
}

static void refused(struct str bytes, const char *key_text, const char *why)
{
	AUTO(state) *state = NULL;
	struct error err;

	assert_false(decode(bytes, key_text, BACKUP_FOR_LEADER, &state, &err));
	assert_null(state);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void comes_back(const char *key_text)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);
	AUTO(state) *put = a_state();
	AUTO(state) *leader = NULL, *worker = NULL;

	encode(key_text, &bytes);
	assert_true(decode(buf_str(&bytes), key_text, BACKUP_FOR_LEADER, &leader, NULL));
	assert_true(decode(buf_str(&bytes), key_text, BACKUP_FOR_WORKER, &worker, NULL));
	assert_true(state_same(leader, put) && state_same(worker, put));
	assert_true(history_same(state_history(leader), state_history(put)));
	assert_int_equal(state_count(leader, ENTITY_WORKER), 1);
	assert_int_equal(state_count(worker, ENTITY_WORKER), 0);
	assert_int_equal(state_count(worker, ENTITY_USER), 1);
}

static void it_comes_back_whole(void **unused)
{
	(void)unused;
	comes_back(NULL);
	comes_back(RAW);
	comes_back(WORDS);
}

static void the_head_can_be_read_alone(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);
	AUTO(state) *put = a_state();
	struct backup_head head;

	(void)unused;
	encode(RAW, &bytes);
	assert_true(backup_read_head(
		str_from(bytes.at, bytes.len < BACKUP_HEAD_MAX ? bytes.len : BACKUP_HEAD_MAX), &head, NULL));
	assert_true(head.sealed);
	assert_true(history_same(&head.history, state_history(put)));
	assert_true(state_is(put, head.revision, head.digest));
	assert_int_equal(backup_age_ms(&head, 1700000005000), 5000);
	assert_int_equal(backup_age_ms(&head, 1600000000000), 0);
}

/* Nothing of what is sealed can be read in it. */
static void what_is_sealed_is_not_there_to_read(void **unused)
{
	AUTO_FINI(buf) open = buf_limit(BACKUP_BYTES_MAX);
	AUTO_FINI(buf) sealed = buf_limit(BACKUP_BYTES_MAX);

	(void)unused;
	encode(NULL, &open);
	encode(WORDS, &sealed);
	assert_non_null(memmem(open.at, open.len, "alice", 5));
	assert_null(memmem(sealed.at, sealed.len, "alice", 5));
	assert_null(memmem(sealed.at, sealed.len, WORDS, strlen(WORDS)));
}

static void each_truncation_is_refused(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);

	(void)unused;
	encode(RAW, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		/* A copy of its own, so that a read behind it is seen. */
		char *cut = str_dup(str_from(bytes.at, len));
		struct state *state = NULL;

		assert_false(decode(str_from(cut, len), RAW, BACKUP_FOR_LEADER, &state, NULL));
		free(cut);
	}
	refused(str_from(bytes.at, bytes.len - 1), RAW, "truncated");
}

static void each_bit_counts(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);

	(void)unused;
	encode(NULL, &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		struct state *state = NULL;

		bytes.at[bit / 8] = (char)(bytes.at[bit / 8] ^ 1 << bit % 8);
		assert_false(decode(buf_str(&bytes), NULL, BACKUP_FOR_LEADER, &state, NULL));
		bytes.at[bit / 8] = (char)(bytes.at[bit / 8] ^ 1 << bit % 8);
	}
	bytes.at[bytes.len - 40] = (char)(bytes.at[bytes.len - 40] ^ 1);
	refused(buf_str(&bytes), NULL, "damaged");
}

static void put_sum(struct buf *bytes)
{
	uint8_t sum[HASH_MAX];

	hash_bytes(HASH_SHA256, bytes->at, bytes->len - 32, sum);
	memcpy(bytes->at + bytes->len - 32, sum, 32);
}

/* Who can write the SHA-256 anew still does not have the key. */
static void what_is_sealed_cannot_be_forged(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);

	(void)unused;
	encode(RAW, &bytes);
	bytes.at[bytes.len - 60] = (char)(bytes.at[bytes.len - 60] ^ 1);
	put_sum(&bytes);
	refused(buf_str(&bytes), RAW, "is not the one");
}

static void the_reason_is_said(void **unused)
{
	AUTO_FINI(buf) open = buf_limit(BACKUP_BYTES_MAX);
	AUTO_FINI(buf) raw = buf_limit(BACKUP_BYTES_MAX);
	AUTO_FINI(buf) words = buf_limit(BACKUP_BYTES_MAX);

	(void)unused;
	encode(NULL, &open);
	encode(RAW, &raw);
	encode(WORDS, &words);
	refused(STR(""), NULL, "not a backup");
	refused(STR("ZOTSTATE1"), NULL, "not a backup");
	refused(buf_str(&raw), NULL, "CLUSTER_BACKUP_KEY is not set");
	refused(buf_str(&raw), WORDS, "a key of 64 hex digits, and CLUSTER_BACKUP_KEY is a passphrase");
	refused(buf_str(&words), RAW, "sealed with a passphrase");
	refused(buf_str(&words), "another long passphrase", "is not the one");
	open.at[9] = '2';
	refused(buf_str(&open), NULL, "newer version");
}

static void keys_that_are_none_are_refused(void **unused)
{
	struct backup_key *key = NULL;
	struct error err;

	(void)unused;
	assert_false(backup_key_new(&key, STR("too short"), &err));
	assert_non_null(strstr(err.text, "64 lower case hex digits"));
	assert_null(key);
	backup_key_free(NULL);
}

static void a_state_that_is_too_large_is_refused(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);
	struct state *state = NULL;

	(void)unused;
	encode(NULL, &bytes);
	assert_false(backup_decode(buf_str(&bytes), NULL, BACKUP_FOR_WORKER, 100, &state, NULL));
	assert_null(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_comes_back_whole),
		cmocka_unit_test(the_head_can_be_read_alone),
		cmocka_unit_test(what_is_sealed_is_not_there_to_read),
		cmocka_unit_test(each_truncation_is_refused),
		cmocka_unit_test(each_bit_counts),
		cmocka_unit_test(what_is_sealed_cannot_be_forged),
		cmocka_unit_test(the_reason_is_said),
		cmocka_unit_test(keys_that_are_none_are_refused),
		cmocka_unit_test(a_state_that_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
