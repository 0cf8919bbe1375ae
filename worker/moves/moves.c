/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/moves/moves.h"

#include <stdlib.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

/* Names in memory; with more they are looked at again. */
#define READY_MAX 100000
#define LIST_STEP 1000

static int here; /* its address is the value of sets */

void moves_lock(struct moves *moves)
{
	lock_take(&moves->lock);
}

void moves_unlock(struct moves *moves)
{
	lock_drop(&moves->lock);
}

/* ---- life ---- */

static bool gate(void *arg, struct str name, struct error *err);
static bool is_away(void *arg, struct str name);

struct moves *moves_new(const struct moves_settings *settings)
{
	struct moves *moves = xnew(struct moves);

	moves->settings = *settings;
	moves->caller = (struct move_caller){ .cluster = settings->cluster,
		.ca_file = settings->ca_file,
		.cert_file = settings->cert_file,
		.key_file = settings->key_file };
	moves->store = settings->registry->store;
	moves->indexes = settings->registry->indexes;
	lock_init(&moves->adopting);
	lock_init(&moves->lock);
	CHECK(pthread_cond_init(&moves->free_key, NULL) == 0);
	moves->records = map_new();
	moves->unread = map_new();
	moves->held_keys = map_new();
	moves->ready = map_new();
	moves->settled = map_new();
	moves->clean = map_new();
	moves->named = map_new();
	moves->ending = map_new();
	moves->left = map_new();
	moves->late = map_new();
	indexes_set_gate(moves->indexes, gate, moves);
	store_on_missing(moves->store, moves_missing, moves);
	settings->registry->is_away = is_away;
	settings->registry->away_arg = moves;
	settings->registry->ended = moves_ended;
	return moves;
}

void moves_stop(struct moves *moves)
{
	if (!moves)
		return;
	atomic_store(&moves->stopping, true);
	moves_lock(moves);
	CHECK(pthread_cond_broadcast(&moves->free_key) == 0);
	moves_unlock(moves);
}

static void free_records(struct map *records)
{
	void *record;

	for (size_t at = 0; map_next(records, &at, NULL, &record);)
		move_record_free(record);
	map_free(records);
}

void moves_free(struct moves *moves)
{
	if (!moves)
		return;
	free_records(moves->records);
	map_free(moves->unread);
	map_free(moves->held_keys);
	map_free(moves->ready);
	map_free(moves->settled);
	map_free(moves->clean);
	map_free(moves->named);
	map_free(moves->ending);
	moves_free_left(moves);
	moves_free_late(moves);
	past_rings_fini(&moves->rings);
	for (size_t i = 0; i < RECENT_MAX; i++)
		ring_free(moves->recent[i]);
	CHECK(pthread_cond_destroy(&moves->free_key) == 0);
	lock_fini(&moves->lock);
	lock_fini(&moves->adopting);
	free(moves);
}

/* ---- whose it is ---- */

const char *moves_self(const struct moves *moves)
{
	return cluster_self(moves->settings.cluster);
}

const struct ring_member *moves_owner(const struct snapshot *snapshot, struct str name)
{
	int at = snapshot->isolated ? ring_owner(snapshot->ring, name) : RING_NOBODY;

	return at == RING_NOBODY ? NULL : ring_at(snapshot->ring, (size_t)at);
}

bool moves_owns(const struct snapshot *snapshot, struct str name)
{
	return snapshot->self != RING_NOBODY && ring_owner(snapshot->ring, name) == snapshot->self;
}

int64_t moves_frozen_by(const struct moves *moves, const struct ring *ring)
{
	return cluster_is_led(moves->settings.cluster) ? (int64_t)ring_epoch(ring) : clock_wall_s();
}

bool moves_is_now(struct moves *moves, uint64_t mark)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);

	return ring_mark(snapshot->ring) == mark;
}

/* ---- the notes of the start ---- */

struct loading {
	struct moves *moves;
	struct map *records, *unread; /* nobody else sees them yet */
	char last[256];
	size_t seen;
};

static bool on_note(void *arg, struct str name)
{
	struct loading *loading = arg;
	struct move_record *record;
	struct error err;

	loading->seen++;
	CHECK(str_copy(name, loading->last, sizeof(loading->last)));
	if (move_record_read(loading->moves->store, name, &record, &err)) {
		(void)map_put(loading->records, name, record);
		return true;
	}
	log_error("move.unread", "error=%s what=\"the repository is not served until its note can be read\"",
		log_quote(str_of(err.text)));
	(void)map_put(loading->unread, name, &here);
	return true;
}

