/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_transfer - one exchange on one curl handle.
 */
#include "common/http_client_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/check.h"
#include "common/pipe.h"

#define DEFAULT_CONNECT_MS 3000U
#define DEFAULT_STALL_MS   30000U

static void fail(struct http_transfer *transfer, const struct error *err)
{
	if (transfer->failed)
		return;
	transfer->failed = true;
	transfer->err = *err;
}

static void fail_with(struct http_transfer *transfer, enum error_kind kind, const char *text)
{
	struct error err;
	(void)error_set(&err, kind, NULL, "%s", text);
	fail(transfer, &err);
}

static void moved(struct http_transfer *transfer)
{
	transfer->moved_ms = transfer->now_ms(transfer->owner);
}

/* The request's body. */

static size_t read_bytes(struct http_transfer *transfer, char *into, size_t max)
{
	size_t left = transfer->body.len - (size_t)transfer->sent;
	size_t len = left < max ? left : max;
	if (len > 0)
		memcpy(into, transfer->body.at + transfer->sent, len);
	return len;
}

static size_t read_file(struct http_transfer *transfer, char *into, size_t max)
{
	uint64_t left = (uint64_t)transfer->body_len - transfer->sent;
	size_t len = left < max ? (size_t)left : max;
	if (len == 0)
		return 0;
	ssize_t got;
	do
		got = pread(transfer->fd, into, len, (off_t)(transfer->fd_offset + transfer->sent));
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return (size_t)got;
	struct error err;
	if (got < 0)
		(void)error_sys(&err, "read the body's file");
	else
		(void)error_set(&err, ERROR_INTERNAL, NULL, "the body's file is shorter than announced");
	fail(transfer, &err);
	return CURL_READFUNC_ABORT;
}

static size_t read_pipe(struct http_transfer *transfer, char *into, size_t max)
{
	if (transfer->body_len >= 0 && transfer->sent >= (uint64_t)transfer->body_len)
		return 0;
	if (transfer->body_len >= 0 && (uint64_t)transfer->body_len - transfer->sent < max)
		max = (size_t)((uint64_t)transfer->body_len - transfer->sent);
	size_t len = 0;
	switch (pipe_read(transfer->pipe, into, max, &len)) {
	case PIPE_OK:
		return len;
	case PIPE_AGAIN:
		transfer->read_paused = true;
		return CURL_READFUNC_PAUSE;
	case PIPE_END:
		if (transfer->body_len < 0)
			return 0;
		fail_with(transfer, ERROR_INTERNAL, "the body is shorter than announced");
		break;
	case PIPE_FAILED:
		fail(transfer, pipe_error(transfer->pipe));
		break;
	}
	return CURL_READFUNC_ABORT;
}

static size_t on_read(char *into, size_t size, size_t n, void *arg)
{
	struct http_transfer *transfer = arg;
	if (transfer->failed)
		return CURL_READFUNC_ABORT;
	size_t max = size * n;
	size_t len = transfer->pipe      ? read_pipe(transfer, into, max)
		     : transfer->fd >= 0 ? read_file(transfer, into, max)
					 : read_bytes(transfer, into, max);
	if (len != CURL_READFUNC_ABORT && len != CURL_READFUNC_PAUSE) {
		transfer->sent += len;
		moved(transfer);
	}
	return len;
}

/* curl sends a request again when a kept connection turns out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_transfer *transfer = arg;
	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_FAIL;
	if (transfer->pipe)
		return (uint64_t)offset == transfer->sent ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
	if (transfer->body_len >= 0 && offset > transfer->body_len)
		return CURL_SEEKFUNC_FAIL;
	transfer->again |= (uint64_t)offset < transfer->sent;
	transfer->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* The answer. */

static bool begin_head(struct http_transfer *transfer, struct str line)
{
	uint64_t status = 0;
	struct str version;
	if (!str_until(&line, ' ', &version) || !str_number(&line, 999, &status))
		return false;
	http_headers_free(transfer->headers);
	transfer->headers = http_headers_new();
	transfer->status = (unsigned)status;
	return true;
}

/* Interim heads (1xx) are followed by another one. */
static bool end_head(struct http_transfer *transfer)
{
	if (transfer->status < 200)
		return true;
	transfer->head_done = true;
	const char *text = http_headers_find(transfer->headers, "Content-Length");
	uint64_t length = 0;
	transfer->length = text && str_to_number(str_of(text), INT64_MAX, &length) ? (int64_t)length : -1;
	transfer->on_head(transfer->owner);
	return !transfer->failed;
}

static bool take_line(struct http_transfer *transfer, struct str line)
{
	if (line.len == 0)
		return end_head(transfer);
	if (str_starts(line, "HTTP/"))
		return begin_head(transfer, line);
	struct str name;
	if (!transfer->headers || !str_until(&line, ':', &name))
		return false;
	return http_headers_add(transfer->headers, name, str_trim(line));
}

