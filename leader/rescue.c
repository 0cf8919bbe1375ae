/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/rescue.h"

#include <stdlib.h>

#include "common/check.h"
#include "leader/follow.h"
#include "leader/grants.h"
#include "leader/leader.h"
#include "leader/ledger_follow.h"
#include "leader/members.h"

struct rescued {
	struct ledger_member *members;
	struct ledger_grant *grants;
	size_t members_len, members_room, grants_len, grants_room;
};

static void rescued_fini(struct rescued *rescued)
{
	for (size_t i = 0; i < rescued->members_len; i++)
		ledger_member_fini(&rescued->members[i]);
	for (size_t i = 0; i < rescued->grants_len; i++) {
		free(rescued->grants[i].boot);
		free(rescued->grants[i].apikey);
	}
	free(rescued->members);
	free(rescued->grants);
}

static void *room_for(void *at, size_t len, size_t *room, size_t size)
{
	if (len < *room)
		return at;
	*room = *room ? 2 * *room : 64;
	at = realloc(at, *room * size); /* NOLINT: CHECKed */
	CHECK(at);
	return at;
}

static void take_member(void *arg, const struct ledger_member *member, bool fit)
{
	struct rescued *rescued = arg;

	(void)fit;
	rescued->members = room_for(
		rescued->members, rescued->members_len, &rescued->members_room, sizeof(*rescued->members));
	ledger_member_copy(member, &rescued->members[rescued->members_len++]);
}

static void take_grant(void *arg, const struct ledger_grant *grant)
{
	struct rescued *rescued = arg;
	struct ledger_grant *own;

	rescued->grants = room_for(
		rescued->grants, rescued->grants_len, &rescued->grants_room, sizeof(*rescued->grants));
	own = &rescued->grants[rescued->grants_len++];
	*own = *grant;
	own->boot = check_strdup(grant->boot);
	own->apikey = check_strdup(grant->apikey);
}

static bool rescue_locked(struct leader *leader, struct ledger_loaded *ret, struct error *err)
{
	AUTO(state) *state = leader_state(leader);
	AUTO_FINI(rescued) rescued = { 0 };
	struct ledger_rescue rescue = { .state = state };
	struct error lost;

	leader_assert_locked(leader);
	if (follow_locked(leader, &lost))
		return error_set(err, ERROR_CONFLICT, NULL,
			"the store has all that this leader has: there is nothing to rescue");
	members_each(leader->members, take_member, &rescued);
	grants_each(leader->grants, take_grant, &rescued);
	rescue.members = rescued.members;
	rescue.members_len = rescued.members_len;
	rescue.grants = rescued.grants;
	rescue.grants_len = rescued.grants_len;
	return ledger_rescue(leader->ledger, &rescue, ret, err);
}

bool rescue_store(struct leader *leader, struct history *ret, struct error *err)
{
	struct ledger_loaded loaded;
	bool ok;

	if (!ledger_is_shared(leader->ledger))
		return error_set(err, ERROR_INVALID, NULL,
			"this leader's store is its own: zot-leader restore puts a backup in its place");
	leader_lock(leader);
	ok = rescue_locked(leader, &loaded, err);
	leader_unlock(leader);
	if (!ok)
		return false;
	*ret = loaded.history;
	leader_start_anew(leader);
	return true;
}
