/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes against a real store, without HTTP; the leader's loop does not turn, so rings are written only by
 * those who are in a hurry.
 */
#include "leader/push.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/loop.h"
#include "leader/first_start.h"
#include "leader/grants.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/ring_write.h"
#include "leader/state_log.h"
#include "proto/entity_table.h"

struct rig {
	char folder[64];
	struct leader leader;
	struct leader_settings settings;
	char today[11];
};

static void open_rig(struct rig *rig)
{
	struct leader *leader = &rig->leader;
	struct error err;

	leader->settings = &rig->settings;
	(void)pthread_mutex_init(&leader->lock, NULL);
	leader->log = state_log_new(-1, 0);
	leader->members = members_new();
	leader->grants = grants_new();
	leader->ring = ring_write_new(leader);
	assert_true(loop_new(&leader->loop, "test", &err));
	assert_true(store_open_sqlite(&leader->store, rig->folder, &err));
}

static void put_key(struct rig *rig, const char *id, int64_t daily_quota)
{
	AUTO(entity) *entity = NULL;
	struct store_change change = { 0 };
	struct apikey key;
	uint64_t revision;
	struct error err;
	size_t at;

	table_defaults(entity_table(ENTITY_APIKEY), &key);
	key.owner = "admin";
	key.secret_hash = "0123456789012345678901234567890123456789012345678901234567890123";
	key.daily_quota = daily_quota;
	entity = entity_new(ENTITY_APIKEY, str_of(id), 0, &key);
	change.entity = entity;
	assert_int_equal(leader_write_locked(&rig->leader, &change, 1, &revision, &at, &err), STORE_WRITTEN);
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-push-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	rig->settings = (struct leader_settings){ .admin_user = "admin", .admin_password = "password" };
	clock_day(clock_wall_s(), rig->today);
	open_rig(rig);
	assert_true(first_start(&rig->leader, &err));
	put_key(rig, "key-1", 20);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	struct leader *leader = &rig->leader;

	loop_free(leader->loop);
	ring_write_free(leader->ring);
	grants_free(leader->grants);
	members_free(leader->members);
	state_log_free(leader->log);
	store_close(leader->store);
	(void)pthread_mutex_destroy(&leader->lock);
	assert_true(file_remove_tree(rig->folder, NULL));
	free(rig);
	return 0;
}

struct given {
	const char *worker, *process, *state;
	uint64_t seq, calls, want, used;
	bool release, final;
};

static void fill(const struct rig *rig, const struct given *given, struct usage_push *push)
{
	*push = (struct usage_push){ .seq = given->seq,
		.final = given->final,
		.rows = xnew_array(struct usage_row, 1),
		.rows_len = given->calls > 0,
		.demands = xnew_array(struct usage_demand, 1),
		.demands_len = given->want || given->used || given->release };
	push->worker = check_strdup(given->worker ? given->worker : "w1");
	push->process = check_strdup(given->process ? given->process : "p1");
	push->boot = check_strdup("boot");
	push->state = check_strdup(given->state ? given->state : "active");
	push->url = check_strdup("http://10.0.0.1:1");
	push->rows[0].calls = given->calls;
	push->demands[0].want = given->want;
	push->demands[0].used = given->used;
	push->demands[0].release = given->release;
	if (push->rows_len)
		push->rows[0].apikey = check_strdup("key-1");
	if (push->demands_len)
		push->demands[0].apikey = check_strdup("key-1");
	memcpy(push->rows[0].day, rig->today, 11);
	memcpy(push->demands[0].day, rig->today, 11);
}

static bool push(struct rig *rig, struct given given, struct usage_answer *ret, struct error *err)
{
	struct usage_push message;
	bool ok;

	fill(rig, &given, &message);
	ok = push_merge(&rig->leader, &message, ret, err);
	usage_push_fini(&message);
	return ok;
}

/* The first grant of the answer: granted and total. */
static struct usage_grant granted(struct rig *rig, struct given given)
{
	struct usage_answer answer;
	struct usage_grant grant = { 0 };
	struct error err;

	assert_true(push(rig, given, &answer, &err));
	assert_int_equal(answer.seq, given.seq);
	if (answer.grants_len)
		grant = answer.grants[0];
	usage_answer_fini(&answer);
	return grant;
}

static void counts_exactly_once(void **state)
{
	struct rig *rig = *state;

	(void)granted(rig, (struct given){ .seq = 1, .calls = 3, .want = 1 });
	(void)granted(rig, (struct given){ .seq = 1, .calls = 3, .want = 1 });
	assert_int_equal(granted(rig, (struct given){ .seq = 1, .calls = 3, .want = 1 }).total, 3);
	assert_int_equal(granted(rig, (struct given){ .seq = 2, .calls = 4, .want = 1 }).total, 7);
	/* A copy that was on its way for long. */
	(void)granted(rig, (struct given){ .seq = 1, .calls = 3, .want = 1 });
	assert_int_equal(granted(rig, (struct given){ .seq = 3, .want = 1 }).total, 7);
	assert_int_equal(counter_get(&rig->leader.counters.pushes_repeated_total), 3);
}

