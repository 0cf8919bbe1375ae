/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_conn - connections: suspend, resume, deadlines.
 *
 * A deadline is one number in the connection; one timer of the server looks at all of them now
 * and then, so that starting and moving a deadline costs a store. Progress is what the kernel
 * says of it (bytes acknowledged and received): that covers sendfile, TLS and suspended
 * connections alike, which libmicrohttpd's own timeout does not. A connection is ended by
 * shutdown(2): libmicrohttpd then finds the end of it in its own time.
 *
 * Connections without a whole head stand in a second list, in the order in which they began to wait: the
 * first of them goes when there are too many.
 */
#include "common/http_server_priv.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "common/check.h"
#include "common/log.h"

/* Looks a deadline of progress is divided into: it ends after the fourth one without any. */
#define LOOKS         4
#define FIRST_LOOK_MS 1000U
#define CLOSE_WAIT    8 /* TCP_CLOSE_WAIT of netinet/tcp.h, which does not go together with linux/tcp.h */
#define TICK_LEAST_MS 10U
#define TICK_MOST_MS  500U

static bool is_replying(const struct http_conn *conn)
{
	return conn->request && conn->request->phase == HTTP_PHASE_REPLY;
}

static int64_t watch_ms(const struct http_conn *conn)
{
	const struct http_server_settings *settings = &conn->server->settings;
	switch (conn->watch) {
	case HTTP_WATCH_HEAD:
		return settings->head_timeout_ms;
	case HTTP_WATCH_KEEPALIVE:
		return settings->keepalive_timeout_ms;
	case HTTP_WATCH_WAIT:
		return conn->request->wait_ms;
	case HTTP_WATCH_MOVE:
		return (is_replying(conn) ? settings->send_timeout_ms : settings->idle_timeout_ms) / LOOKS;
	}
	return 0;
}

static int64_t first_look_ms(const struct http_conn *conn)
{
	int64_t ms = watch_ms(conn);
	return conn->watch == HTTP_WATCH_MOVE && ms > FIRST_LOOK_MS ? FIRST_LOOK_MS : ms;
}

/* The server's numbers have one writer; metrics look at them from other threads. */
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELAXED)

static void stop_waiting(struct http_conn *conn)
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

static void start_waiting(struct http_conn *conn)
{
	struct http_server *server = conn->server;
	stop_waiting(conn);
	conn->waits = true;
	conn->waiting_next = NULL;
	conn->waiting_prev = server->waiting_last;
	if (server->waiting_last)
		server->waiting_last->waiting_next = conn;
	else
		server->waiting_first = conn;
	server->waiting_last = conn;
}

void http_conn_watch(struct http_conn *conn, enum http_watch watch)
{
	if (!conn->cut && (watch == HTTP_WATCH_HEAD || watch == HTTP_WATCH_KEEPALIVE))
		start_waiting(conn);
	else
		stop_waiting(conn);
	conn->watch = watch;
	conn->still = 0;
	conn->due_ms = loop_now(conn->server->loop) + first_look_ms(conn);
}

void http_conn_suspend(struct http_conn *conn)
{
	CHECK(!conn->suspended);
	conn->suspended = true;
	MHD_suspend_connection(conn->mhd);
}

void http_conn_resume(struct http_conn *conn)
{
	if (!conn->suspended)
		return;
	conn->suspended = false;
	MHD_resume_connection(conn->mhd);
	loop_wake_stages(conn->server->loop);
}

void http_conn_cut(struct http_conn *conn)
{
	if (conn->request)
		conn->request->cut = true;
	stop_waiting(conn);
	conn->server->cut_len += !conn->cut;
	conn->cut = true;
	(void)shutdown(conn->fd, SHUT_RDWR);
	http_conn_resume(conn);
}

static bool read_info(const struct http_conn *conn, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);
	*info = (struct tcp_info){ 0 };
	return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0;
}

uint64_t http_conn_acked(const struct http_conn *conn)
{
	struct tcp_info info;
	return read_info(conn, &info) ? info.tcpi_bytes_acked : 0;
}

/* libmicrohttpd misses an end that arrived together with the last bytes: it waits for an edge that was
 * there already. In the middle of a body nothing more can come then. */
static bool ended_unseen(const struct http_conn *conn, const struct tcp_info *info)
{
	const struct http_request *request = conn->request;
	int unread = 0;
	return info->tcpi_state == CLOSE_WAIT && !conn->suspended && request &&
	       (request->phase == HTTP_PHASE_BODY || request->phase == HTTP_PHASE_DRAIN) &&
	       ioctl(conn->fd, FIONREAD, &unread) == 0 && unread == 0;
}

