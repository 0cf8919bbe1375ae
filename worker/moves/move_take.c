/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_take - the new owner: who holds the repository, and its index from there.
 *
 *     each member that may hold it is asked --one gives it--> its index is ours
 *                                           --all say no----> nobody holds it: it is new, or ours as it lies here
 *                                           --one does not answer, none gives--> 503
 *
 * Some may say that they gave it away, and keep it still, where nobody got it: an answer was lost, the ring changed meanwhile, or an operator forgot who had
 * it. When all were asked, and nobody holds it, the copy that was given away last is the newest there is (`frozen`), ours among them.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define AGAIN_MS 50 /* one whose ring is another is asked again */

enum outcome { NOT_ASKED, GIVES, HAS_NONE, GAVE_AWAY, AWAY };

struct candidate {
	const char *id; /* of the ring, or of the record */
	enum outcome outcome;
	char to[RING_MEMBER_ID_MAX + 1]; /* GAVE_AWAY */
	int64_t frozen;                  /* the same */
};

struct take {
	struct moves *moves;
	struct snapshot *snapshot;
	struct str name;
	struct move_record *record; /* ours, or NULL */
	struct candidate *at;
	size_t len;
	int64_t until_ms;
	struct http_result result; /* of one that gives */
	struct error away;
};

void moves_target(const char *verb, struct str name, struct buf *into)
{
	buf_format(into, MOVES_PATH "?do=%s&name=", verb);
	buf_url(into, name, "");
}

static bool is_member(const struct take *take, const char *id)
{
	return ring_find(take->snapshot->ring, str_of(id)) != RING_NOBODY;
}

static struct candidate *find(const struct take *take, const char *id)
{
	for (size_t i = 0; i < take->len; i++)
		if (!strcmp(take->at[i].id, id))
			return &take->at[i];
	return NULL;
}

/* Room for each member was made. */
static void add(struct take *take, const char *id)
{
	int place = ring_find(take->snapshot->ring, str_of(id));

	if (place == RING_NOBODY || place == take->snapshot->self || find(take, id))
		return;
	take->at[take->len++] = (struct candidate){ .id = ring_at(take->snapshot->ring, (size_t)place)->id };
}

static bool may_hold(const struct take *take, const char *id)
{
	struct moves *moves = take->moves;
	bool may;

	moves_lock(moves);
	may = !map_find(moves->settled, str_of(id)) && past_rings_may_hold(&moves->rings, id, take->name);
	moves_unlock(moves);
	return may;
}

static void add_all(struct take *take)
{
	const struct ring *ring = take->snapshot->ring;

	take->at = xnew_array(struct candidate, ring_len(ring) + 1);
	if (take->record && *take->record->to)
		add(take, take->record->to);
	for (size_t i = 0; take->record && i < take->record->from_len; i++)
		add(take, take->record->from[i]);
	for (size_t i = 0; i < ring_len(ring); i++)
		if (may_hold(take, ring_at(ring, i)->id))
			add(take, ring_at(ring, i)->id);
}

/* ---- asking ---- */

static bool read_given(struct str body, struct candidate *into)
{
	AUTO(json_doc) *doc = NULL;

	return json_parse(body, &doc, NULL) &&
	       str_copy(json_str(json_find(json_root(doc), "to")), into->to, sizeof(into->to)) && *into->to &&
	       json_get_int(json_find(json_root(doc), "frozen"), &into->frozen) && into->frozen > 0;
}

static enum outcome outcome_of(struct take *take, struct candidate *candidate, struct http_result *result)
{
	if (result->status == 200)
		return GIVES;
	if (result->status == 410)
		return HAS_NONE;
	if (result->status == 409 && read_given(buf_str(&result->body), candidate))
		return GAVE_AWAY;
	(void)error_set(&take->away, ERROR_UNAVAILABLE, NULL,
		"member %s, which may have this repository, answers %u", candidate->id, result->status);
	return AWAY;
}

static bool may_ask_again(const struct take *take)
{
	return clock_ms() < take->until_ms && !atomic_load(&take->moves->stopping) &&
	       moves_is_now(take->moves, ring_mark(take->snapshot->ring));
}

