/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_early - a reply that overtakes a body too long to be read to its end.
 *
 * libmicrohttpd takes no reply while a body is on its way, and closing a socket with unread bytes
 * resets it, which may cost the client the reply. So a small reply is written to the socket past
 * the library, our side is shut, and what the client still sends is dropped up to drain_max.
 * Nothing else has been written to this connection by then but a 100, so the reply fits into the
 * kernel's buffer. With TLS the bytes are not ours to write: there the body is read to its end.
 */
#include "common/http_server_priv.h"

#include <sys/socket.h>

#include "common/check.h"
#include "common/clock.h"

#define EARLY_BODY_MAX ((size_t)32 * 1024)

bool http_early_is_possible(const struct http_request *request)
{
	const struct http_response *response = request->response;
	return !request->conn->server->is_tls && response->kind == HTTP_BODY_BYTES &&
	       response->len <= EARLY_BODY_MAX;
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	if (strcasecmp(name, "Connection") != 0)
		buf_format(arg, "%s: %s\r\n", name, value);
	return MHD_YES;
}

static void write_reply(struct buf *into, const struct http_request *request)
{
	const struct http_response *response = request->response;
	char date[32];
	clock_http_date(clock_wall_s(), date);
	buf_format(into, "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\n", response->status,
		http_status_text(response->status), date);
	(void)MHD_get_response_headers(response->mhd, add_header, into);
	buf_format(into, "Content-Length: %zu\r\n\r\n", response->body.len);
	if (request->method != HTTP_HEAD)
		buf_add(into, response->body);
}

void http_early_send(struct http_request *request)
{
	AUTO_FINI(buf) reply = buf_limit(HTTP_HEAD_MAX + EARLY_BODY_MAX);
	write_reply(&reply, request);
	int fd = request->conn->fd;
	ssize_t sent = reply.failed ? -1 : send(fd, reply.at, reply.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	request->early_sent = sent == (ssize_t)reply.len;
	request->status = request->response->status;
	request->bytes_out = request->early_sent && request->method != HTTP_HEAD ? request->response->len : 0;
	request->phase = HTTP_PHASE_LINGER;
	request->dropped = 0;
	if (request->early_sent)
		(void)shutdown(fd, SHUT_WR);
	else
		http_conn_cut(request->conn);
}
