/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/map.h"
#include "leader/ledger.h"

#define LEASE 6000

static int64_t now = 1000000;

static struct usage_report report_of(const char *worker, const char *process, const char *state)
{
	struct usage_report report = { .seq = 1 };

	report.worker = check_strdup(worker);
	report.process = check_strdup(process);
	report.boot = check_strdup("boot");
	report.url = check_strdup("http://10.0.0.1:1");
	report.zone = check_strdup("");
	report.version = check_strdup("");
	report.state = check_strdup(state);
	return report;
}

/* Staged and applied. */
static bool say(
	struct members *members, struct usage_report message, struct members_staged *ret, struct error *err)
{
	struct members_staged staged;
	bool ok = members_stage(members, &message, now, LEASE, &staged, err);

	if (ok) {
		*ret = staged;
		members_apply(members, &staged, now);
		members_staged_fini(&staged);
	}
	usage_report_fini(&message);
	return ok;
}

static uint64_t next_number;

static bool report(struct members *members, const char *worker, const char *process, const char *state,
	struct members_staged *ret_staged, struct error *err)
{
	struct usage_report message = report_of(worker, process, state);

	message.number = ++next_number;
	return say(members, message, ret_staged, err);
}

static struct members_staged report_numbered(
	struct members *members, const char *process, const char *state, uint64_t number)
{
	struct usage_report message = report_of("a", process, state);
	struct members_staged staged;

	message.number = number;
	message.seq = 0;
	assert_true(say(members, message, &staged, NULL));
	return staged;
}

struct swept {
	char lost[256], gone[256];
};

