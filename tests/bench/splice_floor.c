/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice_floor - the least that a process between a client and a server can do with bytes: one connection at a time, heads passed on as they
 * are, and what the server says is spliced through a pipe of the kernel. It parses nothing, signs nothing and knows no end but the server's.
 *
 *     splice_floor PORT SERVER-PORT [PIPE-BYTES]
 *
 * What no proxy on the same cores can be faster than; the server must close behind its answer (a request of HTTP/1.0, or Connection: close).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
}

/* A head is one segment on the loopback. */
static void pass(int client, int server, const int pipe[2], size_t room)
{
	char head[16384];
	ssize_t len = recv(client, head, sizeof head, 0), n;

	if (len <= 0 || send(server, head, (size_t)len, MSG_NOSIGNAL) != len)
		return;
	while ((n = splice(server, NULL, pipe[1], NULL, room, SPLICE_F_MOVE)) > 0)
		while (n > 0) {
			ssize_t sent = splice(pipe[0], NULL, client, NULL, (size_t)n, SPLICE_F_MOVE);

			if (sent <= 0)
				return;
			n -= sent;
		}
}

int main(int argc, char **argv)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), pipe[2];
	struct sockaddr_in at, to;
	size_t room;

	CHECK(argc > 2);
	room = argc > 3 ? strtoul(argv[3], NULL, 10) : 1048576;
	at = loopback(argv[1]);
	to = loopback(argv[2]);
	CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 16) == 0);
	for (;;) {
		int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(pipe2(pipe, 0) == 0 && fcntl(pipe[1], F_SETPIPE_SZ, (int)room) >= (int)room);
		(void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (client >= 0 && connect(server, (struct sockaddr *)&to, sizeof to) == 0)
			pass(client, server, pipe, room);
		(void)close(server);
		(void)close(client);
		(void)close(pipe[0]);
		(void)close(pipe[1]);
	}
}
