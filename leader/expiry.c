/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/expiry.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/audit.h"
#include "leader/leader.h"

/* Of what is no more in the state, or is another now. */
#define HEAP_SPARE 1024

/* When something is over, as it was when it was noted: what it says now counts. */
struct due {
	int64_t end_s;
	enum entity_kind kind;
	char *id;
};

struct expiry {
	struct leader *leader;
	int64_t upto_s;    /* as this leader knows it; 0: it does not */
	int64_t looked_ms; /* when it looked last */
	struct due *heap;  /* the first that is due on top */
	size_t len, room;
	bool noted; /* the heap has all that the state has */
};

/* Those that are over since the mark, the first ones in time. */
struct over {
	int64_t from_s, upto_s; /* after the one, not after the other */
	struct entity *at[EXPIRY_MOST], *last;
	size_t len, others; /* others: of the last one's second */
};

struct expiry *expiry_new(struct leader *leader)
{
	struct expiry *expiry = xnew(struct expiry);

	expiry->leader = leader;
	return expiry;
}

static void forget_all(struct expiry *expiry)
{
	for (size_t i = 0; i < expiry->len; i++)
		free(expiry->heap[i].id);
	free(expiry->heap);
	expiry->heap = NULL;
	expiry->len = expiry->room = 0;
	expiry->noted = false;
}

void expiry_free(struct expiry *expiry)
{
	if (expiry)
		forget_all(expiry);
	free(expiry);
}

/* Finding. */

static int64_t end_of(const struct entity *entity)
{
	return entity_kind(entity) == ENTITY_APIKEY ? entity_apikey(entity)->valid_until
						    : entity_worker(entity)->valid_until;
}

/* The heap. */

static int order(const struct due *a, const struct due *b)
{
	if (a->end_s != b->end_s)
		return a->end_s < b->end_s ? -1 : 1;
	return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->id, b->id);
}

static void swap(struct due *a, struct due *b)
{
	struct due kept = *a;

	*a = *b;
	*b = kept;
}

static void rise(struct expiry *expiry, size_t at)
{
	for (; at && order(&expiry->heap[at], &expiry->heap[(at - 1) / 2]) < 0; at = (at - 1) / 2)
		swap(&expiry->heap[at], &expiry->heap[(at - 1) / 2]);
}

static void sink(struct expiry *expiry, size_t at)
{
	for (size_t least = at;; at = least) {
		for (size_t below = 2 * at + 1; below <= 2 * at + 2 && below < expiry->len; below++)
			if (order(&expiry->heap[below], &expiry->heap[least]) < 0)
				least = below;
		if (least == at)
			return;
		swap(&expiry->heap[at], &expiry->heap[least]);
	}
}

static void widen(struct expiry *expiry)
{
	size_t room = expiry->room ? 2 * expiry->room : 64;
	struct due *wider = xnew_array(struct due, room);

	if (expiry->len)
		memcpy(wider, expiry->heap, expiry->len * sizeof(*wider));
	free(expiry->heap);
	expiry->heap = wider;
	expiry->room = room;
}

static void push(struct expiry *expiry, const struct entity *entity)
{
	if (expiry->len == expiry->room)
		widen(expiry);
	expiry->heap[expiry->len] = (struct due){
		.end_s = end_of(entity), .kind = entity_kind(entity), .id = str_dup(entity_id(entity))
	};
	rise(expiry, expiry->len++);
}

/* Its id is the caller's. */
static struct due pop(struct expiry *expiry)
{
	struct due first = expiry->heap[0];

	expiry->heap[0] = expiry->heap[--expiry->len];
	sink(expiry, 0);
	return first;
}

static bool has_end(const struct entity *entity)
{
	enum entity_kind kind = entity_kind(entity);

	return (kind == ENTITY_APIKEY || kind == ENTITY_WORKER) && !entity_is_deleted(entity) &&
	       end_of(entity);
}

void expiry_note(struct expiry *expiry, struct entity *const *entities, size_t len)
{
	if (!expiry || !expiry->noted)
		return;
	for (size_t i = 0; i < len; i++)
		if (has_end(entities[i]))
			push(expiry, entities[i]);
}

static void note_kind(struct expiry *expiry, const struct state *state, enum entity_kind kind)
{
	for (size_t i = 0; i < state_count(state, kind); i++)
		if (has_end(state_at(state, kind, i)))
			push(expiry, state_at(state, kind, i));
}

/* At the start, and where it has more of what was than of what is. */
static void note_all(struct expiry *expiry, const struct state *state)
{
	size_t most =
		HEAP_SPARE + 2 * (state_count(state, ENTITY_APIKEY) + state_count(state, ENTITY_WORKER));

	if (expiry->noted && expiry->len <= most)
		return;
	forget_all(expiry);
	note_kind(expiry, state, ENTITY_APIKEY);
	note_kind(expiry, state, ENTITY_WORKER);
	expiry->noted = true;
}

