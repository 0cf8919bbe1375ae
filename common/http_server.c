/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server - the server of one loop and the libmicrohttpd daemons inside of it.
 *
 * There is one daemon, without a thread: its epoll fd is watched by the loop, and the loop's stage
 * asks it for its timeout and lets it run. A daemon's certificate cannot be changed, so a reload
 * starts a new one on the same listening socket and the old one serves its connections out.
 */
#include "common/http_server_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"

#define DAEMONS_MAX 8

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

/* Daemons. */

/* Path and query are ours to decode: libmicrohttpd's own copy stays as it came. */
static size_t leave_escaped(void *arg, struct MHD_Connection *mhd, char *text)
{
	(void)arg;
	(void)mhd;
	return strlen(text);
}

/* The stage runs MHD_run() each turn; the watch only ends the wait. */
static void on_ready(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
}

static unsigned add_tls(struct MHD_OptionItem *options, unsigned n, const struct http_tls *tls)
{
	char *key = (char *)(uintptr_t)tls->key_pem, *cert = (char *)(uintptr_t)tls->cert_pem;
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, key };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, cert };
	if (tls->client_ca_pem) {
		char *trust = (char *)(uintptr_t)tls->client_ca_pem;
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0, trust };
	}
	return n;
}

/* Each daemon has its own copy of the socket, since one that cannot start closes it. */
static struct MHD_Daemon *start_mhd(struct http_daemon *daemon, const struct http_tls *tls)
{
	struct http_server *server = daemon->server;
	struct MHD_OptionItem options[4];
	unsigned n = tls ? add_tls(options, 0, tls) : 0;
	options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	int listen_fd = fcntl(server->listen_fd, F_DUPFD_CLOEXEC, 0);
	if (listen_fd < 0)
		return NULL;
	unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0U);
	return MHD_start_daemon(flags, 0, NULL, NULL, http_request_on_access, daemon,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		server->settings.connection_limit + HTTP_CONNECTIONS_SPARE,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION,
		http_conn_notify, daemon, MHD_OPTION_NOTIFY_COMPLETED, http_request_on_completed, daemon,
		MHD_OPTION_URI_LOG_CALLBACK, http_request_on_uri, daemon, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_escaped, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, options,
		MHD_OPTION_END);
}

static void daemon_quiesce(struct http_daemon *daemon)
{
	if (daemon->quiesced)
		return;
	daemon->quiesced = true;
	int listen_fd = MHD_quiesce_daemon(daemon->mhd);
	if (listen_fd >= 0)
		(void)close(listen_fd);
}

/* Connections of it must have no suspended request left. */
static void daemon_free(struct http_daemon *daemon)
{
	if (!daemon)
		return;
	if (daemon->epoll_fd >= 0)
		loop_unwatch(daemon->server->loop, daemon->epoll_fd);
	if (daemon->mhd) {
		daemon_quiesce(daemon);
		MHD_stop_daemon(daemon->mhd);
	}
	CHECK(daemon->connections == 0);
	free(daemon);
}

