/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_fetch - blobs from who has them still: found by HEAD, fetched in parts into the spool, believed by their digest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/registry/registry.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

#define PART_BYTES ((uint64_t)4 * 1024 * 1024)
#define LOOK_MS    5000

/* ---- who ---- */

static bool add_source(struct move_sources *sources, const char *member, const char *self)
{
	if (!*member || !strcmp(member, self) || sources->len == MOVE_SOURCES_MAX)
		return false;
	for (size_t i = 0; i < sources->len; i++)
		if (!strcmp(sources->at[i], member))
			return false;
	if (!str_copy(str_of(member), sources->texts[sources->len], sizeof(sources->texts[0])))
		return false;
	sources->at[sources->len] = sources->texts[sources->len];
	sources->len++;
	return true;
}

static void add_owners_of_before_locked(struct moves *moves, struct str name, struct move_sources *into)
{
	lock_assert(&moves->lock);
	if (moves->stray_until_ms <= clock_ms())
		return;
	for (size_t i = 0; i < RECENT_MAX && moves->recent[i]; i++) {
		int owner = ring_owner(moves->recent[i], name);

		if (owner != RING_NOBODY)
			(void)add_source(
				into, ring_at(moves->recent[i], (size_t)owner)->id, moves_self(moves));
	}
}

void moves_sources(struct moves *moves, struct str name, struct move_sources *ret)
{
	*ret = (struct move_sources){ .record = moves_record(moves, name) };
	if (ret->record && ret->record->state != MOVE_MOVING) {
		move_record_free(ret->record);
		ret->record = NULL;
	}
	for (size_t i = 0; ret->record && i < ret->record->from_len; i++)
		(void)add_source(ret, ret->record->from[i], moves_self(moves));
	moves_lock(moves);
	add_owners_of_before_locked(moves, name, ret);
	moves_unlock(moves);
}

void moves_sources_fini(struct move_sources *sources)
{
	move_record_free(sources->record);
	sources->record = NULL;
}

/* ---- looking ---- */

static void blob_target(struct str name, const struct digest *digest, bool again, struct buf *into)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	buf_format(into, "/v2/%.*s/blobs/%s%s", STR_ARGS(name), text, again ? "?" MOVES_AGAIN : "");
}

static const struct ring_member *member_of(const struct snapshot *snapshot, const char *id)
{
	int at = ring_find(snapshot->ring, str_of(id));

	return at == RING_NOBODY ? NULL : ring_at(snapshot->ring, (size_t)at);
}

/* UNKNOWN: it has none, or is no member any more. */
static bool look(struct moves *moves, struct snapshot *snapshot, const char *id, const char *target,
	uint64_t *ret_size, struct error *err)
{
	struct move_call call = { .snapshot = snapshot,
		.member = member_of(snapshot, id),
		.method = "HEAD",
		.target = target,
		.total_ms = LOOK_MS };
	struct http_result result;
	const char *length;
	unsigned status;
	bool ok;

	if (!call.member)
		return error_set(err, ERROR_UNKNOWN, NULL, "%s is no member", id);
	http_result_init(&result, 4096);
	ok = move_call(&moves->caller, &call, &result, err);
	status = result.status;
	length = ok ? http_headers_find(result.headers, "Content-Length") : NULL;
	if (ok && (status != 200 || !length || !str_to_number(str_of(length), INT64_MAX, ret_size)))
		ok = status == 404 ? error_set(err, ERROR_UNKNOWN, NULL, "%s has no such blob", id)
				   : error_set(err, ERROR_UNAVAILABLE, NULL,
					     "member %s, which may have this blob, says %u", id, status);
	http_result_fini(&result);
	return ok;
}

bool moves_find_blob(struct moves *moves, struct snapshot *snapshot, struct str name,
	const struct digest *digest, const struct move_sources *sources, size_t *ret_at, uint64_t *ret_size,
	struct error *err)
{
	AUTO_FINI(buf) target = buf_limit(1024);
	struct error cause, away = { .kind = ERROR_UNKNOWN };
	bool is_gone = sources->record && move_record_is_gone(sources->record, digest);

	blob_target(name, digest, sources->again, &target);
	for (size_t i = 0; !is_gone && i < sources->len; i++) {
		if (look(moves, snapshot, sources->at[i], buf_text(&target), ret_size, &cause)) {
			*ret_at = i;
			return true;
		}
		if (cause.kind != ERROR_UNKNOWN)
			away = cause;
	}
	/* Without a record it is a guess that somebody has it: who does not answer is not missed. */
	if (away.kind == ERROR_UNKNOWN || !sources->record)
		return error_set(err, ERROR_UNKNOWN, NULL, "no member has this blob");
	*err = away;
	return false;
}

