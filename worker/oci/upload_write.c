/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who frees a write: its request has ended (call NULL) and no pool job knows it any more (jobs 0).
 *
 *   on_bytes  fills `current`; full slices go into the queue of each lane, from which one pool job at a
 *             time takes them until there are none, and posts itself back at its end. One lane writes, the
 *             other hashes; the one that is last with a slice posts it back. A small body has one lane that
 *             does both: a second thread would cost more than it saves
 *   settle    looks, on the loop, whether the whole is done, failed, or to be freed
 */
#include "worker/oci/upload_write.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/check.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/oci/oci_call.h"
#include "worker/registry/registry.h"

#define WRITE_MAGIC  MAGIC('U', 'P', 'W', 'R')
#define SLICE_BYTES  (1024u * 1024)
#define SLICES_MAX   3
#define SLICE_LITTLE (64u * 1024) /* where many upload at once */
#define BUDGET       ((size_t)96 * 1024 * 1024)
#define LANES_LEAST  (256u * 1024)

struct upload_write;

enum { LANE_WRITE, LANE_HASH, LANES };

struct slice {
	struct upload_write *write;
	struct slice *next[LANES]; /* [0] also links those that are not in use */
	unsigned lanes;            /* that are not done with it */
	size_t len;
	char *bytes; /* aligned for the spool */
};

struct lane {
	struct upload_write *write;
	struct slice *queue, *queue_end;
	bool job_runs;
};

struct upload_write {
	uint32_t magic;
	struct oci_call *call; /* NULL: the request has ended */
	struct loop *loop;
	struct pool *pool;
	struct upload *upload; /* NULL: given back */
	upload_written_f *done;
	size_t slice_bytes;
	unsigned lanes_len;
	struct slice *current, *spare; /* being filled; not in use */
	unsigned slices, jobs;
	bool blocked, ended;
	/* Shared with the pool jobs. */
	pthread_mutex_t lock;
	struct lane lanes[LANES];
	bool failed;
	struct error err;
};

/* Memory that all uploads' slices may have together before new uploads get little ones. Of the whole process.
 */
static atomic_size_t held;

static void free_slices(struct slice *slice)
{
	while (slice) {
		struct slice *next = slice->next[0];
		free(slice->bytes);
		free(slice);
		slice = next;
	}
}

static void write_free(struct upload_write *write)
{
	CHECK(write->magic == WRITE_MAGIC && !write->upload);
	write->magic = 0;
	free_slices(write->current);
	free_slices(write->spare);
	atomic_fetch_sub(&held, write->slices * write->slice_bytes);
	(void)pthread_mutex_destroy(&write->lock);
	free(write);
}

static bool has_failed(struct upload_write *write)
{
	bool failed;

	(void)pthread_mutex_lock(&write->lock);
	failed = write->failed;
	(void)pthread_mutex_unlock(&write->lock);
	return failed;
}

static struct upload *take_upload(struct upload_write *write)
{
	struct upload *upload = write->upload;

	write->upload = NULL;
	return upload;
}

static void settle(struct upload_write *write)
{
	if (write->jobs)
		return;
	bool failed = has_failed(write);
	if (write->upload && write->call && (failed || write->ended))
		write->done(write->call, take_upload(write), failed ? &write->err : NULL);
	else if (write->upload && !write->call && failed)
		upload_end(take_upload(write));
	else if (write->upload && !write->call)
		upload_release(take_upload(write));
	if (!write->call)
		write_free(write);
}

/* The pool's side. */

static struct slice *next_slice(struct lane *lane, bool *ret_failed)
{
	struct upload_write *write = lane->write;
	struct slice *slice;

	(void)pthread_mutex_lock(&write->lock);
	slice = lane->queue;
	if (slice)
		lane->queue = slice->next[lane - write->lanes];
	else
		lane->job_runs = false;
	*ret_failed = write->failed;
	(void)pthread_mutex_unlock(&write->lock);
	return slice;
}

static bool is_last_with(struct upload_write *write, struct slice *slice)
{
	bool last;

	(void)pthread_mutex_lock(&write->lock);
	last = --slice->lanes == 0;
	(void)pthread_mutex_unlock(&write->lock);
	return last;
}

static void fail(struct upload_write *write, const struct error *err)
{
	(void)pthread_mutex_lock(&write->lock);
	write->failed = true;
	write->err = *err;
	(void)pthread_mutex_unlock(&write->lock);
}

static void on_slice(void *arg);
static void on_job_end(void *arg);

static void lane_job(void *arg)
{
	struct lane *lane = arg;
	struct upload_write *write = OBJ_CAST(upload_write, WRITE_MAGIC, lane->write);
	bool writes = lane == &write->lanes[LANE_WRITE], hashes = !writes || write->lanes_len == 1;
	struct slice *slice;
	struct error err;
	bool failed;

	while ((slice = next_slice(lane, &failed))) {
		if (!failed && writes && !upload_append(write->upload, slice->bytes, slice->len, &err))
			fail(write, &err);
		if (!failed && hashes)
			hasher_add(write->upload->hasher, slice->bytes, slice->len);
		if (is_last_with(write, slice))
			loop_post(write->loop, on_slice, slice);
	}
	loop_post(write->loop, on_job_end, write);
}

