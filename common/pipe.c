/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/loop.h"

#define PIPE_MAGIC      MAGIC('P', 'I', 'P', 'E')
#define PIPE_FIRST_ROOM ((size_t)4096)

/* One end. `armed`: it was told AGAIN and waits. `posted`: its wake-up is on the way. */
struct pipe_end {
	pipe_wake_f *wake;
	void *owner;
	bool held, armed, posted;
};

enum pipe_state { PIPE_OPEN, PIPE_FINISHED, PIPE_BROKEN };

struct pipe {
	uint32_t magic;
	unsigned refs; /* one for each end that holds on, one for each wake-up on the way */
	struct loop *loop;
	enum pipe_state state;
	struct pipe_end writer, reader;
	size_t wanted; /* free bytes that an armed writer waits for */
	/* A ring: `len` bytes from `head` on, in `room` bytes of memory that grow up to `capacity`. */
	char *ring;
	size_t head, len, room, capacity;
	bool may_splice, splices;
	int kernel[2];    /* where it splices: to be read, to be written */
	size_t inside;    /* bytes there, behind those of the ring */
	struct error err; /* why BROKEN */
};

struct pipe *pipe_new(struct loop *loop, size_t capacity)
{
	loop_assert(loop);
	CHECK(capacity > 0);
	struct pipe *pipe = xnew(struct pipe);
	pipe->magic = PIPE_MAGIC;
	pipe->loop = loop;
	pipe->capacity = capacity;
	pipe->refs = 2;
	pipe->writer.held = pipe->reader.held = true;
	return pipe;
}

static void unref(struct pipe *pipe)
{
	CHECK(pipe->refs > 0);
	if (--pipe->refs > 0)
		return;
	free(pipe->ring);
	if (pipe->splices) {
		(void)close(pipe->kernel[0]);
		(void)close(pipe->kernel[1]);
	}
	pipe->magic = 0;
	free(pipe);
}

/* Wake-ups. */

static void wake(struct pipe *pipe, struct pipe_end *end)
{
	end->posted = false;
	if (end->held && end->wake)
		end->wake(end->owner);
	unref(pipe);
}

static void wake_writer(void *arg)
{
	struct pipe *pipe = OBJ_CAST(pipe, PIPE_MAGIC, arg);
	wake(pipe, &pipe->writer);
}

static void wake_reader(void *arg)
{
	struct pipe *pipe = OBJ_CAST(pipe, PIPE_MAGIC, arg);
	wake(pipe, &pipe->reader);
}

/* An end without a callback stays armed until it names one. */
static void post_wake(struct pipe *pipe, struct pipe_end *end)
{
	if (!end->held || !end->armed || !end->wake)
		return;
	end->armed = false;
	if (end->posted)
		return;
	end->posted = true;
	pipe->refs++;
	loop_post(pipe->loop, end == &pipe->writer ? wake_writer : wake_reader, pipe);
}

static size_t free_room(const struct pipe *pipe)
{
	return pipe->splices ? PIPE_SPLICE_ROOM - pipe->inside : pipe->capacity - pipe->len;
}

static void look_at_writer(struct pipe *pipe)
{
	if (pipe->state == PIPE_BROKEN || free_room(pipe) >= pipe->wanted)
		post_wake(pipe, &pipe->writer);
}

static void look_at_reader(struct pipe *pipe)
{
	if (pipe->state != PIPE_OPEN || pipe->len > 0 || pipe->inside > 0)
		post_wake(pipe, &pipe->reader);
}

void pipe_on_room(struct pipe *pipe, pipe_wake_f *on_room, void *owner)
{
	loop_assert(pipe->loop);
	pipe->writer.wake = on_room;
	pipe->writer.owner = owner;
	look_at_writer(pipe);
}

void pipe_on_bytes(struct pipe *pipe, pipe_wake_f *on_bytes, void *owner)
{
	loop_assert(pipe->loop);
	pipe->reader.wake = on_bytes;
	pipe->reader.owner = owner;
	look_at_reader(pipe);
}

/* The ring. */

static size_t ring_copy_out(const struct pipe *pipe, char *into, size_t max)
{
	size_t len = max < pipe->len ? max : pipe->len;
	size_t first = pipe->room - pipe->head < len ? pipe->room - pipe->head : len;
	memcpy(into, pipe->ring + pipe->head, first);
	memcpy(into + first, pipe->ring, len - first);
	return len;
}

