/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server - listening, accepting, and the life of the server.
 *
 * Edges of sockets, replies and what else moves a connection only queue it; the loop's stage then gives
 * turns.
 */
#include "common/http_server_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"
#include "common/map.h"

/* Listening. */

static bool listen_on(const struct addrinfo *at, bool shared, int *ret_fd)
{
	int one = 1, zero = 0;
	AUTO_FD fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return false;
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		return false;
	if (at->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0)
		return false;
	if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		return false;
	*ret_fd = TAKE_FD(fd);
	return true;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);
	CHECK(getsockname(fd, (struct sockaddr *)&storage, &len) == 0);
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	memcpy(&v4, &storage, sizeof(v4));
	memcpy(&v6, &storage, sizeof(v6));
	return ntohs(storage.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

/* v6 first: with V6ONLY off its wildcard takes v4 as well. */
static bool listen_on_first(const struct addrinfo *list, bool shared, int *ret_fd)
{
	for (const struct addrinfo *at = list; at; at = at->ai_next)
		if (at->ai_family == AF_INET6 && listen_on(at, shared, ret_fd))
			return true;
	for (const struct addrinfo *at = list; at; at = at->ai_next)
		if (at->ai_family == AF_INET && listen_on(at, shared, ret_fd))
			return true;
	return false;
}

bool http_listen(
	const char *address, uint16_t port, bool shared, int *ret_fd, uint16_t *ret_port, struct error *err)
{
	char service[8];
	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	const char *host = address && *address ? address : NULL;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	int failed = getaddrinfo(host, service, &hints, &list);
	if (failed)
		return error_set(err, ERROR_INVALID, NULL, "listen on %s: %s", host ? host : "*",
			gai_strerror(failed));
	int fd = -1;
	bool done = listen_on_first(list, shared, &fd);
	if (!done)
		(void)error_sys(err, "listen on %s port %u", host ? host : "*", (unsigned)port);
	freeaddrinfo(list);
	if (!done)
		return false;
	*ret_fd = fd;
	if (ret_port)
		*ret_port = port_of(fd);
	return true;
}

/* Descriptors besides those of connections: a limit that is too low must not fail what reads files instead.
 */
#define FILES_SPARE       512U
#define CONNECTIONS_LEAST 16U

unsigned http_connections_fit(unsigned wanted)
{
	uint64_t files = file_raise_limit();
	uint64_t fit = files > FILES_SPARE ? (files - FILES_SPARE) / 9 * 8 : 0;
	if (fit >= wanted)
		return wanted;
	fit = fit > CONNECTIONS_LEAST ? fit : CONNECTIONS_LEAST;
	log_warn("http.files",
		"limit=%" PRIu64 " wanted=%u connections=%" PRIu64 " needed=%" PRIu64
		" the system lets this process open too few files; so many connections are served",
		files, wanted, fit, (uint64_t)wanted / 8 * 9 + FILES_SPARE);
	return (unsigned)fit;
}

/* Accepting. */

#define ACCEPT_MOST     16 /* at a time: then others have their turn */
#define ACCEPT_AGAIN_MS 100

static void on_accept_again(void *arg);

/* No descriptor is left: a connection that waits makes room, and the next try is in a while, so that nothing
 * spins meanwhile. */
static void stop_accepting(struct http_server *server)
{
	http_shed_first(server);
	loop_unwatch(server->loop, server->listen_fd);
	loop_timer_start(server->loop, &server->accept_again, ACCEPT_AGAIN_MS, on_accept_again, server);
}

static bool accept_one(struct http_server *server)
{
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof(from);
	struct ip ip = { 0 };
	int fd = accept4(server->listen_fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			stop_accepting(server);
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (!ip_from_socket((struct sockaddr *)&from, &ip))
		ip = (struct ip){ 0 };
	http_conn_open(server, fd, &ip);
	return true;
}

static void on_acceptable(void *arg, uint32_t events)
{
	struct http_server *server = arg;

	(void)events;
	for (unsigned n = 0; n < ACCEPT_MOST && accept_one(server); n++)
		;
}

static void on_accept_again(void *arg)
{
	struct http_server *server = arg;
	struct error err;

	if (!loop_watch(server->loop, server->listen_fd, EPOLLIN, on_acceptable, server, &err))
		loop_timer_start(
			server->loop, &server->accept_again, ACCEPT_AGAIN_MS, on_accept_again, server);
}

/* The stage. */

static int64_t stage_timeout(void *arg)
{
	return http_turns_wait(arg) ? 0 : -1;
}

static void stage_run(void *arg)
{
	http_turns_run(arg);
}

/* Life. */

static void fill_defaults(struct http_server_settings *settings)
{
	settings->connection_limit = settings->connection_limit ? settings->connection_limit : 4096;
	settings->head_timeout_ms = settings->head_timeout_ms ? settings->head_timeout_ms : 10000;
	settings->idle_timeout_ms = settings->idle_timeout_ms ? settings->idle_timeout_ms : 60000;
	settings->send_timeout_ms =
		settings->send_timeout_ms ? settings->send_timeout_ms : settings->idle_timeout_ms;
	settings->keepalive_timeout_ms =
		settings->keepalive_timeout_ms ? settings->keepalive_timeout_ms : 120000;
	settings->reply_timeout_ms = settings->reply_timeout_ms ? settings->reply_timeout_ms : 60000;
	settings->drain_max = settings->drain_max ? settings->drain_max : 8 * 1024 * 1024;
}

static void set_ticks(struct http_server *server)
{
	http_watch_by(server, server->settings.head_timeout_ms);
	http_watch_by(server, server->settings.idle_timeout_ms);
	http_watch_by(server, server->settings.send_timeout_ms);
	http_watch_by(server, server->settings.keepalive_timeout_ms);
	http_watch_by(server, server->settings.reply_timeout_ms);
}

/* sendfile(2) knows no MSG_NOSIGNAL. */
static void ignore_sigpipe(void)
{
	struct sigaction now;
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

static void server_free(struct http_server *server)
{
	http_wire_tls_free(server->tls);
	map_free(server->addresses);
	free(server->in_block);
	free(server->out_block);
	if (server->listen_fd >= 0)
		(void)close(server->listen_fd);
	free(server);
}

static bool set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void take_tls(struct http_server *server, struct http_wire_tls *tls)
{
	http_wire_tls_free(server->tls);
	server->tls = tls;
	HTTP_STORE(server->certificate_end_s, http_wire_tls_end_s(tls));
}

static bool server_start(struct http_server *server, const struct http_tls *tls, struct error *err)
{
	struct http_wire_tls *first;

	if (tls && !http_wire_tls_new(&first, tls, server->settings.tickets, err))
		return false;
	if (tls)
		take_tls(server, first);
	if (!set_nonblocking(server->listen_fd))
		return error_sys(err, "fcntl");
	return loop_watch(server->loop, server->listen_fd, EPOLLIN, on_acceptable, server, err);
}

bool http_server_new(struct http_server **ret_server, struct loop *loop,
	const struct http_server_settings *settings, struct http_app app, struct error *err)
{
	static atomic_uint servers;
	loop_assert(loop);
	ignore_sigpipe();
	struct http_server *server = xnew(struct http_server);
	server->loop = loop;
	server->app = app;
	server->settings = *settings;
	server->settings.tls = NULL;
	server->asks_client = settings->tls && settings->tls->client_ca_pem;
	server->listen_fd = settings->listen_fd;
	server->port = port_of(settings->listen_fd);
	/* Numbers of one process: the server's in the upper bits. */
	server->next_id = ((uint64_t)atomic_fetch_add(&servers, 1) << 40) + 1;
	server->addresses = map_new();
	list_init(&server->conns);
	list_init(&server->waiting);
	list_init(&server->shaking);
	list_init(&server->dirty);
	for (unsigned lane = 0; lane < HTTP_LANES; lane++)
		list_init(&server->ring[lane]);
	server->in_block = check_aligned(64, HTTP_WIRE_BLOCK);
	server->out_block = check_aligned(64, HTTP_WIRE_BLOCK);
	fill_defaults(&server->settings);
	set_ticks(server);
	if (!server_start(server, settings->tls, err)) {
		server_free(server);
		return false;
	}
	loop_add_stage(loop, (struct loop_stage){ stage_timeout, stage_run, server });
	*ret_server = server;
	return true;
}

static void stop_listening(struct http_server *server)
{
	if (server->listen_fd < 0)
		return;
	if (server->accept_again.slot == 0)
		loop_unwatch(server->loop, server->listen_fd);
	loop_timer_stop(server->loop, &server->accept_again);
	(void)close(server->listen_fd);
	server->listen_fd = -1;
}

void http_server_accept_no_more(struct http_server *server)
{
	loop_assert(server->loop);
	stop_listening(server);
}

void http_server_wind_down(struct http_server *server)
{
	loop_assert(server->loop);
	if (server->winding_down)
		return;
	server->winding_down = true;
	for (LIST_EACH(node, &server->conns)) {
		struct http_conn *conn = LIST_OF(struct http_conn, all, node);
		if (conn->channel)
			http_channel_away(conn);
	}
}

void http_server_quiesce(struct http_server *server)
{
	loop_assert(server->loop);
	stop_listening(server);
	http_server_wind_down(server);
	server->quiesced = true;
	for (LIST_EACH(node, &server->conns)) {
		struct http_conn *conn = LIST_OF(struct http_conn, all, node);
		if (conn->channel)
			http_channel_flush(conn);
		else if (!conn->request)
			http_conn_cut(conn);
	}
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	loop_assert(server->loop);
	stop_listening(server);
	while (list_first(&server->conns))
		http_conn_end(LIST_OF(struct http_conn, all, list_first(&server->conns)));
	CHECK(server->conns_len == 0 && server->requests_len == 0 && map_len(server->addresses) == 0);
	loop_timer_stop(server->loop, &server->tick);
	loop_remove_stage(server->loop, server);
	server_free(server);
}

unsigned http_server_requests(const struct http_server *server)
{
	loop_assert(server->loop);
	return server->requests_len;
}

unsigned http_server_connections(const struct http_server *server)
{
	loop_assert(server->loop);
	return server->conns_len;
}

struct http_server_stats http_server_stats(const struct http_server *server)
{
	uint64_t open = __atomic_load_n(&server->conns_len, __ATOMIC_RELAXED);
	uint64_t busy = __atomic_load_n(&server->requests_len, __ATOMIC_RELAXED);

	return (struct http_server_stats){
		.connections = open,
		.waiting = open > busy ? open - busy : 0,
		.accepted = __atomic_load_n(&server->accepted, __ATOMIC_RELAXED),
		.shed = __atomic_load_n(&server->shed, __ATOMIC_RELAXED),
		.certificate_end_s = __atomic_load_n(&server->certificate_end_s, __ATOMIC_RELAXED),
	};
}

bool http_tls_check(const struct http_tls *tls, struct error *err)
{
	struct http_wire_tls *tried;

	if (!http_wire_tls_new(&tried, tls, NULL, err))
		return false;
	http_wire_tls_free(tried);
	return true;
}

bool http_server_reload_tls(struct http_server *server, const struct http_tls *tls, struct error *err)
{
	struct http_wire_tls *next;

	loop_assert(server->loop);
	CHECK(server->tls);
	if (server->quiesced)
		return true;
	if (!http_wire_tls_new(&next, tls, server->settings.tickets, err))
		return false;
	take_tls(server, next);
	server->asks_client = tls->client_ca_pem != NULL;
	return true;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}