/* NULL: it is another now, or was told. */
static struct entity *still(const struct state *state, const struct due *due, const struct over *over)
{
	struct entity *entity = state_find(state, due->kind, str_of(due->id));

	return entity && end_of(entity) == due->end_s && due->end_s > over->from_s ? entity : NULL;
}

static void take(struct over *over, struct entity *entity)
{
	if (entity == over->last)
		return;
	over->last = entity;
	if (over->len == EXPIRY_MOST)
		over->others++;
	else
		over->at[over->len++] = entity;
}

/* Is what is due first of this turn? Those of the last one's second are. */
static bool is_over(const struct expiry *expiry, const struct over *over)
{
	int64_t last_s = over->len == EXPIRY_MOST ? end_of(over->at[EXPIRY_MOST - 1]) : over->upto_s;

	return expiry->len && expiry->heap[0].end_s <= last_s;
}

static void find(struct expiry *expiry, const struct state *state, struct over *over)
{
	while (is_over(expiry, over)) {
		struct due due = pop(expiry);
		struct entity *entity = still(state, &due, over);
		if (entity)
			take(over, entity);
		free(due.id);
	}
	if (over->len == EXPIRY_MOST)
		over->upto_s = end_of(over->at[EXPIRY_MOST - 1]);
}

/* Telling. */

static void say(const struct entity *entity)
{
	char until[CLOCK_RFC3339_SIZE];

	clock_rfc3339(end_of(entity) * 1000, until);
	log_info("credential.expired", "kind=%s id=%s validUntil=%s", entity_kind_name(entity_kind(entity)),
		log_quote(entity_id(entity)), until);
}

static bool put(struct expiry *expiry, const struct over *over, bool *ret_put, struct error *err)
{
	struct ledger_audit rows[EXPIRY_MOST + 1];
	const struct ledger_expired expired = { .from_s = over->from_s,
		.upto_s = over->upto_s,
		.rows = rows,
		.len = over->len + (over->others > 0) };

	for (size_t i = 0; i < over->len; i++)
		rows[i] = audit_event(
			entity_kind_name(entity_kind(over->at[i])), entity_id(over->at[i]).at, "expired", "");
	rows[over->len] = audit_event("credentials", "", "expired", "");
	rows[over->len].count = over->others;
	return ledger_put_expired(expiry->leader->ledger, &expired, ret_put, err);
}

/* What it took is looked at again: another leader may have told a part of it. */
static void put_back(struct expiry *expiry, const struct over *over)
{
	for (size_t i = 0; i < over->len; i++)
		push(expiry, over->at[i]);
}

static bool tell(struct expiry *expiry, struct over *over, struct error *err)
{
	bool is_put, ok = put(expiry, over, &is_put, err);

	if (!ok || !is_put)
		put_back(expiry, over);
	if (!ok) {
		expiry->noted = expiry->noted && !over->others;
		return false;
	}
	for (size_t i = 0; is_put && i < over->len; i++)
		say(over->at[i]);
	/* Another leader was faster: what it has told is read. */
	expiry->upto_s = is_put ? over->upto_s : 0;
	return true;
}

/* What was over before anybody looked is not told. */
static bool know_mark(struct expiry *expiry, int64_t now_s, struct error *err)
{
	const struct ledger_expired first = { .upto_s = now_s };
	bool is_put;

	if (!expiry->upto_s && !ledger_expired(expiry->leader->ledger, &expiry->upto_s, err))
		return false;
	if (expiry->upto_s)
		return true;
	if (!ledger_put_expired(expiry->leader->ledger, &first, &is_put, err))
		return false;
	expiry->upto_s = is_put ? now_s : 0;
	return true;
}

static bool look(struct expiry *expiry, const struct state *state, int64_t now_s, struct error *err)
{
	struct over over = { .upto_s = now_s };

	if (!know_mark(expiry, now_s, err))
		return false;
	if (!expiry->upto_s || expiry->upto_s > now_s)
		return true;
	over.from_s = expiry->upto_s;
	find(expiry, state, &over);
	return !over.len || tell(expiry, &over, err);
}

static bool is_due(const struct expiry *expiry, int64_t now_s)
{
	return !expiry->upto_s || (expiry->len && expiry->heap[0].end_s <= now_s);
}

void expiry_now_locked(struct expiry *expiry)
{
	AUTO(state) *state = leader_state(expiry->leader);
	int64_t now_ms = clock_ms(), now_s = clock_wall_s();
	struct error err;

	leader_assert_locked(expiry->leader);
	note_all(expiry, state);
	if ((expiry->looked_ms && now_ms - expiry->looked_ms < EXPIRY_REST_MS) || !is_due(expiry, now_s))
		return;
	expiry->looked_ms = now_ms;
	if (!look(expiry, state, now_s, &err))
		leader_say_failed_locked(expiry->leader, "audit.store", &err);
}
