/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http_wire_priv.h"
#include "common/log.h"

/* At most so much of a file at a time: then others have their turn. */
#define SEND_MOST   ((size_t)1024 * 1024)
#define RECORD_MOST ((size_t)16 * 1024) /* RFC 8446, 5.1 */

/* Life. */

void http_wire_open(struct http_wire *wire, int fd, struct http_wire_tls *tls)
{
	*wire = (struct http_wire){ .fd = fd, .tls = tls, .writable = true, .shaken = !tls };
	if (tls)
		http_wire_tls_ref(tls);
}

void http_wire_open_inner(struct http_wire *wire, const struct http_inner *inner, void *arg)
{
	*wire = (struct http_wire){
		.fd = -1, .writable = true, .shaken = true, .inner = inner, .inner_arg = arg
	};
}

static void begin_tls(struct http_wire *wire, SSL *ssl)
{
	BIO *bio = http_wire_bio_new(wire);

	SSL_set_bio(ssl, bio, bio);
	CHECK(SSL_set_app_data(ssl, wire) == 1);
	wire->ssl = ssl;
}

void http_wire_open_client(struct http_wire *wire, int fd, struct http_wire_tls *tls, const char *host)
{
	http_wire_open(wire, fd, tls);
	if (tls)
		begin_tls(wire, http_wire_tls_dial(tls, host));
}

