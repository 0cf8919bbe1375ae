/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/nearest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/leader.h"
#include "leader/quota_rows.h"

#define LOOKED_MOST 20000 /* entities in one step; most have no quotas */
/* All kinds of one entity fit behind the last that a step takes. */
#define ROWS_MOST (NEAREST_KEPT + NEAREST_STEP + LIMITS_KINDS)

static const enum entity_kind kinds[] = { ENTITY_GROUP, ENTITY_USER, ENTITY_APIKEY };
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct nearest {
	struct leader *leader;
	struct loop_timer timer;
	bool stopped; /* own loop */
	/* Of the step, of which there is one at a time: where the walk is. */
	size_t kind;
	struct buf behind; /* the id of the entity that was looked at last */
	struct lock lock;  /* guards what follows */
	struct quota_rows kept;
	bool looked;
	uint64_t stamp;
};

struct nearest *nearest_new(struct leader *leader)
{
	struct nearest *nearest = xnew(struct nearest);

	nearest->leader = leader;
	nearest->behind = buf_limit(ENTITY_ID_MAX + 1);
	lock_init(&nearest->lock);
	quota_rows_init(&nearest->kept, NEAREST_KEPT, 0);
	return nearest;
}

void nearest_free(struct nearest *nearest)
{
	if (!nearest)
		return;
	quota_rows_fini(&nearest->kept);
	buf_fini(&nearest->behind);
	lock_fini(&nearest->lock);
	free(nearest);
}

/* What is looked at. */

static void add_kept(struct nearest *nearest, const struct state *state, struct quota_rows *rows)
{
	lock_take(&nearest->lock);
	for (size_t i = 0; i < nearest->kept.len; i++) {
		const struct quota_row *row = &nearest->kept.at[i];
		uint64_t limit = limits_get(state, row->subject, row->kind);

		if (limit)
			quota_rows_add_one(rows, row->subject, row->kind, limit);
	}
	lock_drop(&nearest->lock);
}

static void next_kind(struct nearest *nearest)
{
	nearest->kind = (nearest->kind + 1) % KINDS;
	buf_clear(&nearest->behind);
}

/* A round and the begin of the next at the most; what comes twice is told once. */
static void add_next(struct nearest *nearest, const struct state *state, struct quota_rows *rows)
{
	size_t most = rows->len + NEAREST_STEP, looked = 0;

	for (size_t turns = 0; turns <= KINDS && rows->len < most && looked < LOOKED_MOST; turns++) {
		enum entity_kind kind = kinds[nearest->kind];
		size_t len = state_count(state, kind),
		       at = nearest->behind.len ? state_after(state, kind, buf_str(&nearest->behind)) : 0;

		for (; at < len && rows->len < most && looked < LOOKED_MOST; at++, looked++) {
			const struct entity *entity = state_at(state, kind, at);
			quota_rows_add(rows, entity);
			buf_clear(&nearest->behind);
			buf_add(&nearest->behind, entity_id(entity));
		}
		if (at == len)
			next_kind(nearest);
	}
}

/* What is kept of it. */

static double share_of(const struct quota_row *row)
{
	return (double)(row->limit - row->remaining) / (double)row->limit;
}

static int by_quota(const struct quota_row *a, const struct quota_row *b)
{
	int order = strcmp(a->subject, b->subject);

	return order ? order : (int)a->kind - (int)b->kind;
}

/* The largest share first; those of one quota are beside each other. */
static int by_share(const void *a, const void *b)
{
	const struct quota_row *left = a, *right = b;
	double left_share = share_of(left), right_share = share_of(right);

	if (left_share > right_share)
		return -1;
	return left_share < right_share ? 1 : by_quota(left, right);
}

static bool is_same(const struct quota_row *a, const struct quota_row *b)
{
	return by_quota(a, b) == 0 && !strcmp(a->window, b->window) && a->limit == b->limit &&
	       a->used == b->used && a->granted == b->granted && a->remaining == b->remaining;
}

static bool are_same(const struct quota_rows *a, const struct quota_rows *b)
{
	bool same = a->len == b->len;

	for (size_t i = 0; same && i < a->len; i++)
		same = is_same(&a->at[i], &b->at[i]);
	return same;
}

