/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring, and the sweep with the rows of members, in a real ledger that at times takes nothing, as one on a full disk does.
 * The leader's loop does not turn: each sweep is made by hand.
 */
#include "leader/ring_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "leader/first_start.h"
#include "leader/grants.h"
#include "leader/hearing.h"
#include "leader/leader.h"
#include "leader/ledger/driver.h"
#include "leader/members.h"
#include "leader/refusals.h"
#include "leader/state_log.h"
#include "leader/sweep.h"
#include "tests/unit/remove_tree.h"

struct rig {
	char folder[64];
	struct leader leader;
	struct leader_settings settings;
};

/* The ledger's own functions, and before them: no room. */

static const struct ledger_driver *real;
static bool full;

static bool refuse(struct error *err)
{
	return error_set(err, ERROR_FULL, NULL, "database or disk is full");
}

static enum ledger_result write_or_not(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	if (!full)
		return real->write(ledger, changes, len, digest, ret_revision, ret_at, err);
	(void)refuse(err);
	return LEDGER_FAILED;
}

static bool put_or_not(struct ledger *ledger, const struct ledger_member *member, struct error *err)
{
	return full ? refuse(err) : real->put_member(ledger, member, err);
}

static bool delete_or_not(
	struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err)
{
	return full ? refuse(err) : real->delete_member(ledger, name, audit, err);
}

static void open_ledger(struct rig *rig)
{
	static struct ledger_driver driver;

	assert_true(ledger_open_sqlite(&rig->leader.ledger, rig->folder, NULL));
	real = rig->leader.ledger->driver;
	driver = *real;
	driver.write = write_or_not;
	driver.put_member = put_or_not;
	driver.delete_member = delete_or_not;
	rig->leader.ledger->driver = &driver;
	full = false;
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct leader *leader = &rig->leader;
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-ring-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	rig->settings = (struct leader_settings){
		.admin_user = "admin", .admin_password = "password", .audit_days = 1, .audit_rows = 100
	};
	leader->settings = &rig->settings;
	lock_init(&leader->lock);
	leader->log = state_log_new(-1, 0);
	leader->members = members_new();
	leader->grants = grants_new();
	leader->hearing = hearing_new();
	leader->ring = ring_write_new(leader);
	leader->sweep = sweep_new(leader);
	leader->refused = refusals_new();
	leader->refusals = few_each_new(&(struct few_each_terms){ .each = 1, .all = 1, .span_ms = 1000 });
	assert_true(loop_new(&leader->loop, "test", &err));
	open_ledger(rig);
	assert_true(first_start(leader, &err));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	struct leader *leader = &rig->leader;

	loop_free(leader->loop);
	ring_write_free(leader->ring);
	sweep_free(leader->sweep);
	few_each_free(leader->refusals);
	refusals_free(leader->refused);
	hearing_free(leader->hearing);
	grants_free(leader->grants);
	members_free(leader->members);
	state_log_free(leader->log);
	ledger_close(leader->ledger);
	lock_fini(&leader->lock);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

static void sweep(struct rig *rig)
{
	leader_lock(&rig->leader);
	sweep_now_locked(rig->leader.sweep);
	leader_unlock(&rig->leader);
}

/* As the newest ring has it; "" when it is not there. */
static char *state_in_ring(struct rig *rig, const char *name)
{
	AUTO(state) *state = leader_state(&rig->leader);
	const struct ring_body *ring = entity_ring(state_find(state, ENTITY_RING, STR("ring")));

	for (size_t i = 0; i < ring->members_len; i++)
		if (!strcmp(ring->members[i].id, name))
			return check_strdup(ring->members[i].state);
	return check_strdup("");
}

static void assert_in_ring(struct rig *rig, const char *name, const char *wanted)
{
	char *found = state_in_ring(rig, name);

	assert_string_equal(found, wanted);
	free(found);
}

/* A member that reported so long ago, of a leader that has swept since. */
static void load(struct rig *rig, const char *name, const char *state, int64_t ago_ms)
{
	char own_name[16], own_state[16], other[] = "now", joining[] = "joining";
	struct ledger_member given = { .name = own_name, .state = own_state, .seen_wall_s = 1 };
	struct ledger_member member, now = { .name = other, .state = joining };

	(void)snprintf(own_name, sizeof(own_name), "%s", name);
	(void)snprintf(own_state, sizeof(own_state), "%s", state);
	ledger_member_copy(&given, &member);
	members_erase(rig->leader.members, STR("now"));
	members_load(rig->leader.members, &member, clock_ms() - ago_ms);
	members_load(rig->leader.members, &now, clock_ms());
	assert_true(ledger_put_member(rig->leader.ledger, &member, NULL));
	ledger_member_fini(&member);
}

struct stored {
	const char *name;
	bool there, lost;
};

static bool look_stored(void *arg, const struct ledger_member *member)
{
	struct stored *stored = arg;

	if (!strcmp(member->name, stored->name))
		*stored = (struct stored){ stored->name, true, member->lost_wall_s > 0 };
	return true;
}

static struct stored stored(struct rig *rig, const char *name)
{
	struct stored found = { .name = name };

	assert_true(ledger_load_members(rig->leader.ledger, look_stored, &found, NULL));
	return found;
}

static void a_ring_that_could_not_be_written_is_written_later(void **state)
{
	struct rig *rig = *state;

	load(rig, "a", "active", 0);
	full = true;
	sweep(rig);
	assert_in_ring(rig, "a", "");
	sweep(rig);
	full = false;
	sweep(rig);
	assert_in_ring(rig, "a", "active");
	assert_int_equal(counter_get(&rig->leader.counters.ring_changes_total), 1);
	sweep(rig);
	assert_int_equal(counter_get(&rig->leader.counters.ring_changes_total), 1);
}

static void who_is_lost_while_the_disk_is_full_is_out_later(void **state)
{
	struct rig *rig = *state;

	load(rig, "a", "active", 0);
	sweep(rig);
	assert_in_ring(rig, "a", "active");
	members_erase(rig->leader.members, STR("a"));
	load(rig, "a", "active", 7000);
	full = true;
	sweep(rig);
	/* Time has passed whatever the disk is like. */
	assert_int_equal(members_live(rig->leader.members), 1);
	assert_in_ring(rig, "a", "active");
	assert_false(stored(rig, "a").lost);
	full = false;
	sweep(rig);
	assert_in_ring(rig, "a", "");
	assert_true(stored(rig, "a").lost);
}

static void who_could_not_be_forgotten_is_forgotten_later(void **state)
{
	struct rig *rig = *state;

	load(rig, "a", "left", 0);
	full = true;
	sweep(rig);
	assert_true(stored(rig, "a").there);
	assert_int_equal(members_count(rig->leader.members), 2);
	full = false;
	sweep(rig);
	assert_false(stored(rig, "a").there);
	assert_int_equal(members_count(rig->leader.members), 1);
}

static void a_ring_that_another_changed_is_mended(void **state)
{
	struct rig *rig = *state;
	struct ring_row row = { "b", "http://y", "", "active" };
	struct ring_body body = { .algorithm = "slots",
		.hash_key = "0123456789abcdef0123456789abcdef",
		.epoch = 7,
		.members = &row,
		.members_len = 1 };
	AUTO(entity) *entity = entity_new(ENTITY_RING, STR("ring"), 0, &body);
	struct ledger_change change = { .entity = entity };
	uint64_t revision;
	size_t at;

	load(rig, "a", "active", 0);
	sweep(rig);
	leader_lock(&rig->leader);
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, NULL), LEDGER_WRITTEN);
	leader_unlock(&rig->leader);
	assert_in_ring(rig, "b", "active");
	sweep(rig);
	assert_in_ring(rig, "b", "");
	assert_in_ring(rig, "a", "active");
}

