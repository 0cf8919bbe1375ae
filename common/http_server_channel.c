/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_channel - a connection that carries many calls (http_frame.h): each is a connection of this server without a socket.
 *
 *     socket --frames--> [ in ] --> inlet of a call --> http_conn --> request, as any other
 *     socket <--frames-- [ out ] <-- inlet <------------ its reply
 *
 * So a call has the limits, the deadlines and the turns of a request that came on a connection of its own, and counts as one. What the calls of
 * one or a few turns of the loop write leaves in one write. A reply waits while OUT_MAX is not fetched, or its own window is used up.
 *
 * Nobody is waited for on a channel as such: without calls it is closed as a kept connection is, and while what we wrote does not move it has the
 * deadline of a reply. It is never closed for others.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http_frame.h"
#include "common/http_server_priv.h"
#include "common/log.h"

#define IN_ROOM ((size_t)64 * 1024)
/* Nobody adds a reply to OUT_MAX. With what must be said all the same OUT_MOST: who has us wait with more does not read at all. OUT_ROOM
 * is for what was written and is not forgotten yet, besides. */
#define OUT_MAX   ((size_t)256 * 1024)
#define OUT_MOST  (2 * OUT_MAX)
#define OUT_ROOM  (OUT_MOST + 2 * OUT_MAX)
#define OUT_SOON  ((size_t)32 * 1024) /* leaves at once */
#define RUNS_MOST 4u                  /* that what is written waits for more */

struct http_server_channel {
	struct http_conn *conn;
	struct http_frame_calls calls;
	uint32_t last_id;
	struct list dirty;   /* in the server's: there is something to be written */
	struct list blocked; /* inlets whose reply waits for room in `out` */
	unsigned runs;
	int64_t idle_since_ms;
	char *in;
	size_t in_begin, in_end;
	struct buf out;
	size_t out_at;
};

struct inlet {
	struct http_frame_call by_id;        /* first */
	struct http_server_channel *channel; /* NULL: it has ended */
	struct http_conn *conn;
	struct list blocked;
	struct buf in;
	size_t in_at;
	size_t untold; /* used, and no ROOM has told of it */
	size_t come;   /* of the window that the caller has */
	size_t window; /* ours */
	uint64_t moved;
	bool last, shut, dropped;
};

/* What leaves. */

static size_t pending(const struct http_server_channel *channel)
{
	return channel->out.len - channel->out_at;
}

static void make_dirty(struct http_server_channel *channel)
{
	if (!list_has(&channel->dirty))
		list_push(&channel->conn->server->dirty, &channel->dirty);
}

static void say(struct http_server_channel *channel, const struct http_frame *frame)
{
	http_frame_put(frame, &channel->out);
	make_dirty(channel);
	if (pending(channel) > OUT_MOST)
		http_conn_cut(channel->conn);
}

static void wake_blocked(struct http_server_channel *channel)
{
	struct list *node;

	while (pending(channel) < OUT_MAX / 2 && (node = list_first(&channel->blocked))) {
		struct inlet *inlet = LIST_OF(struct inlet, blocked, node);
		list_drop(node);
		inlet->conn->wire.writable = true;
		http_turns_queue(inlet->conn);
	}
}

/* Of what was written nothing is kept but by TLS, which has its own copy. */
static void forget_written(struct http_server_channel *channel)
{
	if (pending(channel) == 0) {
		buf_clear(&channel->out);
		channel->out_at = 0;
	} else if (channel->out_at >= OUT_MAX) {
		memmove(channel->out.at, channel->out.at + channel->out_at, pending(channel));
		channel->out.len -= channel->out_at;
		channel->out_at = 0;
	}
}

static void end_if_unwanted(struct http_server_channel *channel)
{
	struct http_conn *conn = channel->conn;

	if (!conn->server->quiesced || channel->calls.len || pending(channel) || conn->cut)
		return;
	http_wire_shut(&conn->wire);
	http_conn_cut(conn);
}

