/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_work - what is done though nobody asks for the repository: the chore "move".
 *
 *     learn   of which rings somebody may hold a repository still, if this worker is new, or missed one
 *     count   what is here and others own
 *     hand    to their owners what uploads brought here that began before a ring changed
 *     take    what others list as ours, page by page; who lists nothing is settled
 *     fetch   all blobs of what came; then its sources hear "done", and there is no record any more
 *     remove  what was given away, when the time of grace is over
 *
 * When all members are settled and nothing is left to come, requests need not look any more (`quiet`), until the ring changes. When besides everybody says to
 * hold only what is theirs, the rings of before need not be known any more.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/registry/registry.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define SCANNED_MOST     1000
#define ANSWER_MAX       (4u * 1024 * 1024)
#define CALL_MS          20000
#define RECORDS_AT_ONCE  256
#define RELEASED_AT_ONCE 32

struct work {
	struct moves *moves;
	struct snapshot *snapshot;
	const struct pace *pace;
	bool failed;
	struct error first;
};

static bool goes_on(const struct work *work)
{
	struct moves *moves = work->moves;

	if (atomic_load(&moves->stopping) || !moves_is_now(moves, ring_mark(work->snapshot->ring)))
		return false;
	pool_give_way(moves->settings.pool);
	return true;
}

static void note_failure(struct work *work, const struct error *err)
{
	if (!work->failed)
		work->first = *err;
	work->failed = true;
}

/* ---- counting ---- */

struct counting {
	struct work *work;
	uint64_t held;
	size_t scanned;
	char last[NAME_MAX_LEN + 1];
};

/* Until the new owner has all of it, it is ours to keep. */
static bool on_counted(void *arg, struct str name)
{
	struct counting *counting = arg;
	struct moves *moves = counting->work->moves;
	const struct move_record *record;

	counting->scanned++;
	CHECK(str_copy(name, counting->last, sizeof(counting->last)));
	if (moves_owns(counting->work->snapshot, name))
		return true;
	moves_lock(moves);
	record = map_find(moves->records, name);
	if (!record || record->state != MOVE_GIVEN || !record->done_s)
		counting->held++;
	moves_unlock(moves);
	return true;
}

static void count_held(struct work *work)
{
	struct counting counting = { .work = work };
	struct moves *moves = work->moves;
	bool more = true;
	struct error err;

	while (more && goes_on(work)) {
		char after[NAME_MAX_LEN + 1];

		CHECK(str_copy(str_of(counting.last), after, sizeof(after)));
		counting.scanned = 0;
		if (!store_catalog(moves->store, *after ? str_of(after) : STR_NONE, SCANNED_MOST, on_counted,
			    &counting, &more, &err)) {
			note_failure(work, &err);
			return;
		}
		more = more && counting.scanned;
	}
	moves_lock(moves);
	if (moves->mark == ring_mark(work->snapshot->ring) && !more) {
		moves->stats.held = counting.held;
		moves->stats.epoch = ring_epoch(work->snapshot->ring);
		moves->counted = moves->stats.known = true;
	}
	moves_unlock(moves);
}

/* ---- taking ---- */

static bool get(struct work *work, const struct ring_member *member, const char *target,
	struct http_result *result, struct error *err)
{
	struct move_call call = { .snapshot = work->snapshot,
		.member = member,
		.method = "GET",
		.target = target,
		.total_ms = CALL_MS };

	return move_call(&work->moves->caller, &call, result, err) &&
	       (result->status == 200 || error_set(err, ERROR_UNAVAILABLE, NULL, "member %s answers %u",
						 member->id, result->status));
}

static bool ask(struct work *work, const struct ring_member *member, const char *target,
	struct json_doc **ret, struct error *err)
{
	struct http_result result;
	bool ok;

	http_result_init(&result, ANSWER_MAX);
	ok = get(work, member, target, &result, err) && json_parse(buf_str(&result.body), ret, err);
	http_result_fini(&result);
	return ok;
}

static bool take_names(struct work *work, const struct json *names)
{
	bool ok = true;

	for (size_t i = 0; i < json_len(names) && goes_on(work); i++) {
		struct name name;
		struct error err;

		if (!name_parse(json_str(json_at(names, i)), &name, &err) ||
			!moves_owns(work->snapshot, name_str(&name)))
			continue;
		if (!moves_settle(work->moves, work->snapshot, name_str(&name), &err)) {
			note_failure(work, &err);
			ok = false;
		}
	}
	return ok;
}

