/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ring - zot's owners, and how slots move.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/clock.h"
#include "proto/ring.h"

static const uint8_t zot_key[16] = "loremipsumdolors";
#define MANY 100

struct members {
	char ids[MANY][32];
	struct ring_member at[MANY];
};

static struct members *members_make(struct members *into, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		(void)snprintf(into->ids[i], sizeof(into->ids[i]), "worker-%zu", i);
		into->at[i] = (struct ring_member){
			.id = into->ids[i], .url = "http://127.0.0.1:1", .active = true
		};
	}
	return into;
}

static struct ring *make(enum ring_algorithm algorithm, const struct ring_member *at, size_t len)
{
	struct ring *ring = NULL;

	assert_true(ring_new(&ring, 7, algorithm, zot_key, at, len, NULL));
	return ring;
}

static void modulo_is_zots(void **state)
{
	static const struct {
		const char *name;
		int of_2, of_3, of_6;
	} cases[] = {
		{ "zot-test", 1, 1, 1 },
		{ "debian", 1, 0, 3 },
		{ "alpine", 1, 1, 1 },
		{ "ubuntu", 0, 0, 0 },
		{ "golang", 0, 2, 2 },
		{ "library/nginx", 1, 1, 1 },
		{ "a", 0, 1, 4 },
		{ "repo", 1, 0, 3 },
		{ "busybox", 0, 0, 0 },
		{ "hello-artifact", 1, 0, 3 },
		{ "project/team/app", 1, 1, 1 },
	};
	struct members members;
	AUTO(ring) *two = make(RING_MODULO, members_make(&members, 6)->at, 2);
	AUTO(ring) *three = make(RING_MODULO, members.at, 3);
	AUTO(ring) *six = NULL;

	(void)state;
	six = make(RING_MODULO, members.at, 6);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ring_owner(two, str_of(cases[i].name)), cases[i].of_2);
		assert_int_equal(ring_owner(three, str_of(cases[i].name)), cases[i].of_3);
		assert_int_equal(ring_owner(six, str_of(cases[i].name)), cases[i].of_6);
	}
}

/* Who owns nothing any more: the others own as if it were not in the list. */
static void modulo_of_those_that_are_active(void **state)
{
	struct members members;
	AUTO(ring) *all = make(RING_MODULO, members_make(&members, 4)->at, 4);
	AUTO(ring) *without = NULL, *leaving = NULL;
	char name[16];

	(void)state;
	members.at[1].active = false;
	leaving = make(RING_MODULO, members.at, 4);
	members.at[1] = members.at[2];
	members.at[2] = members.at[3];
	without = make(RING_MODULO, members.at, 3);
	for (int i = 0; i < 100; i++) {
		int owner;

		(void)snprintf(name, sizeof(name), "r%d", i);
		owner = ring_owner(leaving, str_of(name));
		assert_int_not_equal(owner, 1);
		assert_string_equal(ring_at(leaving, (size_t)owner)->id,
			ring_at(without, (size_t)ring_owner(without, str_of(name)))->id);
	}
	assert_true(ring_mark(all) != ring_mark(leaving) && ring_mark(without) != ring_mark(leaving));
}

static void nobody_owns_an_empty_ring(void **state)
{
	struct ring_member asleep = { "w", NULL, false, NULL };
	AUTO(ring) *empty_modulo = make(RING_MODULO, NULL, 0);
	AUTO(ring) *empty_slots = make(RING_SLOTS_RENDEZVOUS, NULL, 0);
	AUTO(ring) *asleep_modulo = make(RING_MODULO, &asleep, 1);
	AUTO(ring) *asleep_slots = make(RING_SLOTS_RENDEZVOUS, &asleep, 1);

	(void)state;
	assert_int_equal(ring_owner(empty_modulo, STR("a")), RING_NOBODY);
	assert_int_equal(ring_owner(empty_slots, STR("a")), RING_NOBODY);
	assert_int_equal(ring_owner(asleep_modulo, STR("a")), RING_NOBODY);
	assert_int_equal(ring_owner(asleep_slots, STR("a")), RING_NOBODY);
	assert_int_equal(ring_slot_owner(empty_slots, 0), RING_NOBODY);
	assert_int_equal(ring_find(empty_slots, STR("a")), RING_NOBODY);
	assert_string_equal(ring_at(asleep_slots, 0)->url, "");
}

