/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who frees a stream: its request has ended (call NULL), its session was given back (upload NULL), no pool job knows it (jobs 0), and
 * nothing of it is at the store (push NULL).
 *
 * A part goes from row to row, and only the loop moves it:
 *
 *   spare -> filling -> queue (hashed in order by one job at a time) -> waiting, until the store has begun -> a job that sends it -> spare
 *
 * What the pool has to say (a part is hashed, sent, something failed) is posted; settle() then looks what is to be done.
 */
#include "worker/oci/upload_stream.h"

#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/http_server.h"
#include "common/lock.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/upload_finish.h"
#include "worker/registry/push_memory.h"
#include "worker/registry/registry.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/store.h"

#define STREAM_MAGIC MAGIC('U', 'P', 'S', 'T')
#define SLICE_BYTES  (512u * 1024) /* that are handed on at once */
#define HASH_BYTES   (16u * 1024)  /* that stay in the processor's cache between the two sums */

struct upload_stream;

struct part {
	struct upload_stream *stream;
	struct part *next;
	char *bytes;
	unsigned at; /* from 0 */
	size_t size; /* that it will have */
	size_t filled;
	/* Under the lock. */
	size_t ready, hashed;
	/* The job's that hashes, then of who sends it. */
	uint32_t sum;
};

struct upload_stream {
	uint32_t magic;
	struct oci_call *call; /* NULL: the request has ended */
	struct loop *loop;
	struct registry *registry;
	struct upload *upload; /* NULL: given back */
	enum upload_stream_session session;
	struct name name;
	struct digest digest;
	uint64_t size, part_size, came;
	size_t room;             /* bytes of a part's memory */
	struct store_push *push; /* what its jobs give and take is handed over on the loop: */
	struct store_push *coming, *leaving;
	struct part *filling, *spare, *waiting;
	unsigned parts, jobs;
	uint64_t settled; /* bytes of parts that are through */
	bool is_begun, begin_asked, blocked, ended;
	/* The hashing job's. */
	struct hasher *hasher;
	struct cache_file *kept; /* what the cache will have of it, or NULL */
	/* Shared with the pool jobs. */
	struct lock lock;
	struct part *queue, *queue_end;
	bool job_runs, failed;
	struct error err;
};

static struct upload_stream *own(void *arg)
{
	struct upload_stream *stream = OBJ_CAST(upload_stream, STREAM_MAGIC, arg);

	loop_assert(stream->loop);
	return stream;
}

static bool is_one_part(const struct upload_stream *stream)
{
	return stream->size <= stream->part_size;
}

/* ---- memory ---- */

static struct part *part_new(struct upload_stream *stream)
{
	char *bytes = push_memory_take(stream->registry->push_memory, stream->room);
	struct part *part;

	if (!bytes)
		return NULL;
	part = xnew(struct part);
	part->stream = stream;
	part->bytes = bytes;
	stream->parts++;
	return part;
}

static void free_parts(struct upload_stream *stream, struct part *part)
{
	while (part) {
		struct part *next = part->next;

		push_memory_give(stream->registry->push_memory, part->bytes, stream->room);
		free(part);
		part = next;
	}
}

static void drop_kept(void *arg)
{
	cache_file_free(arg);
}

static void stream_free(struct upload_stream *stream)
{
	stream->magic = 0;
	if (stream->kept)
		pool_push(stream->registry->pool, drop_kept, stream->kept);
	/* Of which something was handed on, that stands in the queue. */
	if (stream->filling && !stream->filling->ready)
		free_parts(stream, stream->filling);
	free_parts(stream, stream->spare);
	free_parts(stream, stream->waiting);
	free_parts(stream, stream->queue);
	hasher_free(stream->hasher);
	lock_fini(&stream->lock);
	free(stream);
}

/* ---- what failed ---- */

static void fail(struct upload_stream *stream, const struct error *err)
{
	lock_take(&stream->lock);
	if (!stream->failed)
		stream->err = *err;
	stream->failed = true;
	lock_drop(&stream->lock);
}

static bool has_failed(struct upload_stream *stream)
{
	bool failed;

	lock_take(&stream->lock);
	failed = stream->failed;
	lock_drop(&stream->lock);
	return failed;
}

/* The session, without its bytes. */
static void give_back(struct upload_stream *stream, bool stays)
{
	struct upload *upload = TAKE(stream->upload);

	if (!stays) {
		upload_end(upload);
		return;
	}
	upload_streams(upload, 0);
	upload_release(upload);
}

