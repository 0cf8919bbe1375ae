/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push - all that one push does is one transaction of the store, made under the leader's lock.
 *
 * A push older than the newest of its (worker, boot) is a copy that was on its way too long: it only renews
 * the lease. A pure heartbeat has nothing to be stored, so it costs no write.
 */
#include "leader/push.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/map.h"
#include "leader/grants.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/ring_write.h"

#define GRANTS_MAX USAGE_CHUNK_ROWS /* of an answer */

/* Beats look at grants without the leader's lock. */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

struct merging {
	struct leader *leader;
	const struct usage_push *push;
	struct state *state;
	struct cluster_settings cluster;
	struct members_staged staged;
	bool stale, repeated;
	struct map *demanded;       /* keys */
	struct store_grant *grants; /* to be stored; texts borrowed */
	size_t grants_len, grants_room;
	struct usage_answer *answer;
	bool failed;
	struct error *err;
};

/* Demands. */

static uint64_t daily_quota(const struct state *state, const char *apikey)
{
	struct entity *entity = state_find(state, ENTITY_APIKEY, str_of(apikey));
	int64_t quota = entity ? entity_apikey(entity)->daily_quota : 0;

	return quota > 0 ? (uint64_t)quota : 0;
}

static bool note_grant(void *arg, const struct store_grant *grant)
{
	struct merging *merging = arg;

	if (merging->grants_len == merging->grants_room) {
		size_t room = merging->grants_room ? merging->grants_room * 2 : 64;
		struct store_grant *wider = xnew_array(struct store_grant, room);
		if (merging->grants_len)
			memcpy(wider, merging->grants, merging->grants_len * sizeof(*wider));
		free(merging->grants);
		merging->grants = wider;
		merging->grants_room = room;
	}
	merging->grants[merging->grants_len++] = *grant;
	return true;
}

/* Clocks differ a little, and a day's last push comes after it: the days on both sides of ours are dealt out
 * too. */
static bool is_near(const char *day)
{
	int64_t now = clock_wall_s();
	char near[11];

	for (int64_t offset = -1; offset <= 1; offset++) {
		clock_day(now + offset * 86400, near);
		if (!strcmp(near, day))
			return true;
	}
	return false;
}

static void take_demands(struct merging *merging)
{
	const struct usage_push *push = merging->push;
	struct leader *leader = merging->leader;
	const struct store_grant *grant;

	for (size_t i = 0; i < push->demands_len; i++) {
		const struct usage_demand *demand = &push->demands[i];
		struct grants_terms terms = { .limit = daily_quota(merging->state, demand->apikey),
			.live_workers = members_live(leader->members),
			.repeated = merging->repeated };
		if (!is_near(demand->day) ||
			!state_find(merging->state, ENTITY_APIKEY, str_of(demand->apikey)))
			continue;
		pthread_mutex_lock(&looking);
		grants_demand(leader->grants, push->worker, push->boot, demand, &terms, &grant);
		pthread_mutex_unlock(&looking);
		(void)note_grant(merging, grant);
		(void)map_put(merging->demanded, str_of(demand->apikey), merging);
	}
	pthread_mutex_lock(&looking);
	if (push->final)
		grants_finish(leader->grants, push->worker, push->boot, note_grant, merging);
	pthread_mutex_unlock(&looking);
}

/* Answer. */

static bool is_demanded(const struct merging *merging, const struct store_grant *grant)
{
	return map_find(merging->demanded, str_of(grant->apikey)) != NULL;
}

static void answer_grant(void *arg, const struct store_grant *grant, bool recall)
{
	struct merging *merging = arg;
	struct usage_answer *answer = merging->answer;
	struct usage_grant row = { .granted = grant->granted,
		.limit = daily_quota(merging->state, grant->apikey),
		.recall = recall };

	if (merging->failed || answer->grants_len == GRANTS_MAX)
		return;
	if (!recall && grant->granted == grant->used && !is_demanded(merging, grant))
		return;
	merging->failed =
		!store_calls(merging->leader->store, grant->apikey, grant->day, &row.total, merging->err);
	memcpy(row.day, grant->day, sizeof(row.day));
	row.apikey = check_strdup(grant->apikey);
	answer->grants[answer->grants_len++] = row;
}

static void count_grant(void *arg, const struct store_grant *grant, bool recall)
{
	size_t *count = arg;

	(void)grant;
	(void)recall;
	if (*count < GRANTS_MAX)
		++*count;
}

