/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_rig - what the HTTP tests stand on: a server on a loop of its own thread, and clients that
 * are nothing but sockets.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/pipe.h"

struct rig {
	struct loop *loop;
	struct http_server *server;
	struct http_client *client;
	pthread_t thread;
	uint16_t port;
	bool running;
};

static inline void *rig_main(void *arg)
{
	struct rig *rig = arg;
	loop_run(rig->loop);
	return NULL;
}

static inline struct http_server_settings rig_listen(uint16_t *port, bool shared)
{
	struct http_server_settings settings = { .listen_fd = -1 };
	struct error err;
	assert_true(http_listen("127.0.0.1", *port, shared, &settings.listen_fd, port, &err));
	return settings;
}

/* The server of `settings` (its listen_fd) with a client beside it; it does not run yet. */
static inline void rig_open(struct rig *rig, struct http_server_settings settings, struct http_app app)
{
	struct error err;
	assert_true(loop_new(&rig->loop, "rig", &err));
	assert_true(http_client_new(&rig->client, rig->loop, NULL, &err));
	assert_true(http_server_new(&rig->server, rig->loop, &settings, app, &err));
	rig->port = http_server_port(rig->server);
}

static inline void rig_run(struct rig *rig)
{
	rig->running = true;
	assert_int_equal(pthread_create(&rig->thread, NULL, rig_main, rig), 0);
}

static inline void rig_halt(struct rig *rig)
{
	if (!rig->running)
		return;
	rig->running = false;
	loop_stop(rig->loop);
	assert_int_equal(pthread_join(rig->thread, NULL), 0);
}

static inline void rig_close(struct rig *rig)
{
	rig_halt(rig);
	http_server_free(rig->server);
	http_client_free(rig->client);
	loop_free(rig->loop);
}

/* Polls `value` until it is `wanted`; the deadline only ends a test that has failed. */
#define await(value, wanted) await_at(value, wanted, __FILE__, __LINE__)
static inline void await_at(atomic_int *value, int wanted, const char *file, int line)
{
	for (int64_t end = clock_ms() + 20000; atomic_load(value) != wanted;) {
		if (clock_ms() >= end)
			fail_msg("%s:%d: %d, not %d", file, line, atomic_load(value), wanted);
		(void)poll(NULL, 0, 2);
	}
}

/* Socket clients. */

static inline int dial(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* From an address of this machine, in the order of the host. */
static inline int dial_from(uint16_t port, uint32_t source)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr = { htonl(source) } };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* False when the other side has closed. */
static inline bool put_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static inline void put(int fd, const char *text)
{
	assert_true(put_all(fd, text, strlen(text)));
}

/* Waits at most 20 s for bytes; 0 = closed, -1 = reset. */
static inline ssize_t take(int fd, void *into, size_t max)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&at, 1, 20000), 1);
	return recv(fd, into, max, 0);
}

/* A reply as it came; body points into text. */
struct reply {
	unsigned status;
	char text[128 * 1024];
	size_t len;
	char *body;
	size_t body_len;
};

static inline const char *reply_header(struct reply *reply, const char *name)
{
	static _Thread_local char value[512];
	for (char *line = strstr(reply->text, "\r\n"); line && line + 2 < reply->body;
		line = strstr(line + 2, "\r\n")) {
		size_t len = strlen(name);
		if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
			continue;
		const char *at = line + 2 + len + 1;
		at += strspn(at, " ");
		size_t n = strcspn(at, "\r");
		assert_true(n < sizeof(value));
		memcpy(value, at, n);
		value[n] = '\0';
		return value;
	}
	return NULL;
}

/* Reads the head; what follows it stays in text. False: closed before. */
static inline bool take_head(int fd, struct reply *reply)
{
	reply->len = 0;
	for (;;) {
		reply->text[reply->len] = '\0';
		char *end = strstr(reply->text, "\r\n\r\n");
		if (end) {
			reply->body = end + 4;
			reply->body_len = reply->len - (size_t)(reply->body - reply->text);
			assert_int_equal(sscanf(reply->text, "HTTP/1.1 %u", &reply->status), 1);
			return true;
		}
		ssize_t n = take(fd, reply->text + reply->len, 1); /* never past this head */
		if (n <= 0)
			return false;
		reply->len += (size_t)n;
	}
}

/* Head and a body with a Content-Length. */
static inline bool take_reply(int fd, struct reply *reply)
{
	if (!take_head(fd, reply))
		return false;
	const char *length = reply_header(reply, "Content-Length");
	uint64_t wanted = 0;
	if (length)
		assert_true(str_to_number(str_of(length), sizeof(reply->text) - 40000, &wanted));
	while (reply->body_len < wanted) {
		ssize_t n = take(fd, reply->text + reply->len, (size_t)wanted - reply->body_len);
		if (n <= 0)
			return false;
		reply->len += (size_t)n;
		reply->body_len += (size_t)n;
	}
	reply->text[reply->len] = '\0';
	return true;
}

static inline bool is_closed(int fd)
{
	char c;
	return take(fd, &c, 1) <= 0;
}

/* The peak of our memory, in KiB. */
static inline long peak_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *file = fopen("/proc/self/status", "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	(void)fclose(file);
	return kib;
}
