/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_response - a reply: status, headers and where the body comes from.
 *
 * libmicrohttpd counts its own part; our count covers the bytes behind it. A request holds its
 * response until it is completed, which is after the last send.
 */
#include "common/http_server_priv.h"

#include <string.h>

#include "common/check.h"
#include "common/pipe.h"

static struct http_response *response_new(unsigned status, enum http_body_kind kind)
{
	CHECK(status >= 200 && status <= 999);
	struct http_response *response = xnew(struct http_response);
	response->magic = HTTP_RESPONSE_MAGIC;
	response->refs = 1;
	response->status = status;
	response->kind = kind;
	response->len_known = true;
	return response;
}

/* The header of libmicrohttpd lacks a const here; it only reads. */
static void *unconst(const void *at)
{
	return (void *)(uintptr_t)at;
}

static struct http_response *with_bytes(struct http_response *response, struct str body)
{
	response->body = body;
	response->len = body.len;
	response->mhd = MHD_create_response_from_buffer(body.len, unconst(body.at), MHD_RESPMEM_PERSISTENT);
	CHECK(response->mhd);
	return response;
}

struct http_response *http_response_empty(unsigned status)
{
	return with_bytes(response_new(status, HTTP_BODY_BYTES), STR(""));
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
	if (len == 0) { /* libmicrohttpd refuses an empty part */
		(void)close(fd);
		return http_response_empty(status);
	}
	struct http_response *response = response_new(status, HTTP_BODY_FILE);
	response->len = len;
	response->mhd = MHD_create_response_from_fd_at_offset64(len, fd, offset);
	CHECK(response->mhd);
	return response;
}

static void on_pipe_bytes(void *arg)
{
	struct http_response *response = OBJ_CAST(http_response, HTTP_RESPONSE_MAGIC, arg);
	if (response->request)
		http_conn_resume(response->request->conn);
}

/* Returning 0 without a suspend would make libmicrohttpd spin. */
static ssize_t read_pipe(void *arg, uint64_t at, char *into, size_t max)
{
	(void)at;
	struct http_response *response = OBJ_CAST(http_response, HTTP_RESPONSE_MAGIC, arg);
	struct http_request *request = response->request;
	if (request->cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	size_t len = 0;
	switch (pipe_read(response->pipe, into, max, &len)) {
	case PIPE_OK:
		request->bytes_out += len;
		return (ssize_t)len;
	case PIPE_AGAIN:
		http_conn_suspend(request->conn);
		return 0;
	case PIPE_END:
		if (!response->len_known)
			return MHD_CONTENT_READER_END_OF_STREAM;
		break; /* shorter than announced: cut, it must not look whole */
	case PIPE_FAILED:
		break;
	}
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

struct http_response *http_response_pipe(unsigned status, struct pipe *pipe, int64_t len)
{
	struct http_response *response = response_new(status, HTTP_BODY_PIPE);
	response->pipe = pipe;
	response->len_known = len >= 0;
	response->len = len >= 0 ? (uint64_t)len : MHD_SIZE_UNKNOWN;
	response->mhd =
		MHD_create_response_from_callback(response->len, HTTP_PIPE_BLOCK, read_pipe, response, NULL);
	CHECK(response->mhd);
	pipe_on_bytes(pipe, on_pipe_bytes, response);
	return response;
}

static ssize_t read_nothing(void *arg, uint64_t at, char *into, size_t max)
{
	(void)arg;
	(void)at;
	(void)into;
	(void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

struct http_response *http_response_announce(unsigned status, uint64_t len)
{
	struct http_response *response = response_new(status, HTTP_BODY_ANNOUNCED);
	response->len = len;
	response->mhd = MHD_create_response_from_callback(len, 1, read_nothing, NULL, NULL);
	CHECK(response->mhd);
	return response;
}

/* The framing is libmicrohttpd's affair. */
static bool is_framing(const char *name)
{
	return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
	       strcasecmp(name, "Connection") == 0;
}

void http_response_header(struct http_response *response, const char *name, const char *value)
{
	CHECK(!atomic_load(&response->queued));
	CHECK(*name && !strpbrk(name, " \t\r\n:") && !strpbrk(value, "\r\n"));
	if (*value && !is_framing(name))
		CHECK(MHD_add_response_header(response->mhd, name, value) == MHD_YES);
}

void http_response_headerf(struct http_response *response, const char *name, const char *format, ...)
{
	AUTO_FINI(buf) value = buf_limit(HTTP_HEAD_MAX);
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
	if (response->close)
		return;
	response->close = true;
	CHECK(MHD_add_response_header(response->mhd, "Connection", "close") == MHD_YES);
}

struct http_response *http_response_ref(struct http_response *response)
{
	CHECK(response->magic == HTTP_RESPONSE_MAGIC);
	CHECK(atomic_fetch_add(&response->refs, 1) > 0);
	return response;
}

void http_response_unref(struct http_response *response)
{
	if (!response)
		return;
	CHECK(response->magic == HTTP_RESPONSE_MAGIC);
	if (atomic_fetch_sub(&response->refs, 1) != 1)
		return;
	MHD_destroy_response(response->mhd);
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
