/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_priv - what the files of http_server share; nobody else includes it.
 *
 *   http_server.c          the server: listening, accepting, start, quiesce, end
 *   http_server_conn.c     connections: their steps and their end
 *   http_server_input.c    bytes that have come and were not used yet
 *   http_server_turns.c    whose turn it is
 *   http_server_watch.c    deadlines
 *   http_server_shed.c     who goes when there are too many
 *   http_server_request.c  a request from its head to its end
 *   http_server_body.c     the body on its way to a sink or a buffer
 *   http_server_reply.c    the reply on its way out
 *   http_server_view.c     questions about a request
 *   http_server_channel.c  many calls over one connection
 *   http_response.c        replies
 *   http_ticket.c          the right to reply from another thread
 *
 * Steps of a connection. Each is one small thing; a connection makes steps in its turn until one does not get on,
 * and what could get it on queues it again: an edge of its socket, a reply, room in a sink, bytes in a pipe.
 *
 *   SHAKE     the TLS handshake
 *   HEAD      no request; a head is awaited, or a part of it is there
 *   REQUEST   one is under way: body, reply
 *   DRAIN     replied; the rest of the body is dropped, then comes the next head
 *   LINGER    replied for the last time, our side is shut; what still comes is dropped, so that no reset takes the reply
 *   CHANNEL   it has become a channel: frames of calls, each of which is a connection without a socket
 */
#pragma once

#include <stdatomic.h>

#include "common/http_chunks.h"
#include "common/http_head.h"
#include "common/http_server.h"
#include "common/http_wire.h"
#include "common/list.h"
#include "common/loop.h"

#define HTTP_PIPE_BLOCK ((size_t)64 * 1024)

struct map;
struct http_server_channel;

enum http_lane { HTTP_LANE_RUN, HTTP_LANE_SHAKE, HTTP_LANES };

/* One client address (of v6 its network of 64 bits) while it has connections. */
struct http_address {
	struct ip key;
	unsigned conns;
	unsigned shaking; /* of these: a handshake was begun and is not over */
	struct list queue[HTTP_LANES]; /* its connections that wait for their turn, by `turn` */
	struct list ring[HTTP_LANES];  /* in the server's, while the queue has some */
};

struct http_server {
	struct loop *loop;
	struct http_app app;
	struct http_server_settings settings; /* defaults filled in; no TLS texts */
	struct http_wire_tls *tls;            /* NULL: plain */
	int64_t certificate_end_s;            /* of it; 0: plain */
	bool asks_client;
	bool winding_down, quiesced; /* the second never without the first */
	int listen_fd;
	uint16_t port;
	struct list conns;   /* by `all` */
	struct list waiting; /* may be closed for others; who is first goes first */
	struct list shaking; /* handshakes that were begun; the oldest first */
	unsigned shaking_len;
	int64_t shake_at_us; /* of the loop's processor time: the next handshake beside requests */
	struct map *addresses;
	struct list ring[HTTP_LANES]; /* of addresses: whose turn is next */
	unsigned conns_len, requests_len;
	unsigned cut_len;        /* of conns: cut, and not closed yet */
	uint64_t accepted, shed; /* since the start; others may look: single stores */
	int64_t look_again_ms; /* for connections that crawl */
	uint64_t next_id;
	struct loop_timer tick, accept_again;
	unsigned tick_ms;
	struct list dirty; /* channels that have something to be written */
	char *in_block, *out_block; /* HTTP_WIRE_BLOCK each, used within one step */
	int64_t date_s;
	char date[32];
};

enum http_state { HTTP_SHAKE, HTTP_HEAD_AWAITED, HTTP_REQUEST, HTTP_DRAIN, HTTP_LINGER, HTTP_CHANNEL };
enum http_watch { HTTP_WATCH_HEAD, HTTP_WATCH_KEEPALIVE, HTTP_WATCH_WAIT, HTTP_WATCH_MOVE, HTTP_WATCH_DRAIN, HTTP_WATCH_CHANNEL };

/* Bytes that came and were not used yet, either in the server's block (within one turn) or in a copy. */
struct http_input {
	char *at;
	size_t begin, end, room;
	bool is_own;
};