static bool may_pass(const struct error *err)
{
	return err->kind == ERROR_UNAVAILABLE || err->kind == ERROR_TIMEOUT || err->kind == ERROR_BUSY;
}

static void refuse(struct upload_stream *stream)
{
	struct http_response *response;
	struct error err;

	lock_take(&stream->lock);
	err = stream->err;
	lock_drop(&stream->lock);
	response = oci_reply_error(&err);
	give_back(stream, stream->session == STREAM_SESSION_STAYS && may_pass(&err));
	http_request_reply(stream->call->request, response);
}

static void settle(struct upload_stream *stream);

static void on_given_up(void *arg)
{
	struct upload_stream *stream = own(arg);

	stream->jobs--;
	settle(stream);
}

static void give_up_job(void *arg)
{
	struct upload_stream *stream = OBJ_CAST(upload_stream, STREAM_MAGIC, arg);

	store_push_give_up(stream->leaving);
	store_push_free(TAKE(stream->leaving));
	loop_post(stream->loop, on_given_up, stream);
}

static void start_job(struct upload_stream *stream, pool_job_f *job, void *arg)
{
	stream->jobs++;
	pool_push(stream->registry->pool, job, arg);
}

static void give_up(struct upload_stream *stream)
{
	stream->leaving = TAKE(stream->push);
	start_job(stream, give_up_job, stream);
}

/* ---- the end ---- */

/* All bytes are hashed and, but for those of a single part, at the store. */
static void finish(struct upload_stream *stream)
{
	struct part *only = is_one_part(stream) ? TAKE(stream->waiting) : NULL;
	struct registry_streamed push = { .push = TAKE(stream->push),
		.memory = stream->registry->push_memory };

	if (only) {
		CHECK(!only->next);
		push.whole = str_from(only->bytes, only->size);
		push.room = stream->room;
		push.bytes = TAKE(only->bytes);
		free(only);
	}
	upload_finish_start_push(stream->call, TAKE(stream->upload), &stream->digest, &push);
}

static void settle(struct upload_stream *stream)
{
	bool failed = has_failed(stream);

	if (stream->push && (failed || !stream->call) && stream->upload)
		store_push_stop(stream->push);
	if (stream->upload && !stream->call)
		give_back(stream, true);
	else if (stream->upload && failed)
		refuse(stream);
	if (stream->jobs)
		return;
	if (stream->upload && stream->ended && stream->settled == stream->size)
		finish(stream);
	else if (!stream->upload && stream->push)
		give_up(stream);
	else if (!stream->upload && !stream->call)
		stream_free(stream);
}

/* ---- parts, on the loop ---- */

static void recycle(struct upload_stream *stream, struct part *part)
{
	stream->settled += part->size;
	part->next = stream->spare;
	stream->spare = part;
	if (stream->blocked && stream->call && stream->upload) {
		stream->blocked = false;
		http_request_more(stream->call->request);
	}
}

static void on_sent(void *arg)
{
	struct part *part = arg;
	struct upload_stream *stream = own(part->stream);

	stream->jobs--;
	recycle(stream, part);
	settle(stream);
}

static void send_job(void *arg)
{
	struct part *part = arg;
	struct upload_stream *stream = OBJ_CAST(upload_stream, STREAM_MAGIC, part->stream);
	struct error err;

	if (!has_failed(stream) &&
		!store_push_send(stream->push, part->at, str_from(part->bytes, part->size), part->sum, &err))
		fail(stream, &err);
	loop_post(stream->loop, on_sent, part);
}

/* Those that wait for the store, if it has begun. */
static void send_waiting(struct upload_stream *stream)
{
	struct part *part;

	if (!stream->is_begun)
		return;
	while ((part = stream->waiting)) {
		stream->waiting = part->next;
		part->next = NULL;
		if (!stream->push || store_push_is_there(stream->push) || !stream->upload)
			recycle(stream, part);
		else
			start_job(stream, send_job, part);
	}
}

static void on_begun(void *arg)
{
	struct upload_stream *stream = own(arg);

	stream->jobs--;
	stream->is_begun = true;
	stream->push = TAKE(stream->coming);
	send_waiting(stream);
	settle(stream);
}