/* ---- fetching ---- */

struct fetch {
	struct moves *moves;
	struct snapshot *snapshot;
	const char *member, *target;
	uint64_t size;
	struct hasher *hasher;
	struct spool_file *file;
	bool paced;
};

static void pace(struct fetch *fetch, uint64_t bytes, int64_t began_us)
{
	int64_t rate = fetch->moves->settings.bytes_per_s;
	int64_t due_ms = fetch->paced && rate ? (int64_t)(bytes * 1000 / (uint64_t)rate) : 0;
	int64_t used_ms = (clock_us() - began_us) / 1000;

	if (due_ms > used_ms)
		moves_rest(fetch->moves, due_ms - used_ms);
}

static bool fetch_part(struct fetch *fetch, uint64_t at, struct error *err)
{
	uint64_t len = fetch->size - at < PART_BYTES ? fetch->size - at : PART_BYTES;
	struct range part = { .first = at, .last = at + len - 1 };
	struct move_call call = { .snapshot = fetch->snapshot,
		.member = member_of(fetch->snapshot, fetch->member),
		.method = "GET",
		.target = fetch->target,
		.part = &part };
	int64_t began_us = clock_us();
	struct http_result result;
	bool ok;

	http_result_init(&result, PART_BYTES);
	ok = move_call(&fetch->moves->caller, &call, &result, err) &&
	     ((result.status == 206 && result.body.len == len) ||
		     error_set(err, ERROR_UNAVAILABLE, NULL,
			     "member %s answers %u with %zu bytes for a part of a blob", fetch->member,
			     result.status, result.body.len)) &&
	     spool_file_append(fetch->file, result.body.at, result.body.len, err);
	if (ok)
		hasher_add(fetch->hasher, result.body.at, result.body.len);
	http_result_fini(&result);
	if (ok)
		pace(fetch, len, began_us);
	return ok;
}

static bool fetch_all(struct fetch *fetch, struct error *err)
{
	for (uint64_t at = 0; at < fetch->size; at += PART_BYTES) {
		if (atomic_load(&fetch->moves->stopping))
			return error_set(err, ERROR_UNAVAILABLE, NULL, "this worker ends");
		if (!fetch_part(fetch, at, err))
			return false;
	}
	return true;
}

static bool store_fetched(
	struct fetch *fetch, struct str name, const struct digest *digest, struct error *err)
{
	struct digest found = digest_of_hasher(digest->alg, fetch->hasher);
	struct moves *moves = fetch->moves;

	if (!digest_equal(&found, digest))
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"what member %s has under this digest has another one", fetch->member);
	spool_file_settle(fetch->file);
	if (!store_blob_put_file(
		    moves->store, name, digest, fetch->file->fd, fetch->file->path, fetch->size, err))
		return false;
	moves_lock(moves);
	moves->stats.fetched_blobs++;
	moves->stats.fetched_bytes += fetch->size;
	moves_unlock(moves);
	return true;
}

static bool fetch_from(struct moves *moves, struct snapshot *snapshot, struct str name,
	const struct digest *digest, const struct move_sources *sources, size_t source, uint64_t size,
	bool paced, struct error *err)
{
	AUTO(spool_file) *file = NULL;
	AUTO(hasher) *hasher = hasher_new(digest->alg);
	AUTO_FINI(buf) target = buf_limit(1024);
	struct fetch fetch = { .moves = moves,
		.snapshot = snapshot,
		.member = sources->at[source],
		.size = size,
		.hasher = hasher,
		.paced = paced };
	char random[33], spooled[48];

	random_hex(random, 16);
	(void)snprintf(spooled, sizeof(spooled), "move-%s", random);
	blob_target(name, digest, sources->again, &target);
	fetch.target = buf_text(&target);
	if (!spool_file_new(moves->settings.registry->spool, spooled, &file, err))
		return false;
	fetch.file = file;
	return fetch_all(&fetch, err) && store_fetched(&fetch, name, digest, err);
}

