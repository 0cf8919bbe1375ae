/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_wire - the bytes of one connection, plain or under TLS, without waiting.
 *
 * The socket is watched by its owner for edges: http_wire_ready() takes what epoll said. A step that gives AGAIN has cleared
 * `readable` or `writable`, and an edge will set it again; so whoever goes on while they are set misses nothing.
 *
 * Under TLS what was offered to http_wire_write() and not taken must be offered again, the same bytes and no fewer: a record
 * may be half on its way.
 *
 * TLS is 1.2 and later, with authenticated ciphers and keys of one connection alone, ours preferred; without renegotiation,
 * compression or early data. A session is resumed by its ticket (http_tickets.h), but where clients are asked for certificates:
 * where there is a CA for them. A bad one ends the handshake, none does not.
 * As a client we believe who has a certificate of the CA for the host.
 *
 * An inner one has no socket: its bytes are those of a call on a channel (http_frame.h), and struct http_inner does the work. Who moves them
 * sets `readable` and `writable`.
 *
 * Thread  own loop of the connection; contexts are counted and immutable.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/http_server.h"

struct http_tickets;
struct http_wire_tls; /* certificate, key, CA */
enum http_io { HTTP_IO_OK, HTTP_IO_AGAIN, HTTP_IO_END, HTTP_IO_LOST };

/* What an inner wire is made of; as http_wire_read() and its like are. */
struct http_inner {
	enum http_io (*read)(void *arg, void *into, size_t max, size_t *ret_len);
	enum http_io (*write)(void *arg, const struct iovec *parts, int parts_len, size_t *ret_len);
	void (*shut)(void *arg);
	void (*close)(void *arg);
	uint64_t (*progress)(const void *arg); /* bytes that went either way */
};

/* ERROR_INVALID: certificate, key or client CA cannot be used. tickets: they outlive it; NULL: none are given. */
bool http_wire_tls_new(struct http_wire_tls **ret_tls, const struct http_tls *texts, struct http_tickets *tickets,
		       struct error *err) MUST_CHECK;
/* When its own certificate ends, by the wall clock; 0: it does not say so in a way that we can read. */
int64_t http_wire_tls_end_s(const struct http_wire_tls *tls);
void http_wire_tls_free(struct http_wire_tls *tls); /* drops a reference; connections have theirs */
/* For connections that we open. Paths of files; ca NULL: the system's; cert and key NULL: none. ERROR_INVALID: they cannot be used. */
struct http_wire_trust {
	const char *ca_file, *cert_file, *key_file;
};
bool http_wire_tls_client(struct http_wire_tls **ret_tls, const struct http_wire_trust *trust, struct error *err) MUST_CHECK;

struct http_wire {
	int fd;
	void *ssl;                 /* NULL: plain, or nothing was said yet */
	struct http_wire_tls *tls; /* counted; NULL: plain */
	bool readable, writable;
	bool hung_up; /* the other side sends nothing more; bytes of it may still be unread */
	bool lost;    /* both directions are gone */
	bool drained; /* TLS: the socket has nothing more until an edge says so; OpenSSL may still have some */
	bool more;    /* TLS: a record comes at once behind the one that is written */
	bool shaken;  /* the handshake is over; plain: always */
	char *refused; /* why the client's certificate was, and whose it says it is; NULL: it was not */
	const struct http_inner *inner; /* NULL: it has a socket */
	void *inner_arg;
};

void http_wire_open_inner(struct http_wire *wire, const struct http_inner *inner, void *arg);
/* The client's end; host is a name or an address, without brackets. tls NULL: plain. */
void http_wire_open_client(struct http_wire *wire, int fd, struct http_wire_tls *tls, const char *host);
/* Bytes that went either way, and were acknowledged. */
uint64_t http_wire_progress(const struct http_wire *wire);
void http_wire_open(struct http_wire *wire, int fd, struct http_wire_tls *tls); /* tls NULL: plain */
void http_wire_close(struct http_wire *wire);
#define HTTP_WIRE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
/* True: something may go on that could not before. */
bool http_wire_ready(struct http_wire *wire, uint32_t epoll_events);

enum http_io http_wire_handshake(struct http_wire *wire);
/* OK: *ret_len is 1..max. */
enum http_io http_wire_read(struct http_wire *wire, void *into, size_t max, size_t *ret_len);
/* OK: *ret_len of the bytes were taken, at least one. more: what follows comes at once. block: HTTP_WIRE_BLOCK bytes for TLS to gather several parts in; not used for one. */
#define HTTP_WIRE_BLOCK ((size_t)64 * 1024)
enum http_io http_wire_write(struct http_wire *wire, const struct iovec *parts, int parts_len, bool more, char *block,
			     size_t *ret_len);
/* The same from a file. LOST also when the file ends early. */
enum http_io http_wire_send_file(struct http_wire *wire, int file, uint64_t offset, uint64_t len, char *block, size_t *ret_len);
/* The same from a pipe of the kernel that has as many bytes; of a plain one with a socket. */
enum http_io http_wire_splice(struct http_wire *wire, int pipe, size_t len, size_t *ret_len);
/* Reads what still comes and drops it, without deciphering. END: the other side has closed. */
enum http_io http_wire_drop(struct http_wire *wire, char *block, size_t *ret_len);
/* Our side says no more. */
void http_wire_shut(struct http_wire *wire);
/* DER of the client's certificate, appended; nothing when it showed none. */
void http_wire_client_cert(const struct http_wire *wire, struct buf *into);
