/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_priv - what the files of http_server share; nobody else includes it.
 *
 *   http_server.c          the server, its daemons, start, quiesce, end
 *   http_server_conn.c     connections: suspend, resume, deadlines
 *   http_server_request.c  a request's steps, driven by libmicrohttpd's access handler
 *   http_server_body.c     the body on its way to a sink, a buffer or nowhere
 *   http_server_early.c    replies that overtake a long body
 *   http_server_view.c     questions about a request
 *   http_response.c        replies
 *   http_ticket.c          the right to reply from another thread
 *
 * Steps of a request. libmicrohttpd calls the access handler with the head ("first" calls, again
 * after each resume), then with bytes, then once the body is complete ("final" calls). A reply can
 * be queued in first and final calls only.
 *
 *   HEAD       the head is being read; the application has not seen the request
 *   UNDECIDED  held in a first call: the application has said neither sink nor reply
 *   BODY       bytes go to the sink
 *   ENDED      the body is complete, the reply is not there
 *   DRAIN      replied; what is left of the body is dropped, then the reply is queued
 *   LINGER     the reply was sent past libmicrohttpd, the connection is being emptied and closed
 *   REPLY      the reply is queued
 */
#pragma once

#include <microhttpd.h>
#include <stdatomic.h>

#include "common/http_server.h"
#include "common/loop.h"

#define HTTP_HEAD_MAX          ((size_t)16 * 1024)
#define HTTP_TARGET_MAX        ((size_t)8 * 1024)
#define HTTP_LENGTH_MAX        ((uint64_t)1 << 62)
/* libmicrohttpd clears all of it after each request, and keeps it while the connection lives. */
#define HTTP_CONNECTION_MEMORY ((size_t)24 * 1024)
/* Over the limit by so many libmicrohttpd may be, until those that were cut for new ones are closed. */
#define HTTP_CONNECTIONS_SPARE 64U
#define HTTP_PIPE_BLOCK        ((size_t)64 * 1024)

/* One libmicrohttpd daemon. A new certificate makes a new one; the old one serves out. */
struct http_daemon {
	struct http_daemon *next;
	struct http_server *server;
	struct MHD_Daemon *mhd;
	int epoll_fd;
	unsigned connections;
	bool quiesced; /* accepts no more */
};

struct http_server {
	struct loop *loop;
	struct http_app app;
	struct http_server_settings settings; /* defaults filled in; no TLS texts */
	bool is_tls, asks_client, quiesced, ending;
	int listen_fd;
	uint16_t port;
	struct http_daemon *daemons; /* the newest first */
	struct http_conn *conns;
	struct http_conn *waiting_first, *waiting_last; /* without a whole head; who waits longest is first */
	unsigned conns_len, requests_len;
	unsigned cut_len;             /* of conns: cut, and not closed yet */
	uint64_t accepted, shed; /* since the start; others may look: single stores */
	uint64_t next_id;
	struct loop_timer tick;
	unsigned tick_ms;
};

enum http_watch { HTTP_WATCH_HEAD, HTTP_WATCH_KEEPALIVE, HTTP_WATCH_WAIT, HTTP_WATCH_MOVE };

/* A connection; `due_ms` is the time of its next look. */
struct http_conn {
	uint32_t magic;
	struct http_server *server;
	struct http_daemon *daemon;
	struct MHD_Connection *mhd;
	struct http_request *request; /* under way, or NULL */
	struct http_conn *prev, *next;
	struct http_conn *waiting_prev, *waiting_next;
	int fd;
	bool suspended, waits, cut;
	enum http_watch watch;
	unsigned still; /* looks without progress */
	int64_t due_ms;
	char *note;        /* the application's, see http_request_set_note() */
	uint64_t progress; /* the kernel's count of bytes, both ways */
};

enum http_phase {
	HTTP_PHASE_HEAD,
	HTTP_PHASE_UNDECIDED,
	HTTP_PHASE_BODY,
	HTTP_PHASE_ENDED,
	HTTP_PHASE_DRAIN,
	HTTP_PHASE_LINGER,
	HTTP_PHASE_REPLY,
};

