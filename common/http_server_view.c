/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_view - questions about a request.
 *
 * What the head says is the same as long as the request lives, and is asked for dozens of times: there the
 * thread is not checked. Where an answer can change it is.
 */
#include "common/http_server_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/http_frame.h"

#define CERT_MAX ((size_t)64 * 1024)

enum http_method http_request_method(const struct http_request *request)
{
	return request->head->method;
}

struct str http_request_target(const struct http_request *request)
{
	return request->head->target;
}

struct str http_request_path(const struct http_request *request)
{
	return request->path;
}

struct str http_request_query(const struct http_request *request)
{
	return request->query;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
	return http_request_head_value(request, name, strlen(name));
}

unsigned http_request_header_count(const struct http_request *request, const char *name)
{
	return http_head_count(request->head, name, strlen(name));
}

void http_request_each_header(const struct http_request *request, http_header_f *fn, void *arg)
{
	for (size_t i = 0; i < request->head->fields_len; i++)
		fn(arg, request->head->fields[i].name, request->head->fields[i].value);
}

struct joined {
	const char *name;
	struct buf text;
};

static void join_one(void *arg, const char *name, const char *value)
{
	struct joined *joined = arg;

	if (strcasecmp(name, joined->name) != 0)
		return;
	buf_puts(&joined->text, joined->text.len ? ", " : "");
	buf_puts(&joined->text, value ? value : "");
}

const char *http_request_header_list(const struct http_request *request, const char *name, char **ret_own)
{
	const char *first = http_request_header(request, name);
	/* It always fits: the lines came in one head, with more between them than a comma. */
	struct joined joined = { name, buf_limit(HTTP_HEAD_MAX) };

	*ret_own = NULL;
	if (!first || http_request_header_count(request, name) < 2)
		return first;
	http_request_each_header(request, join_one, &joined);
	*ret_own = buf_take(&joined.text, NULL);
	return *ret_own;
}

int64_t http_request_length(const struct http_request *request)
{
	return request->head->length;
}

static bool has_item(const char *list, const char *item)
{
	struct str rest = str_of(list), one;

	while (str_next(&rest, ',', &one))
		if (str_is_nocase(str_trim(one), item))
			return true;
	return false;
}

bool http_request_may_upgrade(const struct http_request *request)
{
	const struct http_conn *conn = request->conn;

	return !conn->wire.inner && conn->framing.over && request->head->minor > 0 && !request->head->close &&
	       has_item(http_request_header(request, "Upgrade"), HTTP_FRAME_PROTOCOL) &&
	       has_item(http_request_header(request, "Connection"), "upgrade");
}

struct ip http_request_ip(const struct http_request *request)
{
	return request->conn->ip;
}

struct str http_request_client_cert(const struct http_request *request)
{
	struct http_conn *conn = request->conn;

	http_request_assert(request);
	if (!conn->cert.len && conn->server->asks_client) {
		conn->cert = buf_limit(CERT_MAX);
		http_wire_client_cert(&conn->wire, &conn->cert);
	}
	return conn->cert.failed || !conn->cert.len ? STR_NONE : buf_str(&conn->cert);
}

void http_request_set_note(struct http_request *request, const char *note)
{
	http_request_assert(request);
	free(request->conn->note);
	request->conn->note = check_strdup(note);
}

const char *http_request_note(const struct http_request *request)
{
	http_request_assert(request);
	return request->conn->note;
}

struct loop *http_request_loop(const struct http_request *request)
{
	return request->conn->server->loop;
}

uint64_t http_request_id(const struct http_request *request)
{
	return request->id;
}

int64_t http_request_started_us(const struct http_request *request)
{
	return request->started_us;
}

void http_request_set_context(struct http_request *request, void *context)
{
	http_request_assert(request);
	request->context = context;
}

void *http_request_context(const struct http_request *request)
{
	http_request_assert(request);
	return request->context;
}

bool http_request_is_replied(const struct http_request *request)
{
	http_request_assert(request);
	return request->response != NULL;
}

void http_request_wait_limit(struct http_request *request, unsigned ms)
{
	http_request_assert(request);
	request->wait_ms = ms;
	http_watch_by(request->conn->server, ms);
	if (request->conn->watch == HTTP_WATCH_WAIT)
		http_conn_watch(request->conn, HTTP_WATCH_WAIT);
}

struct str http_request_replied_header(const struct http_request *request, const char *name)
{
	struct str rest = request->response ? buf_str(&request->response->fields) : STR_NONE, line, field;

	http_request_assert(request);
	while (str_until(&rest, '\n', &line))
		if (str_until(&line, ':', &field) && str_is_nocase(field, name))
			return str_trim(line);
	return STR_NONE;
}

unsigned http_request_status(const struct http_request *request)
{
	http_request_assert(request);
	return request->status;
}

uint64_t http_request_bytes_in(const struct http_request *request)
{
	http_request_assert(request);
	return request->bytes_in;
}

uint64_t http_request_bytes_out(const struct http_request *request)
{
	http_request_assert(request);
	return request->bytes_out;
}

bool http_request_is_complete(const struct http_request *request)
{
	http_request_assert(request);
	return request->complete;
}