static void keeps_its_members(void **state)
{
	static const struct ring_member given[] = {
		{ "zeta", "http://z", true, NULL },
		{ "a", "http://a", false, NULL },
		{ "worker-10", "http://w10", true, NULL },
		{ "worker-2", "http://w2", true, NULL },
	};
	AUTO(ring) *ring = make(RING_SLOTS_RENDEZVOUS, given, 4);
	AUTO(ring) *again = ring_ref(ring);

	(void)state;
	assert_ptr_equal(again, ring);
	assert_int_equal(ring_epoch(ring), 7);
	assert_int_equal(ring_len(ring), 4);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(ring_at(ring, (size_t)i)->id, given[i].id);
		assert_string_equal(ring_at(ring, (size_t)i)->url, given[i].url);
		assert_int_equal(ring_at(ring, (size_t)i)->active, given[i].active);
		assert_int_equal(ring_find(ring, str_of(given[i].id)), i);
	}
	assert_int_equal(ring_find(ring, STR("worker-1")), RING_NOBODY);
	assert_int_equal(ring_find(ring, STR("")), RING_NOBODY);
	assert_int_equal(ring_find(ring, STR("zz")), RING_NOBODY);
}

/* Every field counts. */
static void rings_are_compared_by_what_is_in_them(void **state)
{
	static const struct ring_member two[] = { { "a", "http://a", true, NULL },
		{ "b", "http://b", true, NULL } };
	static const struct ring_member others[][2] = {
		{ { "a", "http://a", true, NULL }, { "c", "http://b", true, NULL } },
		{ { "a", "http://a", true, NULL }, { "b", "http://b", false, NULL } },
		{ { "a", "http://a", true, NULL }, { "b", "http://c", true, NULL } },
	};
	AUTO(ring) *ring = make(RING_SLOTS_RENDEZVOUS, two, 2);
	AUTO(ring) *again = make(RING_SLOTS_RENDEZVOUS, two, 2);
	AUTO(ring) *fewer = make(RING_SLOTS_RENDEZVOUS, two, 1);
	AUTO(ring) *modulo = make(RING_MODULO, two, 2), *spelled = make(RING_MODULO, others[0], 2);
	AUTO(ring) *later = NULL, *keyed = NULL;

	(void)state;
	assert_true(ring_same(ring, again));
	assert_true(ring_mark(ring) == ring_mark(again));
	for (size_t i = 0; i < 3; i++) {
		AUTO(ring) *other = make(RING_SLOTS_RENDEZVOUS, others[i], 2);

		assert_false(ring_same(ring, other));
		/* Who owns what does not depend on addresses. */
		assert_int_equal(ring_mark(ring) == ring_mark(other), i == 2);
	}
	assert_true(ring_new(&later, 8, RING_SLOTS_RENDEZVOUS, zot_key, two, 2, NULL));
	assert_true(ring_new(&keyed, 7, RING_SLOTS_RENDEZVOUS, (const uint8_t[16]){ 1 }, two, 2, NULL));
	assert_false(ring_same(ring, fewer) || ring_same(ring, modulo) || ring_same(ring, later) ||
		     ring_same(ring, keyed));
	assert_false(ring_mark(ring) == ring_mark(fewer) || ring_mark(ring) == ring_mark(modulo) ||
		     ring_mark(ring) == ring_mark(later) || ring_mark(ring) == ring_mark(keyed));
	/* Members of a static cluster agree on their order alone. */
	assert_true(ring_mark(modulo) == ring_mark(spelled) && !ring_same(modulo, spelled));
}

