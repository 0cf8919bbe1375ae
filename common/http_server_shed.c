/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_shed - who goes when there are too many connections.
 *
 * In this order:
 *
 *   1. who keeps nobody waiting: the rest of a body is dropped, a handshake or a head is not complete, a kept
 *      connection is idle; of the address that has most connections, and of those who waits longest;
 *   2. who crawls: a body or a reply under way for SLOW_AFTER_MS that moved less than SLOW_RATE on average,
 *      again of the address that has most;
 *   3. the new one.
 *
 * Handshakes that were begun cost memory of their own (some 40 KiB): at most SHAKING_MOST at a time, and over
 * that the oldest goes of the address that has most of them.
 *
 * So one client cannot hold the places of all others, and a full server stays one that answers. Behind a
 * balancer all have one address, and the oldest of all goes.
 */
#include "common/http_server_priv.h"

#define SLOW_AFTER_MS 10000
#define SLOW_RATE     1024 /* bytes a second */
#define SHAKING_MOST  1024

/* The list of those that may go. */

void http_shed_busy(struct http_conn *conn)
{
	list_drop(&conn->waiting);
}

void http_shed_wait(struct http_conn *conn, bool first)
{
	struct list *waiting = &conn->server->waiting;

	list_drop(&conn->waiting);
	if (first)
		list_push_first(waiting, &conn->waiting);
	else
		list_push(waiting, &conn->waiting);
}

/* Choosing. To look at all costs time, which whoever dials could make us spend: so some go at a time, and
 * when nobody could go it is not looked again for a while. */

#define SHARE_AT_A_TIME 64 /* of the limit */
#define LOOK_AGAIN_MS   100

static struct http_conn *heavier(struct http_conn *found, struct http_conn *conn)
{
	return !found || conn->address->conns > found->address->conns ? conn : found;
}

static struct http_conn *find_waiting(const struct http_server *server, const struct http_conn *newest)
{
	struct http_conn *found = NULL;

	for (LIST_EACH(node, &server->waiting)) {
		struct http_conn *conn = LIST_OF(struct http_conn, waiting, node);
		if (conn != newest)
			found = heavier(found, conn);
	}
	return found;
}

static void cut_for_others(struct http_conn *conn)
{
	HTTP_STORE(conn->server->shed, conn->server->shed + 1);
	http_conn_cut(conn);
}

void http_shed_first(struct http_server *server)
{
	struct http_conn *conn = LIST_OF(struct http_conn, waiting, list_first(&server->waiting));

	if (conn)
		cut_for_others(conn);
}

/* Where nobody has many it does not matter whose they are. */
static bool shed_waiting(struct http_server *server, const struct http_conn *newest, unsigned most)
{
	const struct http_conn *found = find_waiting(server, newest);
	const struct http_address *address =
		found && found->address->conns > most / 2 ? found->address : NULL;
	struct list *node = server->waiting.next, *next;

	for (; node != &server->waiting && most > 0; node = next) {
		struct http_conn *conn = LIST_OF(struct http_conn, waiting, node);
		next = node->next;
		if (conn == newest || (address && conn->address != address))
			continue;
		cut_for_others(conn);
		most--;
	}
	return found != NULL;
}

static bool crawls(const struct http_conn *conn)
{
	int64_t ms = loop_now(conn->server->loop) - conn->begun_ms;
	const struct http_request *request = conn->request;

	if (conn->cut || conn->watch != HTTP_WATCH_MOVE || !request || ms < SLOW_AFTER_MS)
		return false;
	return (request->bytes_in + request->bytes_out) * 1000 / (uint64_t)ms < SLOW_RATE;
}

static bool shed_crawling(struct http_server *server, unsigned most)
{
	struct http_conn *found = NULL;

	if (loop_now(server->loop) < server->look_again_ms)
		return false;
	for (LIST_EACH(node, &server->conns)) {
		struct http_conn *conn = LIST_OF(struct http_conn, all, node);
		if (crawls(conn))
			found = heavier(found, conn);
	}
	if (!found)
		server->look_again_ms = loop_now(server->loop) + LOOK_AGAIN_MS;
	if (!found)
		return false;
	for (LIST_EACH(node, &server->conns)) {
		struct http_conn *conn = LIST_OF(struct http_conn, all, node);
		if (most == 0)
			break;
		if (conn->address != found->address || !crawls(conn))
			continue;
		cut_for_others(conn);
		most--;
	}
	return true;
}

void http_shed_make_room(struct http_server *server, struct http_conn *newest)
{
	unsigned limit = server->settings.connection_limit, most = limit / SHARE_AT_A_TIME + 1;

	if (server->conns_len - server->cut_len <= limit)
		return;
	if (!shed_waiting(server, newest, most) && !shed_crawling(server, most))
		cut_for_others(newest);
}

/* Handshakes. */

void http_shed_shaken(struct http_conn *conn)
{
	if (!list_has(&conn->shaking))
		return;
	list_drop(&conn->shaking);
	conn->address->shaking--;
	conn->server->shaking_len--;
}

static struct http_conn *find_shaking(const struct http_server *server)
{
	struct http_conn *found = NULL;

	for (LIST_EACH(node, &server->shaking)) {
		struct http_conn *conn = LIST_OF(struct http_conn, shaking, node);
		if (!found || conn->address->shaking > found->address->shaking)
			found = conn;
	}
	return found;
}

void http_shed_shaking(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	if (list_has(&conn->shaking))
		return;
	if (server->shaking_len >= SHAKING_MOST) {
		struct http_conn *oldest = find_shaking(server);
		cut_for_others(oldest);
		http_shed_shaken(oldest);
	}
	list_push(&server->shaking, &conn->shaking);
	conn->address->shaking++;
	server->shaking_len++;
}
