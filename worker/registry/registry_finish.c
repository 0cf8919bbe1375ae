/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/pool.h"
#include "worker/registry/blob_places.h"
#include "worker/registry/known_blobs.h"
#include "worker/registry/push_memory.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

#define READ_BYTES (256u * 1024)

static bool hash_file(const struct spool_file *file, uint64_t size, struct hasher *hasher, struct error *err)
{
	AUTO_STR *bytes = check_alloc(1, READ_BYTES);

	for (uint64_t at = 0; at < size;) {
		size_t want = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
		ssize_t got = pread(file->fd, bytes, want, (off_t)at);
		if (got <= 0)
			return error_sys(err, "read the spool again");
		hasher_add(hasher, bytes, (size_t)got);
		at += (uint64_t)got;
	}
	return true;
}

/* The client may name an algorithm at the end that was not announced at the start. */
static bool find_digest(
	const struct upload *upload, enum hash_kind alg, struct digest *ret, struct error *err)
{
	AUTO(hasher) *hasher = NULL;

	if (alg == upload->alg) {
		*ret = digest_of_hasher(alg, upload->hasher);
		return true;
	}
	hasher = hasher_new(alg);
	if (!hash_file(upload->file, upload->size, hasher, err))
		return false;
	*ret = digest_of_hasher(alg, hasher);
	return true;
}

static bool store_upload(const struct registry *registry, struct upload *upload, const struct digest *digest,
	struct error *err)
{
	struct digest found;

	if (!upload->file && !spool_file_new(registry->spool, upload->id.text, &upload->file, err))
		return false;
	spool_file_settle(upload->file);
	if (!find_digest(upload, digest->alg, &found, err))
		return false;
	if (!digest_equal(&found, digest))
		return error_set(
			err, ERROR_INVALID, "DIGEST_INVALID", "the bytes that came have another digest");
	return store_blob_put_file(registry->store, str_of(upload->name), digest, upload->file->fd,
		upload->file->path, upload->size, err);
}

/* Where the store may work again in a moment, the client may send its closing PUT again. */
static bool is_over(const struct error *err)
{
	return err->kind != ERROR_UNAVAILABLE && err->kind != ERROR_TIMEOUT && err->kind != ERROR_BUSY;
}

static void know(struct registry *registry, const struct upload *upload, const struct digest *digest,
	uint64_t removals)
{
	known_blobs_add(registry->known, str_of(upload->name), digest, upload->size, removals, clock_ms());
	blob_places_add(registry->places, digest, str_of(upload->name));
	if (registry->ended)
		registry->ended(registry->away_arg, str_of(upload->name), digest);
}

bool registry_finish(struct registry *registry, struct upload *upload, const struct digest *digest,
	bool *ret_over, struct error *err)
{
	uint64_t removals = indexes_removals(registry->indexes, str_of(upload->name));
	bool ok = store_upload(registry, upload, digest, err);

	if (ok) {
		know(registry, upload, digest, removals);
		if (upload->file)
			blob_cache_adopt(registry->cache, digest, upload->file->path, upload->size);
	}
	*ret_over = ok || is_over(err);
	if (*ret_over)
		upload_end(upload);
	return ok;
}

/* ---- what went to the store as it came ---- */

bool registry_finish_streamed(struct registry *registry, struct upload *upload, const struct digest *digest,
	struct registry_streamed *push, bool *ret_over, struct error *err)
{
	struct str name = str_of(upload->name);
	uint64_t removals = indexes_removals(registry->indexes, name);
	bool ok = push->push ? store_push_finish(push->push, err)
			     : store_blob_put_new(registry->store, name, digest, push->whole, err);

	if (ok && push->push)
		store_push_free(TAKE(push->push));
	if (ok)
		know(registry, upload, digest, removals);
	*ret_over = ok || is_over(err);
	if (*ret_over)
		upload_end(upload);
	else
		upload_streams(upload, 0);
	return ok;
}

static void give_up(void *arg)
{
	struct store_push *push = arg;

	store_push_give_up(push);
	store_push_free(push);
}

void registry_streamed_end(struct registry_streamed *push, struct pool *pool)
{
	if (push->push)
		pool_push(pool, give_up, TAKE(push->push));
	if (push->memory)
		push_memory_give(push->memory, TAKE(push->bytes), push->room);
}
