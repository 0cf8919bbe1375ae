/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_body - a request's body on its way to a sink, into a buffer, or nowhere.
 */
#include "common/check.h"
#include "common/http_server_priv.h"

#define ROOM_MOST ((size_t)256 * 1024) /* at once: others have their turn */

static struct http_sink take_sink(struct http_request *request)
{
	struct http_sink sink = request->sink;

	request->sink = (struct http_sink){ 0 };
	request->has_sink = false;
	return sink;
}

void http_request_stream(struct http_request *request, struct http_sink sink)
{
	http_request_assert(request);
	CHECK(!request->has_sink && sink.on_bytes && sink.on_end && sink.on_gone);
	if (request->response)
		return;
	request->sink = sink;
	request->has_sink = true;
	request->blocked = false;
	http_conn_watch(request->conn, HTTP_WATCH_MOVE);
	if (!request->inside)
		http_turns_queue(request->conn);
}

void http_request_more(struct http_request *request)
{
	http_request_assert(request);
	request->more = true;
	request->blocked = false;
	if (!request->inside)
		http_turns_queue(request->conn);
}

/* Collecting is a sink of ours. */

static void too_large(struct http_request *request, size_t max)
{
	struct http_collect collect = request->collect;

	request->collect = (struct http_collect){ 0 };
	(void)take_sink(request);
	buf_fini(&collect.body);
	http_conn_watch(request->conn, HTTP_WATCH_WAIT);
	struct error err;
	(void)error_set(&err, ERROR_TOO_LARGE, NULL, "the body is over %zu bytes", max);
	collect.fn(collect.arg, request, STR_NONE, &err);
}

static size_t collect_bytes(void *arg, const void *bytes, size_t len)
{
	struct http_request *request = OBJ_CAST(http_request, HTTP_REQUEST_MAGIC, arg);
	struct buf *body = &request->collect.body;

	buf_append(body, bytes, len);
	if (body->failed)
		too_large(request, body->max);
	return len;
}

static void collect_end(void *arg)
{
	struct http_request *request = OBJ_CAST(http_request, HTTP_REQUEST_MAGIC, arg);
	struct http_collect collect = request->collect;

	request->collect = (struct http_collect){ 0 };
	collect.fn(collect.arg, request, buf_str(&collect.body), NULL);
	buf_fini(&collect.body);
}

static void collect_gone(void *arg)
{
	struct http_request *request = OBJ_CAST(http_request, HTTP_REQUEST_MAGIC, arg);

	http_body_forget(request);
}

void http_body_forget(struct http_request *request)
{
	struct http_collect collect = request->collect;

	request->collect = (struct http_collect){ 0 };
	buf_fini(&collect.body);
	if (collect.gone)
		collect.gone(collect.arg);
}

void http_request_collect_or(
	struct http_request *request, size_t max, http_collected_f *fn, http_gone_f *gone, void *arg)
{
	http_request_assert(request);
	CHECK(!request->collect.fn && fn);
	if (request->response) {
		if (gone)
			gone(arg);
		return;
	}
	request->collect =
		(struct http_collect){ .fn = fn, .gone = gone, .arg = arg, .body = buf_limit(max) };
	struct http_sink sink = { request, collect_bytes, collect_end, collect_gone, NULL };
	http_request_stream(request, sink);
}

void http_request_collect(struct http_request *request, size_t max, http_collected_f *fn, void *arg)
{
	http_request_collect_or(request, max, fn, NULL, arg);
}

/* What is announced to be over the limit need not come first. */
static bool refuse_announced(struct http_request *request)
{
	size_t max = request->collect.body.max;

	if (!request->collect.fn || request->head->length <= 0 || (uint64_t)request->head->length <= max)
		return false;
	too_large(request, max);
	return true;
}

/* Bytes. */

/* What there is of the body now. DATA: *ret_data, at the front of the input. */
static enum http_chunks_step look(struct http_conn *conn, struct str *ret_data, struct http_refusal *ret_why)
{
	struct http_framing *framing = &conn->framing;
	struct str in = http_input_str(conn), rest = in;
	enum http_chunks_step step;

	if (framing->over)
		return HTTP_CHUNKS_END;
	if (!framing->chunked) {
		*ret_data = str_from(in.at, in.len < framing->left ? in.len : (size_t)framing->left);
		return in.len > 0 ? HTTP_CHUNKS_DATA : HTTP_CHUNKS_MORE;
	}
	step = http_chunks_next(&framing->chunks, &rest, ret_data, ret_why);
	if (step != HTTP_CHUNKS_BAD)
		http_input_took(conn, in.len - rest.len);
	framing->over = step == HTTP_CHUNKS_END;
	return step;
}

