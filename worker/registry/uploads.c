/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   sessions   all, by the half of the id that does not change
 *   empty      idle ones without a byte    }  by age: who was touched last stands last
 *   filled     idle ones with bytes        }
 *   moved      what other workers have     }
 *   owners     who has how much; each has rows of its own of its filled ones and of those that moved
 *
 * Who is held stands in no row. All that is done under the lock takes the same time however many there are;
 * files are removed outside of it.
 */
#include "worker/registry/uploads.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/map.h"
#include "proto/name.h"
#include "worker/registry/upload_owners.h"
#include "worker/storage/spool.h"
#include "worker/storage/would.h"

#define UPLOAD_MAGIC MAGIC('U', 'P', 'L', 'D')

struct uploads {
	struct spool *spool;
	const char *self;
	struct uploads_bounds bounds;
	struct lock lock;
	struct map *sessions; /* upload_id_session() -> struct upload, owned */
	struct list empty, filled, moved;
	struct upload_owners *owners;
	size_t files; /* sessions with bytes */
	size_t held, moved_len;
	bool closed;
	uint64_t refused, evicted;
};

/* ---- life ---- */

struct uploads *uploads_new(const struct uploads_settings *settings)
{
	struct uploads *uploads = xnew(struct uploads);

	uploads->spool = settings->spool;
	uploads->self = settings->self;
	uploads->bounds = settings->bounds;
	lock_init(&uploads->lock);
	uploads->sessions = map_new();
	list_init(&uploads->empty);
	list_init(&uploads->filled);
	list_init(&uploads->moved);
	uploads->owners = upload_owners_new();
	return uploads;
}

static void upload_free(struct upload *upload)
{
	CHECK(upload->magic == UPLOAD_MAGIC && !upload->owner);
	upload->magic = 0;
	hasher_free(upload->hasher);
	spool_file_free(upload->file);
	free(upload->name);
	free(upload);
}

/* Out of the table, and of what its owner has. */
static void drop_locked(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;
	struct upload_owner *owner = upload->owner;

	lock_assert(&upload->uploads->lock);
	CHECK(map_delete(uploads->sessions, upload_id_session(&upload->id)) == upload);
	list_drop(&upload->by_age);
	list_drop(&upload->of_owner);
	upload_owners_count(uploads->owners, owner, owner->bytes - upload->reserved);
	owner->files -= upload->has_file;
	uploads->files -= upload->has_file;
	uploads->moved_len -= upload->moved;
	upload_owners_leave(uploads->owners, owner);
	upload->owner = NULL;
}

void uploads_free(struct uploads *uploads)
{
	void *value;

	if (!uploads)
		return;
	for (size_t at = 0; map_next(uploads->sessions, &at, NULL, &value);) {
		lock_take(&uploads->lock);
		drop_locked(value);
		lock_drop(&uploads->lock);
		upload_free(value);
	}
	map_free(uploads->sessions);
	upload_owners_free(uploads->owners);
	lock_fini(&uploads->lock);
	free(uploads);
}

/* ---- idle and held ---- */

static void rest_locked(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;

	lock_assert(&upload->uploads->lock);
	upload->touched_ms = clock_ms();
	if (upload->held)
		return;
	list_drop(&upload->by_age);
	list_drop(&upload->of_owner);
	list_push(upload->has_file ? &uploads->filled : &uploads->empty, &upload->by_age);
	if (upload->has_file)
		list_push(&upload->owner->idle, &upload->of_owner);
}

static void hold_locked(struct upload *upload)
{
	lock_assert(&upload->uploads->lock);
	upload->held = true;
	upload->uploads->held++;
	list_drop(&upload->by_age);
	list_drop(&upload->of_owner);
}

/* The first of a row, if nobody touched it since then. Out of the table it is the caller's. */
static struct upload *take_locked(struct upload *first, int64_t before_ms)
{
	if (!first || first->touched_ms > before_ms)
		return NULL;
	drop_locked(first);
	return first;
}

