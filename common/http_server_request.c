/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_request - the steps of a request, driven by libmicrohttpd's access handler.
 */
#include "common/http_server_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/pipe.h"

/* Birth: the request line is there. libmicrohttpd will cut the target up in place. */
void *http_request_on_uri(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	(void)arg;
	void *context = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct http_conn *conn = OBJ_CAST(http_conn, HTTP_CONN_MAGIC, context);
	size_t len = uri ? strlen(uri) : 0;
	size_t kept = len <= HTTP_TARGET_MAX ? len : 0;
	struct http_request *request = check_alloc(1, sizeof(*request) + kept + 1);
	request->magic = HTTP_REQUEST_MAGIC;
	request->conn = conn;
	request->text_len = len;
	if (kept > 0)
		memcpy(request->text, uri, kept);
	request->id = conn->server->next_id++;
	request->started_us = clock_us();
	request->wait_ms = conn->server->settings.reply_timeout_ms;
	CHECK(!conn->request);
	conn->request = request;
	/* The first head of a connection has its time from the accept on. */
	if (conn->watch != HTTP_WATCH_HEAD)
		http_conn_watch(conn, HTTP_WATCH_HEAD);
	return request;
}

/* Reading the head. */

const char *http_request_head_value(const struct http_request *request, const char *name, size_t len)
{
	const char *value = NULL;
	size_t value_len = 0;
	if (MHD_lookup_connection_value_n(
		    request->conn->mhd, MHD_HEADER_KIND, name, len, &value, &value_len) != MHD_YES)
		return NULL;
	return value ? value : "";
}
#define HEAD_VALUE(request, literal) http_request_head_value((request), literal, sizeof(literal) - 1)

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

static bool read_target(struct http_request *request)
{
	request->target = str_from(request->text, request->text_len);
	struct str rest = without_authority(request->target);
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
	return true;
}

/* Status 0: nothing is wrong. */
struct refusal {
	unsigned status;
	const char *why;
};
#define NO_REFUSAL ((struct refusal){ 0 })

/* Two lengths, or a length beside an encoding, are how requests are smuggled past a proxy. */
static struct refusal read_framing(struct http_request *request)
{
	const char *encoding = HEAD_VALUE(request, "Transfer-Encoding");
	const char *length = HEAD_VALUE(request, "Content-Length");
	if (!encoding && !length)
		return NO_REFUSAL;
	if ((encoding && length) ||
		http_request_header_count(request, encoding ? "Transfer-Encoding" : "Content-Length") != 1)
		return (struct refusal){ 400,
			"one Content-Length or one Transfer-Encoding says where a body ends, not several" };
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return (struct refusal){ 501, "the only transfer encoding that is served is \"chunked\"" };
	uint64_t n = 0;
	if (length && !str_to_number(str_of(length), UINT64_MAX, &n))
		return (struct refusal){ 400, "Content-Length must be a number" };
	if (n > HTTP_LENGTH_MAX)
		return (struct refusal){ 413, "Content-Length is over 2^62" };
	request->length = encoding ? -1 : (int64_t)n;
	request->has_body = request->length != 0;
	const char *expect = request->has_body ? HEAD_VALUE(request, "Expect") : NULL;
	request->expects = expect && strcasecmp(expect, "100-continue") == 0;
	return NO_REFUSAL;
}

static struct refusal read_head(struct http_request *request)
{
	if (request->text_len > HTTP_TARGET_MAX)
		return (struct refusal){ 414, "the target of a request may have 8 KiB" };
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	if (info && info->header_size > HTTP_HEAD_MAX)
		return (struct refusal){ 431, "the head of a request may have 16 KiB" };
	if (!read_target(request))
		return (struct refusal){ 400, "the path is empty, or an escape in it is not %XX" };
	return read_framing(request);
}

static struct http_response *refuse(const struct http_request *request, struct refusal refusal)
{
	const struct http_app *app = &request->conn->server->app;
	if (app->refuse)
		return app->refuse(app->app, refusal.status, refusal.why);
	struct http_response *response =
		http_response_copy(refusal.status, str_of(http_status_text(refusal.status)));
	http_response_header(response, "Content-Type", "text/plain");
	if (refusal.status == 503)
		http_response_header(response, "Retry-After", "1");
	return response;
}

static void request_begin(struct http_request *request, const char *method)
{
	struct http_server *server = request->conn->server;
	request->phase = HTTP_PHASE_UNDECIDED;
	request->method = http_method_parse(str_of(method));
	http_conn_watch(request->conn, HTTP_WATCH_WAIT);
	struct refusal refusal = read_head(request);
	if (refusal.status != 0) {
		request->response = refuse(request, refusal);
		http_response_close(request->response);
		return;
	}
	request->announced = true;
	__atomic_store_n(&server->requests_len, server->requests_len + 1, __ATOMIC_RELAXED);
	server->app.on_request(server->app.app, request);
}

/* Replying. */

static void say_close(struct http_request *request)
{
	struct http_response *response = request->response;
	/* A shared one cannot be changed: there the connection is shut after the reply. */
	if (request->conn->server->quiesced && atomic_load(&response->refs) == 1 &&
		!atomic_load(&response->queued))
		http_response_close(response);
}