void http_channel_flush(struct http_conn *conn)
{
	struct http_server_channel *channel = conn->channel;
	size_t n;

	while (pending(channel) > 0 && !conn->cut && conn->wire.writable) {
		struct iovec part = { channel->out.at + channel->out_at, pending(channel) };
		if (!http_conn_went(
			    conn, http_wire_write(&conn->wire, &part, 1, false, conn->server->out_block, &n)))
			break;
		channel->out_at += n;
	}
	list_drop(&channel->dirty);
	channel->runs = 0;
	forget_written(channel);
	wake_blocked(channel);
	end_if_unwanted(channel);
}

void http_channels_flush(struct http_server *server, bool all)
{
	struct list *node = server->dirty.next, *next;

	for (; node != &server->dirty; node = next) {
		struct http_server_channel *channel = LIST_OF(struct http_server_channel, dirty, node);
		next = node->next;
		if (all || pending(channel) >= OUT_SOON || ++channel->runs >= RUNS_MOST)
			http_channel_flush(channel->conn);
	}
}

/* A call as a wire. */

static void told_room(struct inlet *inlet)
{
	if (inlet->last || !inlet->channel || inlet->untold < HTTP_FRAME_WINDOW / 2)
		return;
	say(inlet->channel,
		&(struct http_frame){
			.type = HTTP_FRAME_ROOM, .id = inlet->by_id.id, .room = (uint32_t)inlet->untold });
	inlet->come -= inlet->untold;
	inlet->untold = 0;
}

static enum http_io inlet_read(void *arg, void *into, size_t max, size_t *ret_len)
{
	struct inlet *inlet = arg;
	struct http_wire *wire = &inlet->conn->wire;
	size_t held = inlet->in.len - inlet->in_at, n = held < max ? held : max;

	if (n == 0 && (!inlet->channel || inlet->dropped))
		return HTTP_IO_LOST;
	if (n == 0 && inlet->last)
		return HTTP_IO_END;
	if (n == 0) {
		wire->readable = false;
		return HTTP_IO_AGAIN;
	}
	memcpy(into, inlet->in.at + inlet->in_at, n);
	inlet->in_at += n;
	inlet->untold += n;
	if (n == held) {
		buf_fini(&inlet->in);
		inlet->in = buf_limit(HTTP_FRAME_WINDOW);
		inlet->in_at = 0;
		wire->readable = inlet->last || wire->lost;
	}
	told_room(inlet);
	*ret_len = n;
	return HTTP_IO_OK;
}

static void put_parts(struct buf *out, const struct iovec *parts, int parts_len, size_t skip, size_t len)
{
	for (int i = 0; i < parts_len && len > 0; i++) {
		size_t from = skip < parts[i].iov_len ? skip : parts[i].iov_len;
		size_t n = parts[i].iov_len - from < len ? parts[i].iov_len - from : len;
		buf_append(out, (const char *)parts[i].iov_base + from, n);
		skip -= from;
		len -= n;
	}
}

static enum http_io inlet_write(void *arg, const struct iovec *parts, int parts_len, size_t *ret_len)
{
	struct inlet *inlet = arg;
	struct http_server_channel *channel = inlet->channel;
	size_t len = 0, done = 0, n;
	uint8_t head[HTTP_FRAME_HEAD];

	if (!channel || inlet->dropped)
		return HTTP_IO_LOST;
	for (int i = 0; i < parts_len; i++)
		len += parts[i].iov_len;
	while ((n = http_frame_fits(len - done, inlet->window)) > 0 && pending(channel) < OUT_MAX) {
		http_frame_head(HTTP_FRAME_BYTES, inlet->by_id.id, n, head);
		buf_append(&channel->out, head, sizeof(head));
		put_parts(&channel->out, parts, parts_len, done, n);
		inlet->window -= n;
		done += n;
	}
	CHECK(!channel->out.failed);
	if (done == 0) {
		inlet->conn->wire.writable = false;
		if (inlet->window > 0 && !list_has(&inlet->blocked))
			list_push(&channel->blocked, &inlet->blocked);
		return HTTP_IO_AGAIN;
	}
	inlet->moved += done;
	make_dirty(channel);
	*ret_len = done;
	return HTTP_IO_OK;
}

static void inlet_shut(void *arg)
{
	struct inlet *inlet = arg;

	if (inlet->channel && !inlet->shut && !inlet->dropped)
		say(inlet->channel, &(struct http_frame){ .type = HTTP_FRAME_LAST, .id = inlet->by_id.id });
	inlet->shut = true;
}

