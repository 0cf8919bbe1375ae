/* SPDX-License-Identifier: Apache-2.0 */
/* state_chain: a whole and its deltas, read to the last that is good, whatever became of the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "proto/pack.h"
#include "proto/state_chain.h"

#define DELTAS 4

struct rig {
	struct buf bytes;
	struct state_chain chain;
	struct state *states[DELTAS + 1];
	size_t ends[DELTAS + 1];
};

static struct state *with_user(const struct state *old, const char *id, struct buf *ret_delta)
{
	const struct user user = { .enabled = true };
	uint64_t revision = state_revision(old) + 1;
	struct entity *entity = entity_new(ENTITY_USER, str_of(id), revision, &user);
	struct state *state = state_change(old, &entity, 1, revision);

	state_encode_delta(state_revision(old), state, &entity, 1, ret_delta);
	entity_free(entity);
	return state;
}

static int setup(void **state)
{
	static const char *const ids[] = { "ann", "ben", "cid", "ann", "dan" };
	struct rig *rig = xnew(struct rig);
	AUTO(state) *empty = state_new();
	AUTO_FINI(buf) delta = buf_limit(4096);

	rig->bytes = buf_limit(1 << 20);
	for (size_t i = 0; i <= DELTAS; i++) {
		buf_clear(&delta);
		rig->states[i] = with_user(i ? rig->states[i - 1] : empty, ids[i], &delta);
		if (i)
			state_chain_add(&rig->chain, buf_str(&delta), &rig->bytes);
		else
			state_chain_begin(rig->states[0], &rig->bytes, &rig->chain);
		rig->ends[i] = rig->bytes.len;
	}
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i <= DELTAS; i++)
		state_free(rig->states[i]);
	buf_fini(&rig->bytes);
	free(rig);
	return 0;
}

static void all_of_it_is_read(void **state)
{
	struct rig *rig = *state;
	struct state_chain_read read;

	assert_int_equal(rig->chain.bytes, rig->bytes.len);
	assert_int_equal(rig->chain.whole, rig->ends[0]);
	assert_true(state_chain_read(buf_str(&rig->bytes), &read, NULL));
	assert_true(state_same(read.state, rig->states[DELTAS]));
	assert_memory_equal(&read.chain, &rig->chain, sizeof(read.chain));
	assert_int_equal(read.left, 0);
	state_free(read.state);
}

/* One bit of any byte: what stands before it is read, and what is behind it is not believed. */
static void a_bit_that_turned_ends_it(void **state)
{
	struct rig *rig = *state;
	struct state_chain_read read;
	struct error err;

	for (size_t i = 0; i < rig->bytes.len; i++) {
		size_t good = 0;

		rig->bytes.at[i] = (char)(rig->bytes.at[i] ^ 1 << i % 8);
		if (i < rig->ends[0]) {
			/* Of its format alone a bit makes another one; no state comes of it all the same. */
			assert_false(state_chain_read(buf_str(&rig->bytes), &read, &err));
		} else {
			while (rig->ends[good + 1] <= i)
				good++;
			assert_true(state_chain_read(buf_str(&rig->bytes), &read, &err));
			assert_true(state_same(read.state, rig->states[good]));
			assert_int_equal(read.chain.bytes, rig->ends[good]);
			assert_int_equal(read.left, rig->bytes.len - rig->ends[good]);
			assert_non_null(strstr(read.why.text, "damaged"));
			/* A length may look like an end that was cut; anything else is damage where more stands behind. */
			if (i >= rig->ends[good] + 8)
				assert_true(read.damaged == (good + 1 < DELTAS));
			state_free(read.state);
		}
		rig->bytes.at[i] = (char)(rig->bytes.at[i] ^ 1 << i % 8);
	}
}

static void zeros_at_the_end_are_no_damage(void **state)
{
	static const char zeros[4096];
	struct rig *rig = *state;
	struct state_chain_read read;

	buf_append(&rig->bytes, zeros, sizeof(zeros));
	assert_true(state_chain_read(buf_str(&rig->bytes), &read, NULL));
	assert_true(state_same(read.state, rig->states[DELTAS]));
	assert_int_equal(read.left, sizeof(zeros));
	assert_false(read.damaged);
	state_free(read.state);
}