static bool read_notes(struct loading *loading, struct error *err)
{
	bool more = true;

	while (more) {
		char after[256];

		CHECK(str_copy(str_of(loading->last), after, sizeof(after)));
		loading->seen = 0;
		if (!store_notes(loading->moves->store, *after ? str_of(after) : STR_NONE, LIST_STEP, on_note,
			    loading, &more, err))
			return false;
		if (!loading->seen)
			break;
	}
	return true;
}

static void swap_maps(struct map **a, struct map **b)
{
	struct map *map = *a;

	*a = *b;
	*b = map;
}

static bool load(struct moves *moves, struct error *err)
{
	struct loading loading = { .moves = moves };
	struct past_rings rings;
	bool ok;

	lock_assert(&moves->adopting);
	if (moves->loaded)
		return true;
	if (!past_rings_load(moves->store, &rings, err))
		return false;
	loading.records = map_new();
	loading.unread = map_new();
	ok = read_notes(&loading, err);
	moves_lock(moves);
	if (ok) {
		swap_maps(&moves->records, &loading.records);
		swap_maps(&moves->unread, &loading.unread);
		moves->rings = rings;
		moves->loaded = true;
	}
	moves_unlock(moves);
	if (!ok)
		past_rings_fini(&rings);
	free_records(loading.records);
	map_free(loading.unread);
	return ok;
}

/* ---- the ring of now ---- */

static void clear(struct map **set)
{
	map_free(*set);
	*set = map_new();
}

/* Who owned what before us, as far as nobody told us: the others as they are. */
static struct ring *ring_without_us(const struct snapshot *snapshot)
{
	const struct ring *ring = snapshot->ring;
	struct ring_member *members = xnew_array(struct ring_member, ring_len(ring) + 1);
	struct ring *made = NULL;
	size_t len = 0;

	for (size_t i = 0; i < ring_len(ring); i++)
		if ((int)i != snapshot->self)
			members[len++] = *ring_at(ring, i);
	if (len && !ring_new(&made, 0, ring_algorithm(ring), ring_hash_key(ring), members, len, NULL))
		made = NULL;
	free(members);
	return made;
}

static void remember_recent_locked(struct moves *moves, struct ring *before)
{
	lock_assert(&moves->lock);
	if (!before)
		return;
	ring_free(moves->recent[RECENT_MAX - 1]);
	for (size_t i = RECENT_MAX - 1; i > 0; i--)
		moves->recent[i] = moves->recent[i - 1];
	moves->recent[0] = before;
	moves->stray_until_ms = clock_ms() + STRAY_MS;
	atomic_store(&moves->stray_ms, moves->stray_until_ms);
}

/* What a worker has from its disk may be of before what it promised, also where that was settled since. */
static bool is_of_before(struct moves *moves, const struct ring *ring)
{
	const struct ring *newest = past_rings_newest(&moves->rings);
	bool past = past_rings_is_past(&moves->rings, ring_mark(ring)) ||
		    (newest && ring_epoch(ring) < ring_epoch(newest));

	return past && cluster_is_led(moves->settings.cluster) &&
	       cluster_state_age_ms(moves->settings.cluster) == INT64_MAX;
}

/* Written down; and what was let through by the ring before has ended, so that whoever asks what is here by this one sees it. */
static bool adopt_ring(struct moves *moves, const struct snapshot *snapshot, struct error *err)
{
	struct ring *newest = past_rings_newest(&moves->rings), *before;
	uint64_t mark = ring_mark(snapshot->ring);
	struct past_rings next;

	if (is_of_before(moves, snapshot->ring))
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"the newest state on this worker's disk is older than the ring that it has served "
			"by; "
			"it waits for a leader");
	before = newest && !ring_same(newest, snapshot->ring) ? ring_ref(newest)
		 : newest                                     ? NULL
							      : ring_without_us(snapshot);
	past_rings_copy(&next, &moves->rings);
	if (!past_rings_adopt(
		    &next, moves->store, snapshot->ring, cluster_is_led(moves->settings.cluster), err) ||
		!indexes_settle(moves->indexes, err)) {
		past_rings_fini(&next);
		ring_free(before);
		return false;
	}
	moves_lock(moves);
	past_rings_fini(&moves->rings);
	moves->rings = next;
	moves->mark = mark;
	moves->counted = moves->stats.known = false;
	clear(&moves->ready);
	clear(&moves->settled);
	clear(&moves->clean);
	remember_recent_locked(moves, before);
	moves_unlock(moves);
	return true;
}