static bool is_settled(struct moves *moves, const char *id)
{
	bool is;

	moves_lock(moves);
	is = map_find(moves->settled, str_of(id)) && map_find(moves->clean, str_of(id));
	moves_unlock(moves);
	return is;
}

static void settled(struct work *work, const struct ring_member *member, bool clean)
{
	struct moves *moves = work->moves;

	moves_lock(moves);
	if (moves->mark == ring_mark(work->snapshot->ring)) {
		(void)map_put(moves->settled, str_of(member->id), moves);
		if (clean)
			(void)map_put(moves->clean, str_of(member->id), moves);
	}
	moves_unlock(moves);
}

/* Page by page. It is settled when a whole list was empty: what we took a moment ago is listed until it hears that we have it. */
static void take_from(struct work *work, const struct ring_member *member)
{
	AUTO_FINI(buf) after = buf_limit(NAME_MAX_LEN + 1);
	bool any = false, more = true;
	int64_t held = -1;
	struct error err;

	while (more && goes_on(work)) {
		AUTO_FINI(buf) target = buf_limit(4096);
		AUTO(json_doc) *doc = NULL;
		const struct json *root;

		buf_puts(&target, MOVES_PATH "?do=list&after=");
		buf_url(&target, buf_str(&after), "");
		if (!ask(work, member, buf_text(&target), &doc, &err)) {
			note_failure(work, &err);
			return;
		}
		root = json_root(doc);
		any = json_len(json_find(root, "names")) || any;
		if (!take_names(work, json_find(root, "names")))
			return;
		(void)json_get_int(json_find(root, "held"), &held);
		buf_clear(&after);
		buf_add(&after, json_str(json_find(root, "next")));
		more = after.len && !after.failed;
	}
	if (!any && !more)
		settled(work, member, held == 0);
}

static void take_all(struct work *work)
{
	const struct ring *ring = work->snapshot->ring;

	for (size_t i = 0; i < ring_len(ring) && goes_on(work); i++)
		if ((int)i != work->snapshot->self && !is_settled(work->moves, ring_at(ring, i)->id))
			take_from(work, ring_at(ring, i));
}

/* ---- learning ---- */

static bool knows_rings(struct moves *moves)
{
	bool knows;

	moves_lock(moves);
	knows = moves->rings.whole;
	moves_unlock(moves);
	return knows;
}

/* False: it does not know them either, or of another ring, or cannot be asked. */
static bool learn_from(struct work *work, const struct ring_member *member)
{
	struct past_rings told = { .len = 0 };
	struct http_result result;
	struct error ignored;
	bool ok;

	http_result_init(&result, PAST_RINGS_TEXT_MAX);
	ok = get(work, member, MOVES_PATH "?do=rings", &result, &ignored) &&
	     past_rings_parse(buf_str(&result.body), &told, &ignored) &&
	     moves_learn_rings(work->moves, work->snapshot, &told, &ignored);
	http_result_fini(&result);
	past_rings_fini(&told);
	return ok;
}

/* Nothing depends on it but how many members must be there for a name that nobody has. */
static void learn_rings(struct work *work)
{
	struct cluster *cluster = work->moves->settings.cluster;
	const struct ring *ring = work->snapshot->ring;

	if (!cluster_is_led(cluster))
		return;
	for (size_t i = 0; i < ring_len(ring) && !knows_rings(work->moves) && goes_on(work); i++)
		if ((int)i != work->snapshot->self &&
			!cluster_peer_is_away(cluster, str_of(ring_at(ring, i)->id)) &&
			learn_from(work, ring_at(ring, i)))
			log_info("move.rings", "from=%s", log_quote(str_of(ring_at(ring, i)->id)));
}

/* ---- what came ---- */

struct names {
	struct name *at;
	size_t len;
	bool more;
};

/* Some of those with a record in this state, behind `after` in no order but a fixed one as long as nothing is added. */
static struct names names_in(struct moves *moves, enum move_state state, size_t skip)
{
	struct names names = { .at = xnew_array(struct name, RECORDS_AT_ONCE) };
	struct str name;
	void *record;

	moves_lock(moves);
	for (size_t at = 0; map_next(moves->records, &at, &name, &record);) {
		if (((struct move_record *)record)->state != state || (skip && skip--))
			continue;
		names.more = names.len == RECORDS_AT_ONCE;
		if (names.more)
			break;
		CHECK(str_copy(name, names.at[names.len++].text, sizeof(names.at[0].text)));
	}
	moves_unlock(moves);
	return names;
}