/* frozen: that copy, which it gave away; 0: what it holds. */
static void ask_once(struct take *take, struct candidate *candidate, int64_t frozen, bool *ret_again)
{
	AUTO_FINI(buf) target = buf_limit(4096);
	struct move_call call = { .snapshot = take->snapshot,
		.member = ring_at(
			take->snapshot->ring, (size_t)ring_find(take->snapshot->ring, str_of(candidate->id))),
		.method = "POST",
		.total_ms = 0 };
	struct http_result result;
	struct error err;

	*ret_again = false;
	moves_target("take", take->name, &target);
	if (frozen)
		buf_format(&target, "&frozen=%lld", (long long)frozen);
	call.target = buf_text(&target);
	http_result_init(&result, INDEX_TEXT_MAX + 64 * 1024);
	if (!move_call(&take->moves->caller, &call, &result, &err)) {
		candidate->outcome = AWAY;
		(void)error_set(&take->away, ERROR_UNAVAILABLE, NULL,
			"member %s, which may have this repository, cannot be reached", candidate->id);
	} else {
		*ret_again = result.status == 421 || result.status == 503;
		candidate->outcome = outcome_of(take, candidate, &result);
	}
	if (candidate->outcome == GIVES) {
		http_result_fini(&take->result);
		take->result = result;
	} else {
		http_result_fini(&result);
	}
}

static void ask(struct take *take, struct candidate *candidate, int64_t frozen)
{
	bool again = true;

	while (again) {
		ask_once(take, candidate, frozen, &again);
		again = again && may_ask_again(take);
		if (again)
			moves_rest(take->moves, AGAIN_MS);
	}
}

/* ---- what was given ---- */

struct import {
	struct index_change change; /* first */
	struct moves *moves;
	uint64_t mark;
};

/* Behind all that the committer has done: a ring that gives it to another one meanwhile ends it. */
static bool may_import(struct index_change *change, const struct index *view, struct error *err)
{
	const struct import *import = (const struct import *)change;
	AUTO(snapshot) *snapshot = cluster_snapshot(import->moves->settings.cluster);

	(void)view;
	return (ring_mark(snapshot->ring) == import->mark && moves_owns(snapshot, str_of(change->name))) ||
	       error_set(err, ERROR_UNAVAILABLE, NULL, "the members of the cluster change");
}

/* Whoever gave it, and who has blobs that that one lacks still. */
static bool read_sources(const struct take *take, struct str meta, const char *giver,
	struct move_record *into, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *from;
	bool ok = move_record_add_from(into, giver);

	if (!json_parse(meta, &doc, err))
		return false;
	from = json_find(json_root(doc), "from");
	for (size_t i = 0; ok && i < json_len(from); i++) {
		AUTO_STR *id = str_dup(json_str(json_at(from, i)));

		if (strcmp(id, moves_self(take->moves)) != 0 && *id)
			ok = move_record_add_from(into, id);
	}
	return ok || error_set(err, ERROR_UNAVAILABLE, NULL,
			     "the repository lies with more than %d members, none of which has it whole",
			     MOVE_SOURCES_MAX);
}

static bool write_index(struct take *take, struct str text, struct error *err)
{
	AUTO_STR *name = str_dup(take->name);
	struct import import = {
		.change = { .op = INDEX_REPLACE, .name = name, .text = text, .check = may_import },
		.moves = take->moves,
		.mark = ring_mark(take->snapshot->ring),
	};

	return indexes_change_wait(take->moves->indexes, &import.change, err);
}

/* taking, durable -> the index, durable -> moving, durable: only then anybody hears of it. */
static bool import(struct take *take, const char *giver, struct error *err)
{
	struct str rest = buf_str(&take->result.body), meta;
	struct move_record next = { .state = MOVE_TAKING };
	struct moves *moves = take->moves;

	if (!str_until(&rest, '\n', &meta))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "member %s gives something else", giver);
	if (!read_sources(take, meta, giver, &next, err))
		return false;
	if (take->record) {
		memcpy(next.to, take->record->to, sizeof(next.to));
		next.frozen = take->record->frozen;
	}
	if (!moves_set_record(moves, take->name, &next, err) || !write_index(take, rest, err))
		return false;
	next.state = MOVE_MOVING;
	next.to[0] = '\0';
	next.frozen = 0;
	if (!moves_set_record(moves, take->name, &next, err))
		return false;
	moves_lock(moves);
	moves->stats.taken++;
	moves_unlock(moves);
	log_info("move.taken", "repository=%.*s from=%s bytes=%zu", STR_ARGS(take->name),
		log_quote(str_of(giver)), rest.len);
	return true;
}

/* ---- what it all means ---- */

static void say_forgotten(const struct take *take, const char *to)
{
	if (*to && !is_member(take, to))
		log_warn("move.forgotten",
			"repository=%.*s member=%s what=\"that member had it and was forgotten: it is "
			"served as it was when it was given to it\"",
			STR_ARGS(take->name), log_quote(str_of(to)));
}

/* What lies here is the newest there is, or there is nothing. */
static bool keep_ours(struct take *take, struct error *err)
{
	if (!take->record)
		return true;
	say_forgotten(take, take->record->to);
	return moves_set_record(take->moves, take->name, NULL, err);
}