/* How much of a request's body is still to come. */
struct http_framing {
	bool chunked, over;
	uint64_t left;
	struct http_chunks chunks;
};

/* A connection; `due_ms` is the time of its next look. */
struct http_conn {
	uint32_t magic;
	enum http_state state;
	struct http_server *server;
	struct http_wire wire;
	struct http_address *address;
	struct ip ip; /* all zero: none */
	struct http_request *request; /* under way, or NULL */
	struct http_server_channel *channel; /* in CHANNEL */
	struct list all, waiting, shaking; /* in the server's */
	struct list turn;                  /* in its address's queue */
	enum http_lane lane;               /* of that queue */
	bool cut, skipped_blank, watched;
	enum http_watch watch;
	unsigned still; /* looks without progress */
	int64_t due_ms, begun_ms;
	char *note;        /* the application's, see http_request_set_note() */
	struct buf cert;   /* DER, once it was asked for */
	uint64_t progress; /* the kernel's count of bytes, both ways */
	struct http_input in;
	size_t head_at;    /* where looking for the end of the head goes on */
	struct http_framing framing;
	uint64_t dropped;  /* of a body, since the reply */
	char *out;         /* what is to be written next */
	size_t out_at, out_len, out_room;
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
	struct http_conn *conn;
	struct http_response *response;
	struct http_ticket *tickets;
	void *context;
	uint64_t id;
	int64_t started_us;

	bool announced;  /* the application has seen it */
	bool inside;     /* the application is on the stack: nothing is resumed */
	bool continued;  /* 100 was sent, or is not needed */
	bool settled;    /* answered by us, or instead: a later reply is dropped */
	bool held;       /* the meter has not let the reply begin */
	const struct http_meter *meter; /* or NULL */
	bool blocked;    /* the sink took less than there is */
	bool more;       /* the sink asked for more while it was called */
	bool replying, keep, no_body, complete;
	bool pipe_over;  /* all of it is in conn->out */
	bool has_sink;
	struct http_sink sink;
	struct http_collect collect;
	unsigned wait_ms, status;
	uint64_t bytes_in, bytes_out;

	struct str path, query;
	struct buf decoded; /* of path, where it has escapes */
	struct buf field;   /* of the reply, see http_request_reply_header() */
	struct http_head *head; /* NULL: it could not be read */
	char text[];
};

enum http_body_kind { HTTP_BODY_BYTES, HTTP_BODY_FILE, HTTP_BODY_PIPE, HTTP_BODY_ANNOUNCED };

struct http_response {
	uint32_t magic;
	atomic_bool queued;
	unsigned status;
	bool close;
	bool upgrades; /* to a channel */
	enum http_body_kind kind;
	struct buf fields;          /* "Name: value CR LF" each */
	struct str body;            /* BYTES */
	char *owned;                /* behind body */
	void (*release)(void *arg); /* of body */
	void *release_arg;
	int file; /* FILE; -1 */
	uint64_t offset;
	bool grows;     /* FILE: `there` bytes of the body are there */
	bool is_broken; /* it could not be read, and broken() was told */
	uint64_t there;
	void (*broken)(void *arg);
	void *broken_arg;
	struct pipe *pipe;            /* PIPE */
	struct http_request *request; /* PIPE: who sends it */
	uint64_t len;
	bool len_known;
};

#define HTTP_CONN_MAGIC     MAGIC('H', 'C', 'O', 'N')
#define HTTP_REQUEST_MAGIC  MAGIC('H', 'R', 'E', 'Q')
#define HTTP_RESPONSE_MAGIC MAGIC('H', 'R', 'S', 'P')

/* The server's numbers have one writer; metrics look at them from other threads. */
#define HTTP_STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELAXED)