/* False: a blob that a source lists could not be had. */
static bool fetch_listed(
	struct work *work, struct str name, const struct move_sources *sources, const struct json *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		struct digest digest;
		struct error err;

		if (!goes_on(work))
			return false;
		if (!digest_parse(json_str(json_at(list, i)), &digest, &err) ||
			moves_fetch(work->moves, work->snapshot, name, &digest, sources, true, &err))
			continue;
		/* Deleted, here or there, since it was listed. */
		if (err.kind == ERROR_UNKNOWN)
			continue;
		note_failure(work, &err);
		return false;
	}
	return true;
}

static bool fetch_from(struct work *work, struct str name, const struct move_sources *sources,
	const struct ring_member *member, const char *alg)
{
	AUTO_FINI(buf) after = buf_limit(129);
	bool more = true;
	struct error err;

	while (more) {
		AUTO_FINI(buf) target = buf_limit(4096);
		AUTO(json_doc) *doc = NULL;

		moves_target("blobs", name, &target);
		buf_format(&target, "&alg=%s&after=%s", alg, buf_text(&after));
		if (!ask(work, member, buf_text(&target), &doc, &err)) {
			note_failure(work, &err);
			return false;
		}
		if (!fetch_listed(work, name, sources, json_find(json_root(doc), "blobs")))
			return false;
		buf_clear(&after);
		buf_add(&after, json_str(json_find(json_root(doc), "next")));
		more = after.len && !after.failed;
	}
	return true;
}

static bool fetch_whole(struct work *work, struct str name, const struct move_sources *sources)
{
	for (size_t i = 0; i < sources->record->from_len; i++) {
		int place = ring_find(work->snapshot->ring, str_of(sources->record->from[i]));

		/* An operator has forgotten it: what only it had is lost. */
		if (place == RING_NOBODY || place == work->snapshot->self)
			continue;
		if (!fetch_from(
			    work, name, sources, ring_at(work->snapshot->ring, (size_t)place), "sha256") ||
			!fetch_from(
				work, name, sources, ring_at(work->snapshot->ring, (size_t)place), "sha512"))
			return false;
	}
	return true;
}

/* Only what is still as it was when its blobs were listed is whole. */
static bool end_record(struct work *work, const char *name, struct error *err)
{
	struct moves *moves = work->moves;
	bool ok;

	if (!moves_hold(moves, name, MOVES_WAIT_MS, err))
		return false;
	ok = moves_is_now(moves, ring_mark(work->snapshot->ring))
		     ? moves_set_record(moves, str_of(name), NULL, err)
		     : true;
	moves_drop_key(moves, name);
	return ok;
}

/* "done" lets the sources remove what they keep, so nothing may be relied on there from then on. */
static bool end_one(struct work *work, const char *name, const struct move_record *record, struct error *err)
{
	struct moves *moves = work->moves;
	bool ok;

	/* A push has found more there since it was listed: with the next run. */
	if (!moves_try_end(moves, str_of(name)))
		return true;
	ok = moves_tell_sources(moves, work->snapshot, str_of(name), record, "done", err) &&
	     end_record(work, name, err);
	if (ok)
		log_info("move.done", "repository=%s", name);
	return ok;
}

static void finish_one(struct work *work, const char *name)
{
	struct moves *moves = work->moves;
	struct move_sources sources;
	struct error err;

	if (!moves_owns(work->snapshot, str_of(name)))
		return;
	moves_sources(moves, str_of(name), &sources);
	moves_begin_listing(moves, str_of(name));
	if (sources.record) {
		if (!moves_tell_sources(moves, work->snapshot, str_of(name), sources.record, "taken", &err) ||
			(fetch_whole(work, str_of(name), &sources) &&
				!end_one(work, name, sources.record, &err)))
			note_failure(work, &err);
	}
	moves_sources_fini(&sources);
}

/* Each in turn, from the first that is there: one that is finished leaves its place to the next. */
static void finish_all(struct work *work)
{
	size_t left = 0;
	bool more = true;

	while (more && goes_on(work)) {
		struct names names = names_in(work->moves, MOVE_MOVING, left);
		size_t before = names.len;

		for (size_t i = 0; i < names.len && goes_on(work); i++)
			finish_one(work, names.at[i].text);
		more = names.more;
		free(names.at);
		names = names_in(work->moves, MOVE_MOVING, left);
		left += names.len < before ? names.len : before;
		free(names.at);
	}
}

