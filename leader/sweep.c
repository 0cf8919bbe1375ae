/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/sweep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/expiry.h"
#include "leader/fellows.h"
#include "leader/grants.h"
#include "leader/large_write.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/peer_secret.h"
#include "leader/prefs_sweep.h"
#include "leader/ring_write.h"

#define LEAST_MS  100
#define MOST_MS   1000
#define ROWS_MOST 64 /* rows of members, in one sweep */
/* Rows of the audit, in one sweep; and how often, where few are there. */
#define AUDIT_MOST     500
#define AUDIT_EVERY_MS 10000
#define DAY_MS         ((int64_t)24 * 3600 * 1000)

struct sweep {
	struct leader *leader;
	struct expiry *expiry;
	struct prefs_sweep *prefs;
	struct loop_timer timer;
	bool stopped;      /* own loop */
	char day[11];      /* under the leader's lock: grants were tidied on */
	int64_t tidied_ms; /* the same: the audit was; 0: some of it is left */
};

struct sweep *sweep_new(struct leader *leader)
{
	struct sweep *sweep = xnew(struct sweep);

	sweep->leader = leader;
	sweep->expiry = expiry_new(leader);
	sweep->prefs = prefs_sweep_new(leader);
	return sweep;
}

void sweep_free(struct sweep *sweep)
{
	if (!sweep)
		return;
	expiry_free(sweep->expiry);
	prefs_sweep_free(sweep->prefs);
	free(sweep);
}

/* Members. */

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

static bool forget_one(struct sweep *sweep, const char *name)
{
	struct error err;

	if (!leader_forget_locked(sweep->leader, name, NULL, &err)) {
		leader_say_failed_locked(sweep->leader, "member.store", &err);
		return false;
	}
	log_info("member.gone", "name=%s", log_quote(str_of(name)));
	return true;
}

static void note_empty(struct leader *leader)
{
	AUTO(state) *state = leader_state(leader);
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	if (ring)
		members_note_empty(leader->members, entity_ring(ring));
}

static void forget_some(struct sweep *sweep, const struct members_terms *terms)
{
	struct ledger_member row;
	bool ok = true;

	if (terms->keep)
		note_empty(sweep->leader);
	while (ok && members_over(sweep->leader->members, terms, &row)) {
		ok = forget_one(sweep, row.name);
		ledger_member_fini(&row);
	}
}

static bool write_row(struct sweep *sweep, const struct ledger_member *row)
{
	struct leader *leader = sweep->leader;
	struct error err;
	bool ok = ledger_put_member(leader->ledger, row, &err);

	if (!ok) {
		members_unstored(leader->members, row->name);
		leader_say_failed_locked(leader, "member.store", &err);
	}
	return ok;
}

/* Those that are lost now, and those whose row is old. */
static void write_rows(struct sweep *sweep)
{
	struct ledger_member row;
	bool ok = true;

	for (unsigned i = 0; ok && i < ROWS_MOST && members_due(sweep->leader->members, clock_ms(), &row);
		i++) {
		ok = write_row(sweep, &row);
		ledger_member_fini(&row);
	}
}

/* Beside them. */

static void tidy_grants(struct sweep *sweep)
{
	char today[11], oldest[11];
	int64_t now = clock_wall_s();

	clock_day(now, today);
	if (!strcmp(today, sweep->day))
		return;
	memcpy(sweep->day, today, sizeof(today));
	clock_day(now - (int64_t)GRANTS_DAYS_KEPT * 86400, oldest);
	grants_forget(sweep->leader->grants, oldest);
}

/* One that is over by itself locks its worker out of its peers too. */
static void expire_credentials(struct leader *leader)
{
	AUTO(state) *state = leader_state(leader);
	struct error err;

	if (peer_secret_is_due(state, clock_wall_s()) && !peer_secret_rotate_locked(leader, &err))
		log_error("ring.write", "error=%s trying again", log_quote(str_of(err.text)));
}

