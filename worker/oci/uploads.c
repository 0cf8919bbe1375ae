/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/uploads.h"

#include <pthread.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/cluster/cluster.h"
#include "worker/oci/blob_places.h"
#include "worker/oci/known_blobs.h"
#include "worker/storage/spool.h"
#include "worker/worker.h"

#define UPLOAD_MAGIC    MAGIC('U', 'P', 'L', 'D')
#define UPLOADS_MAX     100000
#define EXPIRE_EVERY_MS (60 * 1000)

struct uploads {
	struct worker *worker;
	pthread_mutex_t lock;
	struct map *sessions; /* id text -> struct upload, owned */
	struct known_blobs *known;
	struct blob_places *places;
	struct loop_timer timer;
};

struct uploads *uploads_new(struct worker *worker)
{
	struct uploads *uploads = xnew(struct uploads);

	uploads->worker = worker;
	CHECK(!pthread_mutex_init(&uploads->lock, NULL));
	uploads->sessions = map_new();
	uploads->known = known_blobs_new();
	uploads->places = blob_places_new();
	return uploads;
}

static void upload_free(struct upload *upload)
{
	CHECK(upload->magic == UPLOAD_MAGIC);
	upload->magic = 0;
	hasher_free(upload->hasher);
	spool_file_free(upload->file);
	free(upload->name);
	free(upload);
}

void uploads_free(struct uploads *uploads)
{
	struct str key;
	void *value;

	if (!uploads)
		return;
	for (size_t at = 0; map_next(uploads->sessions, &at, &key, &value);)
		upload_free(value);
	map_free(uploads->sessions);
	known_blobs_free(uploads->known);
	blob_places_free(uploads->places);
	(void)pthread_mutex_destroy(&uploads->lock);
	free(uploads);
}

static void on_timer(void *arg)
{
	struct uploads *uploads = arg;

	uploads_expire(uploads, clock_ms() - UPLOAD_IDLE_MS);
	uploads_start(uploads);
}

void uploads_start(struct uploads *uploads)
{
	loop_timer_start(uploads->worker->loops[0].loop, &uploads->timer, EXPIRE_EVERY_MS, on_timer, uploads);
}

void uploads_stop(struct uploads *uploads)
{
	loop_timer_stop(uploads->worker->loops[0].loop, &uploads->timer);
}

bool uploads_open(
	struct uploads *uploads, struct str name, enum hash_kind alg, struct upload **ret, struct error *err)
{
	struct upload *upload = xnew(struct upload);
	size_t len;

	upload->magic = UPLOAD_MAGIC;
	upload->uploads = uploads;
	upload_id_new(cluster_self(uploads->worker->cluster), &upload->id);
	upload->name = str_dup(name);
	upload->alg = alg;
	upload->hasher = hasher_new(alg);
	upload->held = true;
	upload->touched_ms = clock_ms();

	(void)pthread_mutex_lock(&uploads->lock);
	len = map_len(uploads->sessions);
	if (len < UPLOADS_MAX)
		CHECK(!map_put(uploads->sessions, str_of(upload->id.text), upload));
	(void)pthread_mutex_unlock(&uploads->lock);
	if (len >= UPLOADS_MAX) {
		upload_free(upload);
		return error_set(err, ERROR_BUSY, NULL, "too many uploads are under way");
	}
	*ret = upload;
	return true;
}

static struct upload *find_locked(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err)
{
	struct upload *upload = map_find(uploads->sessions, str_of(id->text));

	if (upload && !upload->cancelled && str_is(name, upload->name))
		return upload;
	(void)error_set(err, ERROR_UNKNOWN, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; start it again");
	return NULL;
}

bool uploads_acquire(struct uploads *uploads, struct str name, const struct upload_id *id,
	struct upload **ret, struct error *err)
{
	struct upload *upload;
	bool ok = false;

	(void)pthread_mutex_lock(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload && upload->held) {
		/* The one before may be of a client that is gone, which we hear in a second: busy, not wrong.
		 */
		(void)error_set(
			err, ERROR_BUSY, "BLOB_UPLOAD_INVALID", "another request works on this upload");
	} else if (upload) {
		upload->held = true;
		*ret = upload;
		ok = true;
	}
	(void)pthread_mutex_unlock(&uploads->lock);
	return ok;
}

bool uploads_look(struct uploads *uploads, struct str name, const struct upload_id *id, uint64_t *ret_size,
	struct error *err)
{
	struct upload *upload;

	(void)pthread_mutex_lock(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload) {
		*ret_size = upload->size;
		upload->touched_ms = clock_ms();
	}
	(void)pthread_mutex_unlock(&uploads->lock);
	return upload;
}

static void drop_locked(struct upload *upload)
{
	CHECK(map_delete(upload->uploads->sessions, str_of(upload->id.text)) == upload);
}

bool uploads_cancel(struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err)
{
	struct upload *upload;
	bool idle = false;

	(void)pthread_mutex_lock(&uploads->lock);
	upload = find_locked(uploads, name, id, err);
	if (upload) {
		upload->cancelled = true;
		idle = !upload->held;
		if (idle)
			drop_locked(upload);
	}
	(void)pthread_mutex_unlock(&uploads->lock);
	if (idle)
		upload_free(upload);
	return upload;
}

void upload_release(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;
	bool over;

	(void)pthread_mutex_lock(&uploads->lock);
	CHECK(upload->held);
	upload->held = false;
	upload->touched_ms = clock_ms();
	over = upload->cancelled;
	if (over)
		drop_locked(upload);
	(void)pthread_mutex_unlock(&uploads->lock);
	if (over)
		upload_free(upload);
}

void upload_end(struct upload *upload)
{
	struct uploads *uploads = upload->uploads;

	(void)pthread_mutex_lock(&uploads->lock);
	CHECK(upload->held);
	drop_locked(upload);
	(void)pthread_mutex_unlock(&uploads->lock);
	upload_free(upload);
}

void upload_grew(struct upload *upload, uint64_t len)
{
	(void)pthread_mutex_lock(&upload->uploads->lock);
	upload->size += len;
	(void)pthread_mutex_unlock(&upload->uploads->lock);
}

struct known_blobs *uploads_known(struct uploads *uploads)
{
	return uploads->known;
}

struct blob_places *uploads_places(struct uploads *uploads)
{
	return uploads->places;
}

size_t uploads_len(struct uploads *uploads)
{
	size_t len;

	(void)pthread_mutex_lock(&uploads->lock);
	len = map_len(uploads->sessions);
	(void)pthread_mutex_unlock(&uploads->lock);
	return len;
}

/* One that nobody holds and that is older, or NULL. */
static struct upload *take_old(struct uploads *uploads, int64_t before_ms, size_t *at)
{
	struct upload *found = NULL;
	struct str key;
	void *value;

	(void)pthread_mutex_lock(&uploads->lock);
	while (!found && map_next(uploads->sessions, at, &key, &value)) {
		struct upload *upload = value;
		if (!upload->held && upload->touched_ms < before_ms)
			found = upload;
	}
	if (found)
		drop_locked(found);
	(void)pthread_mutex_unlock(&uploads->lock);
	return found;
}

void uploads_expire(struct uploads *uploads, int64_t before_ms)
{
	struct upload *upload;

	for (size_t at = 0; (upload = take_old(uploads, before_ms, &at));) {
		log_info("upload.expired", "name=%s bytes=%llu", log_quote(str_of(upload->name)),
			(unsigned long long)upload->size);
		upload_free(upload);
	}
}
