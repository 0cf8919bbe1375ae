/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_request - a request from its head to its end.
 *
 *     begin --> application --> [ body to a sink ] --> application --> reply --> end
 *
 * Its memory is one piece: the struct, the head cut up, the bytes of the head.
 */
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server_priv.h"

#define FIELD_MAX 1024u

/* Reading the head. */

const char *http_request_head_value(const struct http_request *request, const char *name, size_t len)
{
	return request->head ? http_head_field(request->head, name, len) : NULL;
}

/* The absolute form of a target names an authority first (RFC 9112, 3.2.2). */
static struct str without_authority(struct str target)
{
	if (!str_skip(&target, "http://") && !str_skip(&target, "https://"))
		return target;
	size_t at = 0;
	while (at < target.len && target.at[at] != '/' && target.at[at] != '?')
		at++;
	return at < target.len ? str_from(target.at + at, target.len - at) : STR("/");
}

/* What a terminal, a log or a header could take for something else. */
static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f)
			return true;
	return false;
}

static bool read_target(struct http_request *request)
{
	struct str rest = without_authority(request->head->target);
	if (!str_until(&rest, '?', &request->path)) {
		request->path = rest;
		rest = STR_NONE;
	}
	request->query = rest;
	if (request->path.len == 0)
		return false;
	if (!memchr(request->path.at, '%', request->path.len))
		return true;
	request->decoded = buf_limit(HTTP_TARGET_MAX);
	if (!http_unescape(request->path, false, &request->decoded) || request->decoded.failed)
		return false;
	request->path = buf_str(&request->decoded);
	return !has_control(request->path);
}

/* Refusing. */

static struct http_response *refusal_of(const struct http_server *server, struct http_refusal why)
{
	if (server->app.refuse)
		return server->app.refuse(server->app.app, why.status, why.why);
	struct http_response *response = http_response_copy(why.status, str_of(http_status_text(why.status)));
	http_response_header(response, "Content-Type", "text/plain");
	if (why.status == 503)
		http_response_header(response, "Retry-After", "1");
	return response;
}

/* What follows cannot be trusted. */
static void refuse_and_close(struct http_request *request, struct http_refusal why)
{
	request->response = refusal_of(request->conn->server, why);
	http_response_close(request->response);
}

void http_request_refuse(struct http_request *request, struct http_refusal why)
{
	http_body_gone(request);
	if (request->response)
		return;
	refuse_and_close(request, why);
	request->settled = true;
}

/* Beginning. */

static struct http_request *request_new(struct http_conn *conn, size_t text_len)
{
	struct http_request *request = check_alloc(1, sizeof(*request) + text_len + 1);

	request->magic = HTTP_REQUEST_MAGIC;
	request->conn = conn;
	request->id = conn->server->next_id++;
	request->started_us = clock_us();
	request->wait_ms = conn->server->settings.reply_timeout_ms;
	CHECK(!conn->request);
	conn->request = request;
	conn->state = HTTP_REQUEST;
	conn->begun_ms = loop_now(conn->server->loop);
	conn->framing = (struct http_framing){ .over = true };
	return request;
}

void http_request_begin_refused(struct http_conn *conn, struct http_refusal why)
{
	struct http_request *request = request_new(conn, 0);

	http_conn_watch(conn, HTTP_WATCH_WAIT);
	refuse_and_close(request, why);
}

/* Reads what the text holds; the head that it is read into is the server's until it is copied. */
static bool read_head(struct http_request *request, size_t len, struct http_refusal *ret_why)
{
	struct http_head head;

	if (!http_head_parse(request->text, len, &head, ret_why))
		return false;
	size_t size = sizeof(head) - sizeof(head.fields) + head.fields_len * sizeof(head.fields[0]);
	request->head = check_alloc(1, size);
	memcpy(request->head, &head, size);
	if (read_target(request))
		return true;
	*ret_why = (struct http_refusal){ 400,
		"the path is empty, has a control character, or an escape in it is not %XX" };
	return false;
}

static void read_framing(struct http_request *request)
{
	int64_t length = request->head->length;

	request->conn->framing = (struct http_framing){
		.chunked = length<0, .over = length == 0, .left = length> 0 ? (uint64_t)length : 0
	};
	request->continued = !request->head->expects;
}

static void announce(struct http_request *request)
{
	struct http_server *server = request->conn->server;

	request->announced = true;
	http_moved(request->conn);
	HTTP_STORE(server->requests_len, server->requests_len + 1);
	request->inside = true;
	server->app.on_request(server->app.app, request);
	request->inside = false;
}