static void begin_job(void *arg)
{
	struct upload_stream *stream = OBJ_CAST(upload_stream, STREAM_MAGIC, arg);
	struct error err;

	if (!store_push_begin(stream->registry->store, name_str(&stream->name), &stream->digest, stream->size,
		    &stream->coming, &err))
		fail(stream, &err);
	loop_post(stream->loop, on_begun, stream);
}

static void begin(struct upload_stream *stream)
{
	if (stream->begin_asked || is_one_part(stream))
		return;
	stream->begin_asked = true;
	start_job(stream, begin_job, stream);
}

/* ---- hashing ---- */

/* A cache before the bucket takes what comes, too, as far as it can. */
static void keep_slice(struct upload_stream *stream, const struct part *part, size_t from, size_t to)
{
	struct blob_cache *cache = stream->registry->cache;
	uint64_t at = (uint64_t)part->at * stream->part_size + from;
	struct error ignored;

	if (!at && blob_cache_takes(cache, stream->size) &&
		!cache_file_new(cache, &stream->digest, stream->size, &stream->kept, &ignored))
		stream->kept = NULL;
	if (stream->kept &&
		!cache_file_write(stream->kept, str_from(part->bytes + from, to - from), at, &ignored))
		cache_file_free(TAKE(stream->kept));
}

/* The digest is right: whatever becomes of the push, that is what these bytes are. */
static void keep(struct upload_stream *stream)
{
	struct error ignored;

	if (!stream->kept)
		return;
	(void)!cache_file_keep(stream->kept, &ignored);
	cache_file_free(TAKE(stream->kept));
}

static void check_digest(struct upload_stream *stream)
{
	struct digest found = digest_of_hasher(stream->digest.alg, stream->hasher);
	struct error err;

	if (digest_equal(&found, &stream->digest)) {
		keep(stream);
		return;
	}
	(void)error_set(&err, ERROR_INVALID, "DIGEST_INVALID", "the bytes that came have another digest");
	fail(stream, &err);
}

static void on_hashed(void *arg)
{
	struct part *part = arg;
	struct upload_stream *stream = own(part->stream);

	part->next = stream->waiting;
	stream->waiting = part;
	if (is_one_part(stream))
		stream->settled += part->size;
	else
		send_waiting(stream);
	settle(stream);
}

static void on_hash_job_end(void *arg)
{
	struct upload_stream *stream = own(arg);

	stream->jobs--;
	settle(stream);
}

/* What is to be hashed next; NULL: nothing now, and the job is over. */
static struct part *next_slice(
	struct upload_stream *stream, size_t *ret_from, size_t *ret_to, bool *ret_failed)
{
	struct part *part;

	lock_take(&stream->lock);
	part = stream->queue;
	if (part && part->ready > part->hashed) {
		*ret_from = part->hashed;
		*ret_to = part->ready;
	} else {
		part = NULL;
		stream->job_runs = false;
	}
	*ret_failed = stream->failed;
	lock_drop(&stream->lock);
	return part;
}

static void hash_slice(struct upload_stream *stream, struct part *part, size_t from, size_t to)
{
	bool needs_sum = !is_one_part(stream);

	for (size_t at = from, len; at < to; at += len) {
		len = to - at < HASH_BYTES ? to - at : HASH_BYTES;
		hasher_add(stream->hasher, part->bytes + at, len);
		if (needs_sum)
			part->sum = crc32c_add(part->sum, part->bytes + at, len);
	}
	keep_slice(stream, part, from, to);
}

/* True: the whole part is hashed, and out of the queue. */
static bool is_through(struct upload_stream *stream, struct part *part, size_t to)
{
	bool through;

	lock_take(&stream->lock);
	part->hashed = to;
	through = to == part->size;
	if (through) {
		stream->queue = part->next;
		part->next = NULL;
	}
	lock_drop(&stream->lock);
	return through;
}

static void hash_job(void *arg)
{
	struct upload_stream *stream = OBJ_CAST(upload_stream, STREAM_MAGIC, arg);
	struct part *part;
	size_t from, to;
	bool failed;

	while ((part = next_slice(stream, &from, &to, &failed))) {
		bool is_last = (uint64_t)part->at * stream->part_size + to == stream->size;

		if (!failed)
			hash_slice(stream, part, from, to);
		if (!failed && is_last)
			check_digest(stream);
		if (is_through(stream, part, to))
			loop_post(stream->loop, on_hashed, part);
	}
	loop_post(stream->loop, on_hash_job_end, stream);
}

/* ---- bytes, on the loop ---- */