/* One more with texts as long as they may be; false when there is no room for it. */
static bool join(struct rig *rig, unsigned i)
{
	char text[256] = { 0 };
	struct usage_report report = {
		.number = 1, .boot = text, .state = (char[]){ "draining" }, .zone = text
	};
	struct members_staged staged;
	bool ok;

	memset(text, 'x', 255);
	(void)snprintf(text, sizeof(text), "w%05u", i);
	text[6] = 'x';
	report.worker = report.process = check_strdup(text);
	memcpy(text, "http://", 7);
	report.url = text;
	ok = members_stage(rig->leader.members, &report, clock_ms(), 6000, &staged, NULL);
	if (ok) {
		members_apply(rig->leader.members, &staged, clock_ms());
		members_staged_fini(&staged);
	}
	free(report.worker);
	return ok;
}

static bool count_rows(void *arg, struct entity *entity)
{
	if (entity_kind(entity) == ENTITY_RING)
		*(size_t *)arg = entity_ring(entity)->members_len;
	return true;
}

static void the_largest_ring_can_be_stored_and_read(void **state)
{
	struct rig *rig = *state;
	struct ledger_loaded loaded;
	unsigned most = 0;
	size_t rows = 0;

	while (join(rig, most))
		most++;
	assert_in_range(most, 200, MEMBERS_MAX);
	sweep(rig);
	ledger_close(rig->leader.ledger);
	open_ledger(rig);
	assert_true(ledger_load_entities(rig->leader.ledger, count_rows, &rows, &loaded, NULL));
	assert_int_equal(rows, most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_ring_that_could_not_be_written_is_written_later, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_is_lost_while_the_disk_is_full_is_out_later, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_could_not_be_forgotten_is_forgotten_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ring_that_another_changed_is_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_ring_can_be_stored_and_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