static bool is_adopted(struct moves *moves, uint64_t mark)
{
	bool is;

	moves_lock(moves);
	is = moves->loaded && moves->mark == mark;
	moves_unlock(moves);
	return is;
}

bool moves_adopt(struct moves *moves, struct snapshot **ret_snapshot, struct error *err)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);
	bool ok = true;

	if (!snapshot->isolated)
		return error_set(err, ERROR_CONFLICT, NULL, "storage is shared: nothing moves");
	if (!is_adopted(moves, ring_mark(snapshot->ring))) {
		lock_take(&moves->adopting);
		/* Another thread may have been here, with a newer one. */
		if (!moves->loaded || moves->mark != ring_mark(snapshot->ring))
			ok = moves_is_now(moves, ring_mark(snapshot->ring))
				     ? load(moves, err) && adopt_ring(moves, snapshot, err)
				     : error_set(err, ERROR_UNAVAILABLE, NULL,
					       "the members of the cluster change");
		lock_drop(&moves->adopting);
	}
	if (ok)
		*ret_snapshot = snapshot_ref(snapshot);
	return ok;
}

bool moves_learn_rings(
	struct moves *moves, struct snapshot *snapshot, const struct past_rings *told, struct error *err)
{
	struct past_rings next;
	bool ok = true;

	lock_take(&moves->adopting);
	if (moves->mark == ring_mark(snapshot->ring) && !moves->rings.whole) {
		past_rings_copy(&next, &moves->rings);
		ok = past_rings_learn(&next, moves->store, told, err);
		moves_lock(moves);
		past_rings_fini(&moves->rings);
		moves->rings = next;
		moves_unlock(moves);
	}
	lock_drop(&moves->adopting);
	return ok;
}

/* ---- keys ---- */

static bool end_of(int64_t ms, struct timespec *ret)
{
	int64_t end = clock_wall_ms() + ms;

	*ret = (struct timespec){ .tv_sec = (time_t)(end / 1000), .tv_nsec = (long)(end % 1000) * 1000000 };
	return true;
}

/* Threads of the pool wait here: not many of them. */
static bool may_wait_locked(const struct moves *moves)
{
	lock_assert(&moves->lock);
	return moves->waiting < 2 * MOVES_AT_ONCE;
}

bool moves_hold(struct moves *moves, const char *key, int64_t ms, struct error *err)
{
	struct timespec end;
	bool free_now, in_time = true;

	(void)end_of(ms, &end);
	moves_lock(moves);
	free_now = !map_find(moves->held_keys, str_of(key));
	if (!free_now && may_wait_locked(moves)) {
		moves->waiting++;
		while (!free_now && in_time && !atomic_load(&moves->stopping)) {
			in_time = lock_wait_until(&moves->lock, &moves->free_key, &end);
			free_now = !map_find(moves->held_keys, str_of(key));
		}
		moves->waiting--;
	}
	if (free_now)
		(void)map_put(moves->held_keys, str_of(key), &here);
	moves_unlock(moves);
	return free_now || error_set(err, ERROR_UNAVAILABLE, NULL,
				   "the repository comes from another worker of the cluster: in a moment");
}

void moves_drop_key(struct moves *moves, const char *key)
{
	moves_lock(moves);
	CHECK(map_delete(moves->held_keys, str_of(key)));
	CHECK(pthread_cond_broadcast(&moves->free_key) == 0);
	moves_unlock(moves);
}

bool moves_begin_asking(struct moves *moves, struct error *err)
{
	struct timespec end;
	bool may, in_time = true;

	(void)end_of(MOVES_WAIT_MS, &end);
	moves_lock(moves);
	may = moves->asking < MOVES_AT_ONCE;
	if (!may && may_wait_locked(moves)) {
		moves->waiting++;
		while (!may && in_time && !atomic_load(&moves->stopping)) {
			in_time = lock_wait_until(&moves->lock, &moves->free_key, &end);
			may = moves->asking < MOVES_AT_ONCE;
		}
		moves->waiting--;
	}
	moves->asking += may;
	moves_unlock(moves);
	return may || error_set(err, ERROR_UNAVAILABLE, NULL,
			      "many repositories come from other workers of the cluster: in a moment");
}

