/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ring_write.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/leader.h"
#include "leader/ring_plan.h"

#define SETTLE_MS 50

struct ring_write {
	struct leader *leader;
	struct loop_timer settle;
	bool settling, stopped; /* own loop; settling: the timer runs */
	atomic_bool posted;
};

struct ring_write *ring_write_new(struct leader *leader)
{
	struct ring_write *write = xnew(struct ring_write);

	write->leader = leader;
	return write;
}

void ring_write_free(struct ring_write *write)
{
	free(write);
}

/* Writing. */

static enum ledger_result write_plan(
	struct leader *leader, const struct entity *old, const struct ring_plan *plan, struct error *err)
{
	AUTO(entity) *entity = entity_new(ENTITY_RING, STR("ring"), 0, &plan->body);
	struct ledger_change change = { .entity = entity, .check = true, .expected = entity_revision(old) };
	uint64_t revision;
	size_t at;

	return leader_write_locked(leader, &change, 1, &revision, &at, err);
}

/* False: somebody else was faster, look again. */
static bool write_once(struct ring_write *write)
{
	struct leader *leader = write->leader;
	AUTO(state) *state = leader_state(leader);
	struct entity *old = state_find(state, ENTITY_RING, STR("ring"));
	enum ledger_result result;
	struct ring_plan plan;
	struct error err;

	if (!old ||
		!ring_plan(leader->members, state, leader_cluster(leader).isolated, entity_ring(old), &plan))
		return true;
	result = write_plan(leader, old, &plan, &err);
	if (result == LEDGER_WRITTEN) {
		counter_add(&leader->counters.ring_changes_total, 1);
		log_info("ring.published", "epoch=%" PRId64 " members=%zu", plan.body.epoch,
			plan.body.members_len);
	} else if (result == LEDGER_FAILED) {
		leader_say_failed_locked(leader, "ring.write", &err);
	}
	ring_plan_fini(&plan);
	return result != LEDGER_STALE && result != LEDGER_BEHIND;
}

void ring_write_now_locked(struct ring_write *write)
{
	leader_assert_locked(write->leader);
	for (unsigned i = 0; i < LEADER_WRITE_TRIES; i++)
		if (write_once(write))
			return;
	ring_write_due(write);
}

/* Settling: 50 ms after the first change, on the pool. */

static void settle_run(void *arg)
{
	struct ring_write *write = arg;

	leader_lock(write->leader);
	ring_write_now_locked(write);
	leader_try_settle_locked(write->leader);
	leader_unlock(write->leader);
}

static void on_settle(void *arg)
{
	struct ring_write *write = arg;

	loop_assert(write->leader->loop);
	write->settling = false;
	if (!pool_submit(write->leader->pool, settle_run, write))
		ring_write_due(write);
}

static void on_due(void *arg)
{
	struct ring_write *write = arg;

	loop_assert(write->leader->loop);
	atomic_store(&write->posted, false);
	if (write->stopped || write->settling)
		return;
	write->settling = true;
	loop_timer_start(write->leader->loop, &write->settle, SETTLE_MS, on_settle, write);
}

void ring_write_due(struct ring_write *write)
{
	if (!atomic_exchange(&write->posted, true))
		loop_post(write->leader->loop, on_due, write);
}

void ring_write_stop(struct ring_write *write)
{
	loop_assert(write->leader->loop);
	write->stopped = true;
	loop_timer_stop(write->leader->loop, &write->settle);
}