static bool fill_answer(struct merging *merging)
{
	struct leader *leader = merging->leader;
	struct usage_answer *answer = merging->answer;
	const struct usage_push *push = merging->push;
	AUTO(state) *newest = leader_state(leader);
	size_t count = 0;

	pthread_mutex_lock(&looking);
	grants_each(leader->grants, push->worker, push->boot, count_grant, &count);
	pthread_mutex_unlock(&looking);
	*answer = (struct usage_answer){ .seq = push->seq,
		.lease_ms = merging->cluster.lease_ms,
		.push_every_ms = merging->cluster.push_every_ms,
		.ring_epoch = leader_ring_epoch(newest),
		.revision = state_revision(newest),
		.grants = xnew_array(struct usage_grant, count + 1) };
	if (count)
		grants_each(leader->grants, push->worker, push->boot, answer_grant, merging);
	if (merging->failed)
		usage_answer_fini(answer);
	return !merging->failed;
}

/* The push. */

static bool has_usage(const struct usage_push *push)
{
	return push->rows_len || push->repositories_len || push->demands_len || push->final;
}

static bool store_push(struct merging *merging)
{
	const struct usage_push *push = merging->push;
	struct leader *leader = merging->leader;
	struct store_merge merge = { .worker = push->worker,
		.boot = push->boot,
		.seq = push->seq,
		.rows = push->rows,
		.rows_len = push->rows_len,
		.repositories = push->repositories,
		.repositories_len = push->repositories_len,
		.grants = merging->grants,
		.grants_len = merging->grants_len,
		.member = merging->staged.needs_store ? &merging->staged.member : NULL };
	bool new = true;

	if (!has_usage(push)) {
		if (merge.member && !store_put_member(leader->store, merge.member, merging->err))
			return false;
	} else if (!store_merge_usage(leader->store, &merge, &new, merging->err)) {
		return false;
	}
	counter_add(new ? &leader->counters.pushes_total : &leader->counters.pushes_repeated_total, 1);
	return true;
}

static void settle_ring(const struct merging *merging)
{
	struct ring_write *ring = merging->leader->ring;

	if (merging->staged.late || !merging->staged.ring)
		return;
	if (merging->staged.hurry)
		ring_write_now_locked(ring);
	else
		ring_write_due(ring);
}

static bool stage(struct merging *merging)
{
	return members_stage(merging->leader->members, merging->push, clock_ms(), merging->cluster.lease_ms,
		&merging->staged, merging->err);
}

/* Things may have gone on while it waited for the lock. */
static bool stage_again(struct merging *merging)
{
	members_staged_fini(&merging->staged);
	return stage(merging);
}

static bool merge_locked(struct merging *merging)
{
	const struct usage_push *push = merging->push;
	struct leader *leader = merging->leader;
	uint64_t newest;

	if (merging->staged.needs_store && !stage_again(merging))
		return false;
	if (!store_seq(leader->store, push->worker, push->boot, &newest, merging->err))
		return false;
	merging->stale = push->seq < newest;
	merging->repeated = push->seq == newest;
	if (!merging->stale)
		take_demands(merging);
	if (!store_push(merging))
		return false;
	members_apply(leader->members, &merging->staged, clock_ms());
	settle_ring(merging);
	return fill_answer(merging);
}

static void note_any(void *arg, const struct store_grant *grant, bool recall)
{
	(void)grant;
	(void)recall;
	*(bool *)arg = true;
}

/* A beat of a boot that holds nothing: answered from memory. */
static bool needs_lock(struct merging *merging)
{
	bool holds = false;

	pthread_mutex_lock(&looking);
	grants_each(merging->leader->grants, merging->push->worker, merging->push->boot, note_any, &holds);
	pthread_mutex_unlock(&looking);
	return holds || merging->staged.needs_store || has_usage(merging->push);
}

static bool merge(struct merging *merging)
{
	struct leader *leader = merging->leader;
	bool ok;

	if (!stage(merging))
		return false;
	if (!merging->staged.needs_store)
		members_apply(leader->members, &merging->staged, clock_ms());
	if (!needs_lock(merging)) {
		counter_add(&leader->counters.pushes_total, 1);
		return fill_answer(merging);
	}
	leader_lock(leader);
	ok = merge_locked(merging);
	leader_unlock(leader);
	return ok;
}

bool push_merge(struct leader *leader, const struct usage_push *push, struct usage_answer *ret_answer,
	struct error *err)
{
	struct usage_answer answer = { 0 };
	struct merging merging = { .leader = leader, .push = push, .answer = &answer, .err = err };
	bool ok;

	if (!push->seq)
		return error_set(err, ERROR_INVALID, NULL, "seq begins with 1");
	merging.state = leader_state(leader);
	merging.cluster = leader_cluster(leader);
	merging.demanded = map_new();
	ok = merge(&merging);
	members_staged_fini(&merging.staged);
	state_free(merging.state);
	map_free(merging.demanded);
	free(merging.grants);
	if (ok)
		*ret_answer = answer;
	return ok;
}