static bool sweep(struct members *members, struct swept *swept)
{
	struct members_terms terms = { .now_ms = now, .now_wall_s = now / 1000, .lease_ms = LEASE };
	struct ledger_member row;

	*swept = (struct swept){ 0 };
	while (members_lose(members, &terms, &row)) {
		(void)snprintf(swept->lost, sizeof(swept->lost), "%s", row.name);
		ledger_member_fini(&row);
	}
	while (members_over(members, &terms, &row)) {
		(void)snprintf(swept->gone, sizeof(swept->gone), "%s", row.name);
		members_erase(members, str_of(row.name));
		ledger_member_fini(&row);
	}
	return *swept->lost || *swept->gone;
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

struct looked {
	const char *name;
	char state[17];
	bool live;
};

static void look_one(void *arg, const struct ledger_member *member, bool live)
{
	struct looked *looked = arg;

	if (strcmp(member->name, looked->name) != 0)
		return;
	(void)snprintf(looked->state, sizeof(looked->state), "%s", member->state);
	looked->live = live;
}

static struct looked look(struct members *members, const char *name)
{
	struct looked looked = { .name = name };

	members_each(members, look_one, &looked);
	return looked;
}

static void registers_and_tells_what_changed(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_true(staged.ring && staged.needs_store && !staged.hurry);
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_false(staged.ring || staged.needs_store || staged.hurry);
	assert_true(report(members, "a", "p1", "draining", &staged, NULL));
	assert_true(staged.ring && staged.hurry && staged.needs_store);
	assert_true(report(members, "a", "p1", "draining", &staged, NULL));
	assert_false(staged.ring || staged.hurry);
	assert_int_equal(members_live(members), 1);
	assert_true(report(members, "a", "p1", "left", &staged, NULL));
	assert_true(staged.ring && staged.hurry && staged.left);
	assert_int_equal(members_live(members), 0);
}

static void what_is_only_staged_changes_nothing(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_report message = report_of("a", "p1", "draining");
	struct members_staged staged;

	(void)state;
	assert_true(members_stage(members, &message, now, LEASE, &staged, NULL));
	assert_true(staged.needs_store);
	assert_string_equal(staged.member.state, "draining");
	members_staged_fini(&staged);
	assert_int_equal(members_count(members), 0);
	(void)report_numbered(members, "p1", "active", 1);
	message.number = 2;
	assert_true(members_stage(members, &message, now, LEASE, &staged, NULL));
	members_staged_fini(&staged);
	assert_string_equal(look(members, "a").state, "active");
	/* And is staged the same when it comes again. */
	assert_true(members_stage(members, &message, now, LEASE, &staged, NULL));
	assert_true(staged.needs_store && staged.hurry && !staged.late);
	members_apply(members, &staged, now);
	members_staged_fini(&staged);
	assert_string_equal(look(members, "a").state, "draining");
	usage_report_fini(&message);
}

static void an_older_number_changes_nothing(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;

	(void)state;
	(void)report_numbered(members, "p1", "active", 1);
	(void)report_numbered(members, "p1", "draining", 3);
	assert_true(report_numbered(members, "p1", "active", 2).late);
	assert_string_equal(look(members, "a").state, "draining");
	/* A copy is no sign of life. */
	pass(members, LEASE - 1000, &swept);
	assert_true(report_numbered(members, "p1", "draining", 3).late);
	pass(members, 2000, &swept);
	assert_string_equal(swept.lost, "a");
	assert_true(report_numbered(members, "p1", "draining", 3).late);
	assert_false(look(members, "a").live);
	assert_false(report_numbered(members, "p1", "draining", 4).late);
	assert_true(look(members, "a").live);
}

static void one_that_was_staged_before_a_newer_one_is_not_applied(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_report message = report_of("a", "p1", "active");
	struct members_staged beat, join;

	(void)state;
	(void)report_numbered(members, "p1", "active", 1);
	message.number = 2;
	assert_true(members_stage(members, &message, now, LEASE, &beat, NULL));
	(void)report_numbered(members, "p1", "left", 3);
	members_apply(members, &beat, now);
	members_staged_fini(&beat);
	assert_false(look(members, "a").live);
	usage_report_fini(&message);
	/* Nor when another process has come meanwhile. */
	message = report_of("a", "p2", "active");
	message.number = 1;
	assert_true(members_stage(members, &message, now, LEASE, &join, NULL));
	members_apply(members, &join, now);
	members_staged_fini(&join);
	assert_true(look(members, "a").live);
	assert_true(report_numbered(members, "p1", "active", 9).gone);
	usage_report_fini(&message);
}

static void the_seq_stands_in_for_the_number(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_report message;
	struct members_staged staged;

	(void)state;
	message = report_of("a", "p1", "draining");
	message.seq = 7;
	assert_true(say(members, message, &staged, NULL));
	message = report_of("a", "p1", "active");
	message.seq = 6;
	assert_true(say(members, message, &staged, NULL));
	assert_true(staged.late);
	message = report_of("a", "p1", "active");
	message.seq = 8;
	assert_true(say(members, message, &staged, NULL));
	assert_false(staged.late);
	/* Who tells neither tells no order. */
	assert_false(report_numbered(members, "p1", "active", 0).late);
	assert_true(report_numbered(members, "p1", "active", 8).late);
}

static void who_left_stays_left(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;

	(void)state;
	(void)report_numbered(members, "p1", "active", 1);
	assert_true(report_numbered(members, "p1", "left", 5).needs_store);
	staged = report_numbered(members, "p1", "active", 6);
	assert_true(staged.late && staged.gone);
	assert_int_equal(members_live(members), 0);
	assert_true(sweep(members, &swept));
	assert_string_equal(swept.gone, "a");
	assert_true(report_numbered(members, "p1", "active", 7).gone);
	assert_int_equal(members_count(members), 0);
	/* The next process of that name is another. */
	assert_false(report_numbered(members, "p2", "active", 1).late);
	assert_true(report_numbered(members, "p1", "active", 8).gone);
	assert_true(look(members, "a").live);
}

static void who_left_stays_left_through_a_restart(void **state)
{
	AUTO(members) *members = members_new();
	char a[] = "a", process[] = "p2", left[] = "left";
	struct ledger_member stored = { .name = a, .process = process, .state = left };

	(void)state;
	members_load_gone(members, "p1");
	assert_true(report_numbered(members, "p1", "active", 1000).gone);
	assert_int_equal(members_count(members), 0);
	members_load(members, &stored, now);
	assert_true(report_numbered(members, "p2", "active", 1000).gone);
	assert_int_equal(members_live(members), 0);
}

static void the_last_word_of_a_stranger_changes_no_member(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;

	(void)state;
	(void)report_numbered(members, "p2", "active", 1);
	staged = report_numbered(members, "p1", "left", 50);
	assert_true(staged.stranger && !staged.needs_store);
	assert_true(look(members, "a").live);
	assert_true(report_numbered(members, "p1", "active", 51).gone);
}

static void copies_of_the_process_before_are_known(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;

	(void)state;
	(void)report_numbered(members, "p1", "draining", 70);
	pass(members, LEASE + 1000, &swept);
	(void)report_numbered(members, "p2", "active", 1);
	assert_true(report_numbered(members, "p1", "draining", 70).late);
	pass(members, LEASE + 1000, &swept);
	assert_true(report_numbered(members, "p1", "draining", 69).late);
	assert_false(look(members, "a").live);
	assert_false(report_numbered(members, "p1", "active", 71).late);
	assert_true(look(members, "a").live);
}

/* With what the leader adds: the dealings when it registers, the echo of its witness. */
static void report_heard(struct members *members, const char *name, uint64_t dealings, uint64_t echo)
{
	struct usage_report message = report_of(name, name, "active");
	struct members_staged staged;

	message.number = ++next_number;
	assert_true(members_stage(members, &message, now, LEASE, &staged, NULL));
	staged.dealings = dealings;
	staged.echo = echo;
	members_apply(members, &staged, now);
	members_staged_fini(&staged);
	usage_report_fini(&message);
}

static void who_is_new_is_met_when_all_others_have_told(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;

	(void)state;
	assert_true(members_is_met(members, "a", "a"));
	report_heard(members, "a", 1, 0);
	assert_true(members_is_met(members, "a", "a"));
	assert_false(members_is_met(members, "b", "b"));
	report_heard(members, "b", 2, 0);
	assert_false(members_is_met(members, "b", "b"));
	report_heard(members, "a", 0, 2); /* heard of what was before b came */
	assert_false(members_is_met(members, "b", "b"));
	report_heard(members, "a", 0, 3);
	report_heard(members, "a", 0, 1); /* late, of a thing said before */
	assert_true(members_is_met(members, "b", "b"));
	/* It stays so: what c has not heard of is older than c. */
	report_heard(members, "c", 9, 0);
	assert_true(members_is_met(members, "a", "a"));
	assert_true(members_is_met(members, "b", "b"));
	assert_false(members_is_met(members, "c", "c"));
	/* Who is lost keeps nobody waiting; when it comes back it is new again. */
	for (int i = 0; i <= LEASE / 1000; i++) {
		report_heard(members, "b", 0, 10);
		report_heard(members, "c", 0, 10);
		assert_false(members_is_met(members, "c", "c"));
		pass(members, 1000, &swept);
	}
	assert_string_equal(swept.lost, "a");
	assert_true(members_is_met(members, "c", "c"));
	report_heard(members, "a", 12, 0);
	assert_false(members_is_met(members, "a", "a"));
}

static void who_registered_in_a_former_life_is_met_when_all_have_heard_of_this_one(void **state)
{
	AUTO(members) *members = members_new();
	char a[] = "a", b[] = "b", active[] = "active";
	struct ledger_member first = { .name = a, .process = a, .state = active };
	struct ledger_member second = { .name = b, .process = b, .state = active };

	(void)state;
	members_load(members, &first, now);
	members_load(members, &second, now);
	report_heard(members, "a", 0, 1);
	assert_false(members_is_met(members, "a", "a"));
	report_heard(members, "b", 0, 1);
	assert_true(members_is_met(members, "a", "a"));
	assert_true(members_is_met(members, "b", "b"));
}

static void registers_who_is_new_and_who_was_lost(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;

	(void)state;
	assert_true(report_numbered(members, "p1", "active", 1).registers);
	assert_false(report_numbered(members, "p1", "draining", 2).registers);
	pass(members, LEASE + 1000, &swept);
	assert_true(report_numbered(members, "p1", "active", 3).registers);
	pass(members, LEASE + 1000, &swept);
	assert_true(report_numbered(members, "p2", "active", 1).registers);
	assert_false(report_numbered(members, "p2", "left", 2).registers);
}

/* It must register, which is stored. */
static void a_beat_that_was_staged_before_its_member_was_lost_changes_nothing(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_report message = report_of("a", "p1", "active");
	struct members_staged beat;
	struct swept swept;

	(void)state;
	(void)report_numbered(members, "p1", "active", 1);
	message.number = 2;
	assert_true(members_stage(members, &message, now, LEASE, &beat, NULL));
	pass(members, LEASE + 1000, &swept);
	members_apply(members, &beat, now);
	members_staged_fini(&beat);
	usage_report_fini(&message);
	assert_false(look(members, "a").live);
	assert_true(report_numbered(members, "p1", "active", 3).registers);
}

static void knows_how_long_a_process_was_silent(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;
	int64_t begun = now;

	(void)state;
	members_begin(members, now);
	now += 500;
	assert_int_equal(members_silence_ms(members, "p1", now), 500);
	(void)report_numbered(members, "p1", "active", 1);
	assert_int_equal(members_silence_ms(members, "p1", now + 70), 70);
	assert_int_equal(members_silence_ms(members, "p2", now), now - begun);
	pass(members, LEASE + 1000, &swept);
	(void)report_numbered(members, "p2", "active", 1);
	/* Also when another one has its name, and when that has left. */
	assert_int_equal(members_silence_ms(members, "p1", now), LEASE + 1000);
	(void)report_numbered(members, "p2", "left", 2);
	now += 100;
	assert_true(sweep(members, &swept));
	assert_int_equal(members_silence_ms(members, "p2", now), 100);
	assert_int_equal(members_silence_ms(members, "p1", now), LEASE + 1100);
}

static void lost_after_one_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	pass(members, LEASE, &swept);
	assert_string_equal(swept.lost, "");
	pass(members, 1000, &swept);
	assert_string_equal(swept.lost, "a");
	assert_int_equal(members_live(members), 0);
	assert_int_equal(members_count(members), 1);
	/* Back again. */
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_true(staged.ring && staged.needs_store);
	assert_int_equal(members_live(members), 1);
}

