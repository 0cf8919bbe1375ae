/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   DIAL    curl resolves and connects; the socket is ours from then on
 *   SHAKE   TLS
 *   ASK     the request for a channel leaves, its answer is awaited
 *   OPEN    frames
 *   OVER    lost; its memory goes when nobody of ours is on the stack
 */
#include "common/http_channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_answer.h"
#include "common/http_client_priv.h"
#include "common/http_wire.h"
#include "common/pipe.h"

#define IN_ROOM  ((size_t)64 * 1024)
#define OUT_SOON ((size_t)32 * 1024) /* leaves at once */
#define RUNS_MOST                                                                                            \
	2u /* that what is to leave waits for more: a turn of the loop without anything to do is short */
#define READS_MOST 4u /* in one run: then others have theirs */
#define HOST_MAX   256

enum channel_state { CHANNEL_DIAL, CHANNEL_SHAKE, CHANNEL_ASK, CHANNEL_OPEN, CHANNEL_OVER };

struct http_channel {
	struct http_client *client;
	enum channel_state state;
	struct http_channel_events events;
	struct list all, dirty; /* in the client's */
	struct http_call *dial; /* in DIAL */
	struct loop_timer patience;
	struct http_wire wire;
	struct http_wire_tls *tls; /* NULL: plain */
	bool watched, away;
	char host[HOST_MAX + 1]; /* for TLS */
	char *authority;         /* as Host has it */
	char *in;
	size_t in_end;
	struct buf out;
	size_t out_at;
	unsigned runs;
	uint64_t written; /* of all that ever was in `out` */
	struct http_frame_calls calls;
	uint32_t last_id;
	struct list blocked; /* calls that wait for room in `out` */
	size_t held;         /* bytes of their messages */
};

static struct http_call *call_of(struct http_frame_call *by_id)
{
	return by_id ? (struct http_call *)(void *)((char *)by_id - offsetof(struct http_call, over.by_id))
		     : NULL;
}

static size_t pending(const struct http_channel *channel)
{
	return channel->out.len - channel->out_at;
}

static void make_dirty(struct http_channel *channel)
{
	if (list_has(&channel->dirty))
		return;
	list_push(&channel->client->dirty, &channel->dirty);
	loop_wake_stages(channel->client->loop);
}

static void say(struct http_channel *channel, const struct http_frame *frame)
{
	http_frame_put(frame, &channel->out);
	make_dirty(channel);
}

/* The end. */

static void channel_free(struct http_channel *channel)
{
	loop_timer_stop(channel->client->loop, &channel->patience);
	list_drop(&channel->all);
	list_drop(&channel->dirty);
	http_wire_tls_free(channel->tls);
	buf_fini(&channel->out);
	free(channel->authority);
	free(channel->in);
	free(channel);
}

static void let_go(struct http_call *call)
{
	struct http_channel_call *over = &call->over;
	struct http_channel *channel = over->channel;

	if (!channel)
		return;
	http_frame_calls_drop(&channel->calls, &over->by_id);
	list_drop(&over->blocked);
	channel->held -= over->message_len;
	channel->client->held -= over->message_len;
	over->message_len = 0;
	over->channel = NULL;
}

static void end_calls(struct http_channel *channel, const struct error *why)
{
	struct http_call *call;
	struct error err;

	while ((call = call_of(http_frame_calls_any(&channel->calls)))) {
		bool untouched = call->over.begins_at >= channel->written;
		let_go(call);
		if (call->cancelled || call->ending)
			continue;
		(void)error_set(&err, untouched ? ERROR_UNAVAILABLE : ERROR_INTERNAL, NULL,
			"the channel was lost: %.160s", why->text);
		http_call_over(call, false, &err);
	}
}

