/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_turns - whose turn it is.
 *
 *     ring of addresses:  [a] -> [b] -> [c] -> ...      each with a queue of its connections
 *
 * Turns go round the addresses, one connection of each, so an address with thousands of busy connections
 * holds nobody up for longer than one of its own. Handshakes, which cost a signature each, are a lane of
 * their own: one a turn of the loop.
 */
#include "common/check.h"
#include "common/http_server_priv.h"
#include "common/map.h"

/* Turns in one turn of the loop, before it looks for what has come meanwhile. */
#define TURNS_MOST  8
#define SHAKES_MOST 1
#define NETWORK_LEN 64 /* bits of a v6 address */

/* Addresses. */

static struct str key_str(const struct ip *key)
{
	return str_from((const char *)key->at, sizeof(key->at));
}

void http_address_join(struct http_conn *conn, const struct ip *ip)
{
	struct ip key = ip_prefix(ip, NETWORK_LEN);
	struct http_address *address = map_find(conn->server->addresses, key_str(&key));

	if (!address) {
		address = xnew(struct http_address);
		address->key = key;
		(void)map_put(conn->server->addresses, key_str(&key), address);
	}
	address->conns++;
	conn->address = address;
}

void http_address_leave(struct http_conn *conn)
{
	struct http_address *address = conn->address;

	CHECK(!conn->queued);
	conn->address = NULL;
	if (--address->conns > 0)
		return;
	CHECK(!address->in_ring[HTTP_LANE_RUN] && !address->in_ring[HTTP_LANE_SHAKE]);
	CHECK(map_delete(conn->server->addresses, key_str(&address->key)) == address);
	free(address);
}

void http_request_set_client(struct http_request *request, const struct ip *client)
{
	struct http_conn *conn = request->conn;
	struct ip key = ip_prefix(client, NETWORK_LEN);
	bool queued = conn->queued;

	loop_assert(conn->server->loop);
	if (ip_equal(&key, &conn->address->key))
		return;
	http_turns_forget(conn);
	http_address_leave(conn);
	http_address_join(conn, client);
	if (queued)
		http_turns_queue(conn);
}

/* The ring: its first is next. */

static void ring_join(struct http_server *server, struct http_address *address, enum http_lane lane)
{
	struct http_address *first = server->ring[lane];

	address->in_ring[lane] = true;
	if (!first) {
		address->ring_prev[lane] = address->ring_next[lane] = address;
		server->ring[lane] = address;
		return;
	}
	address->ring_next[lane] = first;
	address->ring_prev[lane] = first->ring_prev[lane];
	first->ring_prev[lane]->ring_next[lane] = address;
	first->ring_prev[lane] = address;
}

static void ring_leave(struct http_server *server, struct http_address *address, enum http_lane lane)
{
	struct http_address *next = address->ring_next[lane];

	address->in_ring[lane] = false;
	if (next == address) {
		server->ring[lane] = NULL;
		return;
	}
	address->ring_prev[lane]->ring_next[lane] = next;
	next->ring_prev[lane] = address->ring_prev[lane];
	if (server->ring[lane] == address)
		server->ring[lane] = next;
}

/* Queues. */

void http_turns_queue(struct http_conn *conn)
{
	bool shakes = conn->state == HTTP_SHAKE && !conn->cut && !conn->wire.lost;
	enum http_lane lane = shakes ? HTTP_LANE_SHAKE : HTTP_LANE_RUN;
	struct http_address *address = conn->address;

	if (conn->queued && conn->lane == lane)
		return;
	http_turns_forget(conn);
	conn->queued = true;
	conn->lane = lane;
	conn->turn_next = NULL;
	conn->turn_prev = address->last[lane];
	if (address->last[lane])
		address->last[lane]->turn_next = conn;
	else
		address->first[lane] = conn;
	address->last[lane] = conn;
	if (!address->in_ring[lane])
		ring_join(conn->server, address, lane);
}

void http_turns_forget(struct http_conn *conn)
{
	struct http_address *address = conn->address;
	enum http_lane lane = conn->lane;

	if (!conn->queued)
		return;
	conn->queued = false;
	if (conn->turn_prev)
		conn->turn_prev->turn_next = conn->turn_next;
	else
		address->first[lane] = conn->turn_next;
	if (conn->turn_next)
		conn->turn_next->turn_prev = conn->turn_prev;
	else
		address->last[lane] = conn->turn_prev;
	if (!address->first[lane])
		ring_leave(conn->server, address, lane);
}

bool http_turns_wait(const struct http_server *server)
{
	return server->ring[HTTP_LANE_RUN] || server->ring[HTTP_LANE_SHAKE];
}

static void run_lane(struct http_server *server, enum http_lane lane, unsigned most)
{
	for (unsigned n = 0; n < most && server->ring[lane]; n++) {
		struct http_address *address = server->ring[lane];
		struct http_conn *conn = address->first[lane];
		server->ring[lane] = address->ring_next[lane];
		http_turns_forget(conn);
		http_conn_turn(conn);
	}
}

void http_turns_run(struct http_server *server)
{
	run_lane(server, HTTP_LANE_RUN, TURNS_MOST);
	run_lane(server, HTTP_LANE_SHAKE, SHAKES_MOST);
}
