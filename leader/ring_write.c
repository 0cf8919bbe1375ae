/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ring_write.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/grants.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/peer_secret.h"
#include "leader/ring_plan.h"

#define SETTLE_MS      50
#define SWEEP_LEAST_MS 100
#define SWEEP_MOST_MS  1000
#define TRIES          5
#define SAY_MOST       3
#define SAY_SPAN_MS    60000
#define ROWS_MOST      64 /* rows of members, in one sweep */

struct ring_write {
	struct leader *leader;
	struct loop_timer sweep, settle;
	bool settling, stopped; /* own loop; settling: the timer runs */
	atomic_bool posted;
	/* Under the leader's lock. */
	char day[11]; /* grants were tidied on */
	struct few failed;
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

/* Each sweep tries again. */
static void say_failed(struct ring_write *write, const char *event, const struct error *err)
{
	if (few_take(&write->failed, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error(event, "error=%s trying again", log_quote(str_of(err->text)));
}

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

	if (!old || !ring_plan(leader->members, leader_cluster(leader).isolated, entity_ring(old), &plan))
		return true;
	result = write_plan(leader, old, &plan, &err);
	if (result == LEDGER_WRITTEN) {
		counter_add(&leader->counters.ring_changes_total, 1);
		log_info("ring.published", "epoch=%" PRId64 " members=%zu", plan.body.epoch,
			plan.body.members_len);
	} else if (result == LEDGER_FAILED) {
		say_failed(write, "ring.write", &err);
	}
	ring_plan_fini(&plan);
	return result != LEDGER_STALE;
}

void ring_write_now_locked(struct ring_write *write)
{
	leader_assert_locked(write->leader);
	for (unsigned i = 0; i < TRIES; i++)
		if (write_once(write))
			return;
	ring_write_due(write);
}

/* Settling: 50 ms after the first change, on the pool. */

/* Of a leader that has ended its hearing while nobody reported what must be stored. */
static void write_heard(struct ring_write *write)
{
	struct error err;

	if (!leader_settle_locked(write->leader, &err))
		say_failed(write, "hearing.store", &err);
}

static void settle_run(void *arg)
{
	struct ring_write *write = arg;

	leader_lock(write->leader);
	ring_write_now_locked(write);
	write_heard(write);
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

/* Leases. */

static void lose_some(struct leader *leader, const struct members_terms *terms)
{
	struct ledger_member row;

	while (members_lose(leader->members, terms, &row)) {
		counter_add(&leader->counters.members_lost_total, 1);
		log_warn("member.lost", "name=%s url=%s", log_quote(str_of(row.name)),
			log_quote(str_of(row.url)));
		ledger_member_fini(&row);
	}
}

static bool forget_one(struct ring_write *write, const char *name)
{
	struct error err;

	if (!leader_forget_locked(write->leader, name, &err)) {
		say_failed(write, "member.store", &err);
		return false;
	}
	log_info("member.gone", "name=%s", log_quote(str_of(name)));
	return true;
}

static void forget_some(struct ring_write *write, const struct members_terms *terms)
{
	struct ledger_member row;
	bool ok = true;

	while (ok && members_over(write->leader->members, terms, &row)) {
		ok = forget_one(write, row.name);
		ledger_member_fini(&row);
	}
}

static bool write_row(struct ring_write *write, const struct ledger_member *row)
{
	struct leader *leader = write->leader;
	struct error err;
	bool ok = ledger_put_member(leader->ledger, row, &err);

	if (!ok) {
		members_unstored(leader->members, row->name);
		say_failed(write, "member.store", &err);
	}
	return ok;
}

/* Those that are lost now, and those whose row is old. */
static void write_rows(struct ring_write *write)
{
	struct ledger_member row;
	bool ok = true;

	for (unsigned i = 0; ok && i < ROWS_MOST && members_due(write->leader->members, clock_ms(), &row);
		i++) {
		ok = write_row(write, &row);
		ledger_member_fini(&row);
	}
}

static void tidy_grants(struct ring_write *write)
{
	char today[11], oldest[11];
	int64_t now = clock_wall_s();

	clock_day(now, today);
	if (!strcmp(today, write->day))
		return;
	memcpy(write->day, today, sizeof(today));
	clock_day(now - (int64_t)GRANTS_DAYS_KEPT * 86400, oldest);
	grants_forget(write->leader->grants, oldest);
}

/* One that is over by itself locks its worker out of its peers too. */
static void expire_credentials(struct leader *leader)
{
	AUTO(state) *state = leader_state(leader);
	struct error err;

	if (peer_secret_is_due(state, clock_wall_s()) && !peer_secret_rotate_locked(leader, &err))
		log_error("ring.write", "error=%s trying again", log_quote(str_of(err.text)));
}

void ring_write_sweep_locked(struct ring_write *write)
{
	struct leader *leader = write->leader;
	struct cluster_settings cluster = leader_cluster(leader);
	struct members_terms terms = { .now_ms = clock_ms(),
		.now_wall_s = clock_wall_s(),
		.lease_ms = cluster.lease_ms,
		.keep = cluster.isolated };

	leader_assert_locked(write->leader);
	lose_some(leader, &terms);
	ring_write_now_locked(write);
	write_rows(write);
	write_heard(write);
	forget_some(write, &terms);
	tidy_grants(write);
	expire_credentials(leader);
}

static void sweep_run(void *arg)
{
	struct ring_write *write = arg;

	leader_lock(write->leader);
	ring_write_sweep_locked(write);
	leader_unlock(write->leader);
}

static void on_sweep(void *arg);

static void sweep_again(struct ring_write *write)
{
	int64_t every = leader_cluster(write->leader).lease_ms / 10;

	if (write->stopped)
		return;
	every = every < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : every > SWEEP_MOST_MS ? SWEEP_MOST_MS : every;
	loop_timer_start(write->leader->loop, &write->sweep, every, on_sweep, write);
}

static void sweep_done(void *arg)
{
	struct ring_write *write = arg;

	loop_assert(write->leader->loop);
	sweep_again(write);
}

static void on_sweep(void *arg)
{
	struct ring_write *write = arg;

	loop_assert(write->leader->loop);
	if (!pool_submit_then(write->leader->pool, sweep_run, write->leader->loop, sweep_done, write))
		sweep_again(write);
}

void ring_write_start(struct ring_write *write)
{
	loop_assert(write->leader->loop);
	members_keep(write->leader->members, leader_cluster(write->leader).isolated);
	sweep_again(write);
}

void ring_write_stop(struct ring_write *write)
{
	loop_assert(write->leader->loop);
	write->stopped = true;
	loop_timer_stop(write->leader->loop, &write->sweep);
	loop_timer_stop(write->leader->loop, &write->settle);
}
