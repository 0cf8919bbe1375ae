/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "leader/store.h"

#define LEASE 6000

static int64_t now = 1000000;

static struct usage_push push_of(const char *worker, const char *process, const char *state)
{
	struct usage_push push = { .seq = 1 };

	push.worker = check_strdup(worker);
	push.process = check_strdup(process);
	push.boot = check_strdup("boot");
	push.url = check_strdup("http://10.0.0.1:1");
	push.zone = check_strdup("");
	push.version = check_strdup("");
	push.state = check_strdup(state);
	return push;
}

static bool push(struct members *members, const char *worker, const char *process, const char *state,
	struct members_change *ret_change, struct error *err)
{
	struct usage_push message = push_of(worker, process, state);
	const struct store_member *member;
	bool ok = members_push(members, &message, now, LEASE, &member, ret_change, err);

	usage_push_fini(&message);
	return ok;
}

struct swept {
	char lost[256], gone[256];
};

static void note_lost(void *arg, const struct store_member *member)
{
	struct swept *swept = arg;

	(void)snprintf(swept->lost, sizeof(swept->lost), "%s", member->name);
}

static void note_gone(void *arg, const struct store_member *member)
{
	struct swept *swept = arg;

	(void)snprintf(swept->gone, sizeof(swept->gone), "%s", member->name);
}

static bool sweep(struct members *members, struct swept *swept)
{
	struct members_terms terms = { .now_ms = now, .now_wall_s = now / 1000, .lease_ms = LEASE };

	*swept = (struct swept){ 0 };
	return members_sweep(members, &terms, note_lost, note_gone, swept);
}

/* Time passes for the sweeper too: it is not away. */
static void pass(struct members *members, int64_t ms, struct swept *swept)
{
	struct swept each;

	*swept = (struct swept){ 0 };
	for (int64_t end = now + ms; now < end; now += 500) {
		(void)sweep(members, &each);
		if (*each.lost)
			*swept = each;
	}
}

static void registers_and_tells_what_changed(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	assert_true(change.ring && change.store && !change.hurry);
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	assert_false(change.ring || change.store || change.hurry);
	assert_true(push(members, "a", "p1", "draining", &change, NULL));
	assert_true(change.ring && change.hurry);
	assert_true(push(members, "a", "p1", "draining", &change, NULL));
	assert_false(change.ring || change.hurry);
	assert_int_equal(members_live(members), 1);
	assert_true(push(members, "a", "p1", "left", &change, NULL));
	assert_true(change.ring && change.hurry);
	assert_int_equal(members_live(members), 0);
}

static void lost_after_one_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct swept swept;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	pass(members, LEASE, &swept);
	assert_string_equal(swept.lost, "");
	pass(members, 1000, &swept);
	assert_string_equal(swept.lost, "a");
	assert_int_equal(members_live(members), 0);
	assert_int_equal(members_count(members), 1);
	/* Back again. */
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	assert_true(change.ring && change.store);
	assert_int_equal(members_live(members), 1);
}

static void forgotten_after_a_day(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct swept swept;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	pass(members, LEASE + 1000, &swept);
	assert_string_equal(swept.lost, "a");
	now += (int64_t)MEMBERS_LOST_SHOWN_S * 1000 - 10000;
	assert_false(sweep(members, &swept));
	now += 20000;
	assert_true(sweep(members, &swept));
	assert_string_equal(swept.gone, "a");
	assert_int_equal(members_count(members), 0);
}

static void a_name_has_one_process(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct swept swept;
	struct error err;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	assert_false(push(members, "a", "p2", "active", &change, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	pass(members, LEASE + 1000, &swept);
	assert_true(push(members, "a", "p2", "active", &change, &err));
	assert_true(push(members, "a", "p2", "left", &change, &err));
	assert_true(push(members, "a", "p3", "active", &change, &err));
}

static void a_leader_that_was_away_gives_a_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct swept swept;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	(void)sweep(members, &swept);
	now += 100000;
	assert_false(sweep(members, &swept));
	assert_int_equal(members_live(members), 1);
	pass(members, LEASE + 1000, &swept);
	assert_string_equal(swept.lost, "a");
}

static void loaded_members_have_a_lease(void **state)
{
	AUTO(members) *members = members_new();
	char a[] = "a", b[] = "b", active[] = "active";
	struct store_member known = { .name = a, .state = active, .seen_wall_s = 1 };
	struct store_member lost = { .name = b, .state = active, .lost_wall_s = now / 1000 };
	struct swept swept;

	(void)state;
	members_load(members, &known, now);
	members_load(members, &lost, now);
	assert_int_equal(members_live(members), 1);
	assert_int_equal(members_count(members), 2);
	assert_false(sweep(members, &swept));
	pass(members, LEASE + 1000, &swept);
	assert_string_equal(swept.lost, "a");
}

static void a_push_that_waits_keeps_its_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct usage_push message = push_of("a", "p1", "active");
	struct swept swept;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	pass(members, LEASE - 1000, &swept);
	members_seen(members, &message, now);
	pass(members, LEASE - 1000, &swept);
	assert_int_equal(members_live(members), 1);
	usage_push_fini(&message);
}

static void forgets_only_who_is_not_alive(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct swept swept;

	(void)state;
	assert_true(push(members, "a", "p1", "active", &change, NULL));
	assert_int_equal(members_forget(members, STR("b")), MEMBERS_UNKNOWN);
	assert_int_equal(members_forget(members, STR("a")), MEMBERS_LIVE);
	pass(members, LEASE + 1000, &swept);
	assert_int_equal(members_forget(members, STR("a")), MEMBERS_FORGOT);
	assert_int_equal(members_count(members), 0);
}

static void has_a_bound(void **state)
{
	AUTO(members) *members = members_new();
	struct members_change change;
	struct error err;
	char name[16];

	(void)state;
	for (int i = 0; i < MEMBERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "w%d", i);
		assert_true(push(members, name, "p", "active", &change, &err));
	}
	assert_false(push(members, "one-more", "p", "active", &change, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_true(push(members, "w7", "p", "active", &change, &err));
}

static void writes_json(void **state)
{
	AUTO(members) *members = members_new();
	AUTO_FINI(buf) text = buf_limit(65536);
	AUTO(json_doc) *doc = NULL;
	struct json_writer w = json_writer(&text);
	struct members_change change;

	(void)state;
	assert_true(push(members, "b", "p1", "active", &change, NULL));
	assert_true(push(members, "a", "p1", "joining", &change, NULL));
	members_write(members, now + 1000, LEASE, &w);
	assert_true(json_parse(buf_str(&text), &doc, NULL));
	const struct json *first = json_at(json_root(doc), 0);
	assert_true(str_is(json_str(json_find(first, "name")), "a"));
	assert_true(str_is(json_str(json_find(first, "state")), "joining"));
	int64_t left = 0;
	assert_true(json_get_int(json_find(first, "leaseLeftMs"), &left));
	assert_int_equal(left, LEASE - 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_and_tells_what_changed),
		cmocka_unit_test(lost_after_one_lease),
		cmocka_unit_test(forgotten_after_a_day),
		cmocka_unit_test(a_name_has_one_process),
		cmocka_unit_test(a_leader_that_was_away_gives_a_lease),
		cmocka_unit_test(loaded_members_have_a_lease),
		cmocka_unit_test(a_push_that_waits_keeps_its_lease),
		cmocka_unit_test(forgets_only_who_is_not_alive),
		cmocka_unit_test(has_a_bound),
		cmocka_unit_test(writes_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