/* The collecting of a whole body. */
struct http_collect {
	http_collected_f *fn;
	http_gone_f *gone;
	void *arg;
	struct buf body;
};

struct http_request {
	uint32_t magic;
	enum http_phase phase;
	struct http_conn *conn;
	enum http_method method;
	struct http_response *response;
	struct http_ticket *tickets;
	void *context;
	uint64_t id;
	int64_t started_us;

	bool announced;  /* the application has seen it */
	bool inside;     /* the access handler is on the stack */
	bool admitted;   /* libmicrohttpd was told to read the body: the next empty call is final */
	bool expects;    /* 100-continue */
	bool cut;        /* the connection ends at the next call */
	bool timed_out;  /* answered 503 by us: a later reply is dropped */
	bool early_sent; /* LINGER: the reply left completely */
	bool more;       /* the sink asked for more while it was called */
	bool has_sink, has_body, complete;
	struct http_sink sink;
	struct http_collect collect;
	int64_t length; /* -1 chunked */
	unsigned wait_ms, status;
	uint64_t bytes_in, bytes_out, dropped, acked_before;

	struct str target, path, query;
	struct buf decoded; /* of path, where it has escapes */
	size_t text_len;
	char text[]; /* the target */
};

enum http_body_kind { HTTP_BODY_BYTES, HTTP_BODY_FILE, HTTP_BODY_PIPE, HTTP_BODY_ANNOUNCED };

struct http_response {
	uint32_t magic;
	atomic_uint refs;
	atomic_bool queued;
	unsigned status;
	bool close;
	enum http_body_kind kind;
	struct MHD_Response *mhd;
	struct str body;            /* BYTES */
	char *owned;                /* behind body */
	void (*release)(void *arg); /* of body */
	void *release_arg;
	struct pipe *pipe;            /* PIPE */
	struct http_request *request; /* PIPE: who sends it */
	uint64_t len;
	bool len_known;
};

#define HTTP_CONN_MAGIC     MAGIC('H', 'C', 'O', 'N')
#define HTTP_REQUEST_MAGIC  MAGIC('H', 'R', 'E', 'Q')
#define HTTP_RESPONSE_MAGIC MAGIC('H', 'R', 'S', 'P')

/* http_server_conn.c */
void http_conn_notify(
	void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code);
void http_conn_suspend(struct http_conn *conn); /* from libmicrohttpd's callbacks only */
void http_conn_resume(struct http_conn *conn);
void http_conn_watch(struct http_conn *conn, enum http_watch watch);
/* Ends the connection, whatever it does, without freeing anything now. */
void http_conn_cut(struct http_conn *conn);
void http_conn_tick_by(struct http_server *server, unsigned ms); /* looks at least each quarter of ms */
uint64_t http_conn_acked(const struct http_conn *conn);
/* DER; only one that the clients' CA vouches for. */
struct str http_conn_client_cert(const struct http_conn *conn);

/* http_server_request.c */
void *http_request_on_uri(void *arg, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_request_on_access(void *arg, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len, void **context);
void http_request_on_completed(
	void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code);
void http_request_too_late(struct http_request *request); /* 503 */
const char *http_request_head_value(const struct http_request *request, const char *name, size_t len);

/* http_server_body.c */
enum MHD_Result http_body_take(struct http_request *request, const char *bytes, size_t *len);
void http_body_end(struct http_request *request);
void http_body_gone(struct http_request *request);
/* Tells a collector at once that the announced length is over its limit. */
void http_body_refuse_announced(struct http_request *request);
/* Ends a collecting that will not come to its end. */
void http_body_forget(struct http_request *request);
/* The reply is there before the end of the body. */
void http_body_overtake(struct http_request *request);

/* http_server_early.c */
bool http_early_is_possible(const struct http_request *request);
void http_early_send(struct http_request *request);

/* http_ticket.c */
void http_ticket_orphan_all(struct http_request *request);