static struct quota_rows best_of(struct quota_rows *rows)
{
	struct quota_rows best;

	quota_rows_init(&best, NEAREST_KEPT, rows->now_s);
	qsort(rows->at, rows->len, sizeof(*rows->at), by_share);
	for (size_t i = 0; i < rows->len && best.len < NEAREST_KEPT; i++) {
		struct quota_row *row = &rows->at[i];
		bool again = best.len && by_quota(&best.at[best.len - 1], row) == 0;

		if (again || row->remaining == row->limit)
			continue;
		best.at[best.len++] = *row;
		row->subject = NULL;
	}
	return best;
}

static void keep(struct nearest *nearest, struct quota_rows *rows)
{
	struct quota_rows best = best_of(rows), before;

	lock_take(&nearest->lock);
	before = nearest->kept;
	nearest->kept = best;
	nearest->looked = true;
	nearest->stamp += !are_same(&before, &best);
	lock_drop(&nearest->lock);
	quota_rows_fini(&before);
}

void nearest_step(struct nearest *nearest)
{
	struct leader *leader = nearest->leader;
	AUTO(state) *state = leader_state(leader);
	AUTO_FINI(quota_rows) rows;
	struct error err;
	bool ok;

	quota_rows_init(&rows, ROWS_MOST, clock_wall_s());
	add_kept(nearest, state, &rows);
	add_next(nearest, state, &rows);
	leader_lock(leader);
	ok = quota_rows_read_locked(leader, &rows, &err);
	if (!ok)
		leader_say_failed_locked(leader, "quotas.unread", &err);
	leader_unlock(leader);
	if (ok)
		keep(nearest, &rows);
}

/* The timer. */

static void on_time(void *arg);

static void step_again(struct nearest *nearest)
{
	if (!nearest->stopped)
		loop_timer_start(nearest->leader->loop, &nearest->timer, NEAREST_EVERY_MS, on_time, nearest);
}

static void run(void *arg)
{
	nearest_step(arg);
}

static void on_done(void *arg)
{
	struct nearest *nearest = arg;

	loop_assert(nearest->leader->loop);
	step_again(nearest);
}

static void on_time(void *arg)
{
	struct nearest *nearest = arg;

	loop_assert(nearest->leader->loop);
	if (!pool_submit_then(nearest->leader->pool, run, nearest->leader->loop, on_done, nearest))
		step_again(nearest);
}

void nearest_start(struct nearest *nearest)
{
	loop_assert(nearest->leader->loop);
	on_time(nearest);
}

void nearest_stop(struct nearest *nearest)
{
	loop_assert(nearest->leader->loop);
	nearest->stopped = true;
	loop_timer_stop(nearest->leader->loop, &nearest->timer);
}

/* Looking. */

double nearest_most(struct nearest *nearest)
{
	double share;

	lock_take(&nearest->lock);
	share = !nearest->looked ? NAN : nearest->kept.len ? share_of(&nearest->kept.at[0]) : 0;
	lock_drop(&nearest->lock);
	return share;
}

uint64_t nearest_stamp(struct nearest *nearest)
{
	uint64_t stamp;

	lock_take(&nearest->lock);
	stamp = nearest->stamp;
	lock_drop(&nearest->lock);
	return stamp;
}

static void write_row(const struct quota_row *row, const struct state *state, struct json_writer *w)
{
	const struct entity *key = limits_who(row->subject) == LIMITS_OF_KEY
					   ? state_find(state, ENTITY_APIKEY, str_of(row->subject))
					   : NULL;

	json_open_object(w);
	quota_row_write(row, w);
	if (key)
		json_put_text(w, "label", entity_apikey(key)->label);
	json_close_object(w);
}

void nearest_write(struct nearest *nearest, const struct state *state, struct json_writer *w)
{
	json_open_array(w);
	lock_take(&nearest->lock);
	for (size_t i = 0; i < nearest->kept.len; i++)
		write_row(&nearest->kept.at[i], state, w);
	lock_drop(&nearest->lock);
	json_close_array(w);
}