static bool daemon_start(struct http_server *server, const struct http_tls *tls, struct error *err)
{
	struct http_daemon *daemon = xnew(struct http_daemon);
	daemon->server = server;
	daemon->epoll_fd = -1;
	daemon->mhd = start_mhd(daemon, tls);
	if (!daemon->mhd) {
		free(daemon);
		return error_set(err, tls ? ERROR_INVALID : ERROR_INTERNAL, NULL, "%s",
			tls ? "start HTTPS: certificate, key or client CA is not usable" : "start HTTP");
	}
	int epoll_fd = MHD_get_daemon_info(daemon->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	if (!loop_watch(server->loop, epoll_fd, EPOLLIN, on_ready, server, err)) {
		daemon_free(daemon);
		return false;
	}
	daemon->epoll_fd = epoll_fd;
	daemon->next = server->daemons;
	server->daemons = daemon;
	return true;
}

/* All connections of one daemon, or of all (NULL). */
static void cut_all(struct http_server *server, const struct http_daemon *daemon)
{
	for (struct http_conn *conn = server->conns; conn; conn = conn->next)
		if (!daemon || conn->daemon == daemon)
			http_conn_cut(conn);
}

/* Old daemons go when they are empty; too many of them, and the oldest is ended. */
static void retire(struct http_server *server)
{
	unsigned n = 1;
	for (struct http_daemon **at = &server->daemons->next; *at;) {
		struct http_daemon *daemon = *at;
		if (daemon->connections > 0 && ++n <= DAEMONS_MAX) {
			at = &daemon->next;
			continue;
		}
		cut_all(server, daemon);
		*at = daemon->next;
		daemon_free(daemon);
	}
}

/* The stage. */

static int64_t stage_timeout(void *arg)
{
	struct http_server *server = arg;
	int64_t soonest = -1;
	for (struct http_daemon *daemon = server->daemons; daemon; daemon = daemon->next) {
		MHD_UNSIGNED_LONG_LONG ms = 0;
		if (MHD_get_timeout(daemon->mhd, &ms) != MHD_YES)
			continue;
		int64_t wish = ms < INT32_MAX ? (int64_t)ms : INT32_MAX;
		soonest = soonest < 0 || wish < soonest ? wish : soonest;
	}
	return soonest;
}

static void stage_run(void *arg)
{
	struct http_server *server = arg;
	for (struct http_daemon *daemon = server->daemons; daemon; daemon = daemon->next)
		(void)MHD_run(daemon->mhd);
	if (server->daemons && server->daemons->next)
		retire(server);
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
	http_conn_tick_by(server, server->settings.head_timeout_ms);
	http_conn_tick_by(server, server->settings.idle_timeout_ms);
	http_conn_tick_by(server, server->settings.send_timeout_ms);
	http_conn_tick_by(server, server->settings.keepalive_timeout_ms);
	http_conn_tick_by(server, server->settings.reply_timeout_ms);
}

/* libmicrohttpd uses sendfile(2), which knows no MSG_NOSIGNAL. */
static void ignore_sigpipe(void)
{
	struct sigaction now;
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
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
	server->is_tls = settings->tls != NULL;
	server->asks_client = settings->tls && settings->tls->client_ca_pem;
	server->listen_fd = settings->listen_fd;
	server->port = port_of(settings->listen_fd);
	/* Numbers of one process: the server's in the upper bits. */
	server->next_id = ((uint64_t)atomic_fetch_add(&servers, 1) << 40) + 1;
	fill_defaults(&server->settings);
	set_ticks(server);
	if (!daemon_start(server, settings->tls, err)) {
		(void)close(server->listen_fd);
		free(server);
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
	for (struct http_daemon *daemon = server->daemons; daemon; daemon = daemon->next)
		daemon_quiesce(daemon);
	(void)close(server->listen_fd);
	server->listen_fd = -1;
}

void http_server_quiesce(struct http_server *server)
{
	loop_assert(server->loop);
	stop_listening(server);
	server->quiesced = true;
	for (struct http_conn *conn = server->conns; conn; conn = conn->next)
		if (!conn->request)
			(void)shutdown(conn->fd, SHUT_RD);
	loop_wake_stages(server->loop);
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	loop_assert(server->loop);
	stop_listening(server);
	server->ending = true;
	cut_all(server, NULL);
	while (server->daemons) {
		struct http_daemon *daemon = server->daemons;
		server->daemons = daemon->next;
		daemon_free(daemon);
	}
	CHECK(server->conns_len == 0 && server->requests_len == 0);
	loop_timer_stop(server->loop, &server->tick);
	loop_remove_stage(server->loop, server);
	free(server);
}

unsigned http_server_requests(const struct http_server *server)
{
	return server->requests_len;
}

unsigned http_server_connections(const struct http_server *server)
{
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
	};
}

bool http_server_reload_tls(struct http_server *server, const struct http_tls *tls, struct error *err)
{
	loop_assert(server->loop);
	CHECK(server->is_tls);
	if (server->quiesced)
		return true;
	struct http_daemon *before = server->daemons;
	if (!daemon_start(server, tls, err))
		return false;
	daemon_quiesce(before);
	server->asks_client = tls->client_ca_pem != NULL;
	return true;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}
