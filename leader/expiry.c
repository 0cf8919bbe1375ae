/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/expiry.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/audit.h"
#include "leader/leader.h"

struct expiry {
	struct leader *leader;
	int64_t upto_s;    /* as this leader knows it; 0: it does not */
	int64_t looked_ms; /* when it looked last */
	uint64_t revision; /* what it looked at */
	int64_t next_s;    /* the first that is due after that; 0: none */
};

/* Those that are over since the mark, the first ones in time. */
struct over {
	int64_t from_s, upto_s; /* after the one, not after the other */
	const struct entity *at[EXPIRY_MOST + 1];
	size_t len, others; /* others: of the last one's second */
	int64_t next_s;
};

struct expiry *expiry_new(struct leader *leader)
{
	struct expiry *expiry = xnew(struct expiry);

	expiry->leader = leader;
	return expiry;
}

void expiry_free(struct expiry *expiry)
{
	free(expiry);
}

/* Finding. */

static int64_t end_of(const struct entity *entity)
{
	return entity_kind(entity) == ENTITY_APIKEY ? entity_apikey(entity)->valid_until
						    : entity_worker(entity)->valid_until;
}

/* In the order of their ends; the last one of too many falls out. */
static void insert(struct over *over, const struct entity *entity)
{
	size_t at = over->len < EXPIRY_MOST ? over->len++ : EXPIRY_MOST;

	for (; at && end_of(over->at[at - 1]) > end_of(entity); at--)
		over->at[at] = over->at[at - 1];
	over->at[at] = entity;
}

static void look_at(struct over *over, const struct entity *entity)
{
	int64_t end_s = end_of(entity);

	if (!end_s || end_s <= over->from_s)
		return;
	if (end_s <= over->upto_s)
		insert(over, entity);
	else if (!over->next_s || end_s < over->next_s)
		over->next_s = end_s;
}

static void find(const struct state *state, enum entity_kind kind, struct over *over)
{
	for (size_t i = 0; i < state_count(state, kind); i++)
		look_at(over, state_at(state, kind, i));
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

static size_t count_over(const struct state *state, enum entity_kind kind, const struct over *over)
{
	size_t count = 0;

	for (size_t i = 0; i < state_count(state, kind); i++) {
		int64_t end_s = end_of(state_at(state, kind, i));

		count += end_s > over->from_s && end_s <= over->upto_s;
	}
	return count;
}

/* Those of one second are told at once, by their number where they are too many. */
static void shorten(struct over *over, const struct state *state)
{
	if (over->len < EXPIRY_MOST)
		return;
	over->upto_s = end_of(over->at[EXPIRY_MOST - 1]);
	over->others =
		count_over(state, ENTITY_APIKEY, over) + count_over(state, ENTITY_WORKER, over) - over->len;
}

static bool tell(struct expiry *expiry, const struct state *state, struct over *over, struct error *err)
{
	bool is_put;

	shorten(over, state);
	if (!put(expiry, over, &is_put, err))
		return false;
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
	find(state, ENTITY_APIKEY, &over);
	find(state, ENTITY_WORKER, &over);
	if (over.len && !tell(expiry, state, &over, err))
		return false;
	expiry->next_s = over.len == EXPIRY_MOST ? now_s : over.next_s;
	expiry->revision = state_revision(state);
	return true;
}

static bool is_due(const struct expiry *expiry, const struct state *state, int64_t now_s)
{
	return !expiry->upto_s || expiry->revision != state_revision(state) ||
	       (expiry->next_s && expiry->next_s <= now_s);
}

void expiry_now_locked(struct expiry *expiry)
{
	AUTO(state) *state = leader_state(expiry->leader);
	int64_t now_ms = clock_ms(), now_s = clock_wall_s();
	struct error err;

	leader_assert_locked(expiry->leader);
	if ((expiry->looked_ms && now_ms - expiry->looked_ms < EXPIRY_REST_MS) ||
		!is_due(expiry, state, now_s))
		return;
	expiry->looked_ms = now_ms;
	if (!look(expiry, state, now_s, &err))
		leader_say_failed_locked(expiry->leader, "audit.store", &err);
}