static bool fetch_held(struct moves *moves, struct snapshot *snapshot, struct str name,
	const struct digest *digest, const struct move_sources *sources, bool paced, struct error *err)
{
	struct error cause;
	uint64_t size = 0;
	size_t at = 0;

	if (store_blob_size_here(moves->store, name, digest, &size, &cause))
		return true;
	if (cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	return moves_find_blob(moves, snapshot, name, digest, sources, &at, &size, err) &&
	       fetch_from(moves, snapshot, name, digest, sources, at, size, paced, err);
}

void moves_blob_key(struct str name, const struct digest *digest, struct buf *into)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	buf_format(into, "%.*s@%s", STR_ARGS(name), text);
}

/* What is in `sources` may be older by now than that it was deleted: that is looked up again, with the key. */
bool moves_fetch(struct moves *moves, struct snapshot *snapshot, struct str name, const struct digest *digest,
	const struct move_sources *sources, bool paced, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(1024);
	AUTO(move_record) *record = NULL;
	bool ok;

	moves_blob_key(name, digest, &key);
	if (!moves_hold(moves, buf_text(&key), 10L * MOVES_WAIT_MS, err))
		return false;
	record = moves_record(moves, name);
	if (record && move_record_is_gone(record, digest))
		ok = error_set(err, ERROR_UNKNOWN, NULL, "this blob was deleted");
	else
		ok = fetch_held(moves, snapshot, name, digest, sources, paced, err);
	moves_drop_key(moves, buf_text(&key));
	return ok;
}

/* Who owned it when is not asked: it is seldom wanted, and whoever has it says so. */
static void add_members(struct moves *moves, const struct snapshot *snapshot, struct move_sources *into)
{
	for (size_t i = 0; i < ring_len(snapshot->ring); i++)
		(void)add_source(into, ring_at(snapshot->ring, i)->id, moves_self(moves));
}

bool moves_fetch_again(struct moves *moves, struct str name, const struct digest *digest, struct error *err)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);
	struct move_sources sources;
	bool ok;

	if (!snapshot->isolated || !moves_owns(snapshot, name))
		return error_set(err, ERROR_UNKNOWN, NULL, "there is nobody to be asked");
	moves_sources(moves, name, &sources);
	add_members(moves, snapshot, &sources);
	sources.again = true;
	ok = moves_fetch(moves, snapshot, name, digest, &sources, true, err);
	moves_sources_fini(&sources);
	return ok;
}

/* ---- for the store ---- */

static bool give_bytes(struct moves *moves, struct str name, const struct digest *digest, struct buf *into,
	struct error *err)
{
	return store_blob_get(moves->store, name, digest, into, err);
}

static bool is_source_of(const struct move_record *record, const char *member)
{
	for (size_t i = 0; i < record->from_len; i++)
		if (!strcmp(record->from[i], member))
			return true;
	return false;
}

static bool find_missing(struct moves *moves, struct snapshot *snapshot, struct str name,
	const struct digest *digest, const struct move_sources *sources, uint64_t *ret_size, struct buf *into,
	struct error *err)
{
	struct error cause;
	size_t at;

	/* Of one that moves its sources keep all until it is whole; others that have it by chance promise nothing. */
	if (!into && sources->record && moves_name(moves, name)) {
		if (!moves_find_blob(moves, snapshot, name, digest, sources, &at, ret_size, &cause)) {
			*err = cause;
			return false;
		}
		if (is_source_of(sources->record, sources->at[at]))
			return true;
	}
	if (!moves_fetch(moves, snapshot, name, digest, sources, false, err))
		return false;
	return into ? give_bytes(moves, name, digest, into, err)
		    : store_blob_size_here(moves->store, name, digest, ret_size, err);
}

/*
 * Bytes (`into`) are wanted of what the repository's index names. Who began when it was ours may find that it is not any more, and that the blob never came:
 * whoever has the repository can tell, we cannot. A size is also what members ask each other for, of copies that they may have.
 */
bool moves_missing(void *arg, struct str name, const struct digest *digest, uint64_t *ret_size,
	struct buf *into, struct error *err)
{
	struct moves *moves = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);
	struct move_sources sources;
	bool ok = false;

	if (snapshot->isolated && !moves_owns(snapshot, name) && into)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "another member has this repository by now");
	if (!snapshot->isolated || !moves_owns(snapshot, name))
		return error_set(err, ERROR_UNKNOWN, NULL, "no such blob");
	moves_sources(moves, name, &sources);
	if (sources.len)
		ok = find_missing(moves, snapshot, name, digest, &sources, ret_size, into, err);
	else
		(void)error_set(err, ERROR_UNKNOWN, NULL, "no such blob");
	moves_sources_fini(&sources);
	return ok;
}