/* A few at a time, and seldom. */
static void tidy_audit(struct sweep *sweep)
{
	const struct leader_settings *s = sweep->leader->settings;
	const struct ledger_audit_kept kept = { .since_ms = clock_wall_ms() - s->audit_days * DAY_MS,
		.changes = (uint64_t)s->audit_rows,
		.refusals = (uint64_t)s->audit_rows / 10,
		.most = AUDIT_MOST };
	struct error err;
	bool more = false;

	if (sweep->tidied_ms && clock_ms() - sweep->tidied_ms < AUDIT_EVERY_MS)
		return;
	if (!ledger_sweep_audit(sweep->leader->ledger, &kept, &more, &err))
		leader_say_failed_locked(sweep->leader, "audit.store", &err);
	sweep->tidied_ms = more ? 0 : clock_ms();
}

static void tell_refusals(struct leader *leader)
{
	uint64_t missed = few_each_missed(leader->refusals, clock_ms());

	if (missed)
		log_warn("refusals.suppressed", "count=%" PRIu64, missed);
}

void sweep_note_locked(struct sweep *sweep, struct entity *const *entities, size_t len)
{
	if (!sweep)
		return;
	leader_assert_locked(sweep->leader);
	expiry_note(sweep->expiry, entities, len);
}

void sweep_now_locked(struct sweep *sweep)
{
	struct leader *leader = sweep->leader;
	struct cluster_settings cluster = leader_cluster(leader);
	struct members_terms terms = { .now_ms = clock_ms(),
		.now_wall_s = clock_wall_s(),
		.lease_ms = cluster.lease_ms + fellows_margin_ms(leader->fellows),
		.keep = cluster.isolated };
	int64_t away_ms;

	leader_assert_locked(leader);
	tell_refusals(leader);
	if (!fellows_in_contact(leader->fellows, &away_ms))
		return;
	lose_some(leader, &terms);
	ring_write_now_locked(leader->ring);
	write_rows(sweep);
	leader_try_settle_locked(leader);
	forget_some(sweep, &terms);
	tidy_grants(sweep);
	expire_credentials(leader);
	expiry_now_locked(sweep->expiry);
	prefs_sweep_now_locked(sweep->prefs);
	leader_store_refusals_locked(leader, false);
	tidy_audit(sweep);
	large_write_sweep_locked(leader);
}

/* The timer. */

static void sweep_run(void *arg)
{
	struct sweep *sweep = arg;

	leader_lock(sweep->leader);
	sweep_now_locked(sweep);
	leader_unlock(sweep->leader);
}

static void on_sweep(void *arg);

static void sweep_again(struct sweep *sweep)
{
	int64_t every = leader_cluster(sweep->leader).lease_ms / 10;

	if (sweep->stopped)
		return;
	every = every < LEAST_MS ? LEAST_MS : every > MOST_MS ? MOST_MS : every;
	loop_timer_start(sweep->leader->loop, &sweep->timer, every, on_sweep, sweep);
}

static void sweep_done(void *arg)
{
	struct sweep *sweep = arg;

	loop_assert(sweep->leader->loop);
	sweep_again(sweep);
}

static void on_sweep(void *arg)
{
	struct sweep *sweep = arg;

	loop_assert(sweep->leader->loop);
	if (!pool_submit_then(sweep->leader->pool, sweep_run, sweep->leader->loop, sweep_done, sweep))
		sweep_again(sweep);
}

void sweep_start(struct sweep *sweep)
{
	loop_assert(sweep->leader->loop);
	members_keep(sweep->leader->members, leader_cluster(sweep->leader).isolated);
	sweep_again(sweep);
}

void sweep_stop(struct sweep *sweep)
{
	loop_assert(sweep->leader->loop);
	sweep->stopped = true;
	loop_timer_stop(sweep->leader->loop, &sweep->timer);
}
