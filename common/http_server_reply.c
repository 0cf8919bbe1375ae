/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_reply - the reply on its way out.
 *
 *     conn->out: [ head | bytes of a pipe ]      then, past it, bytes of memory or of a file
 *
 * A reply may begin before the request's body has come whole. It is sent at once; the rest of the body is
 * dropped afterwards, where it is short, and else the connection closes behind the reply.
 */
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server_priv.h"
#include "common/pipe.h"

#define HEAD_ROOM   ((size_t)256) /* of a head without its fields */
#define CHUNK_HEAD  8             /* "0fffff" CR LF */
#define CHUNK_FRAME (CHUNK_HEAD + 2)
#define LAST_CHUNK  "0\r\n\r\n"

/* What is to be written next. */

static void out_reserve(struct http_conn *conn, size_t len)
{
	size_t held = conn->out_len - conn->out_at;

	if (conn->out_room - conn->out_len >= len)
		return;
	char *wider = check_aligned(16, held + len);
	if (held > 0)
		memcpy(wider, conn->out + conn->out_at, held);
	free(conn->out);
	conn->out = wider;
	conn->out_room = held + len;
	conn->out_at = 0;
	conn->out_len = held;
}

void http_out_put(struct http_conn *conn, const void *bytes, size_t len)
{
	out_reserve(conn, len);
	if (len > 0)
		memcpy(conn->out + conn->out_len, bytes, len);
	conn->out_len += len;
}

static void put(struct http_conn *conn, struct str s)
{
	http_out_put(conn, s.at, s.len);
}

void http_out_fini(struct http_conn *conn)
{
	free(conn->out);
	conn->out = NULL;
	conn->out_at = conn->out_len = conn->out_room = 0;
}

/* n bytes of conn->out were written. */
static void out_took(struct http_conn *conn, size_t n)
{
	conn->out_at += n;
	if (conn->out_at == conn->out_len)
		conn->out_at = conn->out_len = 0;
}

/* Some of conn->out. more: what follows comes at once. */
static bool write_out(struct http_conn *conn, bool more)
{
	struct iovec part = { conn->out + conn->out_at, conn->out_len - conn->out_at };
	size_t n;

	if (!conn->wire.writable || !http_conn_went(conn, http_wire_write(&conn->wire, &part, 1, more,
								  conn->server->out_block, &n)))
		return false;
	out_took(conn, n);
	return true;
}

bool http_out_flush(struct http_conn *conn)
{
	while (conn->out_len > 0)
		if (!write_out(conn, false))
			return false;
	return true;
}

/* The head. */

static const char *date_of(struct http_server *server)
{
	int64_t now = clock_wall_s();

	if (now != server->date_s) {
		clock_http_date(now, server->date);
		server->date_s = now;
	}
	return server->date;
}

static bool is_chunked(const struct http_request *request)
{
	return request->response->kind == HTTP_BODY_PIPE && !request->response->len_known &&
	       request->head->minor > 0 && !request->conn->wire.inner;
}