void moves_end_asking(struct moves *moves)
{
	moves_lock(moves);
	moves->asking--;
	CHECK(pthread_cond_broadcast(&moves->free_key) == 0);
	moves_unlock(moves);
}

void moves_rest(struct moves *moves, int64_t ms)
{
	struct timespec end;
	bool in_time = true;

	(void)end_of(ms, &end);
	moves_lock(moves);
	while (in_time && !atomic_load(&moves->stopping))
		in_time = lock_wait_until(&moves->lock, &moves->free_key, &end);
	moves_unlock(moves);
}

/* ---- records ---- */

struct move_record *moves_record(struct moves *moves, struct str name)
{
	const struct move_record *record;
	struct move_record *copy;

	moves_lock(moves);
	record = map_find(moves->records, name);
	copy = record ? move_record_dup(record) : NULL;
	moves_unlock(moves);
	return copy;
}

bool moves_set_record(
	struct moves *moves, struct str name, const struct move_record *record, struct error *err)
{
	struct move_record *before;

	if (record ? !move_record_write(moves->store, name, record, err)
		   : !store_note_remove(moves->store, name, err))
		return false;
	moves_lock(moves);
	before = record ? map_put(moves->records, name, move_record_dup(record))
			: map_delete(moves->records, name);
	if (!record || record->state != MOVE_MOVING) {
		(void)map_delete(moves->named, name);
		(void)map_delete(moves->ending, name);
	}
	if (!record || record->state != MOVE_GIVEN)
		moves_forget_left_locked(moves, name);
	moves_unlock(moves);
	move_record_free(before);
	return true;
}

bool moves_can_tell(struct moves *moves, struct str name, struct error *err)
{
	bool unread;

	moves_lock(moves);
	unread = map_find(moves->unread, name);
	moves_unlock(moves);
	return !unread || error_set(err, ERROR_UNAVAILABLE, NULL,
				  "the note about the move of this repository could not be read; move.unread "
				  "in the log of the start says why");
}

bool moves_name(struct moves *moves, struct str name)
{
	const struct move_record *record;
	bool may;

	moves_lock(moves);
	record = map_find(moves->records, name);
	may = record && record->state == MOVE_MOVING && !map_find(moves->ending, name);
	if (may)
		(void)map_put(moves->named, name, &here);
	moves_unlock(moves);
	return may;
}

void moves_begin_listing(struct moves *moves, struct str name)
{
	moves_lock(moves);
	(void)map_delete(moves->named, name);
	moves_unlock(moves);
}

bool moves_try_end(struct moves *moves, struct str name)
{
	bool may;

	moves_lock(moves);
	may = !map_find(moves->named, name);
	if (may)
		(void)map_put(moves->ending, name, &here);
	moves_unlock(moves);
	return may;
}

void moves_add_ready_locked(struct moves *moves, struct str name)
{
	lock_assert(&moves->lock);
	if (map_len(moves->ready) >= READY_MAX)
		clear(&moves->ready);
	(void)map_put(moves->ready, name, &here);
}

/* ---- what others look at ---- */

static bool may_stray(const struct moves *moves)
{
	return atomic_load(&moves->stray_ms) > clock_ms();
}

bool moves_is_ready(
	struct moves *moves, const struct snapshot *snapshot, struct str name, enum moves_want want)
{
	uint64_t mark = ring_mark(snapshot->ring);
	const struct move_record *record;
	bool ready;

	if (!snapshot->isolated)
		return true;
	if (want != MOVES_INDEX && may_stray(moves))
		return false;
	if (atomic_load(&moves->quiet) == mark)
		return true;
	moves_lock(moves);
	record = map_find(moves->records, name);
	ready = moves->mark == mark && map_find(moves->ready, name) && (want == MOVES_INDEX || !record);
	moves_unlock(moves);
	return ready;
}

static bool is_ours_for(struct moves *moves, struct str name, enum moves_want want)
{
	AUTO(snapshot) *snapshot = moves ? cluster_snapshot(moves->settings.cluster) : NULL;

	return !snapshot || !snapshot->isolated ||
	       (moves_owns(snapshot, name) && moves_is_ready(moves, snapshot, name, want));
}

bool moves_is_settled(struct moves *moves, struct str name)
{
	return is_ours_for(moves, name, MOVES_BLOB);
}

bool moves_is_held(struct moves *moves, struct str name)
{
	return is_ours_for(moves, name, MOVES_INDEX);
}