static void disconnect(struct http_channel *channel)
{
	if (channel->state == CHANNEL_DIAL) {
		if (channel->dial)
			http_call_cancel(TAKE(channel->dial));
	} else if (channel->state != CHANNEL_OVER) {
		if (channel->watched)
			loop_unwatch(channel->client->loop, channel->wire.fd);
		http_wire_close(&channel->wire);
	}
	channel->state = CHANNEL_OVER;
}

/* It is gone when this returns. */
static void fail(struct http_channel *channel, const struct error *err)
{
	struct http_client *client = channel->client;

	http_client_enter(client);
	disconnect(channel);
	end_calls(channel, err);
	if (channel->events.on_end)
		channel->events.on_end(channel->events.arg, err);
	channel_free(channel);
	http_client_leave(client);
}

static void fail_with(struct http_channel *channel, enum error_kind kind, const char *text)
{
	struct error err;

	(void)error_set(&err, kind, NULL, "%s", text);
	fail(channel, &err);
}

void http_channel_close(struct http_channel *channel)
{
	channel->events = (struct http_channel_events){ 0 };
	fail_with(channel, ERROR_UNAVAILABLE, "it was closed");
}

void http_channel_close_all(struct http_client *client)
{
	while (list_first(&client->channels))
		http_channel_close(LIST_OF(struct http_channel, all, list_first(&client->channels)));
}

/* Sending. */

static size_t message_left(const struct http_call *call)
{
	return call->over.message_len - call->over.sent;
}

/* As much of a larger message as may go. */
static void pump(struct http_call *call)
{
	struct http_channel_call *over = &call->over;
	struct http_channel *channel = over->channel;
	size_t n;

	while ((n = http_frame_fits(message_left(call), over->window)) > 0 &&
		pending(channel) < HTTP_CHANNEL_OUT) {
		say(channel, &(struct http_frame){
				     .type = n == message_left(call) ? HTTP_FRAME_LAST : HTTP_FRAME_BYTES,
				     .id = over->by_id.id,
				     .bytes = str_from(call->body + over->sent, n) });
		over->sent += n;
		over->window -= n;
		call->transfer.moved_ms = loop_now(call->client->loop);
	}
	if (n > 0 && !list_has(&over->blocked))
		list_push(&channel->blocked, &over->blocked);
}

static void pump_blocked(struct http_channel *channel)
{
	struct list *node;

	while (pending(channel) < HTTP_CHANNEL_OUT / 2 && (node = list_first(&channel->blocked))) {
		list_drop(node);
		pump(LIST_OF(struct http_call, over.blocked, node));
	}
}

static void forget_written(struct http_channel *channel)
{
	if (pending(channel) == 0) {
		buf_clear(&channel->out);
		channel->out_at = 0;
	} else if (channel->out_at >= HTTP_CHANNEL_OUT / 2) {
		memmove(channel->out.at, channel->out.at + channel->out_at, pending(channel));
		channel->out.len -= channel->out_at;
		channel->out_at = 0;
	}
}

/* False: the connection is lost. */
static bool flush(struct http_channel *channel)
{
	enum http_io io = HTTP_IO_OK;
	size_t n;

	channel->runs = 0;
	if (channel->out.failed) /* it reads nothing and makes us say more and more */
		return false;
	while (io == HTTP_IO_OK && pending(channel) > 0 && channel->wire.writable) {
		struct iovec part = { channel->out.at + channel->out_at, pending(channel) };
		io = http_wire_write(&channel->wire, &part, 1, false, NULL, &n);
		if (io == HTTP_IO_OK) {
			channel->out_at += n;
			channel->written += n;
			loop_moved(channel->client->loop);
		}
	}
	forget_written(channel);
	pump_blocked(channel);
	return io == HTTP_IO_OK || io == HTTP_IO_AGAIN;
}

static void put_length(size_t len, struct buf *into)
{
	buf_puts(into, "Content-Length: ");
	buf_decimal(into, len);
	buf_puts(into, "\r\n");
}