static void a_late_copy_takes_no_grant_back(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(granted(rig, (struct given){ .seq = 1, .want = 5 }).granted, 5);
	assert_int_equal(granted(rig, (struct given){ .seq = 2, .used = 2, .release = true }).granted, 2);
	assert_int_equal(granted(rig, (struct given){ .seq = 3, .used = 2, .want = 4 }).granted, 6);
	(void)granted(rig, (struct given){ .seq = 2, .used = 2, .release = true });
	assert_int_equal(granted(rig, (struct given){ .seq = 4, .used = 2 }).granted, 6);
}

static void the_quota_is_shared_out(void **state)
{
	struct rig *rig = *state;
	struct usage_grant grant;

	assert_int_equal(granted(rig, (struct given){ .worker = "w1", .seq = 1, .want = 20 }).granted, 10);
	for (uint64_t seq = 1; seq <= 30; seq++)
		grant = granted(rig, (struct given){ .worker = "w2", .seq = seq, .want = 20 });
	assert_int_equal(grant.granted, 10);
	assert_true(granted(rig, (struct given){ .worker = "w1", .seq = 2 }).recall);
	assert_int_equal(
		granted(rig, (struct given){ .worker = "w1", .seq = 3, .used = 4, .release = true }).granted,
		4);
	assert_true(granted(rig, (struct given){ .worker = "w2", .seq = 31, .used = 10, .want = 9 }).granted >
		    10);
	/* The last push of a boot frees what it did not use. */
	(void)granted(
		rig, (struct given){ .worker = "w2", .seq = 32, .used = 11, .final = true, .state = "left" });
	assert_int_equal(grants_granted(rig->leader.grants, "key-1", rig->today), 15);
}

static void unknown_keys_get_nothing(void **state)
{
	struct rig *rig = *state;
	struct usage_push message;
	struct usage_answer answer;
	struct error err;

	fill(rig, &(struct given){ .seq = 1, .want = 5 }, &message);
	memcpy(message.demands[0].apikey, "key-2", 5);
	assert_true(push_merge(&rig->leader, &message, &answer, &err));
	assert_int_equal(answer.grants_len, 0);
	usage_answer_fini(&answer);
	usage_push_fini(&message);
}

static bool take(void *arg, const struct store_grant *grant)
{
	grants_load(arg, grant);
	return true;
}

static void grants_survive_a_restart(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(granted(rig, (struct given){ .seq = 1, .want = 7 }).granted, 7);
	grants_free(rig->leader.grants);
	rig->leader.grants = grants_new();
	store_close(rig->leader.store);
	assert_true(store_open_sqlite(&rig->leader.store, rig->folder, NULL));
	assert_true(store_load_grants(rig->leader.store, rig->today, take, rig->leader.grants, NULL));
	assert_int_equal(grants_granted(rig->leader.grants, "key-1", rig->today), 7);
	assert_int_equal(granted(rig, (struct given){ .seq = 1, .want = 7 }).granted, 7);
}

static uint64_t epoch_of(struct rig *rig)
{
	AUTO(state) *state = leader_state(&rig->leader);

	return leader_ring_epoch(state);
}

static void who_goes_is_out_at_once(void **state)
{
	struct rig *rig = *state;
	struct usage_answer answer;
	struct error err;

	(void)granted(rig, (struct given){ .worker = "w1", .seq = 1 });
	leader_lock(&rig->leader);
	ring_write_now_locked(rig->leader.ring);
	leader_unlock(&rig->leader);
	uint64_t before = epoch_of(rig);
	assert_true(push(rig, (struct given){ .worker = "w1", .seq = 2, .state = "left" }, &answer, &err));
	assert_int_equal(answer.ring_epoch, before + 1);
	usage_answer_fini(&answer);
}

static void another_process_is_refused(void **state)
{
	struct rig *rig = *state;
	struct usage_answer answer;
	struct error err;

	(void)granted(rig, (struct given){ .seq = 1 });
	assert_false(push(rig, (struct given){ .process = "p2", .seq = 1, .calls = 5 }, &answer, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_false(push(rig, (struct given){ .seq = 0, .calls = 5 }, &answer, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_exactly_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_copy_takes_no_grant_back, setup, teardown),
		cmocka_unit_test_setup_teardown(the_quota_is_shared_out, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_keys_get_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(grants_survive_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(who_goes_is_out_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(another_process_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