static void refuses(void **state)
{
	static const struct ring_member same[] = { { "a", "x", true, NULL }, { "b", "y", true, NULL },
		{ "a", "z", true, NULL } };
	static const struct ring_member nameless = { "", "x", true, NULL };
	struct ring_member *many = calloc(RING_MEMBERS_MAX + 1, sizeof(*many));
	struct ring *ring = NULL;
	struct error err;

	(void)state;
	assert_false(ring_new(&ring, 1, RING_MODULO, zot_key, same, 3, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_false(ring_new(&ring, 1, RING_SLOTS_RENDEZVOUS, zot_key, same, 3, NULL));
	assert_false(ring_new(&ring, 1, RING_MODULO, zot_key, &nameless, 1, NULL));
	assert_false(ring_new(&ring, 1, RING_MODULO, zot_key, many, RING_MEMBERS_MAX + 1, NULL));
	assert_null(ring);
	free(many);
}

static void slots_do_not_depend_on_order(void **state)
{
	struct members members;
	struct ring_member turned[5];
	AUTO(ring) *ring = make(RING_SLOTS_RENDEZVOUS, members_make(&members, 5)->at, 5);
	AUTO(ring) *other = NULL;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		turned[i] = members.at[4 - i];
	other = make(RING_SLOTS_RENDEZVOUS, turned, 5);
	for (unsigned slot = 0; slot < RING_SLOTS; slot++)
		assert_int_equal(ring_slot_owner(ring, slot), 4 - ring_slot_owner(other, slot));
	assert_int_equal(ring_owner(ring, STR("library/nginx")),
		ring_slot_owner(ring, ring_slot(ring, STR("library/nginx"))));
}

/* What changes the owner of a slot silently would split every fleet that is being upgraded. */
static void slots_stay_as_they_are(void **state)
{
	struct members members;
	AUTO(ring) *ring = make(RING_SLOTS_RENDEZVOUS, members_make(&members, 5)->at, 5);
	static const struct {
		const char *name;
		unsigned slot;
	} names[] = {
		{ "debian", 7431 },
		{ "library/nginx", 12113 },
		{ "a", 16372 },
	};
	static const int owners[8] = { 1, 1, 4, 0, 4, 4, 3, 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(ring_slot(ring, str_of(names[i].name)), names[i].slot);
	for (unsigned slot = 0; slot < 8; slot++)
		assert_int_equal(ring_slot_owner(ring, slot), owners[slot]);
}

static void only_the_lost_members_slots_move(void **state)
{
	struct members members;
	AUTO(ring) *before = make(RING_SLOTS_RENDEZVOUS, members_make(&members, 5)->at, 5);
	AUTO(ring) *after = NULL;
	unsigned held[5] = { 0 };
	unsigned gained[5] = { 0 };

	(void)state;
	members.at[2].active = false;
	after = make(RING_SLOTS_RENDEZVOUS, members.at, 5);
	for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
		int from = ring_slot_owner(before, slot);
		int into = ring_slot_owner(after, slot);

		assert_in_range(from, 0, 4);
		held[from]++;
		assert_true(from == 2 ? into != 2 : into == from);
		gained[into] += from == 2;
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_in_range(held[i], RING_SLOTS / 5 * 65 / 100, RING_SLOTS / 5 * 135 / 100);
		if (i != 2)
			assert_in_range(gained[i], held[2] / 4 * 65 / 100, held[2] / 4 * 135 / 100);
	}
}

static void a_large_ring_is_quick(void **state)
{
	struct members members;
	int64_t start = clock_ms();
	AUTO(ring) *ring = make(RING_SLOTS_RENDEZVOUS, members_make(&members, MANY)->at, MANY);
	int64_t took = clock_ms() - start;

	(void)state;
	print_message("%d members: %lld ms\n", MANY, (long long)took);
	assert_in_range(took, 0, 10000);
	assert_in_range(ring_owner(ring, STR("library/nginx")), 0, MANY - 1);
}

/* Those that serve a repository share it as if they were alone; everybody's stays as it was. */
static void tenants_own_their_own(void **state)
{
	static char team[] = "team-a,labs", other[] = "team-b";
	struct members members, teams;
	AUTO(ring) *plain = make(RING_SLOTS_RENDEZVOUS, members_make(&members, 6)->at, 6);
	AUTO(ring) *mixed = NULL, *alone = NULL;
	size_t owned[6] = { 0 };
	char name[64];

	(void)state;
	members_make(&teams, 6);
	for (size_t i = 0; i < 4; i++)
		members.at[i].tenants = i < 3 ? team : other;
	mixed = make(RING_SLOTS_RENDEZVOUS, members.at, 6);
	alone = make(RING_SLOTS_RENDEZVOUS, teams.at + 4, 2);
	for (int i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "team-a/app-%d", i);
		int at = ring_owner(mixed, str_of(name));
		assert_true(at >= 0 && at != 3);
		owned[at]++;
		(void)snprintf(name, sizeof(name), "else/app-%d", i);
		assert_int_equal(ring_owner(mixed, str_of(name)), 4 + ring_owner(alone, str_of(name)));
		assert_true(ring_owner(plain, str_of(name)) >= 0);
	}
	for (size_t i = 0; i < 6; i++)
		assert_true((owned[i] > 60) == (i != 3));
	assert_true(ring_mark(plain) != ring_mark(mixed));
	assert_false(ring_same(plain, mixed));
}

static void nobody_serves_it(void **state)
{
	struct members members;
	AUTO(ring) *ring = NULL;

	(void)state;
	members_make(&members, 2);
	members.at[0].tenants = members.at[1].tenants = "team-a";
	members.at[1].active = false;
	ring = make(RING_SLOTS_RENDEZVOUS, members.at, 2);
	assert_int_equal(ring_owner(ring, STR("team-a/x")), 0);
	assert_int_equal(ring_owner(ring, STR("team-b/x")), RING_NOBODY);
	assert_true(ring_has_active(ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modulo_is_zots),
		cmocka_unit_test(modulo_of_those_that_are_active),
		cmocka_unit_test(nobody_owns_an_empty_ring),
		cmocka_unit_test(keeps_its_members),
		cmocka_unit_test(rings_are_compared_by_what_is_in_them),
		cmocka_unit_test(refuses),
		cmocka_unit_test(slots_do_not_depend_on_order),
		cmocka_unit_test(slots_stay_as_they_are),
		cmocka_unit_test(only_the_lost_members_slots_move),
		cmocka_unit_test(a_large_ring_is_quick),
		cmocka_unit_test(tenants_own_their_own),
		cmocka_unit_test(nobody_serves_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
