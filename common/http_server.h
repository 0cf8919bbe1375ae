/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server - HTTP/1.1 for one loop: parsing, keep-alive, TLS, back-pressure, deadlines.
 *
 * One server belongs to one loop; each has its own listening socket on the same port
 * (SO_REUSEPORT), so the kernel spreads connections and no request ever changes its thread.
 *
 * Life of a request, all of it on the loop:
 *
 *     head complete ----> on_request(app, request)
 *                           |- http_request_reply() at once               (inline)
 *                           |- http_request_collect(max, fn): fn gets the whole body, once
 *                           |- http_request_stream(sink): fn gets the body in pieces
 *                           `- nothing yet: the request waits for http_request_reply()
 *     last byte sent, or connection lost -------> on_done(app, request), then it is freed
 *
 * on_request is called exactly once for each request and on_done exactly once after it. Between
 * the two the request pointer is valid on its loop; after on_done it is gone. Whoever still owes
 * a reply from another thread must therefore hold a `struct http_ticket` (below), not the request.
 *
 * Replying before the body was read: the reply goes out at once; then up to `drain_max` bytes of the body are read and
 * dropped, for 5 s in all, and the connection goes on. A longer body ends it behind the reply.
 *
 * Deadlines measure progress: a head must be complete in `head_timeout_ms`; a connection where no
 * byte moves either way for `idle_timeout_ms` is closed, also in the middle of a body (of a reply:
 * `send_timeout_ms`); a request
 * that waits for its reply longer than its own limit (http_request_wait_limit, default
 * `reply_timeout_ms`) is answered 503. None of them limits the total.
 *
 * Limits: connections; heads and chunks as http_head.h and http_chunks.h have them. What is over them, or has two readings,
 * is refused by the application's refuse(), which gives it a body, and the connection is closed.
 *
 * Memory: a connection that waits has no buffer. Part of a head has at most 16 KiB, what a sink did not take and a pipe whose
 * client is slow some 64 KiB each.
 *
 * Fairness: turns go round the clients' addresses (http_server_turns.c), and over the limit of connections those go first
 * whom nobody waits for, of the address that has most (http_server_shed.c). A full server so stays one that answers.
 *
 * Channels: a connection may become one that carries many calls (http_frame.h), by a reply of http_response_upgrade(). Each call is a request as any
 * other, on a connection of its own that has no socket: it counts, waits and is limited as they are. http_request_ip() is the channel's.
 *
 * Thread  own loop, but for what is marked any. Each function checks it, but for questions about what the head says:
 *         there are too many of them.
 * Source  RFC 9110, RFC 9112.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/http.h"
#include "common/ip.h"

struct loop;
struct pipe;
struct http_server;
struct http_request;
struct http_response;
struct http_ticket;
struct http_tickets;

struct http_tls {
	const char *cert_pem, *key_pem; /* texts, not paths */
	const char *client_ca_pem;      /* client certificates are asked for, not required; a bad one ends the handshake. NULL: not asked for */
};

struct http_server_settings {
	int listen_fd;                /* from http_listen(); the server closes it */
	const struct http_tls *tls;   /* NULL: plain. Borrowed until http_server_new() returns */
	struct http_tickets *tickets; /* of TLS; they outlive the server. NULL: no session is resumed */
	unsigned connection_limit;    /* for this loop; 0 = 4096 */
	unsigned head_timeout_ms;     /* 0 = 10 s */
	unsigned idle_timeout_ms;     /* 0 = 60 s: no byte moved on a request that is under way */
	unsigned send_timeout_ms;     /* 0 = idle_timeout_ms: the same while its reply is sent */
	unsigned keepalive_timeout_ms;/* 0 = 120 s: no request on an open connection */
	unsigned reply_timeout_ms;    /* 0 = 60 s */
	size_t drain_max;             /* 0 = 8 MiB */
	/* The application is told of a handshake that is ended for the client's certificate. why: the reason, and the subject that it
	 * has; borrowed. NULL: it is not told. */
	void (*certificate_refused)(void *app, const struct ip *from, const char *why);
};

struct http_app {
	void *app;
	void (*on_request)(void *app, struct http_request *request);
	void (*on_done)(void *app, struct http_request *request);
	/* What this server refuses without asking: 400, 403, 413, 414, 431, 501, or 503 when the application was
	 * too slow (then with Retry-After). why: a sentence, borrowed. NULL: the status as plain text. */
	struct http_response *(*refuse)(void *app, unsigned status, const char *why);
};

/* A listening socket; address NULL or "" = all (v6 and v4), port 0 = the kernel chooses
 * (*ret_port). With `shared`, SO_REUSEPORT: call it once for each loop with the same port. Thread  any. */
bool http_listen(const char *address, uint16_t port, bool shared, int *ret_fd, uint16_t *ret_port,
		 struct error *err) MUST_CHECK;

/*
 * Raises this process's limit of open files as far as the system lets it, and says how many of `wanted` connections
 * there are descriptors for, with one for each eight of them and 512 more left for files and peers. When that is less
 * than all of them a warning says so. Thread  any.
 */
unsigned http_connections_fit(unsigned wanted);

bool http_server_new(struct http_server **ret_server, struct loop *loop, const struct http_server_settings *settings,
		     struct http_app app, struct error *err) MUST_CHECK;
/*
 * The end, in two steps. Winding down: all is served as before, and each reply from now on is its connection's last, so that
 * clients that are kept go elsewhere by themselves. Quiescing: takes no new connections, and
 * closes those without a request. Before either it may take no new connections alone: those wait at the port, for who has it too.
 */
void http_server_accept_no_more(struct http_server *server);
void http_server_wind_down(struct http_server *server);
void http_server_quiesce(struct http_server *server);
/* Ends every request that is left (their on_done runs), then the daemon. The loop is not running,
 * or this is its thread. */
void http_server_free(struct http_server *server);
unsigned http_server_requests(const struct http_server *server); /* under way now */
unsigned http_server_connections(const struct http_server *server);
struct http_server_stats {
	uint64_t connections, waiting; /* open now; of these without a request under way */
	uint64_t accepted, shed;       /* since the start; closed to make room */
	int64_t certificate_end_s;     /* when it ends, by the wall clock; 0: plain */
};
struct http_server_stats http_server_stats(const struct http_server *server); /* Thread  any */
/* What a server would say to this certificate, key and CA. Thread  any. */
bool http_tls_check(const struct http_tls *tls, struct error *err) MUST_CHECK;
/* New certificate for connections to come. */
bool http_server_reload_tls(struct http_server *server, const struct http_tls *tls, struct error *err) MUST_CHECK;

/* The request. Views are valid until on_done has returned. */
enum http_method    http_request_method(const struct http_request *request);
struct str          http_request_target(const struct http_request *request); /* as it came: path?query */
struct str          http_request_path(const struct http_request *request);   /* percent-decoded once */
struct str          http_request_query(const struct http_request *request);  /* raw, without '?' */
const char         *http_request_header(const struct http_request *request, const char *name); /* first, or NULL */
unsigned            http_request_header_count(const struct http_request *request, const char *name);
/* All lines of that name as one list, joined by ", "; NULL when absent. *ret_own is the caller's to free: NULL where one line is all. */
const char         *http_request_header_list(const struct http_request *request, const char *name, char **ret_own);
typedef void        http_header_f(void *arg, const char *name, const char *value);
void                http_request_each_header(const struct http_request *request, http_header_f *fn, void *arg);
int64_t             http_request_length(const struct http_request *request); /* Content-Length; 0 no body; -1 chunked */
/* It asks for a channel and may have one; then http_response_upgrade() is an answer. */
bool                http_request_may_upgrade(const struct http_request *request);
/* Who is connected to us; all zero when that has no address. */
struct ip           http_request_ip(const struct http_request *request);
/* Whose request it is when a proxy that is trusted brings it: turns and room are the client's then, until the connection's next
 * request is somebody else's. */
void                http_request_set_client(struct http_request *request, const struct ip *client);
/* The client's certificate (DER) where one was shown; STR_NONE otherwise. It is one that client_ca_pem vouches
 * for: the handshake fails with any other. Valid as long as the connection. */
struct str          http_request_client_cert(const struct http_request *request);
struct loop        *http_request_loop(const struct http_request *request);
uint64_t            http_request_id(const struct http_request *request); /* of this process, for the log */
int64_t             http_request_started_us(const struct http_request *request);

/* One pointer for the application. */
void  http_request_set_context(struct http_request *request, void *context);
void *http_request_context(const struct http_request *request);

/* A text of the application's for the whole connection, copied: what it found out once and need not again. NULL: none yet. */
void        http_request_set_note(struct http_request *request, const char *note);
const char *http_request_note(const struct http_request *request);

/* Body, whole. fn runs once: err NULL and the bytes (borrowed for the call), or ERROR_TOO_LARGE.
 * It does not run when the client goes away first. */
typedef void http_collected_f(void *arg, struct http_request *request, struct str body, const struct error *err);
void http_request_collect(struct http_request *request, size_t max, http_collected_f *fn, void *arg);
/* The same, but gone(arg) runs where fn will not: the client left, or a reply came first. */
typedef void http_gone_f(void *arg);
void http_request_collect_or(struct http_request *request, size_t max, http_collected_f *fn, http_gone_f *gone, void *arg);

/* Body, in pieces. on_bytes returns how much it took; less than len stops reading from the client
 * until http_request_more(). on_end: the body is complete. on_gone: the client vanished, or was
 * silent too long, before the end; no reply is possible. Exactly one of on_end and on_gone runs,
 * none after a reply was given. on_room, or NULL: where the next bytes may be put, so that nobody copies them;
 * they come to on_bytes as all others, which takes all of them. NULL from it: nowhere. */
struct http_sink {
	void *arg;
	size_t (*on_bytes)(void *arg, const void *bytes, size_t len);
	void (*on_end)(void *arg);
	void (*on_gone)(void *arg);
	void *(*on_room)(void *arg, size_t *ret_len);
};
void http_request_stream(struct http_request *request, struct http_sink sink);
void http_request_more(struct http_request *request);

/* The reply; takes over the response. Once for each request; a second is a CHECK, but
 * for one that comes after the 503 of the wait limit: it is dropped. */
void http_request_reply(struct http_request *request, struct http_response *response);
bool http_request_is_replied(const struct http_request *request);
/* A header line that goes out with its reply, whoever makes that; the value as http_response_header() has it. At most 1,024 bytes of such
 * lines for a request. */
void http_request_reply_header(struct http_request *request, const char *name, const char *value);
/* While a reply of http_response_growing() is under way; else nothing happens, and a pipe is abandoned. The second: no more of the file is sent;
 * how much of the body was. The third, behind it or behind broken(): what follows comes from this pipe. The last: the connection ends here. */
void http_request_there(struct http_request *request, uint64_t there);
uint64_t http_request_stop(struct http_request *request);
void http_request_go_on(struct http_request *request, struct pipe *pipe);
void http_request_cut(struct http_request *request);
void http_request_wait_limit(struct http_request *request, unsigned ms);

/*
 * Who counts a request's bytes before they move, and may hold them up. Set in on_request or later; borrowed until on_done.
 *   on_body   `len` bytes of the request's body are at hand: how many of them its sink may have. Fewer: the rest waits for
 *             http_request_more(). The same bytes are asked for again until the sink took them.
 *   on_reply  the reply is about to begin, with a body of `len` bytes (UINT64_MAX: nobody knows). False: it waits for
 *             http_request_pass(), and then is asked for again. Not for a reply without a body.
 */
struct http_meter {
	void *arg;
	size_t (*on_body)(void *arg, size_t len);
	bool (*on_reply)(void *arg, uint64_t len);
};
void http_request_set_meter(struct http_request *request, const struct http_meter *meter);
void http_request_pass(struct http_request *request);
/* The reply is this one, whatever other was given, unless that has begun, or will be. No meter is asked about it. */
void http_request_reply_instead(struct http_request *request, struct http_response *response);

/* A header of the reply that was given, without its spaces; STR_NONE: it has none, or there was no reply. For on_done; borrowed until its end. */
struct str http_request_replied_header(const struct http_request *request, const char *name);
/* What happened, for on_done. status 0: no reply left us. */
unsigned http_request_status(const struct http_request *request);
uint64_t http_request_bytes_in(const struct http_request *request);  /* body bytes read */
uint64_t http_request_bytes_out(const struct http_request *request); /* body bytes sent */
bool     http_request_is_complete(const struct http_request *request); /* the whole reply was sent */

/* A ticket: the right to reply from any thread, once. If the request has died in the meantime the
 * response is dropped. Every ticket must be used or dropped. */
struct http_ticket *http_ticket_new(struct http_request *request);
void http_ticket_reply(struct http_ticket *ticket, struct http_response *response); /* Thread  any; consumes both */
void http_ticket_drop(struct http_ticket *ticket);                                  /* Thread  any; consumes; replies 500 */

/* Responses. Built on any thread, immutable once queued, counted: one may be queued on many
 * requests, also of several loops. For HEAD the body is announced and not sent. */
struct http_response *http_response_empty(unsigned status);
struct http_response *http_response_copy(unsigned status, struct str body);
/* 101: the connection is a channel from then on. Only where http_request_may_upgrade(). */
struct http_response *http_response_upgrade(void);
/* Takes the buffer's bytes; the buffer is empty after. A failed buf gives 500. */
struct http_response *http_response_buf(unsigned status, struct buf *body);
/* Bytes that live at least as long as release() has not been called; release may be NULL. */
struct http_response *http_response_shared(unsigned status, struct str body, void (*release)(void *arg), void *arg);
/* Takes fd; sent by sendfile where there is no TLS. */
struct http_response *http_response_file(unsigned status, int fd, uint64_t offset, uint64_t len);
/*
 * The same of a file that grows: `there` bytes of the body can be read by now, http_request_there() says when there are more. broken(arg)
 * runs once, from the loop, where it cannot be read; until somebody says how the body goes on, nothing is sent. For one request only.
 */
struct http_growing {
	int fd; /* taken */
	uint64_t offset, len, there;
	void (*broken)(void *arg); /* not after on_done */
	void *arg;
};
struct http_response *http_response_growing(unsigned status, const struct http_growing *growing);
/* Reads the pipe (takes the reader's reference); len -1 = unknown, sent chunked. A pipe that fails
 * cuts the connection: never a short reply that looks whole. For one request only. */
struct http_response *http_response_pipe(unsigned status, struct pipe *pipe, int64_t len);
/* No body is sent, but Content-Length says len: for HEAD only. */
struct http_response *http_response_announce(unsigned status, uint64_t len);
/* Values are checked; one with CR, LF or NUL is a CHECK: quote what comes from outside first. */
void http_response_header(struct http_response *response, const char *name, const char *value);
void http_response_headerf(struct http_response *response, const char *name, const char *format, ...) PRINTF(3, 4);
/* Closes the connection after it. */
void http_response_close(struct http_response *response);
void http_response_free(struct http_response *response);
unsigned http_response_status(const struct http_response *response);

uint16_t http_server_port(const struct http_server *server); /* Thread  any */
