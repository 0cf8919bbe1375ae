/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/blob_parts.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "worker/oci/blob_fetch.h"
#include "worker/oci/blob_get.h"
#include "worker/oci/oci_call.h"

#define PARTS_MAGIC MAGIC('B', 'P', 'R', 'T')
#define PIPE_BYTES  (256u * 1024)
#define PART_BYTES  (128u * 1024)
#define SLICE_BYTES (64u * 1024)

struct blob_parts {
	uint32_t magic;
	struct oci_call *call;
	struct byteranges layout;
	unsigned next;     /* the frame that comes when the part before it is through */
	uint64_t left;     /* of the part that is being read */
	int fd;            /* -1: it comes from the store */
	struct pipe *pipe; /* the writer's end; NULL: over */
	struct blob_fetch fetch;
	bool fetching;
	struct pipe *part; /* the reader's end of what is fetched */
	size_t at, len;    /* what the slice holds and the pipe has not taken */
	char slice[SLICE_BYTES];
};

static struct blob_parts *own(void *arg)
{
	struct blob_parts *parts = OBJ_CAST(blob_parts, PARTS_MAGIC, arg);

	loop_assert(parts->call->loop);
	return parts;
}

static void fail(struct blob_parts *parts, const char *why)
{
	log_warn("blob.parts", "name=%s error=%s", parts->call->ask.route.name.text, log_quote(str_of(why)));
	pipe_unref_writer(TAKE(parts->pipe));
}

static void pump(struct blob_parts *parts);

/* A part from the store. */

static void on_part_bytes(void *arg)
{
	pump(own(arg));
}

/* The store must have sent exactly what it was asked for: the length of the body stands. */
static void on_head(void *arg, struct http_call *transfer)
{
	struct blob_parts *parts = own(arg);
	const struct range *wanted = &parts->layout.ranges[parts->next - 1];
	const char *header = http_headers_find(http_call_headers(transfer), "Content-Range");
	struct range found;
	uint64_t total;

	if (!parts->pipe)
		return;
	if (http_call_status(transfer) != 206 ||
		!content_range_parse_answer(str_of(header), &found, &total) || found.first != wanted->first ||
		found.last != wanted->last || total != parts->layout.size) {
		fail(parts, "the object store sent another part than the one it was asked for");
		return;
	}
	parts->part = pipe_new(parts->call->loop, PART_BYTES);
	http_call_into(transfer, parts->part);
	pipe_on_bytes(parts->part, on_part_bytes, parts);
	pump(parts);
}

/* A body that was cut is told by its pipe. */
static void on_done(void *arg, const struct error *err)
{
	struct blob_parts *parts = own(arg);

	parts->fetching = false;
	if (!parts->pipe || parts->part)
		return;
	if (err)
		fail(parts, err->text);
	else
		pump(parts);
}

static void start_fetch(struct blob_parts *parts)
{
	const struct blob_fetch_of of = blob_fetch_of_call(parts->call);
	char range[BLOB_RANGE_SIZE];

	parts->fetching = true;
	blob_range_format(&parts->layout.ranges[parts->next - 1], range);
	blob_fetch_start(&parts->fetch, &of, range,
		(struct blob_fetch_events){ .arg = parts, .on_head = on_head, .on_done = on_done });
}

static void take_slice(struct blob_parts *parts, size_t len)
{
	parts->at = 0;
	parts->len = len;
	parts->left -= len;
}

/* The end of a fetch is waited for as well: then its connection is free for the next one. */
static bool read_fetched(struct blob_parts *parts)
{
	enum pipe_step step;
	size_t len = 0;

	if (!parts->part) {
		if (!parts->fetching)
			start_fetch(parts);
		return false;
	}
	/* One byte more than may come, so that it is seen. */
	step = pipe_read(parts->part, parts->slice,
		parts->left < SLICE_BYTES ? (size_t)parts->left + 1 : SLICE_BYTES, &len);
	if (step == PIPE_AGAIN)
		return false;
	if (step == PIPE_OK && len <= parts->left) {
		take_slice(parts, len);
		return true;
	}
	if (step != PIPE_END || parts->left) {
		fail(parts, "the object store cut a part, or sent more than its length");
		return false;
	}
	pipe_unref_reader(TAKE(parts->part));
	return !parts->fetching;
}