static void look_for_progress(struct http_conn *conn)
{
	struct tcp_info info;
	uint64_t progress = read_info(conn, &info) ? info.tcpi_bytes_acked + info.tcpi_bytes_received : 0;
	conn->due_ms = loop_now(conn->server->loop) + watch_ms(conn);
	conn->still = progress == conn->progress ? conn->still + 1 : 0;
	conn->progress = progress;
	if (conn->still >= LOOKS || ended_unseen(conn, &info))
		http_conn_cut(conn);
}

static void look(struct http_conn *conn)
{
	switch (conn->watch) {
	case HTTP_WATCH_HEAD:
	case HTTP_WATCH_KEEPALIVE:
		http_conn_watch(conn, conn->watch);
		http_conn_cut(conn);
		break;
	case HTTP_WATCH_WAIT:
		http_conn_watch(conn, conn->watch);
		http_request_too_late(conn->request);
		break;
	case HTTP_WATCH_MOVE:
		look_for_progress(conn);
		break;
	}
}

/* The list changes only inside of MHD_run(). */
static void on_tick(void *arg)
{
	struct http_server *server = arg;
	for (struct http_conn *conn = server->conns; conn; conn = conn->next)
		if (conn->due_ms <= loop_now(server->loop))
			look(conn);
	if (server->conns)
		loop_timer_start(server->loop, &server->tick, server->tick_ms, on_tick, server);
}

void http_conn_tick_by(struct http_server *server, unsigned ms)
{
	unsigned quarter = ms / LOOKS;
	quarter = quarter < TICK_LEAST_MS ? TICK_LEAST_MS : quarter > TICK_MOST_MS ? TICK_MOST_MS : quarter;
	if (server->tick_ms != 0 && server->tick_ms <= quarter)
		return;
	server->tick_ms = quarter;
	if (server->tick.slot != 0)
		loop_timer_start(server->loop, &server->tick, quarter, on_tick, server);
}

/* The new one waits too, so there is always one to cut. */
static void make_room(struct http_server *server)
{
	while (server->conns_len - server->cut_len > server->settings.connection_limit) {
		STORE(server->shed, server->shed + 1);
		http_conn_cut(server->waiting_first);
	}
}

static gnutls_session_t session_of(const struct http_conn *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info ? info->tls_session : NULL;
}

/* libmicrohttpd asks for the certificate and leaves judging it to us. One that is bad ends the handshake;
 * none is for the application to judge. */
static int verify_client(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = { GNUTLS_DT_KEY_PURPOSE_OID,
		(unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0 };
	unsigned len = 0, status = 0;
	if (!gnutls_certificate_get_peers(session, &len) || len == 0)
		return 0;
	int failed = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (failed == 0 && status == 0)
		return 0;
	gnutls_datum_t why = { 0 };
	if (failed == 0)
		(void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
	log_debug("tls.client_refused", "reason=%s",
		log_quote(why.data ? str_from(why.data, why.size) : str_of(gnutls_strerror(failed))));
	gnutls_free(why.data);
	return GNUTLS_E_CERTIFICATE_ERROR;
}

struct str http_conn_client_cert(const struct http_conn *conn)
{
	gnutls_session_t session = conn->server->asks_client ? session_of(conn) : NULL;
	unsigned len = 0;
	const gnutls_datum_t *list = session ? gnutls_certificate_get_peers(session, &len) : NULL;
	return list && len > 0 ? str_from(list[0].data, list[0].size) : STR_NONE;
}

static void on_started(struct http_daemon *daemon, struct MHD_Connection *mhd, void **context)
{
	struct http_server *server = daemon->server;
	struct http_conn *conn = xnew(struct http_conn);
	conn->magic = HTTP_CONN_MAGIC;
	conn->server = server;
	conn->daemon = daemon;
	conn->mhd = mhd;
	conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	conn->next = server->conns;
	if (conn->next)
		conn->next->prev = conn;
	server->conns = conn;
	STORE(server->conns_len, server->conns_len + 1);
	STORE(server->accepted, server->accepted + 1);
	daemon->connections++;
	if (server->asks_client)
		gnutls_session_set_verify_function(session_of(conn), verify_client);
	http_conn_watch(conn, HTTP_WATCH_HEAD);
	make_room(server);
	if (server->tick.slot == 0)
		loop_timer_start(server->loop, &server->tick, server->tick_ms, on_tick, server);
	*context = conn;
}

static void on_closed(struct http_conn *conn)
{
	struct http_server *server = conn->server;
	CHECK(!conn->request);
	stop_waiting(conn);
	server->cut_len -= conn->cut;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		server->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	STORE(server->conns_len, server->conns_len - 1);
	conn->daemon->connections--;
	conn->magic = 0;
	free(conn->note);
	free(conn);
}

void http_conn_notify(
	void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		on_started(arg, mhd, context);
		return;
	}
	struct http_conn *conn = OBJ_CAST(http_conn, HTTP_CONN_MAGIC, *context);
	*context = NULL;
	on_closed(conn);
}