static struct upload *take_oldest_locked(struct list *row, int64_t before_ms)
{
	return take_locked(LIST_OF(struct upload, by_age, list_first(row)), before_ms);
}

/* ---- a new one ---- */

static struct upload *upload_new(struct uploads *uploads, struct str name)
{
	struct upload *upload = xnew(struct upload);

	upload->magic = UPLOAD_MAGIC;
	upload->uploads = uploads;
	upload->name = str_dup(name);
	upload->held = true;
	upload->touched_ms = clock_ms();
	return upload;
}

/* What moved is of use to clients that ask at an old place only. */
static bool may_open_locked(
	struct uploads *uploads, struct str owner, struct upload **ret_evicted, struct error *err)
{
	const struct upload_owner *known = upload_owners_find(uploads->owners, owner);

	lock_assert(&uploads->lock);
	if (uploads->closed)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "this worker is being stopped");
	if (!known || known->sessions < uploads->bounds.sessions_each)
		return true;
	*ret_evicted = take_locked(LIST_OF(struct upload, of_owner, list_first(&known->moved)), INT64_MAX);
	return *ret_evicted ||
	       error_set(err, ERROR_BUSY, "TOOMANYREQUESTS",
		       "%zu uploads of this client are under way, as many as one client may have",
		       known->sessions);
}

/* *ret_evicted made room. */
static bool has_room_locked(struct uploads *uploads, struct upload **ret_evicted, struct error *err)
{
	lock_assert(&uploads->lock);
	if (map_len(uploads->sessions) < uploads->bounds.sessions)
		return true;
	*ret_evicted = take_oldest_locked(&uploads->moved, INT64_MAX);
	if (*ret_evicted)
		return true;
	*ret_evicted = take_oldest_locked(&uploads->empty, INT64_MAX);
	uploads->evicted += *ret_evicted != NULL;
	return *ret_evicted || error_set(err, ERROR_BUSY, NULL, "too many uploads are under way");
}

static bool add_locked(struct uploads *uploads, struct str owner, struct upload *upload,
	struct upload **ret_evicted, struct error *err)
{
	lock_assert(&upload->uploads->lock);
	if (!may_open_locked(uploads, owner, ret_evicted, err) ||
		!has_room_locked(uploads, ret_evicted, err)) {
		uploads->refused++;
		return false;
	}
	upload->owner = upload_owners_join(uploads->owners, owner);
	uploads->held++;
	CHECK(!map_put(uploads->sessions, upload_id_session(&upload->id), upload));
	return true;
}

bool uploads_open(struct uploads *uploads, struct str owner, struct str name, enum hash_kind alg,
	struct upload **ret, struct error *err)
{
	struct upload *upload, *evicted = NULL;
	bool ok;

	if (!spool_is_usable(uploads->spool, err))
		return false;
	upload = upload_new(uploads, name);
	upload_id_new(uploads->self, alg, &upload->id);
	upload->alg = alg;
	upload->hasher = hasher_new(alg);
	lock_take(&uploads->lock);
	ok = add_locked(uploads, owner, upload, &evicted, err);
	lock_drop(&uploads->lock);
	if (evicted)
		upload_free(evicted);
	if (ok)
		*ret = upload;
	else
		upload_free(upload);
	return ok;
}

/* ---- one that is there ---- */

/* The one before may be of a client that is gone, which we hear in a second: busy, not wrong. */
static bool error_busy(struct error *err)
{
	return error_set(err, ERROR_BUSY, "BLOB_UPLOAD_INVALID", "another request works on this upload");
}

static struct upload *find_locked(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err)
{
	struct upload *upload = map_find(uploads->sessions, upload_id_session(id));

