/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/follow.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/fellows.h"
#include "leader/grants.h"
#include "leader/hearing.h"
#include "leader/leader.h"
#include "leader/ledger_follow.h"
#include "leader/members.h"
#include "proto/pack.h"

/* How often who waits looks whether the ledger is still there. */
#define LOOK_MS 50

/* The note: [number, echo, left, late, stranger, registers, grants]. */
#define NOTE_LEN 7

static void note_member(const struct members_staged *member, struct buf *into)
{
	pack_uint(into, member->number);
	pack_uint(into, member->echo);
	pack_bool(into, member->left);
	pack_bool(into, member->late);
	pack_bool(into, member->stranger);
	pack_bool(into, member->registers);
}

void follow_note(const struct members_staged *member, const struct grants_staged *grants, struct buf *into)
{
	pack_array(into, NOTE_LEN);
	note_member(member, into);
	grants_staged_note(grants, into);
}

static bool flag(const struct pack_node *note, size_t at)
{
	bool value = false;

	(void)!pack_get_bool(pack_at(note, at), &value);
	return value;
}

static struct members_staged noted_member(const struct ledger_merge *stored, const struct pack_node *note)
{
	struct members_staged staged = { .left = flag(note, 2),
		.late = flag(note, 3),
		.stranger = flag(note, 4),
		.registers = flag(note, 5),
		.needs_store = stored->member };
	struct ledger_member named = { .name = check_strdup(stored->worker),
		.process = check_strdup(stored->process) };

	(void)!pack_get_uint(pack_at(note, 0), &staged.number);
	(void)!pack_get_uint(pack_at(note, 1), &staged.echo);
	ledger_member_copy(stored->member ? stored->member : &named, &staged.member);
	ledger_member_fini(&named);
	return staged;
}

/* Reports. */

static void apply_member(
	struct leader *leader, const struct ledger_entry *entry, const struct pack_node *note)
{
	struct members_staged staged = noted_member(entry->merge, note);

	staged.dealings = entry->dealings;
	if (staged.needs_store || staged.left)
		members_apply(leader->members, &staged, clock_ms());
	members_staged_fini(&staged);
}

static void apply_merge(struct leader *leader, const struct ledger_entry *entry)
{
	AUTO(pack_doc) *doc = NULL;
	const struct pack_node *note = NULL;
	struct grants_staged *grants;
	struct error err;

	if (pack_parse(entry->merge->note, &doc, &err))
		note = pack_root(doc);
	hearing_dealt(leader->hearing, entry->dealings);
	apply_member(leader, entry, note);
	grants = grants_stage_stored(leader->grants, entry->merge, pack_at(note, NOTE_LEN - 1));
	grants_apply(leader->grants, grants, entry->merge->finished);
	leader_want_reports(leader, grants_staged_recalled(grants));
	grants_staged_free(grants);
}

/* Entities. */

static void apply_entities(struct leader *leader, const struct ledger_entry *entry)
{
	AUTO(state) *now = leader_state(leader);
	struct state *next = state_change(now, entry->entities, entry->entities_len, entry->revision);

	if (memcmp(state_digest(next), entry->digest, ENTITY_HASH_BYTES) != 0) {
		counter_add(&leader->counters.store_differs_total, 1);
		log_error("store.differs",
			"revision=%llu by=%s this leader has another state than the one that wrote",
			(unsigned long long)entry->revision, log_quote(str_of(entry->by)));
	}
	leader_take_state_locked(leader, next, entry->entities, entry->entities_len);
}

/* Lives. */

static void apply_life(struct leader *leader, const struct ledger_entry *entry)
{
	int64_t grant_ms = leader_cluster(leader).grant_ms;

	if (entry->life_begins) {
		hearing_follow_life(leader->hearing, entry->life->id, clock_ms(), grant_ms);
		members_follow_life(leader->members);
	} else {
		hearing_follow(leader->hearing, entry->life->heard, clock_ms(), grant_ms);
	}
}

static void apply(void *arg, const struct ledger_entry *entry)
{
	struct leader *leader = arg;

	if (entry->revision)
		apply_entities(leader, entry);
	if (entry->merge)
		apply_merge(leader, entry);
	if (entry->member)
		members_follow(leader->members, entry->member, clock_ms());
	if (entry->forgotten)
		members_erase(leader->members, str_of(entry->forgotten));
	if (entry->life)
		apply_life(leader, entry);
	if (entry->joins && leader->fellows)
		fellows_greet(leader->fellows);
	counter_add(&leader->counters.entries_followed_total, 1);
}

/* One that is still loading ends, and says why: whoever started it tries again. */
static bool could_not_follow(struct leader *leader, const struct error *err)
{
	if (!leader->fellows || !ledger_shared(leader->ledger).behind || atomic_load(&leader->again))
		return false;
	log_warn("store.behind", "error=%s starting anew", log_quote(str_of(err->text)));
	leader_start_anew(leader);
	return false;
}

bool follow_locked(struct leader *leader, struct error *err)
{
	leader_assert_locked(leader);
	return !ledger_is_shared(leader->ledger) || ledger_follow(leader->ledger, apply, leader, err) ||
	       could_not_follow(leader, err);
}

/* Of many that wait for the lock one asks for all: what began after they came has what they want. */
void follow_before(struct leader *leader)
{
	uint64_t begun = atomic_load(&leader->follows), own;
	struct error err;
	int64_t away_ms;

	if (!leader->fellows)
		return;
	do
		if (!fellows_in_contact(leader->fellows, &away_ms))
			return;
	while (!leader_lock_within(leader, LOOK_MS));
	if (leader->followed <= begun) {
		own = atomic_fetch_add(&leader->follows, 1) + 1;
		if (follow_locked(leader, &err))
			leader->followed = own;
	}
	leader_unlock(leader);
}

bool follow_was_behind_locked(struct leader *leader, struct error *err)
{
	leader_assert_locked(leader);
	return err->kind == ERROR_CONFLICT && ledger_is_shared(leader->ledger) && follow_locked(leader, err);
}
