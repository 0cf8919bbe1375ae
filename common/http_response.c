/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_response - a reply: status, headers and where the body comes from.
 *
 * A request holds its response until its last byte was handed to the kernel.
 */
#include "common/http_server_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/http_frame.h"
#include "common/pipe.h"

/* Of one reply. What is passed on of a peer's has at most 64 KiB (http.h), what comes from a request at most
 * three times its target. */
#define FIELDS_MAX ((size_t)256 * 1024)

static struct http_response *response_new(unsigned status, enum http_body_kind kind)
{
	CHECK((status >= 200 || status == 101) && status <= 999);
	struct http_response *response = xnew(struct http_response);
	response->magic = HTTP_RESPONSE_MAGIC;
	response->status = status;
	response->kind = kind;
	response->len_known = true;
	response->file = -1;
	response->fields = buf_limit(FIELDS_MAX);
	return response;
}

static struct http_response *with_bytes(struct http_response *response, struct str body)
{
	response->body = body;
	response->len = body.len;
	return response;
}

struct http_response *http_response_empty(unsigned status)
{
	return with_bytes(response_new(status, HTTP_BODY_BYTES), STR(""));
}

struct http_response *http_response_upgrade(void)
{
	struct http_response *response = with_bytes(response_new(101, HTTP_BODY_BYTES), STR(""));

	response->upgrades = true;
	buf_puts(&response->fields, "Upgrade: " HTTP_FRAME_PROTOCOL "\r\nConnection: Upgrade\r\n");
	return response;
}

struct http_response *http_response_copy(unsigned status, struct str body)
{
	struct http_response *response = response_new(status, HTTP_BODY_BYTES);
	if (body.len == 0)
		return with_bytes(response, STR(""));
	response->owned = check_alloc(1, body.len);
	memcpy(response->owned, body.at, body.len);
	return with_bytes(response, str_from(response->owned, body.len));
}

struct http_response *http_response_buf(unsigned status, struct buf *body)
{
	if (body->failed) {
		buf_clear(body);
		return http_response_empty(500);
	}
	struct http_response *response = response_new(status, HTTP_BODY_BYTES);
	size_t len = 0;
	response->owned = buf_take(body, &len);
	return with_bytes(response, str_from(response->owned, len));
}

struct http_response *http_response_shared(
	unsigned status, struct str body, void (*release)(void *arg), void *arg)
{
	struct http_response *response = response_new(status, HTTP_BODY_BYTES);
	response->release = release;
	response->release_arg = arg;
	return with_bytes(response, body.len > 0 ? body : STR(""));
}

struct http_response *http_response_file(unsigned status, int fd, uint64_t offset, uint64_t len)
{
	if (len == 0) {
		(void)close(fd);
		return http_response_empty(status);
	}
	struct http_response *response = response_new(status, HTTP_BODY_FILE);
	response->len = len;
	response->file = fd;
	response->offset = offset;
	return response;
}

struct http_response *http_response_growing(unsigned status, const struct http_growing *growing)
{
	struct http_response *response =
		http_response_file(status, growing->fd, growing->offset, growing->len);

	if (response->kind != HTTP_BODY_FILE)
		return response;
	response->grows = true;
	response->there = growing->there < growing->len ? growing->there : growing->len;
	response->broken = growing->broken;
	response->broken_arg = growing->arg;
	return response;
}

static void on_pipe_bytes(void *arg)
{
	struct http_response *response = OBJ_CAST(http_response, HTTP_RESPONSE_MAGIC, arg);
	if (response->request)
		http_turns_queue(response->request->conn);
}

struct http_response *http_response_pipe(unsigned status, struct pipe *pipe, int64_t len)
{
	struct http_response *response = response_new(status, HTTP_BODY_PIPE);
	response->pipe = pipe;
	response->len_known = len >= 0;
	response->len = len >= 0 ? (uint64_t)len : 0;
	pipe_on_bytes(pipe, on_pipe_bytes, response);
	return response;
}

static struct http_response *growing_of(struct http_request *request)
{
	struct http_response *response = request->response;

	http_request_assert(request);
	return response && response->kind == HTTP_BODY_FILE && response->grows && !request->complete
		       ? response
		       : NULL;
}

static void go_on(struct http_request *request)
{
	if (request->replying)
		http_turns_queue(request->conn);
}

void http_request_there(struct http_request *request, uint64_t there)
{
	struct http_response *response = growing_of(request);

	if (!response || response->is_broken || there <= response->there)
		return;
	response->there = there < response->len ? there : response->len;
	go_on(request);
}

uint64_t http_request_stop(struct http_request *request)
{
	struct http_response *response = growing_of(request);

	if (response) {
		response->is_broken = true;
		response->there = request->bytes_out;
	}
	return request->bytes_out;
}

void http_request_go_on(struct http_request *request, struct pipe *pipe)
{
	struct http_response *response = growing_of(request);

	if (!response) {
		pipe_unref_reader(pipe);
		return;
	}
	response->kind = HTTP_BODY_PIPE;
	response->pipe = pipe;
	if (request->replying)
		response->request = request;
	pipe_on_bytes(pipe, on_pipe_bytes, response);
	go_on(request);
}

void http_request_cut(struct http_request *request)
{
	if (growing_of(request))
		http_conn_cut(request->conn);
}

struct http_response *http_response_announce(unsigned status, uint64_t len)
{
	struct http_response *response = response_new(status, HTTP_BODY_ANNOUNCED);
	response->len = len;
	return response;
}

/* The framing is the server's affair. */
static bool is_framing(const char *name)
{
	return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
	       strcasecmp(name, "Connection") == 0;
}

void http_response_header(struct http_response *response, const char *name, const char *value)
{
	CHECK(!atomic_load(&response->queued));
	CHECK(*name && !strpbrk(name, " \t\r\n:") && !strpbrk(value, "\r\n"));
	if (*value && !is_framing(name)) {
		buf_puts(&response->fields, name);
		buf_puts(&response->fields, ": ");
		buf_puts(&response->fields, value);
		buf_puts(&response->fields, "\r\n");
	}
	CHECK(!response->fields.failed);
}

void http_response_headerf(struct http_response *response, const char *name, const char *format, ...)
{
	AUTO_FINI(buf) value = buf_limit(FIELDS_MAX);
	va_list args;
	va_start(args, format);
	buf_vformat(&value, format, args);
	va_end(args);
	CHECK(!value.failed && strlen(buf_text(&value)) == value.len);
	http_response_header(response, name, buf_text(&value));
}

void http_response_close(struct http_response *response)
{
	CHECK(!atomic_load(&response->queued));
	response->close = true;
}

void http_response_free(struct http_response *response)
{
	if (!response)
		return;
	CHECK(response->magic == HTTP_RESPONSE_MAGIC);
	buf_fini(&response->fields);
	if (response->file >= 0)
		(void)close(response->file);
	pipe_unref_reader(response->pipe);
	if (response->release)
		response->release(response->release_arg);
	free(response->owned);
	response->magic = 0;
	free(response);
}

unsigned http_response_status(const struct http_response *response)
{
	return response->status;
}