	lock_assert(&uploads->lock);
	if (upload && !upload->cancelled && !upload->moved && str_is(name, upload->name)) {
		if (!upload->coming)
			return upload;
		(void)error_busy(err);
		return NULL;
	}
	(void)error_set(err, ERROR_UNKNOWN, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; start it again");
	return NULL;
}

bool uploads_acquire(struct uploads *uploads, struct str name, const struct upload_id *id,
	struct upload **ret, struct error *err)
{
	struct upload *upload;
	bool ok = false;

	lock_take(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload && upload->held) {
		(void)error_busy(err);
	} else if (upload) {
		hold_locked(upload);
		*ret = upload;
		ok = true;
	}
	lock_drop(&uploads->lock);
	return ok;
}

bool uploads_look(struct uploads *uploads, struct str name, const struct upload_id *id, uint64_t *ret_size,
	struct upload_id *ret_id, struct error *err)
{
	struct upload *upload;

	lock_take(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload) {
		*ret_size = upload->size;
		*ret_id = upload->id;
		rest_locked(upload);
	}
	lock_drop(&uploads->lock);
	return upload;
}

bool uploads_cancel(struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err)
{
	struct upload *upload;
	bool idle = false;

	lock_take(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload) {
		upload->cancelled = true;
		idle = !upload->held;
		if (idle)
			drop_locked(upload);
	}
	lock_drop(&uploads->lock);
	if (idle)
		upload_free(upload);
	return upload;
}

void upload_release(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;
	bool over;

	lock_take(&uploads->lock);
	CHECK(upload->held);
	upload->held = false;
	uploads->held--;
	over = upload->cancelled;
	if (over)
		drop_locked(upload);
	else
		rest_locked(upload);
	lock_drop(&uploads->lock);
	if (over)
		upload_free(upload);
}

void upload_end(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;

	lock_take(&uploads->lock);
	CHECK(upload->held);
	uploads->held--;
	drop_locked(upload);
	lock_drop(&uploads->lock);
	upload_free(upload);
}

/* ---- one that moves ---- */

static void touch_moved_locked(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;

	lock_assert(&uploads->lock);
	upload->touched_ms = clock_ms();
	list_drop(&upload->by_age);
	list_drop(&upload->of_owner);
	list_push(&uploads->moved, &upload->by_age);
	list_push(&upload->owner->moved, &upload->of_owner);
}

static void move_locked(struct upload *upload)
{
	lock_assert(&upload->uploads->lock);
	upload->moved = true;
	upload->uploads->moved_len++;
	touch_moved_locked(upload);
}

enum upload_at uploads_where(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct upload_id *ret_moved)
{
	enum upload_at at = UPLOAD_NOT_HERE;
	struct upload *upload;