/* Sections are good where they were written: moved, left out or doubled they are none. */
static void a_section_counts_only_in_its_place(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) other = buf_limit(1 << 20);
	struct state_chain_read read;

	buf_append(&other, rig->bytes.at, rig->ends[0]);
	buf_append(&other, rig->bytes.at + rig->ends[1], rig->bytes.len - rig->ends[1]);
	assert_true(state_chain_read(buf_str(&other), &read, NULL));
	assert_true(state_same(read.state, rig->states[0]));
	assert_true(read.damaged);
	state_free(read.state);
	buf_clear(&other);
	buf_append(&other, rig->bytes.at, rig->ends[1]);
	buf_append(&other, rig->bytes.at + rig->ends[0], rig->ends[1] - rig->ends[0]);
	assert_true(state_chain_read(buf_str(&other), &read, NULL));
	assert_true(state_same(read.state, rig->states[1]));
	assert_false(read.damaged);
	state_free(read.state);
}

/* Its bytes are as they were written, and yet it does not follow. */
static void a_delta_that_does_not_follow_ends_it(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) delta = buf_limit(4096);
	struct state *next = with_user(rig->states[1], "eve", &delta);
	struct state_chain_read read;

	state_chain_add(&rig->chain, buf_str(&delta), &rig->bytes);
	assert_true(state_chain_read(buf_str(&rig->bytes), &read, NULL));
	assert_true(state_same(read.state, rig->states[DELTAS]));
	assert_true(read.damaged);
	assert_non_null(strstr(read.why.text, "does not follow"));
	state_free(read.state);
	state_free(next);
}

static void a_format_of_before_is_read_and_a_later_one_named(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) sealed = buf_limit(1 << 20);
	struct state_chain_read read;
	struct error err;

	state_seal(rig->states[2], &sealed);
	assert_true(state_chain_read(buf_str(&sealed), &read, &err));
	assert_true(state_same(read.state, rig->states[2]));
	assert_int_equal(read.chain.bytes, 0);
	state_free(read.state);
	/* As a program that knows format 1 alone reads ours. */
	assert_false(state_unseal(buf_str(&rig->bytes), &read.state, &err));
	assert_non_null(strstr(err.text, "version 2"));
	rig->bytes.at[8] = '3';
	assert_false(state_chain_read(buf_str(&rig->bytes), &read, &err));
	assert_non_null(strstr(err.text, "version 3, this program reads 2"));
	assert_false(state_chain_read(STR("ZOTSTATE"), &read, &err));
	assert_non_null(strstr(err.text, "not a state file"));
}

/* A leader that knows more of an entity than we do: what we would write is another state than the deltas go on from. */
static void a_state_of_a_newer_leader_takes_no_deltas(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) entity = buf_limit(4096), full = buf_limit(4096), file = buf_limit(4096);
	AUTO(state) *told = NULL;
	struct state_chain chain = rig->chain;
	uint8_t digest[STATE_DIGEST_BYTES];

	pack_map(&entity, 4);
	pack_str(&entity, STR("kind"));
	pack_str(&entity, STR("user"));
	pack_str(&entity, STR("id"));
	pack_str(&entity, STR("ann"));
	pack_str(&entity, STR("revision"));
	pack_uint(&entity, 1);
	pack_str(&entity, STR("body"));
	pack_map(&entity, 1);
	pack_str(&entity, STR("shoeSize"));
	pack_uint(&entity, 44);
	entity_hash_put(entity_hash_bytes(buf_str(&entity)), digest);
	pack_map(&full, 6);
	pack_str(&full, STR("v"));
	pack_uint(&full, STATE_FORMAT);
	pack_str(&full, STR("kind"));
	pack_str(&full, STR("full"));
	pack_str(&full, STR("from"));
	pack_uint(&full, 0);
	pack_str(&full, STR("revision"));
	pack_uint(&full, 1);
	pack_str(&full, STR("entities"));
	pack_array(&full, 1);
	buf_add(&full, buf_str(&entity));
	pack_str(&full, STR("digest"));
	pack_bin(&full, str_from((const char *)digest, sizeof(digest)));
	assert_true(state_apply(buf_str(&full), NULL, &told, NULL));
	state_chain_begin(told, &file, &chain);
	assert_int_equal(chain.bytes, 0);
	assert_false(file.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bit_that_turned_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(zeros_at_the_end_are_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_section_counts_only_in_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(a_delta_that_does_not_follow_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_format_of_before_is_read_and_a_later_one_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_state_of_a_newer_leader_takes_no_deltas, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