static void ring_grow(struct pipe *pipe, size_t least)
{
	size_t room = pipe->room ? pipe->room : PIPE_FIRST_ROOM;
	while (room < least)
		room *= 2;
	room = room < pipe->capacity ? room : pipe->capacity;
	if (room <= pipe->room)
		return;
	char *ring = check_alloc(1, room);
	if (pipe->len > 0)
		(void)ring_copy_out(pipe, ring, pipe->len);
	free(pipe->ring);
	pipe->ring = ring;
	pipe->room = room;
	pipe->head = 0;
}

static void ring_put(struct pipe *pipe, const char *bytes, size_t len)
{
	ring_grow(pipe, pipe->len + len);
	if (pipe->len == 0)
		pipe->head = 0;
	size_t tail = pipe->head + pipe->len;
	tail -= tail >= pipe->room ? pipe->room : 0;
	size_t first = pipe->room - tail < len ? pipe->room - tail : len;
	memcpy(pipe->ring + tail, bytes, first);
	memcpy(pipe->ring, bytes + first, len - first);
	pipe->len += len;
}

/* Writer. */

static enum pipe_step writer_waits(struct pipe *pipe, size_t needed)
{
	size_t half = (pipe->capacity + 1) / 2;
	pipe->wanted = needed > half ? needed : half;
	pipe->writer.armed = true;
	return PIPE_AGAIN;
}

enum pipe_step pipe_write(struct pipe *pipe, const void *bytes, size_t len, size_t *ret_taken)
{
	loop_assert(pipe->loop);
	CHECK(pipe->writer.held && pipe->state != PIPE_FINISHED && !pipe->splices && len > 0);
	*ret_taken = 0;
	if (pipe->state == PIPE_BROKEN)
		return PIPE_FAILED;
	size_t left = pipe->capacity - pipe->len;
	if (left == 0)
		return writer_waits(pipe, 1);
	*ret_taken = len < left ? len : left;
	ring_put(pipe, bytes, *ret_taken);
	if (*ret_taken < len)
		(void)writer_waits(pipe, 1);
	look_at_reader(pipe);
	return PIPE_OK;
}

enum pipe_step pipe_write_whole(struct pipe *pipe, const void *bytes, size_t len)
{
	loop_assert(pipe->loop);
	CHECK(pipe->writer.held && pipe->state != PIPE_FINISHED && !pipe->splices && len <= pipe->capacity);
	if (pipe->state == PIPE_BROKEN)
		return PIPE_FAILED;
	if (pipe->capacity - pipe->len < len)
		return writer_waits(pipe, len);
	if (len > 0) {
		ring_put(pipe, bytes, len);
		look_at_reader(pipe);
	}
	return PIPE_OK;
}

bool pipe_open_splice(struct pipe *pipe)
{
	int fds[2];

	loop_assert(pipe->loop);
	CHECK(pipe->writer.held && pipe->state != PIPE_FINISHED);
	if (pipe->splices || !pipe->may_splice || pipe->state == PIPE_BROKEN)
		return pipe->splices;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
		return false;
	/* Who has many gets small ones (pipe(7), pipe-user-pages-soft), and they are slower than memory. */
	if (fcntl(fds[1], F_SETPIPE_SZ, (int)PIPE_SPLICE_ROOM) < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return false;
	}
	memcpy(pipe->kernel, fds, sizeof(fds));
	pipe->splices = true;
	return true;
}

/* The kernel counts pages and not bytes, so a pipe may be full before: then half of what it has must go first. */
static enum pipe_step splicer_waits(struct pipe *pipe)
{
	if (pipe->inside > 0) {
		pipe->wanted = PIPE_SPLICE_ROOM - pipe->inside / 2;
		pipe->writer.armed = true;
	}
	return PIPE_AGAIN;
}

enum pipe_step pipe_splice(struct pipe *pipe, int socket, size_t max, size_t *ret_len)
{
	size_t room = PIPE_SPLICE_ROOM - pipe->inside;
	ssize_t n;