/* Its connection has ended. */
static void inlet_close(void *arg)
{
	struct inlet *inlet = arg;
	struct http_server_channel *channel = inlet->channel;

	if (channel && !inlet->shut && !inlet->dropped)
		say(channel, &(struct http_frame){ .type = HTTP_FRAME_DROP, .id = inlet->by_id.id });
	if (channel) {
		http_frame_calls_drop(&channel->calls, &inlet->by_id);
		channel->idle_since_ms = loop_now(channel->conn->server->loop);
		if (channel->calls.len == 0 && channel->conn->server->quiesced)
			make_dirty(channel);
	}
	list_drop(&inlet->blocked);
	buf_fini(&inlet->in);
	free(inlet);
}

static uint64_t inlet_progress(const void *arg)
{
	const struct inlet *inlet = arg;

	return inlet->moved;
}

static const struct http_inner inlet_wire = { inlet_read, inlet_write, inlet_shut, inlet_close,
	inlet_progress };

static struct inlet *inlet_new(struct http_server_channel *channel, uint32_t id)
{
	struct inlet *inlet = xnew(struct inlet);

	inlet->channel = channel;
	inlet->window = HTTP_FRAME_WINDOW;
	inlet->in = buf_limit(HTTP_FRAME_WINDOW);
	http_frame_calls_put(&channel->calls, &inlet->by_id, id);
	channel->last_id = id;
	inlet->conn = http_conn_open_inner(channel->conn, &inlet_wire, inlet);
	return inlet;
}

/* What comes. */

static bool open_inlet(
	struct http_server_channel *channel, uint32_t id, struct inlet **ret, struct error *err)
{
	*ret = (struct inlet *)http_frame_calls_find(&channel->calls, id);
	if (*ret || id <= channel->last_id)
		return true;
	if (channel->calls.len >= HTTP_FRAME_CALLS)
		return error_set(
			err, ERROR_INVALID, NULL, "more than %u calls are under way", HTTP_FRAME_CALLS);
	*ret = inlet_new(channel, id);
	return true;
}

static bool take_bytes(struct http_server_channel *channel, const struct http_frame *frame, struct error *err)
{
	struct inlet *inlet;

	if (!open_inlet(channel, frame->id, &inlet, err))
		return false;
	if (!inlet || inlet->dropped)
		return true;
	if (inlet->last)
		return error_set(err, ERROR_INVALID, NULL, "call %u goes on behind its end", frame->id);
	inlet->come += frame->bytes.len;
	if (inlet->come > HTTP_FRAME_WINDOW)
		return error_set(
			err, ERROR_INVALID, NULL, "call %u has more bytes than there is room for", frame->id);
	if (inlet->in_at > 0) {
		memmove(inlet->in.at, inlet->in.at + inlet->in_at, inlet->in.len - inlet->in_at);
		inlet->in.len -= inlet->in_at;
		inlet->in_at = 0;
	}
	buf_add(&inlet->in, frame->bytes);
	CHECK(!inlet->in.failed);
	inlet->moved += frame->bytes.len;
	inlet->last = frame->type == HTTP_FRAME_LAST;
	inlet->conn->wire.readable = true;
	http_turns_queue(inlet->conn);
	return true;
}

static void drop(struct inlet *inlet)
{
	struct http_wire *wire = &inlet->conn->wire;

	inlet->dropped = true;
	list_drop(&inlet->blocked);
	wire->lost = wire->hung_up = wire->readable = wire->writable = true;
	http_turns_queue(inlet->conn);
}

static bool take_room(struct inlet *inlet, const struct http_frame *frame, struct error *err)
{
	inlet->window += frame->room;
	if (inlet->window > HTTP_FRAME_WINDOW)
		return error_set(
			err, ERROR_INVALID, NULL, "call %u makes room for more than it was sent", frame->id);
	if (!list_has(&inlet->blocked))
		inlet->conn->wire.writable = true;
	http_turns_queue(inlet->conn);
	return true;
}