/* http_server_conn.c */
/* Serves a socket that is connected; takes it. */
void http_conn_open(struct http_server *server, int fd, const struct ip *ip);
/* The same for a call on the channel of another connection. */
struct http_conn *http_conn_open_inner(struct http_conn *of, const struct http_inner *inner, void *arg);
/* One turn: steps until none gets on. The connection may be gone afterwards. */
void http_conn_turn(struct http_conn *conn);
void http_conn_end(struct http_conn *conn); /* now: on_done runs, memory is freed */
/* Ends the connection in its next turn, whatever it does. */
void http_conn_cut(struct http_conn *conn);
/* True: some bytes went. False: nothing goes now, or the connection is over, and cut. */
bool http_conn_went(struct http_conn *conn, enum http_io io);
/* The reply is out: what comes next. */
void http_conn_replied(struct http_conn *conn, bool keep);

static inline void http_request_assert(const struct http_request *request)
{
	loop_assert(request->conn->server->loop);
}

static inline void http_moved(struct http_conn *conn)
{
	loop_moved(conn->server->loop);
}

/* http_server_input.c */
struct str http_input_str(const struct http_conn *conn);
void http_input_took(struct http_conn *conn, size_t n);
enum http_io http_input_fill(struct http_conn *conn); /* OK: there is more than before */
void http_input_keep(struct http_conn *conn);         /* at the end of a turn */
void http_input_fini(struct http_conn *conn);

/* http_server_turns.c */
void http_turns_queue(struct http_conn *conn);
void http_turns_forget(struct http_conn *conn);
bool http_turns_wait(const struct http_server *server); /* somebody does */
void http_turns_run(struct http_server *server);
void http_address_join(struct http_conn *conn, const struct ip *ip);
void http_address_leave(struct http_conn *conn);

/* http_server_watch.c */
void http_conn_watch(struct http_conn *conn, enum http_watch watch);
void http_watch_start(struct http_server *server);            /* there is a connection */
void http_watch_by(struct http_server *server, unsigned ms); /* looks at least each quarter of ms */

/* http_server_shed.c */
void http_shed_wait(struct http_conn *conn, bool first); /* may be closed for others from now on */
void http_shed_busy(struct http_conn *conn);
void http_shed_make_room(struct http_server *server, struct http_conn *newest);
void http_shed_first(struct http_server *server); /* one goes, if any may */
void http_shed_shaking(struct http_conn *conn); /* its handshake begins; another one may go for it */
void http_shed_shaken(struct http_conn *conn);

/* http_server_request.c */
void http_request_begin(struct http_conn *conn, size_t head_len);
void http_request_begin_refused(struct http_conn *conn, struct http_refusal why);
bool http_request_step(struct http_request *request); /* true: it got on */
void http_request_end(struct http_request *request);  /* on_done; freed */
void http_request_too_late(struct http_request *request); /* 503 */
/* The body cannot be understood: the answer is ours. */
void http_request_refuse(struct http_request *request, struct http_refusal why);
const char *http_request_head_value(const struct http_request *request, const char *name, size_t len);

/* http_server_body.c */
bool http_body_step(struct http_request *request);
/* Drops what there is of it. True: it got on. */
bool http_body_drop(struct http_conn *conn);
void http_body_gone(struct http_request *request);
/* Ends a collecting that will not come to its end. */
void http_body_forget(struct http_request *request);

/* http_server_reply.c */
void http_reply_begin(struct http_request *request);
bool http_reply_step(struct http_request *request);
/* Writes what is in conn->out. False: not all of it went; the connection may have been cut. */
bool http_out_flush(struct http_conn *conn);
void http_out_put(struct http_conn *conn, const void *bytes, size_t len);
void http_out_fini(struct http_conn *conn);

/* http_server_channel.c */
void http_channel_begin(struct http_conn *conn); /* behind a reply that upgrades; what was read behind its request are frames */
bool http_channel_step(struct http_conn *conn);
void http_channel_flush(struct http_conn *conn);
void http_channels_flush(struct http_server *server, bool all); /* all: nothing more is about to be written */
bool http_channel_is_stuck(const struct http_conn *conn);       /* something is to be written, and does not go */
void http_channel_look(struct http_conn *conn);                 /* is it needed still? */
void http_channel_away(struct http_conn *conn);
void http_channel_end(struct http_conn *conn); /* with its connection: its calls are lost */

/* http_ticket.c */
void http_ticket_orphan_all(struct http_request *request);