static void put_head(const struct http_channel *channel, const struct http_call_spec *spec, struct buf *into)
{
	size_t authority = strcspn(spec->url, "/") + 2;
	const char *target = spec->url + authority + strcspn(spec->url + authority, "/");
	const char *name, *value;

	buf_puts(into, spec->method);
	buf_puts(into, " ");
	buf_puts(into, *target ? target : "/");
	buf_puts(into, " HTTP/1.1\r\nHost: ");
	buf_puts(into, channel->authority);
	buf_puts(into, "\r\n");
	for (size_t i = 0; spec->headers && i < http_headers_len(spec->headers); i++) {
		http_headers_at(spec->headers, i, &name, &value);
		buf_puts(into, name);
		buf_puts(into, ": ");
		buf_puts(into, value);
		buf_puts(into, "\r\n");
	}
	if (spec->has_body || spec->body.len)
		put_length(spec->body.len, into);
	buf_puts(into, "\r\n");
}

/* Deadlines of a call. */

static int64_t stalls_in(const struct http_call *call)
{
	int64_t now = loop_now(call->client->loop),
		left = call->transfer.moved_ms + call->transfer.stall_ms - now;

	if (call->over.held.len > 0) /* we do not take it */
		left = call->transfer.stall_ms;
	if (call->over.due_ms && call->over.due_ms - now < left)
		left = call->over.due_ms - now;
	return left;
}

static void on_patience(void *arg)
{
	struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, arg);
	int64_t left = stalls_in(call);
	struct error err;

	if (call->cancelled)
		return;
	if (left > 0) {
		loop_timer_start(call->client->loop, &call->stall, left, on_patience, call);
		return;
	}
	(void)error_set(&err, ERROR_TIMEOUT, NULL, "no answer in time");
	http_call_over(call, false, &err);
}

void http_channel_begin_call(struct http_call *call, const struct http_call_spec *spec)
{
	struct http_channel *channel = spec->channel;
	struct http_client *client = call->client;
	struct buf *message = &client->message;
	struct http_channel_call *over = &call->over;

	CHECK(http_channel_takes(channel, spec->body.len) && !spec->body_pipe && !spec->body_fd_len);
	call->over_channel = true;
	over->channel = channel;
	over->window = HTTP_FRAME_WINDOW;
	over->begins_at = channel->written + pending(channel);
	over->bodyless = !strcmp(spec->method, "HEAD");
	over->head = buf_limit(HTTP_ANSWER_MAX);
	over->held = buf_limit(HTTP_FRAME_WINDOW);
	call->transfer.length = -1;
	call->transfer.moved_ms = loop_now(client->loop);
	call->transfer.stall_ms = spec->stall_ms ? spec->stall_ms : 30000;
	over->due_ms = spec->total_ms ? loop_now(client->loop) + spec->total_ms : 0;
	http_frame_calls_put(&channel->calls, &over->by_id, ++channel->last_id);
	buf_clear(message);
	put_head(channel, spec, message);
	buf_add(message, spec->body);
	CHECK(!message->failed);
	over->message_len = message->len;
	channel->held += message->len;
	client->held += message->len;
	if (message->len <= HTTP_FRAME_MAX) {
		say(channel,
			&(struct http_frame){
				.type = HTTP_FRAME_LAST, .id = over->by_id.id, .bytes = buf_str(message) });
		over->sent = message->len;
	} else {
		call->body = buf_take(message, NULL);
		client->message = buf_limit(HTTP_CHANNEL_HELD);
		pump(call);
	}
	loop_timer_start(client->loop, &call->stall, stalls_in(call), on_patience, call);
}

/* An answer. */

static void call_fail(struct http_call *call, const struct error *err)
{
	struct error why = call->transfer.failed ? call->transfer.err : *err;

	http_call_over(call, false, &why);
}

static void call_fail_with(struct http_call *call, const char *text)
{
	struct error err;

	(void)error_set(&err, ERROR_INTERNAL, NULL, "%s", text);
	call_fail(call, &err);
}