	loop_assert(pipe->loop);
	CHECK(pipe->writer.held && pipe->state != PIPE_FINISHED && pipe->splices && max > 0);
	if (pipe->state == PIPE_BROKEN)
		return PIPE_FAILED;
	if (room == 0)
		return splicer_waits(pipe);
	do
		n = splice(socket, NULL, pipe->kernel[1], NULL, max < room ? max : room,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return splicer_waits(pipe);
	if (n <= 0)
		return PIPE_END;
	*ret_len = (size_t)n;
	pipe->inside += (size_t)n;
	look_at_reader(pipe);
	return PIPE_OK;
}

void pipe_finish(struct pipe *pipe)
{
	loop_assert(pipe->loop);
	if (pipe->state != PIPE_OPEN)
		return;
	pipe->state = PIPE_FINISHED;
	look_at_reader(pipe);
}

static void break_with(struct pipe *pipe, const struct error *err, const char *otherwise)
{
	pipe->state = PIPE_BROKEN;
	pipe->len = 0;
	pipe->inside = 0;
	if (err)
		pipe->err = *err;
	else
		(void)error_set(&pipe->err, ERROR_INTERNAL, NULL, "%s", otherwise);
}

void pipe_fail(struct pipe *pipe, const struct error *err)
{
	loop_assert(pipe->loop);
	if (pipe->state != PIPE_OPEN)
		return;
	break_with(pipe, err, "the source failed");
	look_at_reader(pipe);
}

void pipe_unref_writer(struct pipe *pipe)
{
	if (!pipe)
		return;
	loop_assert(pipe->loop);
	CHECK(pipe->writer.held);
	pipe->writer = (struct pipe_end){ .posted = pipe->writer.posted };
	if (pipe->state == PIPE_OPEN) {
		break_with(pipe, NULL, "the source let go before the end");
		look_at_reader(pipe);
	}
	unref(pipe);
}

/* Reader. */

static enum pipe_step reader_at_end(struct pipe *pipe)
{
	CHECK(pipe->inside == 0);
	if (pipe->state == PIPE_FINISHED)
		return PIPE_END;
	if (pipe->state == PIPE_BROKEN)
		return PIPE_FAILED;
	pipe->reader.armed = true;
	return PIPE_AGAIN;
}

enum pipe_step pipe_read(struct pipe *pipe, void *into, size_t max, size_t *ret_len)
{
	loop_assert(pipe->loop);
	CHECK(pipe->reader.held && max > 0);
	if (pipe->len == 0)
		return reader_at_end(pipe);
	*ret_len = ring_copy_out(pipe, into, max);
	pipe_took(pipe, *ret_len);
	return PIPE_OK;
}

enum pipe_step pipe_look(struct pipe *pipe, struct iovec into[2], int *ret_len)
{
	loop_assert(pipe->loop);
	CHECK(pipe->reader.held);
	if (pipe->len == 0)
		return reader_at_end(pipe);
	size_t first = pipe->room - pipe->head < pipe->len ? pipe->room - pipe->head : pipe->len;
	into[0] = (struct iovec){ pipe->ring + pipe->head, first };
	into[1] = (struct iovec){ pipe->ring, pipe->len - first };
	*ret_len = first < pipe->len ? 2 : 1;
	return PIPE_OK;
}

void pipe_took(struct pipe *pipe, size_t len)
{
	loop_assert(pipe->loop);
	CHECK(pipe->reader.held && len <= (pipe->len > 0 ? pipe->len : pipe->inside));
	if (pipe->len > 0) {
		pipe->len -= len;
		pipe->head += len;
		pipe->head -= pipe->head >= pipe->room ? pipe->room : 0;
	} else {
		pipe->inside -= len;
	}
	look_at_writer(pipe);
}

void pipe_may_splice(struct pipe *pipe)
{
	loop_assert(pipe->loop);
	pipe->may_splice = true;
}

size_t pipe_in_kernel(const struct pipe *pipe, int *ret_fd)
{
	loop_assert(pipe->loop);
	if (pipe->len > 0 || pipe->inside == 0)
		return 0;
	*ret_fd = pipe->kernel[0];
	return pipe->inside;
}

void pipe_unref_reader(struct pipe *pipe)
{
	if (!pipe)
		return;
	loop_assert(pipe->loop);
	CHECK(pipe->reader.held);
	pipe->reader = (struct pipe_end){ .posted = pipe->reader.posted };
	if (pipe->state == PIPE_OPEN) {
		break_with(pipe, NULL, "the sink let go before the end");
		look_at_writer(pipe);
	}
	unref(pipe);
}

/* Look. */

size_t pipe_len(const struct pipe *pipe)
{
	loop_assert(pipe->loop);
	return pipe->len + pipe->inside;
}

const struct error *pipe_error(const struct pipe *pipe)
{
	loop_assert(pipe->loop);
	return pipe->state == PIPE_BROKEN ? &pipe->err : NULL;
}
