/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_shed - who goes when there are too many connections.
 *
 * In this order:
 *
 *   1. who keeps nobody waiting: the rest of a body is dropped, a handshake or a head is not complete, a kept
 * connection is idle; of the address that has most connections, and of those who waits longest;
 *   2. who crawls: a body or a reply under way for SLOW_AFTER_MS that moved less than SLOW_RATE on average,
 * again of the address that has most;
 *   3. the new one.
 *
 * So one client cannot hold the places of all others, and a full server stays one that answers. Behind a
 * balancer all have one address, and the oldest of all goes.
 */

#include "common/http_server_priv.h"

#define SLOW_AFTER_MS 10000
#define SLOW_RATE     1024 /* bytes a second */

/* The list of those that may go. */

void http_shed_busy(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	if (!conn->waits)
		return;
	conn->waits = false;
	if (conn->waiting_prev)
		conn->waiting_prev->waiting_next = conn->waiting_next;
	else
		server->waiting_first = conn->waiting_next;
	if (conn->waiting_next)
		conn->waiting_next->waiting_prev = conn->waiting_prev;
	else
		server->waiting_last = conn->waiting_prev;
}

void http_shed_wait(struct http_conn *conn, bool first)
{
	struct http_server *server = conn->server;

	http_shed_busy(conn);
	conn->waits = true;
	conn->waiting_prev = first ? NULL : server->waiting_last;
	conn->waiting_next = first ? server->waiting_first : NULL;
	if (conn->waiting_prev)
		conn->waiting_prev->waiting_next = conn;
	else
		server->waiting_first = conn;
	if (conn->waiting_next)
		conn->waiting_next->waiting_prev = conn;
	else
		server->waiting_last = conn;
}

/* Choosing. */

static struct http_conn *heavier(struct http_conn *found, struct http_conn *conn)
{
	return !found || conn->address->conns > found->address->conns ? conn : found;
}

static struct http_conn *find_waiting(const struct http_server *server, const struct http_conn *newest)
{
	struct http_conn *found = NULL;

	for (struct http_conn *conn = server->waiting_first; conn; conn = conn->waiting_next)
		if (conn != newest)
			found = heavier(found, conn);
	return found;
}

static bool crawls(const struct http_conn *conn)
{
	int64_t ms = loop_now(conn->server->loop) - conn->begun_ms;
	const struct http_request *request = conn->request;

	if (conn->cut || conn->watch != HTTP_WATCH_MOVE || !request || ms < SLOW_AFTER_MS)
		return false;
	return (request->bytes_in + request->bytes_out) * 1000 / (uint64_t)ms < SLOW_RATE;
}

static struct http_conn *find_crawling(const struct http_server *server)
{
	struct http_conn *found = NULL;

	for (struct http_conn *conn = server->conns; conn; conn = conn->next)
		if (crawls(conn))
			found = heavier(found, conn);
	return found;
}

void http_shed_make_room(struct http_server *server, struct http_conn *newest)
{
	while (server->conns_len - server->cut_len > server->settings.connection_limit) {
		struct http_conn *conn = find_waiting(server, newest);
		if (!conn)
			conn = find_crawling(server);
		HTTP_STORE(server->shed, server->shed + 1);
		http_conn_cut(conn ? conn : newest);
	}
}