static bool has_length(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void put_head(struct http_request *request)
{
	const struct http_response *response = request->response;
	struct http_conn *conn = request->conn;
	char text[STR_DECIMAL];

	out_reserve(conn, response->fields.len + request->field.len + HEAD_ROOM);
	put(conn, STR("HTTP/1.1 "));
	put(conn, str_decimal(response->status, text));
	put(conn, STR(" "));
	put(conn, str_of(http_status_text(response->status)));
	put(conn, STR("\r\nDate: "));
	put(conn, str_of(date_of(conn->server)));
	put(conn, STR("\r\n"));
	put(conn, buf_str(&response->fields));
	put(conn, buf_str(&request->field));
	if (!request->keep && !response->upgrades && !conn->wire.inner)
		put(conn, STR("Connection: close\r\n"));
	if (request->head && is_chunked(request) && !request->no_body) {
		put(conn, STR("Transfer-Encoding: chunked\r\n"));
	} else if (response->len_known && has_length(response->status)) {
		put(conn, STR("Content-Length: "));
		put(conn, str_decimal(response->len, text));
		put(conn, STR("\r\n"));
	}
	put(conn, STR("\r\n"));
}

/* Beginning. */

/* May the connection be kept: is what is left of the body worth reading? */
static bool may_keep(const struct http_request *request)
{
	const struct http_conn *conn = request->conn;
	const struct http_framing *framing = &conn->framing;

	if (!request->head || request->head->close || request->response->close ||
		conn->server->winding_down || conn->wire.inner)
		return false;
	if (framing->over)
		return true;
	if (!request->continued) /* nobody knows whether the client sends its body now */
		return false;
	return framing->chunked || framing->left <= conn->server->settings.drain_max;
}

/* The body leaves as it is, through a socket. */
static bool can_splice(const struct http_request *request)
{
	return !request->no_body && request->response->len_known && !request->conn->wire.tls &&
	       !request->conn->wire.inner;
}

void http_reply_begin(struct http_request *request)
{
	struct http_response *response = request->response;

	request->replying = true;
	request->has_sink = false;
	request->sink = (struct http_sink){ 0 };
	http_body_forget(request);
	request->status = response->status;
	request->no_body = !has_length(response->status) || response->kind == HTTP_BODY_ANNOUNCED ||
			   (request->head && request->head->method == HTTP_HEAD);
	request->keep = may_keep(request);
	/* Without chunks the end of such a body is the end of the connection. */
	if (request->head && response->kind == HTTP_BODY_PIPE && !response->len_known && !is_chunked(request))
		request->keep = false;
	atomic_store(&response->queued, true);
	if (response->kind == HTTP_BODY_PIPE)
		response->request = request;
	if (response->kind == HTTP_BODY_PIPE && can_splice(request))
		pipe_may_splice(response->pipe);
	put_head(request);
	http_conn_watch(request->conn, HTTP_WATCH_MOVE);
}

/* A pipe. */

/* A chunk of the pipe's bytes behind what is in conn->out. False: it failed. */
static bool refill(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	char size[CHUNK_FRAME + 1], *into;
	size_t room, len = 0;

	out_reserve(conn, conn->out_len == 0 ? HTTP_PIPE_BLOCK : HTTP_PIPE_BLOCK / 4);
	room = conn->out_room - conn->out_len - CHUNK_FRAME;
	room = room < HTTP_PIPE_BLOCK ? room : HTTP_PIPE_BLOCK;
	into = conn->out + conn->out_len;
	switch (pipe_read(request->response->pipe, into + CHUNK_HEAD, room, &len)) {
	case PIPE_AGAIN:
		return true;
	case PIPE_END:
		request->pipe_over = true;
		put(conn, STR(LAST_CHUNK));
		return true;
	case PIPE_FAILED:
		return false;
	case PIPE_OK:
		break;
	}
	request->bytes_out += len;
	(void)snprintf(size, sizeof(size), "%06zx\r\n", len);
	memcpy(into, size, CHUNK_HEAD);
	memcpy(into + CHUNK_HEAD + len, "\r\n", 2);
	conn->out_len += len + CHUNK_FRAME;
	return true;
}

/* How much may lie in conn->out while the client does not fetch it. */
static bool has_room(const struct http_conn *conn)
{
	return conn->out_len - conn->out_at < HTTP_PIPE_BLOCK / 2;
}

/* Nothing is there to be sent, so no write tells that the client has left. */
static bool idle(struct http_conn *conn)
{
	if (conn->wire.lost)
		http_conn_cut(conn);
	return false;
}

/* As many of the bytes as are left of the body; how many runs. */
static int limit_parts(struct iovec *parts, int len, uint64_t left)
{
	int kept = 0;

	for (; kept < len && left > 0; kept++) {
		if (parts[kept].iov_len > left)
			parts[kept].iov_len = (size_t)left;
		left -= parts[kept].iov_len;
	}
	return kept;
}

/* From the pipe's memory, behind what is in conn->out. TLS takes one run at a time, so that none is copied. */
static bool write_pipe(struct http_request *request, struct iovec *parts, int len)
{
	struct http_conn *conn = request->conn;
	size_t held = conn->out_len - conn->out_at, n = 0;
	const struct iovec *first = held > 0 ? parts : parts + 1;

	parts[0] = (struct iovec){ conn->out + conn->out_at, held };
	len = conn->wire.ssl ? 1 : len + (held > 0);
	if (!conn->wire.writable || !http_conn_went(conn, http_wire_write(&conn->wire, first, len, false,
								  conn->server->out_block, &n)))
		return false;
	if (held > 0)
		out_took(conn, n < held ? n : held);
	n -= n < held ? n : held;
	request->bytes_out += n;
	pipe_took(request->response->pipe, n);
	return true;
}

/* What never came to us, behind what is in conn->out. */
static bool splice_pipe(struct http_request *request, int from, size_t len, uint64_t left)
{
	struct http_conn *conn = request->conn;
	size_t n = 0;

	if (conn->out_len > 0)
		return write_out(conn, true);
	len = left < len ? (size_t)left : len;
	if (!conn->wire.writable || !http_conn_went(conn, http_wire_splice(&conn->wire, from, len, &n)))
		return false;
	request->bytes_out += n;
	pipe_took(request->response->pipe, n);
	return true;
}

/* A body without chunks goes as it is. */
static bool step_plain_pipe(struct http_request *request)
{
	const struct http_response *response = request->response;
	struct http_conn *conn = request->conn;
	uint64_t left = response->len_known ? response->len - request->bytes_out : UINT64_MAX;
	struct iovec parts[3];
	int len = 0, from = -1;
	size_t spliced = pipe_in_kernel(response->pipe, &from);

	if (left > 0 && spliced > 0)
		return splice_pipe(request, from, spliced, left);
	if (left == 0)
		request->pipe_over = true;
	switch (request->pipe_over ? PIPE_AGAIN : pipe_look(response->pipe, parts + 1, &len)) {
	case PIPE_OK:
		return write_pipe(request, parts, limit_parts(parts + 1, len, left));
	case PIPE_END:
		request->pipe_over = !response->len_known;
		break;
	case PIPE_FAILED:
		http_conn_cut(conn);
		return false;
	case PIPE_AGAIN:
		if (conn->out_len > 0)
			return write_out(conn, false);
		return request->pipe_over || idle(conn);
	}
	if (!request->pipe_over)
		http_conn_cut(conn);
	return request->pipe_over;
}

static bool step_pipe(struct http_request *request)
{
	struct http_conn *conn = request->conn;

	if (!is_chunked(request))
		return step_plain_pipe(request);

	if (!request->pipe_over && has_room(conn) && !refill(request)) {
		http_conn_cut(conn);
		return false;
	}
	if (conn->out_len == 0) /* the pipe wakes us */
		return request->pipe_over || idle(conn);
	return write_out(conn, false);
}

/* Memory and files. */

static bool step_bytes(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	const struct str body = request->response->body;
	size_t held = conn->out_len - conn->out_at, left = body.len - (size_t)request->bytes_out, n;
	struct iovec parts[2] = { { conn->out + conn->out_at, held },
		{ (char *)(uintptr_t)body.at + request->bytes_out, left } };
	const struct iovec *first = held > 0 ? parts : parts + 1;
	int parts_len = (held > 0) + (left > 0);

	if (!conn->wire.writable || !http_conn_went(conn, http_wire_write(&conn->wire, first, parts_len,
								  false, conn->server->out_block, &n)))
		return false;
	out_took(conn, n < held ? n : held);
	request->bytes_out += n < held ? 0 : n - held;
	return true;
}

static bool can_be_read(const struct http_request *request)
{
	char byte;

	return pread(request->response->file, &byte, 1,
		       (off_t)(request->response->offset + request->bytes_out)) == 1;
}

/* Was it the file? Then nothing of the reply is lost yet, and who gave it says how it goes on. */
static bool is_broken(struct http_request *request, enum http_io io)
{
	struct http_response *response = request->response;

	if (io == HTTP_IO_OK || io == HTTP_IO_AGAIN || !response->broken || can_be_read(request))
		return false;
	response->is_broken = true;
	response->there = request->bytes_out;
	response->broken(response->broken_arg);
	return true;
}

static bool step_file(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	struct http_response *response = request->response;
	uint64_t until = response->grows ? response->there : response->len;
	enum http_io io;
	size_t n = 0;

	if (conn->out_len > 0)
		return write_out(conn, until > request->bytes_out);
	if (until == request->bytes_out)
		return idle(conn);
	if (!conn->wire.writable)
		return false;
	io = http_wire_send_file(&conn->wire, response->file, response->offset + request->bytes_out,
		until - request->bytes_out, conn->server->out_block, &n);
	if (is_broken(request, io) || !http_conn_went(conn, io))
		return false;
	request->bytes_out += n;
	return true;
}

/* Steps. */

static bool is_out(const struct http_request *request)
{
	const struct http_response *response = request->response;

	if (request->conn->out_len > 0)
		return false;
	if (request->no_body)
		return true;
	if (response->kind == HTTP_BODY_PIPE)
		return request->pipe_over;
	return request->bytes_out == response->len;
}

static bool finish(struct http_request *request)
{
	struct http_conn *conn = request->conn;
	bool keep = request->keep, upgrades = request->response->upgrades;

	request->complete = true;
	http_out_fini(conn);
	http_request_end(request);
	if (upgrades)
		http_channel_begin(conn);
	else
		http_conn_replied(conn, keep);
	return true;
}

bool http_reply_step(struct http_request *request)
{
	if (is_out(request))
		return finish(request);
	if (request->no_body)
		return http_out_flush(request->conn);
	switch (request->response->kind) {
	case HTTP_BODY_PIPE:
		return step_pipe(request);
	case HTTP_BODY_FILE:
		return step_file(request);
	case HTTP_BODY_BYTES:
	case HTTP_BODY_ANNOUNCED:
		break;
	}
	return step_bytes(request);
}