static void used(struct http_call *call, size_t n)
{
	struct http_channel_call *over = &call->over;

	over->untold += n;
	if (over->last || over->untold < HTTP_FRAME_WINDOW / 2 || !over->channel)
		return;
	say(over->channel,
		&(struct http_frame){
			.type = HTTP_FRAME_ROOM, .id = over->by_id.id, .room = (uint32_t)over->untold });
	over->untold = 0;
}

/* False: the call is over. */
static bool take_body(struct http_call *call, struct str bytes)
{
	struct http_channel_call *over = &call->over;
	int64_t length = call->transfer.length;
	size_t n;

	if (bytes.len == 0)
		return true;
	over->got += bytes.len;
	if (over->bodyless || (length >= 0 && over->got > (uint64_t)length)) {
		call_fail_with(call, "the answer has more bytes than it said");
		return false;
	}
	if (over->held.len > 0) {
		buf_add(&over->held, bytes);
		CHECK(!over->held.failed);
		return true;
	}
	n = http_call_take_body(call, bytes.at, bytes.len);
	if (call->transfer.failed) {
		call_fail(call, &call->transfer.err);
		return false;
	}
	if (n == bytes.len)
		used(call, n);
	else
		buf_add(&over->held, bytes);
	return true;
}

static void finish(struct http_call *call)
{
	const struct http_transfer *transfer = &call->transfer;

	if (!transfer->head_done)
		call_fail_with(call, "the answer has no head");
	else if (!call->over.bodyless && transfer->length >= 0 &&
		 call->over.got != (uint64_t)transfer->length)
		call_fail_with(call, "the answer is shorter than it said");
	else
		http_call_over(call, true, NULL);
}

void http_channel_resume_call(struct http_call *call)
{
	struct http_channel_call *over = &call->over;
	size_t len = over->held.len, n;

	if (call->cancelled || call->ending || len == 0)
		return;
	http_client_enter(call->client);
	call->transfer.moved_ms = loop_now(call->client->loop);
	n = http_call_take_body(call, over->held.at, len);
	if (call->transfer.failed) {
		call_fail(call, &call->transfer.err);
	} else if (n == len) {
		buf_clear(&over->held);
		used(call, len);
		if (over->last)
			finish(call);
	}
	http_client_leave(call->client);
}

static bool read_head(struct http_call *call, struct str head, struct error *err)
{
	struct http_transfer *transfer = &call->transfer;
	struct http_answer answer;

	if (!http_answer_parse(head, &answer, err))
		return false;
	http_headers_free(transfer->headers);
	transfer->headers = answer.headers;
	transfer->status = answer.status;
	transfer->length = answer.length;
	call->over.bodyless |= answer.status == 204 || answer.status == 304 || answer.status < 200;
	transfer->head_done = true;
	return true;
}

enum head_step { HEAD_MORE, HEAD_WHOLE, HEAD_GONE };

/* Looks for the head's end in what has come now, behind what came before, and takes the head off *bytes. GONE: so is the call. */
static enum head_step take_head(struct http_call *call, struct str *bytes)
{
	struct buf *held = &call->over.head;
	size_t before = held->len, from = before > 3 ? before - 3 : 0, len;
	struct str all = *bytes;
	struct error err;
	const char *end;

	if (before > 0) {
		buf_add(held, *bytes);
		all = buf_str(held);
	}
	end = held->failed ? NULL : memmem(all.at + from, all.len - from, "\r\n\r\n", 4);
	if (!end) {
		if (before == 0)
			buf_add(held, *bytes);
		if (held->failed) {
			call_fail_with(call, "the head of the answer is too large");
			return HEAD_GONE;
		}
		used(call, bytes->len);
		return HEAD_MORE;
	}
	len = (size_t)(end + 4 - all.at);
	if (!read_head(call, str_from(all.at, len), &err)) {
		call_fail(call, &err);
		return HEAD_GONE;
	}
	used(call, len - before);
	*bytes = str_from(bytes->at + (len - before), bytes->len - (len - before));
	buf_fini(held);
	if (call->events.on_head)
		call->events.on_head(call->events.arg, call);
	return call->cancelled ? HEAD_GONE : HEAD_WHOLE;
}