void http_request_begin(struct http_conn *conn, size_t head_len)
{
	struct http_request *request = request_new(conn, head_len);
	struct http_refusal why;

	memcpy(request->text, http_input_str(conn).at, head_len);
	http_input_took(conn, head_len);
	http_conn_watch(conn, HTTP_WATCH_WAIT);
	if (!read_head(request, head_len, &why)) {
		refuse_and_close(request, why);
		return;
	}
	read_framing(request);
	announce(request);
}

/* Steps. */

/* How many bytes of a body the reply will have, as far as that is known. */
static uint64_t reply_bytes(const struct http_request *request)
{
	const struct http_response *response = request->response;
	bool none = response->kind == HTTP_BODY_ANNOUNCED || response->status < 200 ||
		    response->status == 204 || response->status == 304 ||
		    (request->head && request->head->method == HTTP_HEAD);

	if (none)
		return 0;
	return response->len_known ? response->len : UINT64_MAX;
}

static bool may_begin(struct http_request *request)
{
	uint64_t len;

	if (!request->meter || request->settled)
		return true;
	if (request->held)
		return false;
	len = reply_bytes(request);
	if (!len)
		return true;
	request->inside = true;
	request->held = !request->meter->on_reply(request->meter->arg, len);
	request->inside = false;
	return !request->held || request->settled;
}

static bool cut_if_lost(struct http_request *request)
{
	if (request->conn->wire.lost)
		http_conn_cut(request->conn);
	return false;
}

bool http_request_step(struct http_request *request)
{
	struct http_conn *conn = request->conn;

	if (request->replying)
		return http_reply_step(request);
	if (request->response) {
		if (!may_begin(request))
			return cut_if_lost(request);
		http_reply_begin(request);
		return true;
	}
	/* Nobody is there to be answered, or to send the rest of what nobody takes now. */
	if (conn->wire.lost && (!request->has_sink || request->blocked)) {
		http_conn_cut(conn);
		return false;
	}
	return request->has_sink && !request->blocked && http_body_step(request);
}

void http_request_reply(struct http_request *request, struct http_response *response)
{
	http_request_assert(request);
	CHECK(request->magic == HTTP_REQUEST_MAGIC && response->magic == HTTP_RESPONSE_MAGIC);
	CHECK(response->kind != HTTP_BODY_ANNOUNCED || request->head->method == HTTP_HEAD);
	if (request->settled) {
		http_response_free(response);
		return;
	}
	CHECK(!request->response);
	request->response = response;
	if (!request->inside)
		http_turns_queue(request->conn);
}

void http_request_set_meter(struct http_request *request, const struct http_meter *meter)
{
	http_request_assert(request);
	request->meter = meter;
}

void http_request_pass(struct http_request *request)
{
	http_request_assert(request);
	request->held = false;
	if (!request->inside)
		http_turns_queue(request->conn);
}

void http_request_reply_instead(struct http_request *request, struct http_response *response)
{
	http_request_assert(request);
	if (request->settled || request->replying) {
		http_response_free(response);
		return;
	}
	http_response_free(TAKE(request->response));
	request->response = response;
	request->settled = true;
	if (!request->inside)
		http_turns_queue(request->conn);
}

void http_request_reply_header(struct http_request *request, const char *name, const char *value)
{
	http_request_assert(request);
	CHECK(!strpbrk(value, "\r\n"));
	if (!request->field.len)
		request->field = buf_limit(FIELD_MAX);
	buf_format(&request->field, "%s: %s\r\n", name, value);
	CHECK(!request->field.failed);
}

void http_request_too_late(struct http_request *request)
{
	if (request->response)
		return;
	struct http_refusal why = { 503, "this took longer than it may; try again" };
	http_request_reply(request, refusal_of(request->conn->server, why));
	request->settled = true;
}

/* Death. */

static void request_free(struct http_request *request)
{
	http_ticket_orphan_all(request);
	if (request->response && request->response->kind == HTTP_BODY_PIPE)
		request->response->request = NULL;
	http_response_free(request->response);
	http_body_forget(request);
	buf_fini(&request->decoded);
	buf_fini(&request->field);
	free(request->head);
	request->magic = 0;
	free(request);
}

void http_request_end(struct http_request *request)
{
	struct http_server *server = request->conn->server;

	request->inside = true; /* nothing can be replied from here on */
	if (!request->response)
		http_body_gone(request);
	if (request->announced) {
		HTTP_STORE(server->requests_len, server->requests_len - 1);
		server->app.on_done(server->app.app, request);
	}
	request->conn->request = NULL;
	request_free(request);
}
