/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_turns - whose turn it is.
 *
 *     ring of addresses:  [a] -> [b] -> [c] -> ...      each with a queue of its connections
 *
 * Turns go round the addresses, one connection of each, so an address with thousands of busy connections
 * holds nobody up for longer than one of its own. Handshakes, which cost a signature each, are a lane of
 * their own: one in a turn of the loop that serves nobody else, and of one that does, only when the loop has
 * worked SHAKE_REST times as long for others as the last one took. So whoever dials without end gets what is left,
 * or a quarter of the loop.
 */
#include "common/check.h"
#include "common/clock.h"
#include "common/http_server_priv.h"
#include "common/map.h"

/* Turns in one turn of the loop, before it looks for what has come meanwhile. */
#define TURNS_MOST  8
#define SHAKES_MOST 1
#define SHAKE_REST  3

/* Addresses. */

static struct str key_str(const struct ip *key)
{
	return str_from((const char *)key->at, sizeof(key->at));
}

void http_address_join(struct http_conn *conn, const struct ip *ip)
{
	struct ip key = ip_client(ip);
	struct http_address *address = map_find(conn->server->addresses, key_str(&key));

	if (!address) {
		address = xnew(struct http_address);
		address->key = key;
		for (unsigned lane = 0; lane < HTTP_LANES; lane++)
			list_init(&address->queue[lane]);
		(void)map_put(conn->server->addresses, key_str(&key), address);
	}
	address->conns++;
	conn->address = address;
}

void http_address_leave(struct http_conn *conn)
{
	struct http_address *address = conn->address;

	CHECK(!list_has(&conn->turn));
	conn->address = NULL;
	if (--address->conns > 0)
		return;
	for (unsigned lane = 0; lane < HTTP_LANES; lane++)
		CHECK(!list_has(&address->ring[lane]));
	CHECK(map_delete(conn->server->addresses, key_str(&address->key)) == address);
	free(address);
}

void http_request_set_client(struct http_request *request, const struct ip *client)
{
	struct http_conn *conn = request->conn;
	struct ip key = ip_client(client);
	bool queued = list_has(&conn->turn);

	http_request_assert(request);
	if (ip_equal(&key, &conn->address->key))
		return;
	http_turns_forget(conn);
	http_address_leave(conn);
	http_address_join(conn, client);
	if (queued)
		http_turns_queue(conn);
}

/* Queues. */

void http_turns_queue(struct http_conn *conn)
{
	bool shakes = conn->state == HTTP_SHAKE && !conn->cut && !conn->wire.lost;
	enum http_lane lane = shakes ? HTTP_LANE_SHAKE : HTTP_LANE_RUN;
	struct http_address *address = conn->address;

	if (list_has(&conn->turn) && conn->lane == lane)
		return;
	http_turns_forget(conn);
	conn->lane = lane;
	list_push(&address->queue[lane], &conn->turn);
	if (!list_has(&address->ring[lane]))
		list_push(&conn->server->ring[lane], &address->ring[lane]);
}

void http_turns_forget(struct http_conn *conn)
{
	struct http_address *address = conn->address;

	list_drop(&conn->turn);
	if (!list_first(&address->queue[conn->lane]))
		list_drop(&address->ring[conn->lane]);
}

bool http_turns_wait(const struct http_server *server)
{
	return list_first(&server->ring[HTTP_LANE_RUN]) || list_first(&server->ring[HTTP_LANE_SHAKE]) ||
	       list_first(&server->dirty);
}

/* The first address, which is the last of its ring from now on. */
static struct http_address *next_address(struct http_server *server, enum http_lane lane)
{
	struct list *node = list_first(&server->ring[lane]);

	if (!node)
		return NULL;
	list_drop(node);
	list_push(&server->ring[lane], node);
	return (struct http_address *)(void *)((char *)(node - lane) - offsetof(struct http_address, ring));
}

/* How many turns it were. */
static unsigned run_lane(struct http_server *server, enum http_lane lane, unsigned most)
{
	struct http_address *address;
	unsigned n = 0;

	while (n < most && (address = next_address(server, lane))) {
		struct http_conn *conn = LIST_OF(struct http_conn, turn, list_first(&address->queue[lane]));
		http_turns_forget(conn);
		http_conn_turn(conn);
		n++;
	}
	return n;
}

/* By processor time of this thread: what else the machine does changes nothing. */
static void run_shakes(struct http_server *server, bool others_run)
{
	int64_t begun_us;

	if (!list_first(&server->ring[HTTP_LANE_SHAKE]))
		return;
	begun_us = clock_cpu_us();
	if (others_run && begun_us < server->shake_at_us)
		return;
	(void)run_lane(server, HTTP_LANE_SHAKE, SHAKES_MOST);
	int64_t now_us = clock_cpu_us();
	server->shake_at_us = now_us + SHAKE_REST * (now_us - begun_us);
}

void http_turns_run(struct http_server *server)
{
	run_shakes(server, run_lane(server, HTTP_LANE_RUN, TURNS_MOST) > 0);
	http_channels_flush(server, !list_first(&server->ring[HTTP_LANE_RUN]));
}