	lock_take(&uploads->lock);
	upload = map_find(uploads->sessions, upload_id_session(id));
	if (upload && str_is(name, upload->name))
		at = upload->moved ? UPLOAD_MOVED : UPLOAD_HERE;
	if (at == UPLOAD_MOVED) {
		*ret_moved = upload->id;
		touch_moved_locked(upload);
	}
	lock_drop(&uploads->lock);
	return at;
}

static bool is_given_locked(struct upload *upload, const struct upload_id *to, struct error *err)
{
	lock_assert(&upload->uploads->lock);
	if (upload->held)
		return error_busy(err);
	if (upload->has_file)
		return error_set(
			err, ERROR_CONFLICT, "BLOB_UPLOAD_INVALID", "this upload has bytes: it stays here");
	upload->id = *to;
	move_locked(upload);
	return true;
}

bool uploads_give(struct uploads *uploads, struct str name, const struct upload_id *id,
	const struct upload_id *to, enum hash_kind *ret_alg, struct error *err)
{
	AUTO(hasher) *hasher = NULL;
	struct upload *upload;
	bool given;

	if (!str_equal(upload_id_session(id), upload_id_session(to)))
		return error_set(err, ERROR_INVALID, "BLOB_UPLOAD_INVALID", "this is another upload");
	lock_take(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	given = upload && is_given_locked(upload, to, err);
	if (given) {
		*ret_alg = upload->alg;
		hasher = TAKE(upload->hasher);
	}
	lock_drop(&uploads->lock);
	return given;
}

/* One that was here before, and comes back: it is counted already. */
static struct upload *come_back_locked(struct uploads *uploads, struct str name, const struct upload_id *id)
{
	struct upload *upload = map_find(uploads->sessions, upload_id_session(id));

	lock_assert(&uploads->lock);
	if (!upload || !upload->moved || !str_is(name, upload->name))
		return NULL;
	upload->moved = false;
	uploads->moved_len--;
	hold_locked(upload);
	return upload;
}

static bool adopt_locked(struct uploads *uploads, struct str owner, struct upload *fresh, struct upload **ret,
	struct upload **ret_evicted, struct error *err)
{
	lock_assert(&uploads->lock);
	if (uploads->closed)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "this worker is being stopped");
	*ret = come_back_locked(uploads, str_of(fresh->name), &fresh->id);
	if (!*ret) {
		if (map_find(uploads->sessions, upload_id_session(&fresh->id)))
			return error_busy(err);
		if (!add_locked(uploads, owner, fresh, ret_evicted, err))
			return false;
		*ret = fresh;
	}
	(*ret)->coming = true;
	return true;
}

bool uploads_adopt(struct uploads *uploads, struct str owner, struct str name, const struct upload_id *id,
	struct upload **ret, struct error *err)
{
	struct upload *fresh, *upload = NULL, *evicted = NULL;
	bool ok;