/* What had been given away, or asked for, before the ring gave it to us (again). */
static void take_own(struct work *work, enum move_state state)
{
	size_t seen = 0;
	bool more = true;

	while (more && goes_on(work)) {
		struct names names = names_in(work->moves, state, seen);
		struct error err;

		for (size_t i = 0; i < names.len && goes_on(work); i++) {
			if (moves_owns(work->snapshot, str_of(names.at[i].text)) &&
				!moves_settle(work->moves, work->snapshot, str_of(names.at[i].text), &err))
				note_failure(work, &err);
		}
		seen += names.len;
		more = names.more;
		free(names.at);
	}
}

/* Of what is kept for others, and nobody said that it is not needed: who was to say so may have got it another way, or have been cut off. */
static bool is_whole_elsewhere(struct work *work, struct str name)
{
	AUTO_FINI(buf) target = buf_limit(4096);
	AUTO(json_doc) *doc = NULL;
	const struct ring_member *owner = moves_owner(work->snapshot, name);
	struct error ignored;

	moves_target("whole", name, &target);
	return owner && ask(work, owner, buf_text(&target), &doc, &ignored);
}

static void release_one(struct work *work, const char *name)
{
	struct moves *moves = work->moves;
	AUTO(move_record) *record = NULL;
	struct error err;

	if (moves_owns(work->snapshot, str_of(name)) || !is_whole_elsewhere(work, str_of(name)) ||
		!moves_hold(moves, name, MOVES_WAIT_MS, &err))
		return;
	record = moves_record(moves, str_of(name));
	if (record && record->state != MOVE_MOVING && !record->done_s &&
		moves_is_now(moves, ring_mark(work->snapshot->ring))) {
		record->state = MOVE_GIVEN;
		CHECK(str_copy(str_of(moves_owner(work->snapshot, str_of(name))->id), record->to,
			sizeof(record->to)));
		record->taken = true;
		record->done_s = clock_wall_s();
		if (!moves_set_record(moves, str_of(name), record, &err))
			note_failure(work, &err);
	}
	moves_drop_key(moves, name);
}

/* Some in each run: most hear "done" by themselves. */
static void release_some(struct work *work, enum move_state state)
{
	size_t asked = 0, seen = 0;
	bool more = true;

	while (more && asked < RELEASED_AT_ONCE && goes_on(work)) {
		struct names names = names_in(work->moves, state, seen);

		for (size_t i = 0; i < names.len && asked < RELEASED_AT_ONCE && goes_on(work); i++) {
			AUTO(move_record) *record = moves_record(work->moves, str_of(names.at[i].text));

			if (!record || record->done_s)
				continue;
			asked++;
			release_one(work, names.at[i].text);
		}
		seen += names.len;
		more = names.more;
		free(names.at);
	}
}

/* ---- what goes ---- */

static bool may_remove(struct work *work, const char *name)
{
	AUTO(move_record) *record = moves_record(work->moves, str_of(name));

	return record && record->state == MOVE_GIVEN && record->done_s &&
	       (clock_wall_s() - record->done_s) * 1000 >= work->moves->settings.grace_ms &&
	       !moves_owns(work->snapshot, str_of(name));
}

static bool remove_held(struct work *work, const char *name, struct error *err)
{
	struct moves *moves = work->moves;
	struct index_version version = { .at = 0 };
	struct store_log_place log = { .at = 0 };
	AUTO(index) *index = NULL;
	struct error cause;

	if (!may_remove(work, name) || !moves_is_now(moves, ring_mark(work->snapshot->ring)))
		return true;
	if (indexes_get(moves->indexes, str_of(name), &index, &cause)) {
		index_version_of(index, &version);
		memcpy(log.generation, version.generation, sizeof(log.generation));
		log.at = version.at;
	} else if (cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	if (!store_drop(moves->store, str_of(name), &log, work->pace, err) ||
		!moves_set_record(moves, str_of(name), NULL, err))
		return false;
	moves_lock(moves);
	moves->stats.removed++;
	moves_unlock(moves);
	log_info("move.removed", "repository=%s what=\"its owner has all of it\"", name);
	return true;
}

static void remove_one(struct work *work, const char *name)
{
	struct moves *moves = work->moves;
	struct error err;
	bool ok;

	if (!may_remove(work, name))
		return;
	if (!moves_hold(moves, name, MOVES_WAIT_MS, &err)) {
		note_failure(work, &err);
		return;
	}
	ok = remove_held(work, name, &err);
	moves_drop_key(moves, name);
	if (!ok)
		note_failure(work, &err);
}

static void remove_all(struct work *work)
{
	size_t left = 0;
	bool more = true;

	while (more && goes_on(work)) {
		struct names names = names_in(work->moves, MOVE_GIVEN, left);

		for (size_t i = 0; i < names.len && goes_on(work); i++) {
			AUTO(move_record) *record = NULL;

			remove_one(work, names.at[i].text);
			record = moves_record(work->moves, str_of(names.at[i].text));
			left += record != NULL;
		}
		more = names.more;
		free(names.at);
	}
}

static void hand_over(struct work *work)
{
	struct error err;

	if (moves_late_len(work->moves) && goes_on(work) &&
		!moves_hand_over(work->moves, work->snapshot, &err))
		note_failure(work, &err);
}

/* ---- rest ---- */

/* Of those that we own: others' are no affair of requests here. */
static size_t count_records_locked(
	const struct moves *moves, const struct snapshot *snapshot, enum move_state *only)
{
	struct str name;
	void *value;
	size_t len = 0;

	lock_assert(&moves->lock);
	for (size_t at = 0; map_next(moves->records, &at, &name, &value);) {
		const struct move_record *record = value;

		if (only ? record->state == *only : moves_owns(snapshot, name))
			len++;
	}
	return len;
}

static bool all_in(const struct map *set, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < ring_len(snapshot->ring); i++)
		if ((int)i != snapshot->self && !map_find(set, str_of(ring_at(snapshot->ring, i)->id)))
			return false;
	return true;
}

