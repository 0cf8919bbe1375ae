/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/large_write.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/audit.h"
#include "leader/follow.h"
#include "leader/ledger/ledger_piece.h"
#include "leader/state_log.h"

/* Of one sweep. */
#define SWEEP_PIECES 4

struct writing {
	struct leader *leader;
	const struct large_write *write;
	struct entity **stamped;
	struct state *then; /* of the state that it was decided on */
	uint64_t revision;
	struct error *err;
};

/* Settling. */

static bool settle_one(struct leader *leader, bool *ret_more, struct error *err)
{
	unsigned tries = 0;
	bool done;

	leader_lock(leader);
	do
		done = ledger_settle(leader->ledger, ret_more, err);
	while (leader_try_again_locked(leader, done, &tries, err));
	leader_unlock(leader);
	return done;
}

bool large_write_settle(struct leader *leader, struct error *err)
{
	bool more = true;

	while (more)
		if (!settle_one(leader, &more, err))
			return false;
	return true;
}

void large_write_sweep_locked(struct leader *leader)
{
	bool more = !ledger_is_settled(leader->ledger), done = true;
	struct error err;

	leader_assert_locked(leader);
	for (unsigned i = 0; done && more && i < SWEEP_PIECES; i++)
		done = ledger_settle(leader->ledger, &more, &err);
	if (!done)
		leader_say_failed_locked(leader, "write.settle", &err);
}

/* Making. */

static void writing_fini(struct writing *writing)
{
	for (size_t i = 0; i < writing->write->len; i++)
		entity_free(writing->stamped[i]);
	free(writing->stamped);
	state_free(writing->then);
}

static bool make(struct writing *writing)
{
	const struct large_write *write = writing->write;

	writing->revision = state_revision(write->on) + LARGE_WRITE_AHEAD + write->len / 50;
	writing->stamped = xnew_array(struct entity *, write->len + 1);
	for (size_t i = 0; i < write->len; i++)
		writing->stamped[i] = entity_with_revision(write->changes[i].entity, writing->revision);
	writing->then = state_change(write->on, writing->stamped, write->len, writing->revision);
	return leader_check_fits(writing->then, writing->err) &&
	       (!write->check || write->check(write->arg, writing->then, writing->err));
}

/* Putting aside. */

static bool put_aside(struct writing *writing, struct str piece)
{
	struct leader *leader = writing->leader;
	unsigned tries = 0;
	bool done;

	leader_lock(leader);
	do
		done = ledger_stage_put(leader->ledger, piece, writing->err);
	while (leader_try_again_locked(leader, done, &tries, writing->err));
	leader_unlock(leader);
	return done;
}

/* As many as one piece takes, from `at` on. */
static bool put_some(struct writing *writing, size_t at, size_t *ret_len)
{
	const struct large_write *write = writing->write;
	size_t len = write->len - at < LEDGER_PIECE_ROWS ? write->len - at : LEDGER_PIECE_ROWS;
	AUTO_FINI(buf) piece = buf_limit(LEDGER_PIECE_MAX);
	struct ledger_change changes[LEDGER_PIECE_ROWS];
	struct audit_batch batch;
	bool ok;

	for (size_t i = 0; i < len; i++)
		changes[i] = (struct ledger_change){ .entity = writing->stamped[at + i],
			.audit = write->changes[at + i].audit };
	audit_batch_init(&batch, write->on, changes, len);
	ok = ledger_piece_encode(batch.changes, len, &piece, ret_len, writing->err) &&
	     put_aside(writing, buf_str(&piece));
	audit_batch_fini(&batch);
	return ok;
}

static bool begin(struct writing *writing)
{
	struct leader *leader = writing->leader;
	unsigned tries = 0;
	bool done;

	leader_lock(leader);
	do
		done = ledger_stage_begin(leader->ledger, writing->err);
	while (leader_try_again_locked(leader, done, &tries, writing->err));
	leader_unlock(leader);
	return done;
}

static bool put_all(struct writing *writing)
{
	bool ok = begin(writing);

	for (size_t at = 0, len = 0; ok && at < writing->write->len; at += len)
		ok = put_some(writing, at, &len);
	return ok;
}

/* Publishing. */