static bool take_part(struct upload_stream *stream)
{
	struct part *part = stream->spare;
	uint64_t left = stream->size - stream->came;

	if (part)
		stream->spare = part->next;
	else if (stream->parts < STREAM_PARTS_MAX)
		part = part_new(stream);
	if (!part)
		return false;
	*part = (struct part){ .stream = stream,
		.bytes = part->bytes,
		.at = (unsigned)(stream->came / stream->part_size),
		.size = left < stream->part_size ? (size_t)left : (size_t)stream->part_size };
	stream->filling = part;
	return true;
}

static void hand_on(struct upload_stream *stream, struct part *part)
{
	bool starts;

	lock_take(&stream->lock);
	if (!part->ready && stream->queue)
		stream->queue_end->next = part;
	else if (!part->ready)
		stream->queue = part;
	if (!part->ready)
		stream->queue_end = part;
	part->ready = part->filled;
	starts = !stream->job_runs;
	stream->job_runs = true;
	lock_drop(&stream->lock);
	if (starts)
		start_job(stream, hash_job, stream);
	begin(stream);
}

static void fill(struct upload_stream *stream, const char *bytes, size_t len)
{
	struct part *part = stream->filling;
	bool is_full;

	if (bytes != part->bytes + part->filled)
		memcpy(part->bytes + part->filled, bytes, len);
	part->filled += len;
	stream->came += len;
	is_full = part->filled == part->size;
	if (is_full)
		stream->filling = NULL;
	/* `ready` is written here alone. */
	if (is_full || part->filled - part->ready >= SLICE_BYTES)
		hand_on(stream, part);
}

static size_t on_bytes(void *arg, const void *bytes, size_t len)
{
	struct upload_stream *stream = own(arg);
	size_t taken = 0;

	while (taken < len && stream->upload) {
		size_t room, n;

		if (!stream->filling && !take_part(stream)) {
			stream->blocked = true;
			break;
		}
		room = stream->filling->size - stream->filling->filled;
		n = len - taken < room ? len - taken : room;
		fill(stream, (const char *)bytes + taken, n);
		taken += n;
	}
	if (stream->upload)
		upload_streams(stream->upload, stream->came);
	return taken;
}

/* Where they are to be. */
static void *on_room(void *arg, size_t *ret_len)
{
	struct upload_stream *stream = own(arg);

	if (!stream->upload || (!stream->filling && !take_part(stream)))
		return NULL;
	*ret_len = stream->filling->size - stream->filling->filled;
	return stream->filling->bytes + stream->filling->filled;
}

static void on_end(void *arg)
{
	struct upload_stream *stream = own(arg);

	stream->ended = true;
	settle(stream);
}

/* The request ends now, which is where it is dealt with. */
static void on_gone(void *arg)
{
	(void)own(arg);
}

static void on_request_done(void *arg)
{
	struct upload_stream *stream = own(arg);

	stream->call = NULL;
	settle(stream);
}

static struct upload_stream *stream_new(struct oci_call *call, struct upload *upload,
	const struct digest *digest, uint64_t size, uint64_t part_size)
{
	struct upload_stream *stream = xnew(struct upload_stream);

	stream->magic = STREAM_MAGIC;
	stream->loop = call->loop;
	stream->registry = call->ask.registry;
	stream->name = call->ask.route.name;
	stream->digest = *digest;
	stream->size = size;
	stream->part_size = part_size;
	stream->room = (size_t)(size < part_size ? size : part_size);
	stream->call = call;
	stream->upload = upload;
	lock_init(&stream->lock);
	stream->hasher = hasher_new(digest->alg);
	return stream;
}

bool upload_stream_start(struct oci_call *call, struct upload *upload, const struct digest *digest,
	enum upload_stream_session session)
{
	int64_t length = http_request_length(call->request);
	uint64_t part_size = length > 0 && !upload->size
				     ? store_push_part(call->ask.registry->store,
					       name_str(&call->ask.route.name), (uint64_t)length)
				     : 0;
	struct upload_stream *stream;

	loop_assert(call->loop);
	if (!part_size)
		return false;
	stream = stream_new(call, upload, digest, (uint64_t)length, part_size);
	stream->session = session;
	stream->spare = part_new(stream);
	if (!stream->spare) {
		stream_free(stream);
		return false;
	}
	call->stream = stream;
	call->stream_done = on_request_done;
	http_request_stream(call->request, (struct http_sink){ stream, on_bytes, on_end, on_gone, on_room });
	return true;
}