static bool gate(void *arg, struct str name, struct error *err)
{
	struct moves *moves = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);

	if (!snapshot->isolated ||
		(moves_owns(snapshot, name) && moves_is_ready(moves, snapshot, name, MOVES_INDEX)))
		return true;
	return error_set(err, ERROR_UNAVAILABLE, NULL,
		"the repository goes to another worker of the cluster: nothing was changed, ask again");
}

/* Its new owner has said that it has the index. */
static bool is_away(void *arg, struct str name)
{
	struct moves *moves = arg;
	const struct move_record *record;
	bool away;

	moves_lock(moves);
	record = map_find(moves->records, name);
	away = record && record->state == MOVE_GIVEN && record->taken;
	moves_unlock(moves);
	return away;
}

static bool prepare_blob(struct moves *moves, struct snapshot *snapshot, const struct moves_ask *ask,
	char ret_member[RING_MEMBER_ID_MAX + 1], struct error *err)
{
	struct move_sources sources;
	struct error cause = { .kind = ERROR_UNKNOWN };
	uint64_t size;
	size_t at;
	bool ok = true;

	if (store_blob_size_here(moves->store, ask->name, ask->digest, &size, &cause))
		return true;
	if (cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	moves_sources(moves, ask->name, &sources);
	if (moves_find_blob(moves, snapshot, ask->name, ask->digest, &sources, &at, &size, &cause))
		CHECK(str_copy(str_of(sources.at[at]), ret_member, RING_MEMBER_ID_MAX + 1));
	else if (cause.kind != ERROR_UNKNOWN)
		ok = false;
	moves_sources_fini(&sources);
	if (!ok)
		*err = cause;
	return ok;
}

static bool add_gone(struct moves *moves, const struct moves_ask *ask, struct error *err)
{
	AUTO(move_record) *record = NULL;
	AUTO_STR *key = str_dup(ask->name);
	bool ok;

	if (!moves_hold(moves, key, MOVES_WAIT_MS, err))
		return false;
	record = moves_record(moves, ask->name);
	ok = !record || record->state != MOVE_MOVING ||
	     (move_record_add_gone(record, ask->digest, err) &&
		     moves_set_record(moves, ask->name, record, err));
	moves_drop_key(moves, key);
	return ok;
}

/* What is deleted here is not fetched any more; and it is judged by what is here, so it must be here first. */
static bool prepare_delete(
	struct moves *moves, struct snapshot *snapshot, const struct moves_ask *ask, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(1024);
	struct move_sources sources;
	struct error cause;
	bool moving, ok;

	moves_sources(moves, ask->name, &sources);
	moving = sources.record;
	ok = !moving || moves_fetch(moves, snapshot, ask->name, ask->digest, &sources, false, &cause);
	moves_sources_fini(&sources);
	if (!ok && cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	if (!moving)
		return true;
	moves_blob_key(ask->name, ask->digest, &key);
	if (!moves_hold(moves, buf_text(&key), MOVES_WAIT_MS, err))
		return false;
	ok = add_gone(moves, ask, err);
	moves_drop_key(moves, buf_text(&key));
	return ok;
}

bool moves_prepare(struct moves *moves, const struct moves_ask *ask, char ret_member[RING_MEMBER_ID_MAX + 1],
	struct error *err)
{
	AUTO(snapshot) *snapshot = NULL;

	*ret_member = '\0';
	if (!moves_adopt(moves, &snapshot, err))
		return false;
	if (!moves_owns(snapshot, ask->name))
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"the repository goes to another worker of the cluster: ask again");
	if (!moves_is_ready(moves, snapshot, ask->name, MOVES_INDEX) &&
		!moves_settle(moves, snapshot, ask->name, err))
		return false;
	if (ask->want == MOVES_BLOB)
		return prepare_blob(moves, snapshot, ask, ret_member, err);
	return ask->want != MOVES_BLOB_DELETE || prepare_delete(moves, snapshot, ask, err);
}

bool moves_bring(struct moves *moves, struct str name, struct error *err)
{
	const struct moves_ask ask = { .name = name, .want = MOVES_INDEX };
	char nobody[RING_MEMBER_ID_MAX + 1];

	return moves_prepare(moves, &ask, nobody, err);
}

struct moves_stats moves_stats(struct moves *moves)
{
	struct moves_stats stats;

	moves_lock(moves);
	stats = moves->stats;
	stats.held += map_len(moves->late);
	moves_unlock(moves);
	return stats;
}