static bool is_touched(const struct writing *writing, const struct entity *entity)
{
	enum entity_kind kind = entity_kind(entity);

	return state_find(writing->write->on, kind, entity_id(entity)) !=
	       state_find(writing->then, kind, entity_id(entity));
}

/* May it come behind? */
static bool fits_behind(const struct writing *writing, const struct entity *entity)
{
	if (entity_kind(entity) == ENTITY_USER || is_touched(writing, entity) ||
		entity_revision(entity) >= writing->revision)
		return false;
	return entity_kind(entity) != ENTITY_APIKEY || entity_is_deleted(entity) ||
	       state_find(writing->then, ENTITY_USER, str_of(entity_apikey(entity)->owner));
}

/* With what was written since; NULL: it does not go together. */
static struct state *state_with(const struct writing *writing, struct entity *const *since, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!fits_behind(writing, since[i]))
			return NULL;
	return state_change(writing->then, since, len, writing->revision);
}

static struct state *newest_with(const struct writing *writing)
{
	uint64_t decided_at = state_revision(writing->write->on);
	struct state *with = NULL;
	struct entity **since;
	size_t len;

	since = state_log_changes(writing->leader->log, decided_at, &len);
	if (since)
		with = state_with(writing, since, len);
	for (size_t i = 0; since && i < len; i++)
		entity_free(since[i]);
	free(since);
	return with;
}

static enum ledger_result publish_once_locked(struct writing *writing)
{
	struct leader *leader = writing->leader;
	AUTO(state) *now = leader_state(leader);
	AUTO(state) *with = newest_with(writing);
	enum ledger_result result;

	leader_assert_locked(leader);
	if (!with)
		return LEDGER_STALE;
	if (!writing->write->may(writing->write->arg, now, writing->err) ||
		!leader_check_fits(with, writing->err))
		return LEDGER_FAILED;
	result = ledger_stage_publish(leader->ledger, writing->revision, state_digest(with), writing->err);
	if (result == LEDGER_WRITTEN) {
		leader_take_state_locked(leader, TAKE(with), writing->stamped, writing->write->len);
		counter_add(&leader->counters.writes_total, 1);
	}
	return result;
}

static enum ledger_result publish(struct writing *writing)
{
	struct leader *leader = writing->leader;
	enum ledger_result result = LEDGER_BEHIND;

	leader_lock(leader);
	for (unsigned i = 0; i < LEADER_WRITE_TRIES && result == LEDGER_BEHIND; i++) {
		result = publish_once_locked(writing);
		if (result == LEDGER_BEHIND && !follow_locked(leader, writing->err))
			result = LEDGER_FAILED;
	}
	if (result == LEDGER_STALE)
		counter_add(&leader->counters.writes_stale_total, 1);
	leader_unlock(leader);
	return result == LEDGER_BEHIND ? LEDGER_STALE : result;
}

static void give_up(struct leader *leader)
{
	unsigned tries = 0;
	struct error err;
	bool done;

	leader_lock(leader);
	do
		done = ledger_stage_drop(leader->ledger, &err);
	while (leader_try_again_locked(leader, done, &tries, &err));
	if (!done)
		leader_say_failed_locked(leader, "write.drop", &err);
	leader_unlock(leader);
}

static enum ledger_result write_aside(struct writing *writing)
{
	enum ledger_result result = LEDGER_FAILED;
	struct error err;

	if (!make(writing) || !large_write_settle(writing->leader, writing->err))
		return LEDGER_FAILED;
	if (put_all(writing))
		result = publish(writing);
	if (result != LEDGER_WRITTEN)
		give_up(writing->leader);
	else if (!large_write_settle(writing->leader, &err))
		log_warn("write.settle", "error=%s trying again", log_quote(str_of(err.text)));
	return result;
}

enum ledger_result large_write(
	struct leader *leader, const struct large_write *write, uint64_t *ret_revision, struct error *err)
{
	struct writing writing = { .leader = leader, .write = write, .err = err };
	enum ledger_result result;

	lock_take(&leader->large);
	result = write_aside(&writing);
	lock_drop(&leader->large);
	if (result == LEDGER_WRITTEN)
		*ret_revision = writing.revision;
	writing_fini(&writing);
	return result;
}