static void take_answer(struct http_call *call, const struct http_frame *frame)
{
	enum head_step step = HEAD_WHOLE;
	struct str bytes = frame->bytes;

	call->transfer.moved_ms = loop_now(call->client->loop);
	call->over.last = frame->type == HTTP_FRAME_LAST;
	if (!call->transfer.head_done)
		step = bytes.len > 0 ? take_head(call, &bytes) : HEAD_MORE;
	if (step == HEAD_GONE || (step == HEAD_WHOLE && !take_body(call, bytes)))
		return;
	if (call->over.last && call->over.held.len == 0)
		finish(call);
}

/* Frames. */

static bool take(struct http_channel *channel, const struct http_frame *frame, struct error *err)
{
	struct http_call *call;

	if (frame->type == HTTP_FRAME_AWAY) {
		channel->away = true;
		return true;
	}
	if (frame->id > channel->last_id)
		return error_set(
			err, ERROR_INVALID, NULL, "it answers call %u, which nobody made", frame->id);
	call = call_of(http_frame_calls_find(&channel->calls, frame->id));
	if (!call || call->cancelled)
		return true;
	if (frame->type == HTTP_FRAME_ROOM) {
		call->over.window += frame->room;
		if (call->over.window > HTTP_FRAME_WINDOW)
			return error_set(err, ERROR_INVALID, NULL,
				"it makes room for more than call %u has sent", frame->id);
		pump(call);
		return true;
	}
	if (call->over.last)
		return error_set(
			err, ERROR_INVALID, NULL, "its answer to call %u goes on behind the end", frame->id);
	if (frame->type == HTTP_FRAME_DROP) {
		call->over.last = true;
		call_fail_with(call, "the answer was cut");
		return true;
	}
	take_answer(call, frame);
	return true;
}

/* False: it is over. */
static bool take_all(struct http_channel *channel)
{
	struct str rest = str_from(channel->in, channel->in_end);
	struct http_frame frame;
	struct error err;

	for (;;) {
		enum http_frame_step step = http_frame_next(&rest, &frame, &err);
		if (step == HTTP_FRAME_MORE)
			break;
		if (step == HTTP_FRAME_BAD || !take(channel, &frame, &err)) {
			fail(channel, &err);
			return false;
		}
	}
	memmove(channel->in, rest.at, rest.len);
	channel->in_end = rest.len;
	return true;
}

/* Opening. */

static void on_open_late(void *arg)
{
	fail_with(arg, ERROR_TIMEOUT, "it was not opened in time");
}

/* False: it is over. */
static bool take_opening(struct http_channel *channel)
{
	const char *end = memmem(channel->in, channel->in_end, "\r\n\r\n", 4);
	struct http_answer answer;
	struct error err;
	size_t len;
	bool yes;

	if (!end && channel->in_end < IN_ROOM)
		return true;
	if (!end) {
		fail_with(channel, ERROR_INVALID, "the head of its answer is too large");
		return false;
	}
	len = (size_t)(end + 4 - channel->in);
	if (!http_answer_parse(str_from(channel->in, len), &answer, &err)) {
		fail(channel, &err);
		return false;
	}
	yes = channel->events.on_answer(channel->events.arg, answer.status, answer.headers);
	http_headers_free(answer.headers);
	if (answer.status != 101 || !yes) {
		(void)error_set(&err, ERROR_DENIED, NULL, "it answered %u", answer.status);
		fail(channel, &err);
		return false;
	}
	channel->state = CHANNEL_OPEN;
	loop_timer_stop(channel->client->loop, &channel->patience);
	memmove(channel->in, end + 4, channel->in_end - len);
	channel->in_end -= len;
	return take_all(channel);
}