/* Lines after the head are trailers, which nobody here wants. */
static size_t on_header(char *at, size_t size, size_t n, void *arg)
{
	struct http_transfer *transfer = arg;
	size_t len = size * n;
	if (transfer->failed)
		return 0;
	moved(transfer);
	struct str line = str_from(at, len);
	while (line.len > 0 && (line.at[line.len - 1] == '\n' || line.at[line.len - 1] == '\r'))
		line.len--;
	if (transfer->head_done || take_line(transfer, line))
		return len;
	fail_with(transfer, ERROR_INTERNAL, "the answer's head is too large or not HTTP");
	return 0;
}

static size_t on_write(char *at, size_t size, size_t n, void *arg)
{
	struct http_transfer *transfer = arg;
	if (transfer->failed)
		return 0;
	moved(transfer);
	size_t taken = transfer->on_body(transfer->owner, at, size * n);
	transfer->write_paused = taken == CURL_WRITEFUNC_PAUSE;
	transfer->got += transfer->write_paused ? 0 : taken;
	return taken;
}

/* Setting up. */

/* The framing of the body is curl's affair, and so is Expect. */
static bool is_framing(const char *name)
{
	return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
	       strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Expect") == 0;
}

static void add_line(struct http_transfer *transfer, const char *line)
{
	struct curl_slist *lines = curl_slist_append(transfer->lines, line);
	CHECK(lines);
	transfer->lines = lines;
}

/* curl wants "Name;" for an empty value, and takes "Name:" as: do not send your own. */
static bool add_lines(struct http_transfer *transfer, const struct http_headers *headers, struct error *err)
{
	AUTO_FINI(buf) line = buf_limit((size_t)128 * 1024);
	for (size_t i = 0; headers && i < http_headers_len(headers); i++) {
		const char *name, *value;
		http_headers_at(headers, i, &name, &value);
		if (is_framing(name))
			continue;
		buf_clear(&line);
		if (*value)
			buf_format(&line, "%s: %s", name, value);
		else
			buf_format(&line, "%s;", name);
		if (!buf_check(&line, "a header", err))
			return false;
		add_line(transfer, buf_text(&line));
	}
	add_line(transfer, "Expect:");
	if (!headers || !http_headers_find(headers, "Accept"))
		add_line(transfer, "Accept:");
	return true;
}

#define SET(easy, option, value) CHECK(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

static void set_fixed(struct http_transfer *transfer)
{
	CURL *easy = transfer->easy;
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_PROXY, "");
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_TCP_NODELAY, 1L);
	SET(easy, CURLOPT_PATH_AS_IS, 1L);
	SET(easy, CURLOPT_BUFFERSIZE, HTTP_RECEIVE_BUFFER);
	SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, HTTP_SEND_BUFFER);
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_ERRORBUFFER, transfer->reason);
	SET(easy, CURLOPT_HEADERFUNCTION, on_header);
	SET(easy, CURLOPT_HEADERDATA, transfer);
	SET(easy, CURLOPT_WRITEFUNCTION, on_write);
	SET(easy, CURLOPT_WRITEDATA, transfer);
	SET(easy, CURLOPT_PRIVATE, transfer->owner);
}

static void set_body(struct http_transfer *transfer, const struct http_call_spec *spec)
{
	transfer->fd = -1;
	transfer->body_len = 0;
	if (spec->body_pipe) {
		transfer->pipe = spec->body_pipe;
		transfer->body_len = spec->body_pipe_len;
	} else if (spec->body_fd_len > 0) {
		transfer->fd = spec->body_fd;
		transfer->fd_offset = spec->body_fd_offset;
		transfer->body_len = (int64_t)spec->body_fd_len;
	} else {
		transfer->body = spec->body;
		transfer->body_len = (int64_t)spec->body.len;
	}
	transfer->has_body = spec->has_body || transfer->body_len != 0 || spec->body_pipe;
}

