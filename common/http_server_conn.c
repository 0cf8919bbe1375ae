/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_conn - connections: their steps and their end.
 *
 * A connection ends only in its own turn: http_conn_cut() marks it and queues it. So whoever calls it, from
 * wherever, frees nothing, and nothing can keep a connection that was cut.
 */
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/http_server_priv.h"

/* Steps in one turn: then others have theirs. */
#define STEPS_MOST 8

static void on_ready(void *arg, uint32_t events)
{
	struct http_conn *conn = OBJ_CAST(http_conn, HTTP_CONN_MAGIC, arg);

	/* An edge comes once, so it is no spinning, whatever comes of it. */
	http_moved(conn);
	if (http_wire_ready(&conn->wire, events))
		http_turns_queue(conn);
}

/* Life. */

static void link_conn(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	list_push_first(&server->conns, &conn->all);
	HTTP_STORE(server->conns_len, server->conns_len + 1);
}

static void unlink_conn(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	list_drop(&conn->all);
	HTTP_STORE(server->conns_len, server->conns_len - 1);
	server->cut_len -= conn->cut;
}

void http_conn_open(struct http_server *server, int fd, const struct ip *ip)
{
	struct http_conn *conn = xnew(struct http_conn);
	int one = 1;

	conn->magic = HTTP_CONN_MAGIC;
	conn->server = server;
	conn->ip = *ip;
	conn->state = server->tls ? HTTP_SHAKE : HTTP_HEAD_AWAITED;
	conn->begun_ms = loop_now(server->loop);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	http_wire_open(&conn->wire, fd, server->tls);
	http_address_join(conn, &conn->ip);
	link_conn(conn);
	HTTP_STORE(server->accepted, server->accepted + 1);
	http_moved(conn);
	http_conn_watch(conn, HTTP_WATCH_HEAD);
	http_shed_make_room(server, conn);
	http_watch_start(server);
	conn->watched = loop_watch(server->loop, fd, HTTP_WIRE_EVENTS, on_ready, conn, NULL);
	if (!conn->watched)
		http_conn_cut(conn);
}

struct http_conn *http_conn_open_inner(struct http_conn *of, const struct http_inner *inner, void *arg)
{
	struct http_server *server = of->server;
	struct http_conn *conn = xnew(struct http_conn);

	conn->magic = HTTP_CONN_MAGIC;
	conn->server = server;
	conn->ip = of->ip;
	conn->state = HTTP_HEAD_AWAITED;
	conn->begun_ms = loop_now(server->loop);
	http_wire_open_inner(&conn->wire, inner, arg);
	http_address_join(conn, &conn->ip);
	link_conn(conn);
	http_conn_watch(conn, HTTP_WATCH_HEAD);
	http_shed_make_room(server, conn);
	return conn;
}

void http_conn_cut(struct http_conn *conn)
{
	conn->server->cut_len += !conn->cut;
	conn->cut = true;
	http_shed_busy(conn);
	http_turns_queue(conn);
}

void http_conn_end(struct http_conn *conn)
{
	http_moved(conn);
	if (conn->request)
		http_request_end(conn->request);
	if (conn->channel)
		http_channel_end(conn);
	http_turns_forget(conn);
	http_shed_busy(conn);
	http_shed_shaken(conn);
	unlink_conn(conn);
	http_address_leave(conn);
	if (conn->watched)
		loop_unwatch(conn->server->loop, conn->wire.fd);
	http_wire_close(&conn->wire);
	http_input_fini(conn);
	http_out_fini(conn);
	buf_fini(&conn->cert);
	free(conn->note);
	conn->magic = 0;
	free(conn);
}

/* Steps: true when it got on. */

bool http_conn_went(struct http_conn *conn, enum http_io io)
{
	if (io == HTTP_IO_OK)
		http_moved(conn);
	else if (io != HTTP_IO_AGAIN)
		http_conn_cut(conn);
	return io == HTTP_IO_OK;
}

static void tell_certificate(const struct http_conn *conn)
{
	const struct http_server *server = conn->server;

	if (conn->wire.refused && server->settings.certificate_refused)
		server->settings.certificate_refused(server->app.app, &conn->ip, conn->wire.refused);
}

