/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_wire_bio - the socket as OpenSSL sees it.
 *
 * OpenSSL reads until the socket has nothing and writes each record by itself. Here a read that brought less than there was
 * room for has emptied the socket, so the next one is answered without asking the kernel; and a record behind which another
 * one comes is written with MSG_MORE, so that the kernel makes large segments of several records.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/http_wire_priv.h"

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; /* of the process, for ever */

static int bio_read(BIO *bio, char *into, int max)
{
	struct http_wire *wire = BIO_get_data(bio);
	ssize_t got = -1;

	BIO_clear_retry_flags(bio);
	if (!wire->drained) {
		do
			got = recv(wire->fd, into, (size_t)max, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
		if (got < 0 && errno != EAGAIN)
			return -1;
		if (got == 0)
			BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
		wire->drained = got < 0 || (got < max && !wire->hung_up);
	}
	if (got < 0)
		BIO_set_retry_read(bio);
	return (int)got;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	const struct http_wire *wire = BIO_get_data(bio);
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (wire->more ? MSG_MORE : 0);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	do
		sent = send(wire->fd, bytes, (size_t)len, flags);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return (int)sent;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	if (what == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return what == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	CHECK(method && BIO_meth_set_read(method, bio_read) == 1 &&
		BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_ctrl) == 1);
}

BIO *http_wire_bio_new(struct http_wire *wire)
{
	BIO *bio;

	CHECK(pthread_once(&method_once, make_method) == 0);
	bio = BIO_new(method);
	CHECK(bio);
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	return bio;
}