static bool shake(struct http_channel *channel)
{
	switch (http_wire_handshake(&channel->wire)) {
	case HTTP_IO_OK:
		channel->state = CHANNEL_ASK;
		return true;
	case HTTP_IO_AGAIN:
		return true;
	case HTTP_IO_END:
	case HTTP_IO_LOST:
		break;
	}
	fail_with(channel, ERROR_UNAVAILABLE, "the TLS handshake failed");
	return false;
}

static bool read_some(struct http_channel *channel)
{
	size_t n = 0;

	switch (http_wire_read(
		&channel->wire, channel->in + channel->in_end, IN_ROOM - channel->in_end, &n)) {
	case HTTP_IO_OK:
		loop_moved(channel->client->loop);
		channel->in_end += n;
		return channel->state == CHANNEL_ASK ? take_opening(channel) : take_all(channel);
	case HTTP_IO_AGAIN:
		return true;
	case HTTP_IO_END:
	case HTTP_IO_LOST:
		break;
	}
	fail_with(channel, ERROR_INTERNAL, "the other side has closed it");
	return false;
}

/* What can be done now. The channel may be gone afterwards. */
/* What other requests of this moment say leaves with it. */
static bool is_to_leave(struct http_channel *channel)
{
	size_t len = pending(channel);

	if (len == 0 || len >= OUT_SOON || channel->out.failed || ++channel->runs >= RUNS_MOST)
		return true;
	loop_moved(channel->client->loop);
	return false;
}

static void run(struct http_channel *channel)
{
	struct http_client *client = channel->client;
	unsigned reads = 0;
	bool alive = true;

	list_drop(&channel->dirty);
	http_client_enter(client);
	if (channel->state == CHANNEL_SHAKE)
		alive = shake(channel);
	if (alive && channel->state >= CHANNEL_ASK && is_to_leave(channel) && !flush(channel)) {
		fail_with(channel, ERROR_INTERNAL, "the connection broke");
		alive = false;
	}
	while (alive && channel->state >= CHANNEL_ASK && channel->wire.readable && reads++ < READS_MOST)
		alive = read_some(channel);
	if (alive && channel->state >= CHANNEL_ASK && (channel->wire.readable || channel->runs > 0))
		make_dirty(channel);
	http_client_leave(client);
}

static void on_ready(void *arg, uint32_t events)
{
	struct http_channel *channel = arg;

	loop_moved(channel->client->loop);
	if (http_wire_ready(&channel->wire, events))
		run(channel);
}

static void on_dialled(void *arg, int fd, const struct error *err)
{
	struct http_channel *channel = arg;
	struct error why;

	channel->dial = NULL;
	if (fd < 0) {
		fail(channel, err);
		return;
	}
	http_wire_open_client(&channel->wire, fd, channel->tls, channel->host);
	channel->state = CHANNEL_SHAKE;
	channel->watched = loop_watch(channel->client->loop, fd, HTTP_WIRE_EVENTS, on_ready, channel, &why);
	if (!channel->watched) {
		fail(channel, &why);
		return;
	}
	loop_timer_start(
		channel->client->loop, &channel->patience, HTTP_CHANNEL_OPEN_MS, on_open_late, channel);
	make_dirty(channel);
}

/* "https://[::1]:5000/x": the authority, its host without brackets, and a URL by which curl only connects. */
static bool read_url(struct http_channel *channel, const char *url, struct buf *connect, struct error *err)
{
	bool tls = str_starts(str_of(url), "https://");
	const char *authority = url + (tls ? 8 : 7), *host = authority;
	size_t len, host_len;

	if (!tls && !str_starts(str_of(url), "http://"))
		return error_set(err, ERROR_INVALID, NULL, "the URL is not usable");
	len = strcspn(authority, "/");
	channel->authority = check_strndup(authority, len);
	buf_format(connect, "http://%s", channel->authority);
	if (*host == '[')
		host_len = strcspn(++host, "]/");
	else
		host_len = strcspn(host, ":/");
	if (!strchr(channel->authority + (host - authority) + host_len, ':'))
		buf_puts(connect, tls ? ":443" : ":80");
	return (host_len && str_copy(str_from(host, host_len), channel->host, sizeof(channel->host)) &&
		       !connect->failed) ||
	       error_set(err, ERROR_INVALID, NULL, "the URL is not usable");
}