static enum MHD_Result queue_reply(struct http_request *request)
{
	struct http_response *response = request->response;
	say_close(request);
	atomic_store(&response->queued, true);
	request->phase = HTTP_PHASE_REPLY;
	request->status = response->status;
	http_conn_watch(request->conn, HTTP_WATCH_MOVE);
	if (response->kind == HTTP_BODY_PIPE)
		response->request = request;
	if (response->kind == HTTP_BODY_FILE)
		request->acked_before = http_conn_acked(request->conn);
	return MHD_queue_response(request->conn->mhd, response->status, response->mhd);
}

/* In a first call, with a body to come. A client that waits for its 100 gets the reply instead.
 * libmicrohttpd closes the connection after each reply that is queued in a first call. */
static enum MHD_Result reply_at_head(struct http_request *request)
{
	if (request->expects)
		return queue_reply(request);
	bool is_short = request->length >= 0 &&
			(uint64_t)request->length <= request->conn->server->settings.drain_max;
	if (!is_short && !http_early_is_possible(request))
		return queue_reply(request);
	request->admitted = true;
	http_body_overtake(request);
	return MHD_YES;
}

static enum MHD_Result at_head(struct http_request *request)
{
	if (request->has_sink && !request->response)
		http_body_refuse_announced(request);
	if (!request->announced) /* refused: what follows the head cannot be trusted */
		return queue_reply(request);
	if (!request->has_body) {
		request->admitted = true; /* the final call follows at once */
		return MHD_YES;
	}
	if (request->response)
		return reply_at_head(request);
	if (request->has_sink) {
		request->phase = HTTP_PHASE_BODY;
		request->admitted = true;
		return MHD_YES;
	}
	http_conn_suspend(request->conn);
	return MHD_YES;
}

static enum MHD_Result at_end(struct http_request *request)
{
	if (request->phase == HTTP_PHASE_LINGER)
		return MHD_NO;
	request->phase = HTTP_PHASE_ENDED;
	if (request->has_sink && !request->response)
		http_body_end(request);
	if (request->response)
		return queue_reply(request);
	http_conn_suspend(request->conn);
	return MHD_YES;
}

enum MHD_Result http_request_on_access(void *arg, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len, void **context)
{
	(void)arg;
	(void)mhd;
	(void)url;
	(void)version;
	struct http_request *request = OBJ_CAST(http_request, HTTP_REQUEST_MAGIC, *context);
	if (request->cut)
		return MHD_NO;
	request->inside = true;
	if (request->phase == HTTP_PHASE_HEAD)
		request_begin(request, method);
	enum MHD_Result result = *upload_len > 0     ? http_body_take(request, upload, upload_len)
				 : request->admitted ? at_end(request)
						     : at_head(request);
	request->inside = false;
	return result;
}

void http_request_reply(struct http_request *request, struct http_response *response)
{
	loop_assert(request->conn->server->loop);
	CHECK(request->magic == HTTP_REQUEST_MAGIC && response->magic == HTTP_RESPONSE_MAGIC);
	CHECK(response->kind != HTTP_BODY_ANNOUNCED || request->method == HTTP_HEAD);
	if (request->timed_out) {
		http_response_unref(response);
		return;
	}
	CHECK(!request->response);
	request->response = response;
	if (request->inside)
		return;
	if (request->phase == HTTP_PHASE_BODY)
		http_body_overtake(request);
	else
		http_conn_resume(request->conn);
}

void http_request_too_late(struct http_request *request)
{
	if (request->response)
		return;
	struct http_response *response =
		refuse(request, (struct refusal){ 503, "this took longer than it may; try again" });
	http_request_reply(request, response);
	request->timed_out = true;
}

/* Death. */

static void count_out(struct http_request *request)
{
	const struct http_response *response = request->response;
	bool no_body = request->method == HTTP_HEAD || response->status == 204 || response->status == 304;
	if (no_body) {
		request->bytes_out = 0;
	} else if (response->kind != HTTP_BODY_PIPE && request->complete) {
		request->bytes_out = response->len;
	} else if (response->kind == HTTP_BODY_FILE) {
		uint64_t acked = http_conn_acked(request->conn);
		uint64_t sent = acked > request->acked_before ? acked - request->acked_before : 0;
		request->bytes_out = sent < response->len ? sent : response->len;
	}
}

static void request_free(struct http_request *request)
{
	http_ticket_orphan_all(request);
	if (request->response && request->response->kind == HTTP_BODY_PIPE)
		request->response->request = NULL;
	http_response_unref(request->response);
	http_body_forget(request);
	buf_fini(&request->decoded);
	request->magic = 0;
	free(request);
}

void http_request_on_completed(
	void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
	(void)arg;
	(void)mhd;
	if (!*context)
		return;
	struct http_request *request = OBJ_CAST(http_request, HTTP_REQUEST_MAGIC, *context);
	struct http_conn *conn = request->conn;
	struct http_server *server = conn->server;
	*context = NULL;
	request->inside = true; /* nothing can be replied from here on */
	request->complete = request->phase == HTTP_PHASE_REPLY ? code == MHD_REQUEST_TERMINATED_COMPLETED_OK
							       : request->early_sent;
	if (request->phase == HTTP_PHASE_REPLY)
		count_out(request);
	if (request->has_sink && !request->response)
		http_body_gone(request);
	if (request->announced) {
		__atomic_store_n(&server->requests_len, server->requests_len - 1, __ATOMIC_RELAXED);
		server->app.on_done(server->app.app, request);
	}
	conn->request = NULL;
	conn->suspended = false;
	request_free(request);
	http_conn_watch(conn, HTTP_WATCH_KEEPALIVE);
	if (server->quiesced && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		(void)shutdown(conn->fd, SHUT_RD);
}
