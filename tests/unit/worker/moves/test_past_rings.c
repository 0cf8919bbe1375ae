/* SPDX-License-Identifier: Apache-2.0 */
/* test_past_rings - who may hold a repository by the rings of before, over restarts, gaps and too many rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/check.h"
#include "tests/unit/remove_tree.h"
#include "worker/moves/past_rings.h"
#include "worker/storage/store.h"

static const uint8_t key[16] = "0123456789abcdef";
static struct error err;
static char folder[128];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct store *store;

	(void)snprintf(folder, sizeof(folder), "%s/test-rings-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder) || !store_fs_open(&store, folder, &err))
		return -1;
	*state = store;
	return 0;
}

static int teardown(void **state)
{
	store_free(*state);
	return remove_tree(folder) ? 0 : -1;
}

/* Its members' names, a letter each; a capital one is drained. */
static struct ring *make(uint64_t epoch, const char *letters)
{
	struct ring_member members[8];
	struct ring *ring;
	char ids[8][2];
	size_t len = strlen(letters);

	for (size_t i = 0; i < len; i++) {
		ids[i][0] = (char)(letters[i] | 0x20);
		ids[i][1] = '\0';
		members[i] = (struct ring_member){
			.id = ids[i], .url = "http://x", .active = letters[i] & 0x20, .tenants = ""
		};
	}
	assert_true(ring_new(&ring, epoch, RING_SLOTS_RENDEZVOUS, key, members, len, &err));
	return ring;
}

static void adopt(struct past_rings *rings, struct store *store, uint64_t epoch, const char *letters)
{
	AUTO(ring) *ring = make(epoch, letters);

	assert_true(past_rings_adopt(rings, store, ring, true, &err));
}

static struct past_rings load(struct store *store)
{
	struct past_rings rings;

	assert_true(past_rings_load(store, &rings, &err));
	return rings;
}

/* One that `owner` has by this ring. */
static struct str name_of(uint64_t epoch, const char *letters, char owner, char into[16])
{
	AUTO(ring) *ring = make(epoch, letters);

	for (unsigned i = 0;; i++) {
		(void)snprintf(into, 16, "r%u", i);
		if (*ring_at(ring, (size_t)ring_owner(ring, str_of(into)))->id == owner)
			return str_of(into);
	}
}

static void only_owners_of_before_may_hold(void **state)
{
	struct past_rings rings = load(*state);
	char name[16];

	/* What was before us is not known: anybody may hold anything. */
	adopt(&rings, *state, 5, "ab");
	assert_true(past_rings_may_hold(&rings, "z", STR("any")));
	assert_true(past_rings_settled(&rings, *state, &err));
	assert_false(past_rings_may_hold(&rings, "z", STR("any")));
	adopt(&rings, *state, 6, "Ab");
	past_rings_fini(&rings);
	/* A restart. */
	rings = load(*state);
	assert_int_equal(rings.len, 2);
	assert_int_equal(ring_epoch(past_rings_newest(&rings)), 6);
	assert_true(past_rings_may_hold(&rings, "a", name_of(5, "ab", 'a', name)));
	assert_false(past_rings_may_hold(&rings, "a", name_of(5, "ab", 'b', name)));
	adopt(&rings, *state, 6, "Ab");
	assert_int_equal(rings.len, 2);
	past_rings_fini(&rings);
}

static void a_ring_that_was_missed(void **state)
{
	struct past_rings rings = load(*state);
	char name[16];

	adopt(&rings, *state, 5, "ab");
	assert_true(past_rings_settled(&rings, *state, &err));
	adopt(&rings, *state, 7, "ab");
	assert_true(past_rings_may_hold(&rings, "z", name_of(5, "ab", 'b', name)));
	past_rings_fini(&rings);
}