	if (!spool_is_usable(uploads->spool, err))
		return false;
	fresh = upload_new(uploads, name);
	upload_id_at(id, uploads->self, &fresh->id);
	lock_take(&uploads->lock);
	ok = adopt_locked(uploads, owner, fresh, &upload, &evicted, err);
	lock_drop(&uploads->lock);
	if (evicted)
		upload_free(evicted);
	if (upload != fresh)
		upload_free(fresh);
	if (ok)
		*ret = upload;
	return ok;
}

bool upload_is_coming(const struct upload *upload)
{
	return upload->coming;
}

void upload_adopted(struct upload *upload, enum hash_kind alg)
{
	struct hasher *hasher = hasher_new(alg);

	lock_take(&upload->uploads->lock);
	CHECK(upload->held && upload->coming && !upload->hasher);
	upload->coming = false;
	upload_id_at(&upload->id, upload->uploads->self, &upload->id);
	upload->alg = alg;
	upload->hasher = hasher;
	lock_drop(&upload->uploads->lock);
}

void upload_not_adopted(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;
	bool over;

	lock_take(&uploads->lock);
	CHECK(upload->held && upload->coming);
	upload->held = upload->coming = false;
	uploads->held--;
	over = !strcmp(upload->id.worker, uploads->self);
	if (over)
		drop_locked(upload);
	else
		move_locked(upload);
	lock_drop(&uploads->lock);
	if (over)
		upload_free(upload);
}

/* ---- bytes ---- */

/* Of whose files the spool is emptied first. False: nothing is idle for long enough. */
static bool evict(struct uploads *uploads, struct upload_owner *owner)
{
	int64_t before_ms = clock_ms() - uploads->bounds.evict_idle_ms;
	struct upload *upload = NULL;

	lock_take(&uploads->lock);
	if (!owner)
		owner = upload_owners_most(uploads->owners);
	if (owner)
		upload = take_locked(LIST_OF(struct upload, of_owner, list_first(&owner->idle)), before_ms);
	uploads->evicted += upload != NULL;
	lock_drop(&uploads->lock);
	if (!upload)
		return false;
	log_info("upload.evicted", "name=%s bytes=%" PRIu64, log_quote(str_of(upload->name)), upload->size);
	upload_free(upload);
	return true;
}

static uint64_t share_of(const struct uploads *uploads, uint64_t whole)
{
	return whole / 100 * uploads->bounds.share + whole % 100 * uploads->bounds.share / 100;
}

static uint64_t share_of_spool(const struct uploads *uploads)
{
	return uploads->bounds.share == 100 ? UINT64_MAX : share_of(uploads, spool_capacity(uploads->spool));
}

/* The first bytes make a file of it. */
static bool count_file_locked(struct upload *upload, struct error *err)
{
	struct uploads *uploads = upload->uploads;

	lock_assert(&upload->uploads->lock);
	if (upload->has_file)
		return true;
	if (upload->owner->files >= share_of(uploads, uploads->bounds.files) && upload->owner->files)
		return error_set(err, ERROR_BUSY, "TOOMANYREQUESTS",
			"%zu uploads of this client have bytes, as many as one client may have",
			upload->owner->files);
	if (uploads->files >= uploads->bounds.files)
		return error_set(err, ERROR_BUSY, NULL, "too many uploads with bytes are under way");
	upload->has_file = true;
	upload->owner->files++;
	uploads->files++;
	return true;
}

static bool count_bytes_locked(struct upload *upload, uint64_t len, uint64_t share, struct error *err)
{
	struct upload_owner *owner = upload->owner;

	lock_assert(&upload->uploads->lock);
	if (upload->reserved > share || len > share - upload->reserved)
		return error_set(err, ERROR_FULL, NULL,
			"one upload may have at most %" PRIu64 " bytes, its client's share of the spool",
			share);
	if (owner->bytes > share || len > share - owner->bytes)
		return error_set(err, ERROR_BUSY, "TOOMANYREQUESTS",
			"the uploads of this client that are under way hold %" PRIu64
			" bytes, its share of the spool is %" PRIu64,
			owner->bytes, share);
	upload_owners_count(upload->uploads->owners, owner, owner->bytes + len);
	upload->reserved += len;
	return true;
}

static bool try_reserve(struct upload *upload, size_t len, struct error *err)
{
	struct uploads *uploads = upload->uploads;
	uint64_t share = share_of_spool(uploads);
	bool ok;

	lock_take(&uploads->lock);
	ok = count_file_locked(upload, err) && count_bytes_locked(upload, len, share, err);
	lock_drop(&uploads->lock);
	return ok;
}

/* What lies idle of its own makes room first: the half uploads of a build that was killed, say. */
static bool reserve(struct upload *upload, size_t len, struct error *err)
{
	struct uploads *uploads = upload->uploads;

	while (!try_reserve(upload, len, err)) {
		if (evict(uploads, err->code ? upload->owner : NULL))
			continue;
		lock_take(&uploads->lock);
		uploads->refused++;
		lock_drop(&uploads->lock);
		return false;
	}
	return true;
}

static void settle(struct upload *upload, size_t len, bool written)
{
	struct uploads *uploads = upload->uploads;

	lock_take(&uploads->lock);
	if (written) {
		upload->size += len;
	} else {
		upload->reserved -= len;
		upload_owners_count(uploads->owners, upload->owner, upload->owner->bytes - len);
	}
	lock_drop(&uploads->lock);
}

static bool write_bytes(struct upload *upload, const void *bytes, size_t len, struct error *err)
{
	struct uploads *uploads = upload->uploads;

	if (!upload->file && !spool_file_new(uploads->spool, upload->id.text, &upload->file, err))
		return false;
	while (!spool_file_append(upload->file, bytes, len, err))
		if (err->kind != ERROR_FULL || !evict(uploads, NULL))
			return false;
	return true;
}

bool upload_append(struct upload *upload, const void *bytes, size_t len, struct error *err)
{
	struct error cause;
	bool ok = reserve(upload, len, &cause);

	if (ok) {
		ok = write_bytes(upload, bytes, len, &cause);
		settle(upload, len, ok);
	}
	if (!ok && err)
		*err = cause;
	return ok;
}

void upload_streams(struct upload *upload, uint64_t size)
{
	lock_take(&upload->uploads->lock);
	CHECK(upload->held && !upload->file);
	upload->size = size;
	lock_drop(&upload->uploads->lock);
}

/* ---- looking, and what was abandoned ---- */

struct uploads_stats uploads_stats(struct uploads *uploads)
{
	struct uploads_stats stats;