/* The loop's side. */

static struct upload_write *own(void *arg)
{
	struct upload_write *write = OBJ_CAST(upload_write, WRITE_MAGIC, arg);

	loop_assert(write->loop);
	return write;
}

static void on_slice(void *arg)
{
	struct slice *slice = arg;
	struct upload_write *write = own(slice->write);

	slice->len = 0;
	slice->next[0] = write->spare;
	write->spare = slice;
	if (write->blocked && write->call && write->upload) {
		write->blocked = false;
		http_request_more(write->call->request);
	}
}

static void on_job_end(void *arg)
{
	struct upload_write *write = own(arg);

	write->jobs--;
	settle(write);
}

/* Must a job be started? */
static bool enqueue(struct lane *lane, struct slice *slice)
{
	size_t at = (size_t)(lane - lane->write->lanes);
	bool runs = lane->job_runs;

	slice->next[at] = NULL;
	if (lane->queue)
		lane->queue_end->next[at] = slice;
	else
		lane->queue = slice;
	lane->queue_end = slice;
	lane->job_runs = true;
	return !runs;
}

static void submit(struct upload_write *write)
{
	struct slice *slice = TAKE(write->current);
	bool start[LANES];

	(void)pthread_mutex_lock(&write->lock);
	slice->lanes = write->lanes_len;
	for (unsigned i = 0; i < write->lanes_len; i++)
		start[i] = enqueue(&write->lanes[i], slice);
	(void)pthread_mutex_unlock(&write->lock);
	for (unsigned i = 0; i < write->lanes_len; i++) {
		if (!start[i])
			continue;
		write->jobs++;
		pool_push(write->pool, lane_job, &write->lanes[i]);
	}
}

static bool take_slice(struct upload_write *write)
{
	struct slice *slice = write->spare;

	if (slice) {
		write->spare = slice->next[0];
	} else if (write->slices < SLICES_MAX) {
		slice = xnew(struct slice);
		slice->bytes = check_aligned(UPLOAD_ALIGN, write->slice_bytes);
		slice->write = write;
		write->slices++;
		atomic_fetch_add(&held, write->slice_bytes);
	} else {
		return false;
	}
	slice->next[0] = NULL;
	slice->len = 0;
	write->current = slice;
	return true;
}

static size_t on_bytes(void *arg, const void *bytes, size_t len)
{
	struct upload_write *write = own(arg);
	size_t taken = 0;

	while (taken < len) {
		if (!write->current && !take_slice(write)) {
			write->blocked = true;
			break;
		}
		size_t room = write->slice_bytes - write->current->len;
		size_t part = len - taken < room ? len - taken : room;
		memcpy(write->current->bytes + write->current->len, (const char *)bytes + taken, part);
		write->current->len += part;
		taken += part;
		if (part == room)
			submit(write);
	}
	return taken;
}

static void submit_rest(struct upload_write *write)
{
	if (write->current && write->current->len)
		submit(write);
}

static void on_end(void *arg)
{
	struct upload_write *write = own(arg);

	submit_rest(write);
	write->ended = true;
	settle(write);
}

static void on_gone(void *arg)
{
	submit_rest(own(arg));
}

static void on_request_done(void *arg)
{
	struct upload_write *write = own(arg);

	if (write->upload)
		submit_rest(write);
	write->call = NULL;
	settle(write);
}

/* A small chunk does not need a big slice. */
static size_t choose_slice_bytes(int64_t length)
{
	size_t most = atomic_load(&held) < BUDGET ? SLICE_BYTES : SLICE_LITTLE;

	return length > 0 && length < (int64_t)most ? (size_t)length : most;
}

void upload_write_start(struct oci_call *call, struct upload *upload, upload_written_f *done)
{
	struct upload_write *write = xnew(struct upload_write);

	loop_assert(call->loop);
	write->magic = WRITE_MAGIC;
	write->call = call;
	write->loop = call->loop;
	write->pool = call->ask.registry->pool;
	write->upload = upload;
	write->done = done;
	write->slice_bytes = choose_slice_bytes(http_request_length(call->request));
	write->lanes_len = write->slice_bytes < LANES_LEAST ? 1 : LANES;
	for (unsigned i = 0; i < LANES; i++)
		write->lanes[i].write = write;
	CHECK(!pthread_mutex_init(&write->lock, NULL));
	call->stream = write;
	call->stream_done = on_request_done;
	http_request_stream(call->request, (struct http_sink){ write, on_bytes, on_end, on_gone, NULL });
}