static void set_method(struct http_transfer *transfer, const char *method)
{
	CURL *easy = transfer->easy;
	if (strcmp(method, "HEAD") == 0) {
		SET(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (!transfer->has_body) {
		SET(easy, CURLOPT_HTTPGET, 1L);
	} else {
		SET(easy, CURLOPT_UPLOAD, 1L);
		SET(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->body_len);
		SET(easy, CURLOPT_READFUNCTION, on_read);
		SET(easy, CURLOPT_READDATA, transfer);
		SET(easy, CURLOPT_SEEKFUNCTION, on_seek);
		SET(easy, CURLOPT_SEEKDATA, transfer);
	}
	SET(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_trust(CURL *easy, const struct http_call_spec *spec)
{
	SET(easy, CURLOPT_SSL_VERIFYPEER, spec->insecure ? 0L : 1L);
	SET(easy, CURLOPT_SSL_VERIFYHOST, spec->insecure ? 0L : 2L);
	if (spec->ca_file)
		SET(easy, CURLOPT_CAINFO, spec->ca_file);
	if (spec->cert_file)
		SET(easy, CURLOPT_SSLCERT, spec->cert_file);
	if (spec->key_file)
		SET(easy, CURLOPT_SSLKEY, spec->key_file);
}

bool http_transfer_setup(struct http_transfer *transfer, const struct http_call_spec *spec, struct error *err)
{
	transfer->length = -1;
	transfer->stall_ms = spec->stall_ms ? spec->stall_ms : DEFAULT_STALL_MS;
	set_fixed(transfer);
	set_body(transfer, spec);
	moved(transfer);
	if (spec->proxy)
		SET(transfer->easy, CURLOPT_PROXY, spec->proxy);
	if (spec->fresh)
		SET(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (curl_easy_setopt(transfer->easy, CURLOPT_URL, spec->url) != CURLE_OK)
		return error_set(err, ERROR_INVALID, NULL, "the URL is not usable");
	set_method(transfer, spec->method);
	set_trust(transfer->easy, spec);
	SET(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(spec->connect_ms ? spec->connect_ms : DEFAULT_CONNECT_MS));
	SET(transfer->easy, CURLOPT_TIMEOUT_MS, (long)spec->total_ms);
	if (!add_lines(transfer, spec->headers, err))
		return false;
	SET(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
	return true;
}

void http_transfer_fini(struct http_transfer *transfer)
{
	curl_slist_free_all(transfer->lines);
	transfer->lines = NULL;
	http_headers_free(transfer->headers);
	transfer->headers = NULL;
	pipe_unref_reader(TAKE(transfer->pipe));
}

/* What went wrong. */

static curl_off_t info_number(CURL *easy, CURLINFO what)
{
	curl_off_t number = 0;
	return curl_easy_getinfo(easy, what, &number) == CURLE_OK ? number : 0;
}

static bool is_connected(const struct http_transfer *transfer)
{
	return info_number(transfer->easy, CURLINFO_PRETRANSFER_TIME_T) > 0;
}

/* Certain that the other side did not act: it had no head, or no byte of a body it needs. Over all that curl
 * has sent: where a kept connection dies it sends the request once more, and what it is told then (a
 * connection refused) says nothing of the first. */
static bool is_unprocessed(const struct http_transfer *transfer)
{
	if (transfer->status != 0)
		return false;
	long head = 0;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &head);
	return head == 0 || (transfer->body_len > 0 && transfer->sent == 0 && !transfer->again);
}

static enum error_kind kind_of(const struct http_transfer *transfer, CURLcode code)
{
	enum error_kind unless_sent = is_unprocessed(transfer) ? ERROR_UNAVAILABLE : ERROR_INTERNAL;

	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return unless_sent;
	case CURLE_URL_MALFORMAT:
		return ERROR_INVALID;
	/* Of the URL, which is found before there is a connection; or what came is no HTTP/1. */
	case CURLE_UNSUPPORTED_PROTOCOL:
		return is_connected(transfer) ? ERROR_INTERNAL : ERROR_INVALID;
	case CURLE_OPERATION_TIMEDOUT:
		return is_connected(transfer) ? ERROR_TIMEOUT : unless_sent;
	default:
		return ERROR_INTERNAL;
	}
}

bool http_transfer_result(struct http_transfer *transfer, CURLcode code, struct error *err)
{
	if (transfer->failed) {
		*err = transfer->err;
		return false;
	}
	if (code == CURLE_OK && transfer->head_done)
		return true;
	const char *reason = code == CURLE_OK    ? "no answer"
			     : *transfer->reason ? transfer->reason
						 : curl_easy_strerror(code);
	(void)error_set(err, code == CURLE_OK ? ERROR_INTERNAL : kind_of(transfer, code), NULL, "%s", reason);
	/* Addresses, which the text may name, are for the log. */
	if (err)
		err->sys = EREMOTEIO;
	return false;
}

bool http_transfer_next_over(CURLM *multi, void **ret_owner, CURLcode *ret_code)
{
	struct CURLMsg *message;
	char *owner = NULL;
	int left = 0;
	do
		message = curl_multi_info_read(multi, &left);
	while (message && message->msg != CURLMSG_DONE);
	if (!message)
		return false;
	CHECK(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner) == CURLE_OK);
	*ret_owner = owner;
	*ret_code = message->data.result;
	return true;
}

int64_t http_transfer_stalls_in(struct http_transfer *transfer)
{
	int64_t now = transfer->now_ms(transfer->owner);
	if (transfer->read_paused || transfer->write_paused || !is_connected(transfer))
		transfer->moved_ms = now;
	int64_t left = transfer->moved_ms + transfer->stall_ms - now;
	if (left > 0)
		return left;
	fail_with(transfer, ERROR_TIMEOUT, "no progress");
	return 0;
}

const char *http_client_library(void)
{
	return curl_version_info(CURLVERSION_NOW)->version;
}