static void took(struct http_conn *conn, size_t n)
{
	struct http_framing *framing = &conn->framing;
	struct str in = http_input_str(conn);

	if (framing->chunked) {
		http_chunks_took(&framing->chunks, &in, n);
	} else {
		framing->left -= n;
		framing->over = framing->left == 0;
	}
	http_input_took(conn, n);
}

static bool fill(struct http_conn *conn)
{
	return http_conn_went(conn, http_input_fill(conn));
}

/* To the sink. */

static void feed(struct http_request *request, struct str data)
{
	request->more = false;
	request->inside = true;
	size_t may = request->meter ? request->meter->on_body(request->meter->arg, data.len) : data.len;
	size_t n = may ? request->sink.on_bytes(request->sink.arg, data.at, may) : 0;
	request->inside = false;
	CHECK(n <= data.len);
	if (n > 0)
		http_moved(request->conn);
	request->bytes_in += n;
	took(request->conn, n);
	request->blocked = n < data.len && !request->more;
}

/* A length is known, nothing of it is in our hands, and nobody counts it before it is taken. */
static char *room_of(struct http_request *request, size_t *ret_len)
{
	const struct http_conn *conn = request->conn;
	const struct http_framing *framing = &conn->framing;
	char *room;

	if (!request->sink.on_room || framing->chunked || request->meter || http_input_str(conn).len > 0 ||
		!conn->wire.readable)
		return NULL;
	request->inside = true;
	room = request->sink.on_room(request->sink.arg, ret_len);
	request->inside = false;
	if (room && *ret_len > framing->left)
		*ret_len = (size_t)framing->left;
	if (room && *ret_len > ROOM_MOST)
		*ret_len = ROOM_MOST;
	return room;
}

static bool receive(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	struct http_framing *framing = &conn->framing;
	size_t room, len = 0, n;
	char *at = room_of(request, &room);

	if (!at)
		return fill(conn);
	enum http_io io = http_wire_read(&conn->wire, at, room, &len);
	if (len > 0) {
		request->inside = true;
		n = request->sink.on_bytes(request->sink.arg, at, len);
		request->inside = false;
		CHECK(n == len);
		http_moved(conn);
		request->bytes_in += n;
		framing->left -= n;
		framing->over = framing->left == 0;
	}
	return http_conn_went(conn, io);
}

static void end(struct http_request *request)
{
	struct http_sink sink = take_sink(request);

	http_conn_watch(request->conn, HTTP_WATCH_WAIT);
	request->inside = true;
	sink.on_end(sink.arg);
	request->inside = false;
}

/* Who waits for a 100 gets it when somebody wants the body and nothing of it has come. */
static bool say_continue(struct http_request *request)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (request->continued)
		return false;
	request->continued = true;
	if (http_input_str(request->conn).len > 0)
		return false;
	http_out_put(request->conn, go_on, sizeof(go_on) - 1);
	return true;
}

bool http_body_step(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	struct http_refusal why;
	struct str data;

	request->inside = true;
	bool refused = refuse_announced(request);
	request->inside = false;
	if (refused || say_continue(request))
		return true;
	if (conn->out_len > 0 && !http_out_flush(conn) && conn->cut)
		return false;
	switch (look(conn, &data, &why)) {
	case HTTP_CHUNKS_DATA:
		feed(request, data);
		return true;
	case HTTP_CHUNKS_END:
		end(request);
		return true;
	case HTTP_CHUNKS_MORE:
		return receive(request);
	case HTTP_CHUNKS_BAD:
		break;
	}
	http_request_refuse(request, why);
	return true;
}

void http_body_gone(struct http_request *request)
{
	if (!request->has_sink)
		return;
	struct http_sink sink = take_sink(request);
	request->inside = true;
	sink.on_gone(sink.arg);
	request->inside = false;
}

/* To nowhere. */

bool http_body_drop(struct http_conn *conn)
{
	struct http_refusal why;
	struct str data;

	switch (look(conn, &data, &why)) {
	case HTTP_CHUNKS_DATA:
		took(conn, data.len);
		conn->dropped += data.len;
		if (conn->dropped <= conn->server->settings.drain_max)
			return true;
		break;
	case HTTP_CHUNKS_END:
		return true;
	case HTTP_CHUNKS_MORE:
		return fill(conn);
	case HTTP_CHUNKS_BAD:
		break;
	}
	http_conn_cut(conn);
	return false;
}