static bool take(struct http_server_channel *channel, const struct http_frame *frame, struct error *err)
{
	struct inlet *inlet;

	if (frame->type == HTTP_FRAME_BYTES || frame->type == HTTP_FRAME_LAST)
		return take_bytes(channel, frame, err);
	if (frame->type == HTTP_FRAME_AWAY)
		return true;
	if (frame->id > channel->last_id)
		return error_set(err, ERROR_INVALID, NULL, "call %u has not begun", frame->id);
	inlet = (struct inlet *)http_frame_calls_find(&channel->calls, frame->id);
	if (!inlet || inlet->dropped)
		return true;
	if (frame->type == HTTP_FRAME_ROOM)
		return take_room(inlet, frame, err);
	drop(inlet);
	return true;
}

static void refuse(struct http_conn *conn, const struct error *err)
{
	log_debug("channel.refused", "why=%s", log_quote(str_of(err->text)));
	http_conn_cut(conn);
}

/* All whole frames that are there. */
static bool take_all(struct http_server_channel *channel)
{
	struct str rest = str_from(channel->in + channel->in_begin, channel->in_end - channel->in_begin);
	struct http_frame frame;
	struct error err;

	for (;;) {
		enum http_frame_step step = http_frame_next(&rest, &frame, &err);
		if (step == HTTP_FRAME_MORE)
			break;
		if (step == HTTP_FRAME_BAD || !take(channel, &frame, &err)) {
			refuse(channel->conn, &err);
			return false;
		}
	}
	channel->idle_since_ms = loop_now(channel->conn->server->loop);
	memmove(channel->in, rest.at, rest.len);
	channel->in_begin = 0;
	channel->in_end = rest.len;
	return true;
}

bool http_channel_step(struct http_conn *conn)
{
	struct http_server_channel *channel = conn->channel;
	size_t n = 0;

	if (pending(channel) > 0 && conn->wire.writable)
		http_channel_flush(conn);
	if (conn->cut || !conn->wire.readable ||
		!http_conn_went(conn, http_wire_read(&conn->wire, channel->in + channel->in_end,
					      IN_ROOM - channel->in_end, &n)))
		return false;
	channel->in_end += n;
	return take_all(channel);
}

void http_channel_look(struct http_conn *conn)
{
	struct http_server_channel *channel = conn->channel;
	int64_t now = loop_now(conn->server->loop);

	if (channel->calls.len > 0 || pending(channel) > 0)
		return;
	if (now - channel->idle_since_ms >= conn->server->settings.keepalive_timeout_ms)
		http_conn_cut(conn);
}

bool http_channel_is_stuck(const struct http_conn *conn)
{
	return pending(conn->channel) > 0;
}

/* Life. */

void http_channel_away(struct http_conn *conn)
{
	say(conn->channel, &(struct http_frame){ .type = HTTP_FRAME_AWAY });
}

void http_channel_begin(struct http_conn *conn)
{
	struct http_server_channel *channel = xnew(struct http_server_channel);
	struct str in = http_input_str(conn);

	CHECK(in.len <= IN_ROOM);
	channel->conn = conn;
	channel->in = check_aligned(64, IN_ROOM);
	if (in.len > 0)
		memcpy(channel->in, in.at, in.len);
	channel->in_end = in.len;
	channel->out = buf_limit(OUT_ROOM);
	channel->idle_since_ms = loop_now(conn->server->loop);
	list_init(&channel->blocked);
	http_input_fini(conn);
	conn->channel = channel;
	conn->state = HTTP_CHANNEL;
	http_conn_watch(conn, HTTP_WATCH_CHANNEL);
	if (conn->server->winding_down)
		http_channel_away(conn);
	(void)take_all(channel);
}

void http_channel_end(struct http_conn *conn)
{
	struct http_server_channel *channel = conn->channel;
	struct inlet *inlet;

	while ((inlet = (struct inlet *)http_frame_calls_any(&channel->calls))) {
		http_frame_calls_drop(&channel->calls, &inlet->by_id);
		drop(inlet);
		inlet->channel = NULL;
	}
	list_drop(&channel->dirty);
	buf_fini(&channel->out);
	free(channel->in);
	free(channel);
	conn->channel = NULL;
}