static bool step_shake(struct http_conn *conn)
{
	http_moved(conn);
	http_shed_shaking(conn);
	if (!http_conn_went(conn, http_wire_handshake(&conn->wire))) {
		tell_certificate(conn);
		return false;
	}
	http_shed_shaken(conn);
	conn->state = HTTP_HEAD_AWAITED;
	return true;
}

/* An empty line before a request is some clients' habit (RFC 9112, 2.2): one is let pass. */
static bool skip_blank(struct http_conn *conn)
{
	struct str in = http_input_str(conn);

	if (conn->skipped_blank || conn->head_at > 0 || !str_starts(in, "\r\n"))
		return false;
	conn->skipped_blank = true;
	http_input_took(conn, 2);
	return true;
}

/* The first byte of a head begins its time, unless that runs since the accept. */
static bool fill_head(struct http_conn *conn)
{
	if (!http_conn_went(conn, http_input_fill(conn)))
		return false;
	if (conn->watch != HTTP_WATCH_HEAD)
		http_conn_watch(conn, HTTP_WATCH_HEAD);
	return true;
}

static bool step_head(struct http_conn *conn)
{
	struct http_refusal why;
	struct str in;
	size_t len;

	if (skip_blank(conn))
		return true;
	in = http_input_str(conn);
	if (in.len == 0 || (in.len == 1 && *in.at == '\r' && !conn->skipped_blank))
		return fill_head(conn);
	switch (http_head_find(in, &conn->head_at, &len, &why)) {
	case HTTP_HEAD_MORE:
		return fill_head(conn);
	case HTTP_HEAD_BAD:
		http_request_begin_refused(conn, why);
		return true;
	case HTTP_HEAD_WHOLE:
		break;
	}
	conn->head_at = 0;
	conn->skipped_blank = false;
	http_request_begin(conn, len);
	return true;
}

static bool step_drain(struct http_conn *conn)
{
	if (!conn->framing.over)
		return http_body_drop(conn);
	conn->state = HTTP_HEAD_AWAITED;
	http_conn_watch(conn, HTTP_WATCH_KEEPALIVE);
	return true;
}

static bool step_linger(struct http_conn *conn)
{
	size_t len = 0;

	if (!conn->wire.readable)
		return false;
	if (!http_conn_went(conn, http_wire_drop(&conn->wire, conn->server->in_block, &len)))
		return false;
	conn->dropped += len;
	if (conn->dropped <= conn->server->settings.drain_max)
		return true;
	http_conn_cut(conn);
	return false;
}

static bool step(struct http_conn *conn)
{
	switch (conn->state) {
	case HTTP_SHAKE:
		return step_shake(conn);
	case HTTP_HEAD_AWAITED:
		return step_head(conn);
	case HTTP_REQUEST:
		return http_request_step(conn->request);
	case HTTP_DRAIN:
		return step_drain(conn);
	case HTTP_LINGER:
		return step_linger(conn);
	case HTTP_CHANNEL:
		return http_channel_step(conn);
	}
	return false;
}

void http_conn_turn(struct http_conn *conn)
{
	unsigned steps = 0;

	while (!conn->cut && steps < STEPS_MOST && step(conn))
		steps++;
	if (conn->cut) {
		http_conn_end(conn);
		return;
	}
	http_input_keep(conn);
	if (steps == STEPS_MOST)
		http_turns_queue(conn);
}

/* After a reply. */

static void linger(struct http_conn *conn)
{
	http_input_fini(conn);
	http_wire_shut(&conn->wire);
	conn->state = HTTP_LINGER;
	http_conn_watch(conn, HTTP_WATCH_DRAIN);
}

/* Closing while bytes are unread resets the connection, and a reset can overtake the reply. */
void http_conn_replied(struct http_conn *conn, bool keep)
{
	bool unread = !conn->framing.over || http_input_str(conn).len > 0;

	conn->dropped = 0;
	if (conn->server->quiesced && conn->framing.over)
		keep = false;
	if (keep && conn->framing.over) {
		conn->state = HTTP_HEAD_AWAITED;
		http_conn_watch(conn, HTTP_WATCH_KEEPALIVE);
	} else if (keep) {
		conn->state = HTTP_DRAIN;
		http_conn_watch(conn, HTTP_WATCH_DRAIN);
	} else if (unread && !conn->wire.inner) {
		linger(conn);
	} else {
		http_wire_shut(&conn->wire);
		http_conn_cut(conn);
	}
}