	lock_take(&uploads->lock);
	stats = (struct uploads_stats){ .open = map_len(uploads->sessions) - uploads->moved_len,
		.empty = map_len(uploads->sessions) - uploads->moved_len - uploads->files,
		.owners = upload_owners_len(uploads->owners),
		.full = map_len(uploads->sessions) - uploads->moved_len >= uploads->bounds.sessions ||
			uploads->files >= uploads->bounds.files,
		.refused = uploads->refused,
		.evicted = uploads->evicted };
	lock_drop(&uploads->lock);
	return stats;
}

static struct upload *take_expired(struct uploads *uploads, int64_t now_ms)
{
	struct upload *upload;

	lock_take(&uploads->lock);
	upload = take_oldest_locked(&uploads->empty, now_ms - UPLOAD_EMPTY_IDLE_MS);
	if (!upload)
		upload = take_oldest_locked(&uploads->filled, now_ms - UPLOAD_IDLE_MS);
	if (!upload)
		upload = take_oldest_locked(&uploads->moved, now_ms - UPLOAD_IDLE_MS);
	lock_drop(&uploads->lock);
	return upload;
}

void uploads_expire(struct uploads *uploads, int64_t now_ms)
{
	struct upload *upload;

	while ((upload = take_expired(uploads, now_ms))) {
		if (!upload->moved)
			log_info("upload.expired", "name=%s bytes=%" PRIu64, log_quote(str_of(upload->name)),
				upload->size);
		upload_free(upload);
	}
}

/* In the order of the row the oldest come first. */
static void gather_old_locked(struct list *row, int64_t before_ms, struct buf *into)
{
	for (struct list *at = row->next; at != row; at = at->next) {
		const struct upload *upload = LIST_OF(struct upload, by_age, at);

		if (upload->touched_ms >= before_ms)
			return;
		buf_add(into, str_of(upload->name));
		buf_add(into, str_from("", 1));
	}
}

/* Told without the lock: there may be many. */
void uploads_would_expire(struct uploads *uploads, int64_t now_ms, const struct would *would)
{
	AUTO_FINI(buf) names = buf_limit((uploads->bounds.sessions + 1) * (NAME_MAX_LEN + 1));

	lock_take(&uploads->lock);
	gather_old_locked(&uploads->empty, now_ms - UPLOAD_EMPTY_IDLE_MS, &names);
	gather_old_locked(&uploads->filled, now_ms - UPLOAD_IDLE_MS, &names);
	lock_drop(&uploads->lock);
	for (size_t at = 0; at < names.len; at += strlen(names.at + at) + 1)
		would_tell(would, names.at + at);
}

/* ---- the end ---- */

void uploads_close(struct uploads *uploads)
{
	lock_take(&uploads->lock);
	uploads->closed = true;
	lock_drop(&uploads->lock);
}

static bool was_touched_locked(const struct list *row, int64_t since_ms)
{
	const struct upload *newest = LIST_OF(struct upload, by_age, list_last(row));

	return newest && newest->touched_ms >= since_ms;
}

bool uploads_are_moving(struct uploads *uploads, int64_t since_ms)
{
	bool moving;

	lock_take(&uploads->lock);
	moving = uploads->held || was_touched_locked(&uploads->empty, since_ms) ||
		 was_touched_locked(&uploads->filled, since_ms);
	lock_drop(&uploads->lock);
	return moving;
}
