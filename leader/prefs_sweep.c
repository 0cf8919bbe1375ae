/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/prefs_sweep.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "leader/leader.h"

#define KINDS (1u << ENTITY_USER | 1u << ENTITY_STAR | 1u << ENTITY_BOOKMARK)

struct prefs_sweep {
	struct leader *leader;
	struct state *looked; /* these kinds as they were when nobody was left; NULL: nobody has looked */
};

/* Tombstones of what goes. */
struct going {
	struct entity *at[PREFS_SWEEP_MOST];
	size_t len;
};

static void going_fini(struct going *going)
{
	for (size_t i = 0; i < going->len; i++)
		entity_free(going->at[i]);
}

struct prefs_sweep *prefs_sweep_new(struct leader *leader)
{
	struct prefs_sweep *sweep = xnew(struct prefs_sweep);

	sweep->leader = leader;
	return sweep;
}

void prefs_sweep_free(struct prefs_sweep *sweep)
{
	if (!sweep)
		return;
	state_free(sweep->looked);
	free(sweep);
}

static void look_at(const struct state *now, enum entity_kind kind, struct str id, struct going *going)
{
	if (going->len < PREFS_SWEEP_MOST && state_find(now, kind, id) && !state_find(now, ENTITY_USER, id))
		going->at[going->len++] = entity_new_deleted(kind, id, 0);
}

static void look_at_all(const struct state *now, enum entity_kind kind, struct going *going)
{
	for (size_t i = 0; i < state_count(now, kind); i++)
		look_at(now, kind, entity_id(state_at(now, kind, i)), going);
}

static void look(
	const struct state *before, const struct state *now, enum entity_kind kind, struct going *going)
{
	struct str changed[PREFS_SWEEP_MOST];
	size_t len = 0;

	if (!before || !state_same_kind(before, now, ENTITY_USER) ||
		!state_differ(before, now, kind, changed, PREFS_SWEEP_MOST, &len))
		look_at_all(now, kind, going);
	else
		for (size_t i = 0; i < len; i++)
			look_at(now, kind, changed[i], going);
}

/* False: the next sweep tries again. */
static bool end_locked(struct prefs_sweep *sweep, const struct going *going)
{
	struct ledger_change changes[PREFS_SWEEP_MOST];
	enum ledger_result result;
	uint64_t revision;
	struct error err;
	size_t at;

	leader_assert_locked(sweep->leader);
	for (size_t i = 0; i < going->len; i++)
		changes[i] = (struct ledger_change){ .entity = going->at[i] };
	result = leader_write_locked(sweep->leader, changes, going->len, &revision, &at, &err);
	if (result == LEDGER_FAILED)
		leader_say_failed_locked(sweep->leader, "prefs.store", &err);
	if (result == LEDGER_WRITTEN)
		log_info("prefs.gone", "lists=%zu revision=%" PRIu64 " why=\"their users are gone\"",
			going->len, revision);
	return result == LEDGER_WRITTEN;
}

static bool is_as_before(const struct prefs_sweep *sweep, const struct state *now)
{
	const struct state *before = sweep->looked;

	return before && state_same_kind(before, now, ENTITY_USER) &&
	       state_same_kind(before, now, ENTITY_STAR) && state_same_kind(before, now, ENTITY_BOOKMARK);
}

void prefs_sweep_now_locked(struct prefs_sweep *sweep)
{
	AUTO(state) *now = leader_state(sweep->leader);
	AUTO_FINI(going) going = { .len = 0 };

	if (is_as_before(sweep, now))
		return;
	look(sweep->looked, now, ENTITY_STAR, &going);
	look(sweep->looked, now, ENTITY_BOOKMARK, &going);
	if (going.len) {
		(void)end_locked(sweep, &going);
		return;
	}
	state_free(sweep->looked);
	sweep->looked = state_only(now, KINDS);
}