uint64_t http_wire_progress(const struct http_wire *wire)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (wire->inner)
		return wire->inner->progress(wire->inner_arg);
	if (getsockopt(wire->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

void http_wire_close(struct http_wire *wire)
{
	if (wire->inner) {
		wire->inner->close(wire->inner_arg);
		return;
	}
	SSL_free(wire->ssl);
	free(wire->refused);
	http_wire_tls_free(wire->tls);
	wire->ssl = NULL;
	wire->tls = NULL;
	wire->refused = NULL;
	(void)close(wire->fd);
	wire->fd = -1;
}

bool http_wire_ready(struct http_wire *wire, uint32_t events)
{
	bool news = (events & ~(uint32_t)EPOLLOUT) || !wire->writable;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) {
		wire->readable = true;
		wire->drained = false;
	}
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		wire->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		wire->hung_up = true;
	if (events & (EPOLLERR | EPOLLHUP))
		wire->lost = true;
	return news;
}

/* What a call of OpenSSL came to. */
static enum http_io outcome(struct http_wire *wire, int result)
{
	int error = SSL_get_error(wire->ssl, result);

	switch (error) {
	case SSL_ERROR_WANT_READ:
		wire->readable = false;
		return HTTP_IO_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		wire->writable = false;
		return HTTP_IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return HTTP_IO_END;
	default:
		break;
	}
	if (!wire->shaken && error == SSL_ERROR_SSL)
		log_debug("tls.refused", "reason=%s", log_quote(str_of(http_wire_tls_reason())));
	ERR_clear_error();
	return HTTP_IO_LOST;
}

enum http_io http_wire_handshake(struct http_wire *wire)
{
	if (wire->shaken)
		return HTTP_IO_OK;
	if (wire->lost) /* who is gone gets no signature */
		return HTTP_IO_LOST;
	if (!wire->ssl) /* one that waits for its turn to be greeted costs no more than a plain one */
		begin_tls(wire, http_wire_tls_begin(wire->tls));
	ERR_clear_error();
	int result = SSL_do_handshake(wire->ssl);
	if (result != 1)
		return outcome(wire, result);
	wire->shaken = true;
	return HTTP_IO_OK;
}

/* Reading. */

static enum http_io read_plain(struct http_wire *wire, void *into, size_t max, size_t *ret_len)
{
	ssize_t got;

	do
		got = recv(wire->fd, into, max, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return HTTP_IO_END;
	if (got < 0 && errno != EAGAIN)
		return HTTP_IO_LOST;
	/* Less than there was room for: what comes after it is a new edge, but for an end that we know of. */
	if (got < 0 || ((size_t)got < max && !wire->hung_up))
		wire->readable = false;
	if (got < 0)
		return HTTP_IO_AGAIN;
	*ret_len = (size_t)got;
	return HTTP_IO_OK;
}

enum http_io http_wire_read(struct http_wire *wire, void *into, size_t max, size_t *ret_len)
{
	if (wire->inner)
		return wire->inner->read(wire->inner_arg, into, max, ret_len);
	if (!wire->ssl)
		return read_plain(wire, into, max, ret_len);
	ERR_clear_error();
	int result = SSL_read_ex(wire->ssl, into, max, ret_len);
	return result == 1 ? HTTP_IO_OK : outcome(wire, result);
}

enum http_io http_wire_drop(struct http_wire *wire, char *block, size_t *ret_len)
{
	if (wire->inner)
		return wire->inner->read(wire->inner_arg, block, HTTP_WIRE_BLOCK, ret_len);
	return read_plain(wire, block, HTTP_WIRE_BLOCK, ret_len);
}

/* Writing. */

static enum http_io wrote(struct http_wire *wire, ssize_t n, size_t *ret_len)
{
	if (n > 0) {
		*ret_len = (size_t)n;
		return HTTP_IO_OK;
	}
	if (n < 0 && errno == EAGAIN) {
		wire->writable = false;
		return HTTP_IO_AGAIN;
	}
	return HTTP_IO_LOST;
}

/* Record by record, and all of them to the kernel at once. One that was begun is offered again from the same byte on, and has as
 * many of them as before: as many as may be, or the last ones. */
static enum http_io write_tls(struct http_wire *wire, const char *bytes, size_t len, size_t *ret_len)
{
	size_t done = 0, n;

	len = len < HTTP_WIRE_BLOCK ? len : HTTP_WIRE_BLOCK;
	while (done < len) {
		size_t left = len - done, record = left < RECORD_MOST ? left : RECORD_MOST;
		wire->more = left > record;
		ERR_clear_error();
		int result = SSL_write_ex(wire->ssl, bytes + done, record, &n);
		if (result != 1) {
			enum http_io io = outcome(wire, result);
			if (done == 0)
				return io;
			break;
		}
		done += n;
	}
	*ret_len = done;
	return HTTP_IO_OK;
}

/* One part as it is, several in one block: each write makes records of its own. */
static enum http_io write_tls_parts(
	struct http_wire *wire, const struct iovec *parts, int parts_len, char *block, size_t *ret_len)
{
	size_t len = 0;

	if (parts_len == 1)
		return write_tls(wire, parts[0].iov_base, parts[0].iov_len, ret_len);
	for (int i = 0; i < parts_len && len < HTTP_WIRE_BLOCK; i++) {
		size_t room = HTTP_WIRE_BLOCK - len;
		size_t n = parts[i].iov_len < room ? parts[i].iov_len : room;
		if (n > 0)
			memcpy(block + len, parts[i].iov_base, n);
		len += n;
	}
	return write_tls(wire, block, len, ret_len);
}

enum http_io http_wire_write(struct http_wire *wire, const struct iovec *parts, int parts_len, bool more,
	char *block, size_t *ret_len)
{
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = (size_t)parts_len };
	ssize_t n;

	if (wire->inner)
		return wire->inner->write(wire->inner_arg, parts, parts_len, ret_len);
	if (wire->ssl)
		return write_tls_parts(wire, parts, parts_len, block, ret_len);
	do
		n = sendmsg(wire->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	return wrote(wire, n, ret_len);
}

static enum http_io send_file_read(
	struct http_wire *wire, int file, uint64_t offset, uint64_t len, char *block, size_t *ret_len)
{
	size_t most = len < HTTP_WIRE_BLOCK ? (size_t)len : HTTP_WIRE_BLOCK;
	ssize_t got = pread(file, block, most, (off_t)offset);

	if (got <= 0)
		return HTTP_IO_LOST;
	if (wire->inner)
		return wire->inner->write(wire->inner_arg, &(struct iovec){ block, (size_t)got }, 1, ret_len);
	return write_tls(wire, block, (size_t)got, ret_len);
}

enum http_io http_wire_send_file(
	struct http_wire *wire, int file, uint64_t offset, uint64_t len, char *block, size_t *ret_len)
{
	off_t at = (off_t)offset;
	ssize_t n;

	if (wire->ssl || wire->inner)
		return send_file_read(wire, file, offset, len, block, ret_len);
	do
		n = sendfile(wire->fd, file, &at, len < SEND_MOST ? (size_t)len : SEND_MOST);
	while (n < 0 && errno == EINTR);
	return wrote(wire, n, ret_len);
}

enum http_io http_wire_splice(struct http_wire *wire, int pipe, size_t len, size_t *ret_len)
{
	ssize_t n;

	CHECK(!wire->tls && !wire->inner);
	do
		n = splice(pipe, NULL, wire->fd, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return wrote(wire, n, ret_len);
}

void http_wire_shut(struct http_wire *wire)
{
	if (wire->inner) {
		wire->inner->shut(wire->inner_arg);
		return;
	}
	if (wire->ssl && wire->shaken && !wire->lost) {
		ERR_clear_error();
		(void)SSL_shutdown(wire->ssl);
		ERR_clear_error();
	}
	(void)shutdown(wire->fd, SHUT_WR);
}

void http_wire_client_cert(const struct http_wire *wire, struct buf *into)
{
	X509 *cert = wire->ssl ? SSL_get1_peer_certificate(wire->ssl) : NULL;
	unsigned char *der = NULL;
	int len = cert && SSL_get_verify_result(wire->ssl) == X509_V_OK ? i2d_X509(cert, &der) : 0;

	if (len > 0)
		buf_append(into, der, (size_t)len);
	OPENSSL_free(der);
	X509_free(cert);
}
