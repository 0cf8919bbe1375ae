/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_body - a request's body on its way to a sink, into a buffer, or nowhere.
 */
#include "common/http_server_priv.h"

#include "common/check.h"

static struct http_sink take_sink(struct http_request *request)
{
	struct http_sink sink = request->sink;
	request->sink = (struct http_sink){ 0 };
	request->has_sink = false;
	return sink;
}

void http_request_stream(struct http_request *request, struct http_sink sink)
{
	loop_assert(request->conn->server->loop);
	CHECK(!request->has_sink && sink.on_bytes && sink.on_end && sink.on_gone);
	if (request->response)
		return;
	request->sink = sink;
	request->has_sink = true;
	http_conn_watch(request->conn, HTTP_WATCH_MOVE);
	if (!request->inside)
		http_conn_resume(request->conn);
}

void http_request_more(struct http_request *request)
{
	loop_assert(request->conn->server->loop);
	request->more = true;
	if (!request->inside)
		http_conn_resume(request->conn);
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
	if (body->len == 0 && request->length > 0) /* no growing step by step */
		(void)buf_reserve(body, (size_t)request->length);
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
	CHECK(!request->collect.fn && fn);
	if (request->response) {
		if (gone)
			gone(arg);
		return;
	}
	request->collect =
		(struct http_collect){ .fn = fn, .gone = gone, .arg = arg, .body = buf_limit(max) };
	struct http_sink sink = { request, collect_bytes, collect_end, collect_gone };
	http_request_stream(request, sink);
}

void http_request_collect(struct http_request *request, size_t max, http_collected_f *fn, void *arg)
{
	http_request_collect_or(request, max, fn, NULL, arg);
}

void http_body_refuse_announced(struct http_request *request)
{
	size_t max = request->collect.body.max;
	if (request->collect.fn && request->length > 0 && (uint64_t)request->length > max)
		too_large(request, max);
}

/* Steps. */

static size_t feed_sink(struct http_request *request, const char *bytes, size_t len)
{
	size_t taken = 0;
	while (taken < len && request->has_sink && !request->response) {
		request->more = false;
		size_t n = request->sink.on_bytes(request->sink.arg, bytes + taken, len - taken);
		CHECK(n <= len - taken);
		taken += n;
		if (taken < len && !request->more)
			break;
	}
	request->bytes_in += taken;
	return taken;
}

static bool drop(struct http_request *request, size_t len)
{
	size_t most = request->conn->server->settings.drain_max;
	request->dropped += len;
	request->bytes_in += len;
	if (request->dropped <= most)
		return true;
	if (request->phase == HTTP_PHASE_LINGER)
		return false;
	if (http_early_is_possible(request))
		http_early_send(request);
	return true;
}

enum MHD_Result http_body_take(struct http_request *request, const char *bytes, size_t *len)
{
	size_t left = *len;
	if (request->phase == HTTP_PHASE_BODY)
		left -= feed_sink(request, bytes, left);
	if (request->phase == HTTP_PHASE_BODY && request->response)
		http_body_overtake(request);
	if (left > 0 && (request->phase == HTTP_PHASE_DRAIN || request->phase == HTTP_PHASE_LINGER)) {
		if (!drop(request, left))
			return MHD_NO;
		left = 0;
	}
	*len = left;
	if (left > 0)
		http_conn_suspend(request->conn);
	return MHD_YES;
}

void http_body_end(struct http_request *request)
{
	http_conn_watch(request->conn, HTTP_WATCH_WAIT);
	struct http_sink sink = take_sink(request);
	sink.on_end(sink.arg);
}

void http_body_gone(struct http_request *request)
{
	struct http_sink sink = take_sink(request);
	sink.on_gone(sink.arg);
}

static bool rest_is_short(const struct http_request *request)
{
	if (request->length < 0)
		return true; /* nobody knows: drop() counts */
	uint64_t rest = (uint64_t)request->length - request->bytes_in;
	return rest <= request->conn->server->settings.drain_max;
}

void http_body_overtake(struct http_request *request)
{
	if (request->has_sink)
		(void)take_sink(request);
	http_body_forget(request);
	request->phase = HTTP_PHASE_DRAIN;
	http_conn_watch(request->conn, HTTP_WATCH_MOVE);
	if (!rest_is_short(request) && http_early_is_possible(request))
		http_early_send(request);
	http_conn_resume(request->conn);
}
