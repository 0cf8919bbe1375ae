/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_watch - deadlines.
 *
 * A deadline is one number in the connection; one timer of the server looks at all of them now and then, so
 * that starting and moving a deadline costs a store. Progress is what the kernel says of it (bytes
 * acknowledged and received): a reply that lies in a buffer and is not fetched is none.
 */
#include "common/check.h"
#include "common/http_server_priv.h"

/* Looks a deadline of progress is divided into: it ends after the fourth one without any. */
#define LOOKS         4
#define FIRST_LOOK_MS 1000U
#define TICK_LEAST_MS 10U
#define TICK_MOST_MS  500U
/* All the time that the rest of a body has which nobody wants any more. */
#define DRAIN_MS 5000U

static int64_t watch_ms(const struct http_conn *conn)
{
	const struct http_server_settings *settings = &conn->server->settings;
	bool replying = conn->request && conn->request->replying;

	switch (conn->watch) {
	case HTTP_WATCH_HEAD:
		return settings->head_timeout_ms;
	case HTTP_WATCH_KEEPALIVE:
		return settings->keepalive_timeout_ms;
	case HTTP_WATCH_WAIT:
		return conn->request->wait_ms;
	case HTTP_WATCH_MOVE:
		return (replying ? settings->send_timeout_ms : settings->idle_timeout_ms) / LOOKS;
	case HTTP_WATCH_CHANNEL:
		return settings->send_timeout_ms / LOOKS;
	case HTTP_WATCH_DRAIN:
		return settings->idle_timeout_ms < DRAIN_MS ? settings->idle_timeout_ms : DRAIN_MS;
	}
	return 0;
}

static int64_t first_look_ms(const struct http_conn *conn)
{
	int64_t ms = watch_ms(conn);

	return conn->watch == HTTP_WATCH_MOVE && ms > FIRST_LOOK_MS ? FIRST_LOOK_MS : ms;
}

/* Whom somebody waits for is not closed for others. */
static void tell_shed(struct http_conn *conn)
{
	if (conn->cut || conn->watch == HTTP_WATCH_WAIT || conn->watch == HTTP_WATCH_MOVE ||
		conn->watch == HTTP_WATCH_CHANNEL)
		http_shed_busy(conn);
	else
		http_shed_wait(conn, conn->watch == HTTP_WATCH_DRAIN);
}

void http_conn_watch(struct http_conn *conn, enum http_watch watch)
{
	conn->watch = watch;
	conn->still = 0;
	conn->due_ms = loop_now(conn->server->loop) + first_look_ms(conn);
	tell_shed(conn);
}

static void look_for_progress(struct http_conn *conn)
{
	uint64_t progress = http_wire_progress(&conn->wire);

	conn->due_ms = loop_now(conn->server->loop) + watch_ms(conn);
	conn->still = progress == conn->progress ? conn->still + 1 : 0;
	conn->progress = progress;
	if (conn->still >= LOOKS)
		http_conn_cut(conn);
}

static void look_at_channel(struct http_conn *conn)
{
	int64_t keepalive = conn->server->settings.keepalive_timeout_ms;

	if (!http_channel_is_stuck(conn))
		conn->still = 0;
	look_for_progress(conn);
	if (!http_channel_is_stuck(conn) && conn->due_ms > loop_now(conn->server->loop) + keepalive)
		conn->due_ms = loop_now(conn->server->loop) + keepalive;
	http_channel_look(conn);
}

static void look(struct http_conn *conn)
{
	switch (conn->watch) {
	case HTTP_WATCH_HEAD:
	case HTTP_WATCH_KEEPALIVE:
	case HTTP_WATCH_DRAIN:
		http_conn_cut(conn);
		break;
	case HTTP_WATCH_WAIT:
		http_conn_watch(conn, conn->watch);
		http_request_too_late(conn->request);
		break;
	case HTTP_WATCH_MOVE:
		look_for_progress(conn);
		break;
	case HTTP_WATCH_CHANNEL:
		look_at_channel(conn);
		break;
	}
}

static void on_tick(void *arg)
{
	struct http_server *server = arg;

	for (LIST_EACH(node, &server->conns)) {
		struct http_conn *conn = LIST_OF(struct http_conn, all, node);
		if (!conn->cut && conn->due_ms <= loop_now(server->loop))
			look(conn);
	}
	if (list_first(&server->conns))
		loop_timer_start(server->loop, &server->tick, server->tick_ms, on_tick, server);
}

void http_watch_start(struct http_server *server)
{
	if (server->tick.slot == 0)
		loop_timer_start(server->loop, &server->tick, server->tick_ms, on_tick, server);
}

void http_watch_by(struct http_server *server, unsigned ms)
{
	unsigned quarter = ms / LOOKS;

	quarter = quarter < TICK_LEAST_MS ? TICK_LEAST_MS : quarter > TICK_MOST_MS ? TICK_MOST_MS : quarter;
	if (server->tick_ms != 0 && server->tick_ms <= quarter)
		return;
	server->tick_ms = quarter;
	if (server->tick.slot != 0)
		loop_timer_start(server->loop, &server->tick, quarter, on_tick, server);
}