static bool make_tls(struct http_channel *channel, const struct http_channel_spec *spec, struct error *err)
{
	struct http_wire_trust trust = { spec->ca_file, spec->cert_file, spec->key_file };

	return !str_starts(str_of(spec->url), "https://") || http_wire_tls_client(&channel->tls, &trust, err);
}

static void put_ask(struct http_channel *channel, const struct http_channel_spec *spec)
{
	const char *name, *value;

	buf_format(&channel->out,
		"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: " HTTP_FRAME_PROTOCOL "\r\n",
		spec->target, channel->authority);
	for (size_t i = 0; spec->headers && i < http_headers_len(spec->headers); i++) {
		http_headers_at(spec->headers, i, &name, &value);
		buf_format(&channel->out, "%s: %s\r\n", name, value);
	}
	buf_puts(&channel->out, "\r\n");
}

static void on_unusable(void *arg)
{
	fail_with(arg, ERROR_INVALID, "its URL, CA, certificate or key is not usable");
}

struct http_channel *http_channel_open(
	struct http_client *client, const struct http_channel_spec *spec, struct http_channel_events events)
{
	struct http_channel *channel = xnew(struct http_channel);
	AUTO_FINI(buf) connect = buf_limit(1024);
	struct error err;

	loop_assert(client->loop);
	channel->client = client;
	channel->events = events;
	channel->in = check_aligned(64, IN_ROOM);
	/* What must be said besides of requests is bounded by their number. */
	channel->out = buf_limit(2 * HTTP_CHANNEL_OUT);
	list_init(&channel->blocked);
	list_push(&client->channels, &channel->all);
	if (!read_url(channel, spec->url, &connect, &err) || !make_tls(channel, spec, &err)) {
		loop_timer_start(client->loop, &channel->patience, 0, on_unusable, channel);
		return channel;
	}
	put_ask(channel, spec);
	channel->dial = http_client_dial(client, buf_text(&connect), spec->connect_ms, on_dialled, channel);
	return channel;
}

/* For http_client.c. */

void http_channel_forget_call(struct http_call *call)
{
	struct http_channel_call *over = &call->over;

	if (over->channel && !over->last)
		say(over->channel, &(struct http_frame){ .type = HTTP_FRAME_DROP, .id = over->by_id.id });
	let_go(call);
	buf_fini(&over->head);
	buf_fini(&over->held);
}

bool http_channel_has_work(const struct http_client *client)
{
	return list_first(&client->dirty);
}

/* Those that are there now: what one does may give another work, which is for the next turn. */
void http_channel_run_all(struct http_client *client)
{
	struct list *node;
	unsigned n = 0;

	for (LIST_EACH(each, &client->dirty))
		n += list_has(each);
	while (n-- > 0 && (node = list_first(&client->dirty)))
		run(LIST_OF(struct http_channel, dirty, node));
}

/* Look. */

bool http_channel_takes(const struct http_channel *channel, size_t body_len)
{
	size_t len = body_len + HTTP_ANSWER_MAX;

	return channel->state == CHANNEL_OPEN && !channel->away && channel->last_id < HTTP_FRAME_ID_MAX &&
	       channel->calls.len < HTTP_FRAME_CALLS && pending(channel) < HTTP_CHANNEL_OUT &&
	       channel->held + len <= HTTP_CHANNEL_HELD && channel->client->held + len <= HTTP_CHANNELS_HELD;
}

unsigned http_channel_calls(const struct http_channel *channel)
{
	return channel->calls.len;
}