static void too_many(void **state)
{
	struct past_rings rings = load(*state);

	adopt(&rings, *state, 1, "ab");
	assert_true(past_rings_settled(&rings, *state, &err));
	for (uint64_t epoch = 2; epoch <= PAST_RINGS_MAX; epoch++)
		adopt(&rings, *state, epoch, "ab");
	assert_false(past_rings_may_hold(&rings, "z", STR("any")));
	adopt(&rings, *state, PAST_RINGS_MAX + 1, "ab");
	assert_int_equal(rings.len, PAST_RINGS_MAX);
	assert_true(past_rings_may_hold(&rings, "z", STR("any")));
	past_rings_fini(&rings);
}

static void what_was_left_is_known(void **state)
{
	AUTO(ring) *old = make(3, "ab"), *now = make(4, "abc"), *other = make(9, "x");
	struct past_rings rings = load(*state);

	adopt(&rings, *state, 3, "ab");
	adopt(&rings, *state, 4, "abc");
	assert_true(past_rings_is_past(&rings, ring_mark(old)));
	assert_false(past_rings_is_past(&rings, ring_mark(now)));
	assert_false(past_rings_is_past(&rings, ring_mark(other)));
	past_rings_fini(&rings);
}

/* As the other one tells it, in its own text. */
static struct past_rings told_by(struct past_rings *other)
{
	AUTO_FINI(buf) text = buf_limit(PAST_RINGS_TEXT_MAX);
	struct past_rings told;

	past_rings_format(other, &text);
	past_rings_fini(other);
	assert_true(past_rings_parse(buf_str(&text), &told, &err));
	return told;
}

static void who_is_new_is_told(void **state)
{
	struct past_rings rings = load(*state), other = { .len = 0 }, told;
	char name[16];

	adopt(&other, *state, 4, "ab");
	assert_true(past_rings_settled(&other, *state, &err));
	adopt(&other, *state, 5, "abc");
	adopt(&rings, *state, 5, "abc");
	assert_true(past_rings_may_hold(&rings, "a", name_of(4, "ab", 'b', name)));
	told = told_by(&other);
	assert_true(past_rings_learn(&rings, *state, &told, &err));
	past_rings_fini(&told);
	past_rings_fini(&rings);
	/* It is written down. */
	rings = load(*state);
	assert_int_equal(rings.len, 2);
	assert_true(rings.whole);
	assert_true(past_rings_may_hold(&rings, "b", name_of(4, "ab", 'b', name)));
	assert_false(past_rings_may_hold(&rings, "z", str_of(name)));
	past_rings_fini(&rings);
}

static void who_does_not_know_is_not_believed(void **state)
{
	struct past_rings rings = load(*state), other = { .len = 0 }, told;

	adopt(&rings, *state, 6, "abc");
	/* It missed one, too. */
	adopt(&other, *state, 6, "abc");
	told = told_by(&other);
	assert_false(past_rings_learn(&rings, *state, &told, &err));
	past_rings_fini(&told);
	/* It knows all, before another ring. */
	adopt(&other, *state, 5, "abc");
	assert_true(past_rings_settled(&other, *state, &err));
	told = told_by(&other);
	assert_false(past_rings_learn(&rings, *state, &told, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	past_rings_fini(&told);
	told = (struct past_rings){ .whole = true };
	assert_false(past_rings_learn(&rings, *state, &told, &err));
	assert_false(rings.whole);
	past_rings_fini(&rings);
}

static void what_is_damaged_is_an_error(void **state)
{
	static const char *const texts[] = { "", "{\"format\":2}", "{\"format\":1,\"whole\":1,\"rings\":[]}",
		"{\"format\":1,\"whole\":true,\"rings\":[{}]}",
		"{\"format\":1,\"whole\":true,\"rings\":[{\"epoch\":1,\"algorithm\":1,\"key\":\"00\","
		"\"members\":[]}]}" };
	struct past_rings rings;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(store_note_put(*state, STR(".rings"), str_of(texts[i]), &err));
		assert_false(past_rings_load(*state, &rings, &err));
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_owners_of_before_may_hold),
		TEST(a_ring_that_was_missed),
		TEST(too_many),
		TEST(what_was_left_is_known),
		TEST(who_is_new_is_told),
		TEST(who_does_not_know_is_not_believed),
		TEST(what_is_damaged_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
