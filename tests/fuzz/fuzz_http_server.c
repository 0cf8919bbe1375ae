/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_server - a whole loop with a server, driven by bytes from outside.
 *
 * The bytes arrive in pieces that they say themselves, and once more all in one: what the application saw
 * (methods, targets, bodies) must be the same, or two readers of the same bytes would see different requests.
 * After each piece the loop comes to rest within a bounded number of turns, and when the client has gone, so
 * has the connection.
 */
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/http_server_priv.h"
#include "common/log.h"

/* Turns until rest: each gets on by a step, a byte is at most some steps. */
#define TURNS_MOST 4000

static struct loop *loop;
static struct http_server *server;
static uint64_t seen, requests;

static void note(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		seen = (seen ^ ((const unsigned char *)bytes)[i]) * UINT64_C(1099511628211);
}

static void answer(struct http_request *request, unsigned status)
{
	struct http_response *response = http_response_copy(status, STR("answer"));
	http_response_header(response, "Content-Type", "text/plain");
	http_request_reply(request, response);
}

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	(void)arg;
	note("[", 1);
	note(body.at, body.len);
	answer(request, err ? 413 : 200);
}

static size_t on_bytes(void *arg, const void *bytes, size_t len)
{
	size_t most = len < 3 ? len : 3; /* a sink that is asked often */
	note(bytes, most);
	if (most < len)
		http_request_more(arg);
	return most;
}

static void on_end(void *arg)
{
	note("]", 1);
	answer(arg, 201);
}

static void on_gone(void *arg)
{
	(void)arg;
}

static void note_header(void *arg, const char *name, const char *value)
{
	(void)arg;
	note(name, strlen(name) + 1);
	note(value, strlen(value) + 1);
}

static void on_request(void *arg, struct http_request *request)
{
	struct str path = http_request_path(request), target = http_request_target(request);
	(void)arg;
	requests++;
	note(http_method_name(http_request_method(request)), 2);
	note(target.at, target.len);
	http_request_each_header(request, note_header, NULL);
	if (str_starts(path, "/c"))
		http_request_collect(request, 100, on_collected, NULL);
	else if (str_starts(path, "/s"))
		http_request_stream(request, (struct http_sink){ request, on_bytes, on_end, on_gone, NULL });
	else
		answer(request, str_starts(path, "/d") ? 401 : 200);
}

static void on_done(void *arg, struct http_request *request)
{
	(void)arg;
	(void)request;
}

static void start(void)
{
	struct http_server_settings settings = { .listen_fd = -1 };
	struct error err;
	uint16_t port = 0;

	log_init(LOG_ERROR, false);
	CHECK(loop_new(&loop, "fuzz", &err));
	CHECK(http_listen("127.0.0.1", 0, false, &settings.listen_fd, &port, &err));
	settings.drain_max = 300;
	CHECK(http_server_new(&server, loop, &settings,
		(struct http_app){ .on_request = on_request, .on_done = on_done }, &err));
}

/* What the server says must not fill the socket. */
static void hear(int fd)
{
	char bytes[4096];
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void rest(int fd)
{
	unsigned turns = 0;
	do {
		loop_turn(loop, 0);
		hear(fd);
		CHECK(++turns < TURNS_MOST);
	} while (http_turns_wait(server));
}

static bool say(int fd, const uint8_t *data, size_t size)
{
	bool went = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
	rest(fd);
	return went;
}

/* Pieces of 1 to 16 bytes as the seed has it, or everything at once. */
static uint64_t play(const uint8_t *data, size_t size, bool in_pieces)
{
	struct ip nobody = { 0 };
	int fds[2];

	seen = 14695981039346656037U;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	http_conn_open(server, fds[1], &nobody);
	for (size_t at = 0; at < size;) {
		size_t n = in_pieces ? 1u + data[at] % 16u : size;
		n = n < size - at ? n : size - at;
		if (!say(fds[0], data + at, n))
			break;
		at += n;
	}
	(void)shutdown(fds[0], SHUT_WR);
	rest(fds[0]);
	(void)close(fds[0]);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	CHECK(http_server_connections(server) == 0 && http_server_requests(server) == 0);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!loop)
		start();
	requests = 0;
	uint64_t whole = play(data, size, false);
	uint64_t count = requests;
	requests = 0;
	CHECK(play(data, size, true) == whole && requests == count);
	return 0;
}
