/* SPDX-License-Identifier: Apache-2.0 */
/* peer_secret against a real ledger: made at the first start and for a ring of before, changed when it is due.
 */
#include "leader/peer_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/first_start.h"
#include "leader/leader.h"
#include "leader/state_log.h"
#include "proto/entity_table.h"
#include "tests/unit/remove_tree.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct rig {
	char folder[64];
	struct leader leader;
	struct leader_settings settings;
};

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-secret-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	rig->settings = (struct leader_settings){ .admin_user = "admin", .admin_password = "password" };
	rig->leader.settings = &rig->settings;
	lock_init(&rig->leader.lock);
	rig->leader.log = state_log_new(-1, 0);
	assert_true(ledger_open_sqlite(&rig->leader.ledger, rig->folder, NULL));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	state_log_free(rig->leader.log);
	ledger_close(rig->leader.ledger);
	lock_fini(&rig->leader.lock);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

static void put(struct rig *rig, enum entity_kind kind, const char *id, const void *body)
{
	AUTO(entity) *entity = entity_new(kind, str_of(id), 0, body);
	struct ledger_change change = { .entity = entity };
	uint64_t revision;
	size_t at;

	leader_lock(&rig->leader);
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, NULL), LEDGER_WRITTEN);
	leader_unlock(&rig->leader);
}

static void put_worker(struct rig *rig, const char *name, bool enabled, int64_t valid_until)
{
	const struct worker_key key = {
		.secret_hash = HASH, .description = "", .enabled = enabled, .valid_until = valid_until
	};

	put(rig, ENTITY_WORKER, name, &key);
}

static char *secret_of(struct rig *rig, bool before)
{
	AUTO(state) *state = leader_state(&rig->leader);
	const struct ring_body *ring = entity_ring(state_find(state, ENTITY_RING, STR("ring")));

	return check_strdup(before ? ring->peer_secret_before : ring->peer_secret);
}

static bool is_due(struct rig *rig, int64_t now_s)
{
	AUTO(state) *state = leader_state(&rig->leader);

	return peer_secret_is_due(state, now_s);
}

static void the_first_start_makes_one_and_the_next_keeps_it(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_true(first_start(&rig->leader, &err));
	AUTO_STR *first = secret_of(rig, false);
	AUTO_STR *before = secret_of(rig, true);
	assert_int_equal(strlen(first), 64);
	assert_string_equal(before, "");
	assert_true(first_start(&rig->leader, &err));
	AUTO_STR *again = secret_of(rig, false);
	assert_string_equal(first, again);
}

static void a_ring_of_before_gets_one(void **state)
{
	struct rig *rig = *state;
	struct ring_row row = { "w1", "http://10.0.0.1:1", "", "active", "" };
	struct ring_body ring;
	struct error err;

	table_defaults(entity_table(ENTITY_RING), &ring);
	ring.hash_key = "000102030405060708090a0b0c0d0e0f";
	ring.epoch = 7;
	ring.members = &row;
	ring.members_len = 1;
	put(rig, ENTITY_RING, "ring", &ring);
	assert_true(first_start(&rig->leader, &err));
	AUTO_STR *secret = secret_of(rig, false);
	assert_int_equal(strlen(secret), 64);
	AUTO(state) *now = leader_state(&rig->leader);
	const struct ring_body *kept = entity_ring(state_find(now, ENTITY_RING, STR("ring")));
	assert_int_equal(kept->epoch, 7);
	assert_string_equal(kept->members[0].id, "w1");
}

static void a_change_keeps_the_one_before(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_true(first_start(&rig->leader, &err));
	AUTO_STR *first = secret_of(rig, false);
	leader_lock(&rig->leader);
	assert_true(peer_secret_rotate_locked(&rig->leader, &err));
	leader_unlock(&rig->leader);
	AUTO_STR *second = secret_of(rig, false);
	AUTO_STR *before = secret_of(rig, true);
	assert_string_equal(before, first);
	assert_string_not_equal(second, first);
}

static void it_is_due_when_a_credential_is_over(void **state)
{
	struct rig *rig = *state;
	struct error err;
	int64_t now = clock_wall_s();

	assert_true(first_start(&rig->leader, &err));
	leader_lock(&rig->leader);
	assert_true(peer_secret_rotate_locked(&rig->leader, &err));
	leader_unlock(&rig->leader);
	put_worker(rig, "ever", true, 0);
	put_worker(rig, "past", true, now - 100);
	put_worker(rig, "off", false, now + 50);
	assert_false(is_due(rig, now + 1000));
	put_worker(rig, "soon", true, now + 100);
	assert_false(is_due(rig, now + 99));
	assert_true(is_due(rig, now + 100) && is_due(rig, now + 100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_first_start_makes_one_and_the_next_keeps_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ring_of_before_gets_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_keeps_the_one_before, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_due_when_a_credential_is_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