static bool forget_rings(struct moves *moves, uint64_t mark, struct error *err)
{
	struct past_rings next;
	bool ok = true;

	lock_take(&moves->adopting);
	if (moves->mark == mark) {
		past_rings_copy(&next, &moves->rings);
		ok = past_rings_settled(&next, moves->store, err);
		moves_lock(moves);
		past_rings_fini(&moves->rings);
		moves->rings = next;
		moves_unlock(moves);
	}
	lock_drop(&moves->adopting);
	return ok;
}

static void look_at_rest(struct work *work)
{
	struct moves *moves = work->moves;
	uint64_t mark = ring_mark(work->snapshot->ring);
	enum move_state coming = MOVE_MOVING;
	bool quiet, whole, empty;
	struct error err;

	moves_lock(moves);
	quiet = moves->mark == mark && all_in(moves->settled, work->snapshot) &&
		!count_records_locked(moves, work->snapshot, NULL) && !map_len(moves->unread);
	whole = quiet && moves->counted && !moves->stats.held && all_in(moves->clean, work->snapshot);
	moves->stats.coming = count_records_locked(moves, work->snapshot, &coming);
	if (quiet)
		atomic_store(&moves->quiet, mark);
	empty = snapshot_is_drained(work->snapshot) && moves->mark == mark && moves->counted &&
		!moves->stats.held && !map_len(moves->late) && moves->told_empty != mark;
	if (empty)
		moves->told_empty = mark;
	moves_unlock(moves);
	if (empty)
		log_info("move.empty",
			"what=\"all that this worker had lies with the others: it may be stopped\"");
	if (!whole)
		return;
	if (!forget_rings(moves, mark, &err))
		note_failure(work, &err);
}

static bool has_work(struct moves *moves, const struct snapshot *snapshot)
{
	bool has;

	moves_lock(moves);
	has = atomic_load(&moves->quiet) != ring_mark(snapshot->ring) || map_len(moves->records) ||
	      map_len(moves->late) || !moves->counted || moves->stats.held || !moves->rings.whole ||
	      moves->rings.len != 1;
	moves_unlock(moves);
	return has;
}

static bool must_count(struct moves *moves)
{
	bool must;

	moves_lock(moves);
	must = !moves->counted || moves->stats.held;
	moves_unlock(moves);
	return must;
}

bool moves_work(struct moves *moves, const struct pace *pace, struct error *err)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);
	struct work work = { .moves = moves, .pace = pace };

	if (!snapshot->isolated || snapshot->self == RING_NOBODY)
		return true;
	snapshot_free(TAKE(snapshot));
	if (!moves_adopt(moves, &snapshot, err))
		return false;
	work.snapshot = snapshot;
	if (!has_work(moves, snapshot))
		return true;
	learn_rings(&work);
	if (must_count(moves))
		count_held(&work);
	hand_over(&work);
	take_own(&work, MOVE_GIVEN);
	take_own(&work, MOVE_TAKING);
	take_all(&work);
	learn_rings(&work);
	finish_all(&work);
	release_some(&work, MOVE_TAKING);
	release_some(&work, MOVE_GIVEN);
	remove_all(&work);
	look_at_rest(&work);
	if (work.failed)
		*err = work.first;
	return !work.failed;
}