static void forgotten_after_a_day(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
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
	struct members_staged staged;
	struct swept swept;
	struct error err;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_false(report(members, "a", "p2", "active", &staged, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	pass(members, LEASE + 1000, &swept);
	assert_true(report(members, "a", "p2", "active", &staged, &err));
	assert_true(report(members, "a", "p2", "left", &staged, &err));
	assert_true(report(members, "a", "p3", "active", &staged, &err));
}

static void a_leader_that_was_away_gives_a_lease(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
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
	struct ledger_member known = { .name = a, .state = active, .seen_wall_s = 1 };
	struct ledger_member lost = { .name = b, .state = active, .lost_wall_s = now / 1000 };
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

static void forgets_only_who_is_not_alive(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_int_equal(members_may_forget(members, STR("b")), MEMBERS_UNKNOWN);
	assert_int_equal(members_may_forget(members, STR("a")), MEMBERS_LIVE);
	pass(members, LEASE + 1000, &swept);
	assert_int_equal(members_may_forget(members, STR("a")), MEMBERS_FORGOT);
	members_erase(members, STR("a"));
	assert_int_equal(members_count(members), 0);
}

static void fill(struct members *members)
{
	struct members_staged staged;
	char name[16];

	for (int i = 0; i < MEMBERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "w%d", i);
		assert_true(report(members, name, "p", "active", &staged, NULL));
	}
}

/* All but these two go on. */
static void lose(struct members *members, const char *one, int64_t ms_later, const char *other)
{
	struct members_staged staged;
	struct swept swept;
	char name[16];

	for (int64_t end = now + LEASE + ms_later + 1000; now < end; now += 500) {
		for (int i = 0; i < MEMBERS_MAX; i++) {
			(void)snprintf(name, sizeof(name), "w%d", i);
			if (strcmp(name, one) != 0 && (strcmp(name, other) != 0 || end - now > LEASE + 1000))
				assert_true(report(members, name, "p", "active", &staged, NULL));
		}
		(void)sweep(members, &swept);
	}
}

static void has_a_bound(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct error err;

	(void)state;
	fill(members);
	assert_false(report(members, "one-more", "p", "active", &staged, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_true(report(members, "w7", "p", "active", &staged, &err));
}

static void the_longest_lost_makes_room(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;
	struct error err;

	(void)state;
	fill(members);
	lose(members, "w9", 5000, "w3");
	assert_int_equal(members_live(members), MEMBERS_MAX - 2);
	assert_true(report(members, "new-1", "p", "active", &staged, &err));
	assert_true(sweep(members, &swept));
	assert_string_equal(swept.gone, "w9");
	assert_int_equal(members_count(members), MEMBERS_MAX);
	assert_true(report(members, "new-2", "p", "active", &staged, &err));
	/* Before the ledger has forgotten the other one, there is no room for a third, nor for that one. */
	assert_false(report(members, "new-3", "p", "active", &staged, &err));
	assert_false(report(members, "w3", "p", "active", &staged, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_true(sweep(members, &swept));
	assert_string_equal(swept.gone, "w3");
}

static void nobody_makes_room_where_storage_is_each_ones_own(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct error err;

	(void)state;
	fill(members);
	lose(members, "w9", 0, "w9");
	members_keep(members, true);
	assert_false(report(members, "one-more", "p", "active", &staged, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_true(report(members, "w9", "p", "active", &staged, &err));
}

static bool holds(struct members *members, const char *worker, uint64_t held, uint64_t epoch)
{
	struct usage_report message = report_of(worker, worker, "active");
	struct members_staged staged;

	message.number = ++next_number;
	message.stats.moves = true;
	message.stats.moves_held = held;
	message.stats.moves_epoch = epoch;
	return say(members, message, &staged, NULL);
}

/* It leaves: with isolated storage, is it forgotten by that? */
static bool leaves_for_good(struct members *members, const char *worker)
{
	struct members_terms terms = {
		.now_ms = now, .now_wall_s = now / 1000, .lease_ms = LEASE, .keep = true
	};
	struct members_staged staged;
	struct ledger_member row;
	bool over;

	assert_true(report(members, worker, worker, "left", &staged, NULL));
	over = members_over(members, &terms, &row);
	if (over) {
		assert_string_equal(row.name, worker);
		ledger_member_fini(&row);
		members_erase(members, str_of(worker));
	}
	return over;
}

static void who_left_with_nothing_is_forgotten_though_storage_is_each_ones_own(void **state)
{
	struct ring_row rows[] = { { .id = "empty", .state = "draining" },
		{ .id = "holds", .state = "draining" }, { .id = "owns", .state = "active" },
		{ .id = "behind", .state = "draining" }, { .id = "anew", .state = "draining" } };
	struct ring_body ring = { .epoch = 7, .members = rows, .members_len = 5 };
	AUTO(members) *members = members_new();
	struct members_staged staged;

	(void)state;
	members_keep(members, true);
	assert_true(holds(members, "empty", 0, 7));
	assert_true(holds(members, "holds", 1, 7));
	assert_true(holds(members, "owns", 0, 7));
	assert_true(holds(members, "behind", 0, 6));
	assert_true(holds(members, "anew", 0, 7));
	members_note_empty(members, &ring);
	/* Another process under that name, maybe of another disk, says nothing yet. */
	assert_true(report(members, "anew", "anew", "left", &staged, NULL));
	assert_true(report(members, "anew", "another", "active", &staged, NULL));
	/* A later ring changes nothing for who owns nothing. */
	ring.epoch = 8;
	members_note_empty(members, &ring);
	assert_true(leaves_for_good(members, "empty"));
	assert_false(leaves_for_good(members, "holds"));
	assert_false(leaves_for_good(members, "owns"));
	assert_false(leaves_for_good(members, "behind"));
	assert_true(report(members, "anew", "another", "left", &staged, NULL));
	assert_int_equal(members_count(members), 4);
	/* It owns again: what it had before does not count. */
	assert_true(holds(members, "again", 0, 8));
	rows[0] = (struct ring_row){ .id = "again", .state = "draining" };
	members_note_empty(members, &ring);
	rows[0].state = "active";
	members_note_empty(members, &ring);
	assert_false(leaves_for_good(members, "again"));
}

/* Names, zones and addresses as long as they may be. */
static bool report_long(struct members *members, int i, char fill_with, struct error *err)
{
	struct usage_report message = report_of("", "p", "active");
	struct members_staged staged;
	char text[256] = { 0 };

	memset(text, fill_with, 255);
	(void)snprintf(text, sizeof(text), "w%05d", i);
	text[6] = fill_with;
	free(message.worker);
	free(message.url);
	message.worker = check_strdup(text);
	memcpy(text, "http://", 7);
	message.url = check_strdup(text);
	message.number = ++next_number;
	return say(members, message, &staged, err);
}

static void no_more_than_a_ring_can_hold(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct swept swept;
	struct error err;
	int most = 0;

	(void)state;
	while (most < MEMBERS_MAX && report_long(members, most, 'x', &err))
		most++;
	assert_in_range(most, 300, MEMBERS_MAX - 1);
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "262144"));
	assert_int_equal(members_count(members), most);
	/* Those that are in it may go on and change. */
	assert_true(report_long(members, 0, 'x', &err));
	/* A lost one is not in the ring: there is room again, but for one. */
	pass(members, LEASE - 1000, &swept);
	for (int i = 1; i < most; i++)
		assert_true(report_long(members, i, 'x', &err));
	pass(members, 2000, &swept);
	assert_int_equal(members_live(members), most - 1);
	assert_true(report_long(members, most, 'x', &err));
	assert_false(report_long(members, 0, 'x', &err));
	assert_true(report(members, "short", "p", "active", &staged, &err));
}

static void rows_are_due_until_the_ledger_has_them(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct ledger_member row;
	struct swept swept;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_false(members_due(members, now, &row));
	/* Now and then, with what the beats said. */
	assert_true(members_due(members, now + 30000, &row));
	ledger_member_fini(&row);
	assert_false(members_due(members, now + 30000, &row));
	pass(members, LEASE + 1000, &swept);
	assert_true(members_due(members, now, &row));
	assert_true(row.lost_wall_s > 0);
	members_unstored(members, row.name);
	ledger_member_fini(&row);
	assert_true(members_due(members, now, &row));
	ledger_member_fini(&row);
	assert_false(members_due(members, now, &row));
}

static void knows_whose_boot_it_is(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_report message = report_of("a", "p1", "active");
	struct members_staged staged;
	struct swept swept;

	(void)state;
	(void)report_numbered(members, "p1", "active", 1);
	/* It brings the counts of a boot before. */
	free(message.boot);
	message.boot = check_strdup("old");
	message.number = 2;
	assert_true(say(members, message, &staged, NULL));
	assert_false(staged.needs_store);
	assert_true(members_has_boot(members, "boot", "p2"));
	assert_true(members_has_boot(members, "p1", "p2"));
	assert_false(members_has_boot(members, "boot", "p1"));
	assert_false(members_has_boot(members, "old", "p2"));
	pass(members, LEASE + 1000, &swept);
	assert_false(members_has_boot(members, "boot", "p2"));
}

static bool is_told(struct members *members, const char *name, const char *process, int64_t wait)
{
	int64_t wait_ms;
	bool told = members_take_wanted(members, name, process, now, &wait_ms);

	assert_int_equal(wait_ms, wait);
	return told;
}

static void who_is_wanted_is_told_once_in_a_while(void **state)
{
	AUTO(members) *members = members_new();
	AUTO(map) *wanted = map_new();
	struct members_staged staged;

	(void)state;
	(void)map_put(wanted, STR("p1"), members);
	assert_false(members_want_reports(members, wanted));
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_true(report(members, "b", "p2", "active", &staged, NULL));
	assert_false(is_told(members, "a", "p1", 0));
	assert_true(members_want_reports(members, wanted));
	assert_false(is_told(members, "b", "p2", 0));
	assert_false(is_told(members, "b", "p1", 0));
	assert_false(is_told(members, "a", "p2", 0));
	assert_true(is_told(members, "a", "p1", 0));
	assert_false(is_told(members, "a", "p1", 0));
	assert_true(members_want_reports(members, wanted));
	now += MEMBERS_TOLD_MS - 1;
	assert_false(is_told(members, "a", "p1", 1));
	now++;
	assert_true(is_told(members, "a", "p1", 0));
	assert_false(is_told(members, "a", "p1", 0));
}

/* It was wanted of the process before it. */
static void who_is_new_under_a_name_is_not_wanted(void **state)
{
	AUTO(members) *members = members_new();
	AUTO(map) *wanted = map_new();
	struct members_staged staged;

	(void)state;
	(void)map_put(wanted, STR("p1"), members);
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_true(members_want_reports(members, wanted));
	assert_true(report(members, "a", "p1", "left", &staged, NULL));
	assert_true(report(members, "a", "p2", "active", &staged, NULL));
	assert_false(is_told(members, "a", "p1", 0));
	assert_false(is_told(members, "a", "p2", 0));
	assert_false(members_want_reports(members, wanted));
}

static void writes_json(void **state)
{
	AUTO(members) *members = members_new();
	AUTO_FINI(buf) text = buf_limit(65536);
	AUTO(json_doc) *doc = NULL;
	struct json_writer w = json_writer(&text);
	struct members_staged staged;

	(void)state;
	assert_true(report(members, "b", "p1", "active", &staged, NULL));
	assert_true(report(members, "a", "p1", "joining", &staged, NULL));
	struct usage_report complains = report_of("b", "p1", "active");
	complains.complaints = check_strdup("name: taken\nclock: late\n");
	complains.number = ++next_number;
	assert_true(say(members, complains, &staged, NULL));
	AUTO(state) *none = state_new();
	members_write(members,
		&(struct members_rows){ .now_ms = now + 1000, .lease_ms = LEASE, .state = none }, &w);
	assert_true(json_parse(buf_str(&text), &doc, NULL));
	const struct json *first = json_at(json_root(doc), 0);
	assert_true(str_is(json_str(json_find(first, "name")), "a"));
	assert_true(str_is(json_str(json_find(first, "state")), "joining"));
	int64_t left = 0;
	assert_true(json_get_int(json_find(first, "leaseLeftMs"), &left));
	assert_int_equal(left, LEASE - 1000);
	assert_int_equal(json_len(json_find(first, "complaints")), 0);
	const struct json *said = json_find(json_at(json_root(doc), 1), "complaints");
	assert_int_equal(json_len(said), 2);
	assert_true(str_is(json_str(json_at(said, 0)), "name: taken"));
	assert_true(str_is(json_str(json_at(said, 1)), "clock: late"));
}

static void sign_with(struct members *members, const char *worker, uint64_t secret)
{
	char process[64];
	struct members_staged staged;

	(void)snprintf(process, sizeof(process), "process of %s", worker);
	struct usage_report message = report_of(worker, process, "active");
	message.number = ++next_number;
	message.secret = secret;
	now += 10;
	assert_true(say(members, message, &staged, NULL));
}

static bool is_odd(struct members *members, const char *name)
{
	bool odd = members_has_other_secret(members, name);

	/* And so it is with the ring. */
	assert_int_equal(look(members, name).live, !odd);
	return odd;
}

static void the_secret_of_most_counts(void **state)
{
	AUTO(members) *members = members_new();

	(void)state;
	/* The wrong one is the first: alone it is right. */
	sign_with(members, "a", 7);
	assert_false(is_odd(members, "a"));
	/* One against one: who was there first. */
	sign_with(members, "b", 8);
	assert_false(is_odd(members, "a"));
	assert_true(is_odd(members, "b"));
	/* Two against one. */
	sign_with(members, "c", 8);
	assert_true(is_odd(members, "a"));
	assert_false(is_odd(members, "b"));
	assert_false(is_odd(members, "c"));
	/* And it is put right. */
	sign_with(members, "a", 8);
	assert_false(is_odd(members, "a"));
	assert_false(members_has_other_secret(members, "nobody"));
}

static void who_is_lost_has_no_voice(void **state)
{
	AUTO(members) *members = members_new();
	struct swept swept;

	(void)state;
	sign_with(members, "a", 7);
	sign_with(members, "b", 7);
	sign_with(members, "c", 8);
	assert_true(is_odd(members, "c"));
	for (int i = 0; i < 10; i++) {
		now += LEASE / 4;
		sign_with(members, "c", 8);
		(void)sweep(members, &swept);
	}
	assert_false(is_odd(members, "c"));
}

/* A leader that starts has heard some of them: the first one to speak is not right for that. */
static void nobody_is_judged_before_all_have_spoken(void **state)
{
	AUTO(members) *members = members_new();
	static char names[3][2] = { "a", "b", "c" }, process[] = "before", none[] = "", live[] = "active";

	(void)state;
	for (int i = 0; i < 3; i++) {
		const struct ledger_member stored = { .name = names[i],
			.process = process,
			.boot = none,
			.url = none,
			.zone = none,
			.version = none,
			.state = live };
		members_load(members, &stored, now);
	}
	now += LEASE;
	sign_with(members, "c", 7);
	sign_with(members, "b", 8);
	assert_false(is_odd(members, "b"));
	assert_false(is_odd(members, "c"));
	sign_with(members, "a", 8);
	assert_true(is_odd(members, "c"));
	assert_false(is_odd(members, "a"));
}

/* Of an older version: it does not say. */
static void who_does_not_say_is_not_judged(void **state)
{
	AUTO(members) *members = members_new();

	(void)state;
	sign_with(members, "a", 7);
	sign_with(members, "b", 0);
	sign_with(members, "c", 8);
	assert_false(is_odd(members, "a"));
	assert_false(is_odd(members, "b"));
	assert_false(is_odd(members, "c"));
}

static void who_does_not_sign_is_named(void **state)
{
	AUTO(members) *members = members_new();
	struct usage_unsigned *rows;
	size_t len;

	(void)state;
	sign_with(members, "a", 7);
	sign_with(members, "b", 0);
	rows = members_unsigned(members, &len);
	assert_int_equal(len, 1);
	assert_string_equal(rows[0].name, "b");
	free(rows[0].name);
	free(rows);
}

static void a_taken_name_says_where(void **state)
{
	AUTO(members) *members = members_new();
	struct members_staged staged;
	struct error err;

	(void)state;
	assert_true(report(members, "a", "p1", "active", &staged, NULL));
	assert_false(report(members, "a", "p2", "active", &staged, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_string_equal(err.code, "name_taken");
	assert_non_null(strstr(err.text, "http://10.0.0.1:1"));
}

static void says(struct members *members, const char *name, const char *complaints)
{
	struct usage_report message = report_of(name, name, "active");
	struct members_staged staged;

	message.complaints = check_strdup(complaints);
	message.number = ++next_number;
	assert_true(say(members, message, &staged, NULL));
}

static void knows_who_is_cut_off(void **state)
{
	static const char alone[] = "clock: it is behind\npeers: 2 of the 2 other workers cannot be reached";
	AUTO(members) *members = members_new();

	(void)state;
	says(members, "a", alone);
	assert_false(members_is_cut(members, "a")); /* the last one alive, for all that is known */
	says(members, "b", "");
	assert_false(members_is_cut(members, "a")); /* or b is */
	says(members, "c", "peer: of something else");
	assert_true(members_is_cut(members, "a"));
	assert_false(members_is_cut(members, "b"));
	assert_false(members_is_cut(members, "nobody"));
	says(members, "b", alone);
	assert_false(members_is_cut(members, "a")); /* the network between all of them */
	says(members, "a", "");
	assert_true(members_is_cut(members, "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_who_is_cut_off),
		cmocka_unit_test(registers_and_tells_what_changed),
		cmocka_unit_test(what_is_only_staged_changes_nothing),
		cmocka_unit_test(an_older_number_changes_nothing),
		cmocka_unit_test(one_that_was_staged_before_a_newer_one_is_not_applied),
		cmocka_unit_test(the_seq_stands_in_for_the_number),
		cmocka_unit_test(who_left_stays_left),
		cmocka_unit_test(who_left_stays_left_through_a_restart),
		cmocka_unit_test(the_last_word_of_a_stranger_changes_no_member),
		cmocka_unit_test(copies_of_the_process_before_are_known),
		cmocka_unit_test(who_is_new_is_met_when_all_others_have_told),
		cmocka_unit_test(who_registered_in_a_former_life_is_met_when_all_have_heard_of_this_one),
		cmocka_unit_test(registers_who_is_new_and_who_was_lost),
		cmocka_unit_test(a_beat_that_was_staged_before_its_member_was_lost_changes_nothing),
		cmocka_unit_test(knows_how_long_a_process_was_silent),
		cmocka_unit_test(lost_after_one_lease),
		cmocka_unit_test(forgotten_after_a_day),
		cmocka_unit_test(a_name_has_one_process),
		cmocka_unit_test(a_leader_that_was_away_gives_a_lease),
		cmocka_unit_test(loaded_members_have_a_lease),
		cmocka_unit_test(forgets_only_who_is_not_alive),
		cmocka_unit_test(has_a_bound),
		cmocka_unit_test(the_longest_lost_makes_room),
		cmocka_unit_test(nobody_makes_room_where_storage_is_each_ones_own),
		cmocka_unit_test(who_left_with_nothing_is_forgotten_though_storage_is_each_ones_own),
		cmocka_unit_test(no_more_than_a_ring_can_hold),
		cmocka_unit_test(rows_are_due_until_the_ledger_has_them),
		cmocka_unit_test(knows_whose_boot_it_is),
		cmocka_unit_test(who_is_wanted_is_told_once_in_a_while),
		cmocka_unit_test(who_is_new_under_a_name_is_not_wanted),
		cmocka_unit_test(writes_json),
		cmocka_unit_test(the_secret_of_most_counts),
		cmocka_unit_test(who_is_lost_has_no_voice),
		cmocka_unit_test(nobody_is_judged_before_all_have_spoken),
		cmocka_unit_test(who_does_not_say_is_not_judged),
		cmocka_unit_test(who_does_not_sign_is_named),
		cmocka_unit_test(a_taken_name_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