/* A part of a file. */

static bool read_file(struct blob_parts *parts)
{
	const struct range *range = &parts->layout.ranges[parts->next - 1];
	size_t wanted = parts->left < SLICE_BYTES ? (size_t)parts->left : SLICE_BYTES;
	ssize_t len = pread(parts->fd, parts->slice, wanted, (off_t)(range->last + 1 - parts->left));

	if (len <= 0) {
		fail(parts, "its file cannot be read, or is shorter than it was");
		return false;
	}
	take_slice(parts, (size_t)len);
	return true;
}

/* Into the pipe. */

static bool put_frame(struct blob_parts *parts)
{
	if (parts->next > parts->layout.len) {
		pipe_finish(parts->pipe);
		pipe_unref_writer(TAKE(parts->pipe));
		return false;
	}
	parts->at = 0;
	parts->len = byteranges_frame(&parts->layout, parts->next, parts->slice);
	if (parts->next < parts->layout.len)
		parts->left = range_length(&parts->layout.ranges[parts->next]);
	parts->next++;
	return true;
}

/* False: nothing came; somebody wakes us, or it is over. */
static bool refill(struct blob_parts *parts)
{
	if (!parts->left && !parts->part && !parts->fetching)
		return put_frame(parts);
	return parts->fd >= 0 ? read_file(parts) : read_fetched(parts);
}

/* False: the pipe is full, or nobody reads it any more. */
static bool flush(struct blob_parts *parts)
{
	while (parts->at < parts->len) {
		size_t taken = 0;
		enum pipe_step step =
			pipe_write(parts->pipe, parts->slice + parts->at, parts->len - parts->at, &taken);
		if (step == PIPE_FAILED)
			pipe_unref_writer(TAKE(parts->pipe));
		if (step != PIPE_OK)
			return false;
		parts->at += taken;
	}
	return true;
}

static void pump(struct blob_parts *parts)
{
	while (parts->pipe && flush(parts) && refill(parts))
		;
}

static void on_room(void *arg)
{
	pump(own(arg));
}

/* Life. */

static struct http_response *make_response(struct blob_parts *parts)
{
	struct http_response *response =
		http_response_pipe(206, parts->pipe, (int64_t)byteranges_length(&parts->layout));

	http_response_headerf(
		response, "Content-Type", "multipart/byteranges; boundary=%s", parts->layout.boundary);
	blob_headers(response, &parts->call->ask.route.digest);
	return response;
}

struct blob_parts *blob_parts_start(
	struct oci_call *call, int fd, const struct range *ranges, unsigned len, uint64_t size)
{
	struct blob_parts *parts = xnew(struct blob_parts);

	loop_assert(call->loop);
	parts->magic = PARTS_MAGIC;
	parts->call = call;
	parts->fd = fd;
	parts->layout.len = len;
	parts->layout.size = size;
	memcpy(parts->layout.ranges, ranges, len * sizeof(*ranges));
	random_hex(parts->layout.boundary, 16);
	parts->pipe = pipe_new(call->loop, PIPE_BYTES);
	pipe_on_room(parts->pipe, on_room, parts);
	counter_add(&call->ask.counters->blob_pulls_total, 1);
	http_request_reply(call->request, make_response(parts));
	pump(parts);
	return parts;
}

void blob_parts_free(struct blob_parts *parts)
{
	if (!parts)
		return;
	(void)own(parts);
	blob_fetch_stop(&parts->fetch);
	pipe_unref_reader(parts->part);
	pipe_unref_writer(parts->pipe);
	if (parts->fd >= 0)
		(void)close(parts->fd);
	parts->magic = 0;
	free(parts);
}
