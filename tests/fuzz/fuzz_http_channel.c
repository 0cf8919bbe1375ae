/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_channel - a whole loop with a server, and the frames of a channel that is open, from outside.
 *
 * The frames arrive all in one, and once more in pieces that they say themselves. Each time the loop comes to rest within a bounded number of turns,
 * no more calls are under way than there may be, and when the caller has gone, so has everything.
 */
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/http_frame.h"
#include "common/http_server_priv.h"
#include "common/log.h"

#define TURNS_MOST 20000

static struct loop *loop;
static struct http_server *server;
static char large[100000];

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	(void)arg;
	http_request_reply(request, http_response_copy(err ? 413 : 200, body));
}

static void on_request(void *arg, struct http_request *request)
{
	struct str path = http_request_path(request);

	(void)arg;
	if (str_is(path, "/channel") && http_request_may_upgrade(request))
		http_request_reply(request, http_response_upgrade());
	else if (str_starts(path, "/c"))
		http_request_collect(request, 100, on_collected, NULL);
	else if (str_starts(path, "/l"))
		http_request_reply(
			request, http_response_shared(200, str_from(large, sizeof(large)), NULL, NULL));
	else if (!str_starts(path, "/w")) /* that one waits until it is dropped */
		http_request_reply(request, http_response_copy(200, STR("answer")));
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
	CHECK(http_server_new(&server, loop, &settings,
		(struct http_app){ .on_request = on_request, .on_done = on_done }, &err));
}

static void rest(int fd)
{
	char bytes[65536];
	unsigned turns = 0;

	do {
		loop_turn(loop, 0);
		while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		CHECK(++turns < TURNS_MOST);
		CHECK(http_server_requests(server) <= HTTP_FRAME_CALLS);
	} while (http_turns_wait(server));
}

static bool say(int fd, const void *data, size_t size)
{
	bool went = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;

	rest(fd);
	return went;
}

static void play(const uint8_t *data, size_t size, bool in_pieces)
{
	static const char ask[] =
		"GET /channel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: zot-channel/1\r\n\r\n";
	struct ip nobody = { 0 };
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	http_conn_open(server, fds[1], &nobody);
	CHECK(say(fds[0], ask, sizeof(ask) - 1));
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
	for (unsigned turns = 0; http_server_connections(server) > 0; turns++) {
		CHECK(turns < TURNS_MOST);
		loop_turn(loop, 0);
	}
	CHECK(http_server_requests(server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!loop)
		start();
	play(data, size, false);
	play(data, size, true);
	return 0;
}