/* Nobody holds it: the copy that was given away last. */
static struct candidate *find_newest(const struct take *take)
{
	int64_t ours = take->record ? take->record->frozen : 0;
	struct candidate *newest = NULL;

	for (size_t i = 0; i < take->len; i++) {
		struct candidate *at = &take->at[i];

		if (at->outcome == GAVE_AWAY && at->frozen > ours && (!newest || at->frozen > newest->frozen))
			newest = at;
	}
	return newest;
}

static bool take_newest(struct take *take, struct error *err)
{
	struct candidate *newest = find_newest(take);

	if (!newest)
		return keep_ours(take, err);
	say_forgotten(take, newest->to);
	ask(take, newest, newest->frozen);
	if (newest->outcome == GIVES)
		return import(take, newest->id, err);
	return error_set(err, ERROR_UNAVAILABLE, NULL,
		"member %s, which has the newest copy of this repository, does not give it", newest->id);
}

static bool ask_all(struct take *take, struct error *err)
{
	for (size_t i = 0; i < take->len; i++) {
		ask(take, &take->at[i], 0);
		if (take->at[i].outcome == GIVES)
			return import(take, take->at[i].id, err);
		if (take->at[i].outcome == GAVE_AWAY)
			add(take, take->at[i].to);
	}
	for (size_t i = 0; i < take->len; i++) {
		if (take->at[i].outcome == AWAY) {
			*err = take->away;
			return false;
		}
	}
	return take_newest(take, err);
}

/* False without an error: no. */
static bool is_here(struct moves *moves, struct str name, bool *ret_here, struct error *err)
{
	AUTO(index) *index = NULL;
	struct error cause;

	*ret_here = indexes_get(moves->indexes, name, &index, &cause);
	if (*ret_here || cause.kind == ERROR_UNKNOWN)
		return true;
	*err = cause;
	return false;
}

bool moves_take(struct moves *moves, struct snapshot *snapshot, struct str name, struct error *err)
{
	AUTO(move_record) *record = moves_record(moves, name);
	struct take take = { .moves = moves,
		.snapshot = snapshot,
		.name = name,
		.record = record,
		.until_ms = clock_ms() + MOVES_WAIT_MS };
	bool here = false, ok, asks;

	if (!moves_can_tell(moves, name, err))
		return false;
	if (record && record->state == MOVE_MOVING)
		return true;
	if (!record && (!is_here(moves, name, &here, err) || here))
		return here;
	add_all(&take);
	asks = take.len;
	if (asks && !moves_begin_asking(moves, err)) {
		free(take.at);
		return false;
	}
	http_result_init(&take.result, 1);
	ok = ask_all(&take, err);
	if (asks)
		moves_end_asking(moves);
	http_result_fini(&take.result);
	free(take.at);
	return ok;
}

bool moves_settle(struct moves *moves, struct snapshot *snapshot, struct str name, struct error *err)
{
	AUTO_STR *key = str_dup(name);
	uint64_t mark = ring_mark(snapshot->ring);
	bool ok;

	if (!moves_hold(moves, key, MOVES_WAIT_MS, err))
		return false;
	/* Somebody else may have done it. */
	ok = moves_is_ready(moves, snapshot, name, MOVES_INDEX) || moves_take(moves, snapshot, name, err);
	moves_lock(moves);
	if (ok && moves->mark == mark)
		moves_add_ready_locked(moves, name);
	moves_unlock(moves);
	moves_drop_key(moves, key);
	return ok;
}

/* ---- what the sources are told ---- */

static bool tell(
	struct moves *moves, struct snapshot *snapshot, const char *id, const char *target, struct error *err)
{
	int place = ring_find(snapshot->ring, str_of(id));
	struct move_call call = {
		.snapshot = snapshot, .method = "POST", .target = target, .total_ms = MOVES_WAIT_MS
	};
	struct http_result result;
	bool ok;

	if (place == RING_NOBODY || place == snapshot->self)
		return true;
	call.member = ring_at(snapshot->ring, (size_t)place);
	http_result_init(&result, 4096);
	ok = move_call(&moves->caller, &call, &result, err) &&
	     (result.status == 200 ||
		     error_set(err, ERROR_UNAVAILABLE, NULL, "member %s answers %u", id, result.status));
	http_result_fini(&result);
	return ok;
}

bool moves_tell_sources(struct moves *moves, struct snapshot *snapshot, struct str name,
	const struct move_record *record, const char *stage, struct error *err)
{
	AUTO_FINI(buf) target = buf_limit(4096);
	bool ok = true;

	moves_target(stage, name, &target);
	for (size_t i = 0; i < record->from_len; i++)
		ok = tell(moves, snapshot, record->from[i], buf_text(&target), err) && ok;
	return ok;
}
