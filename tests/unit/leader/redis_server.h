/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_server - a Redis for a test: on a socket in a folder of its own, and gone with the test.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/remove_tree.h"

struct redis_server {
	char folder[64], socket[96], url[128];
	const char *fsync;
	pid_t pid;
};

static inline bool redis_server_answers(const struct redis_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->socket);
	ok = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	(void)close(fd);
	return ok;
}

/* The one that was started in this folder before leaves its data to this one. */
static inline void redis_server_start(struct redis_server *server)
{
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)freopen("/dev/null", "w", stdout);
		(void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--dir",
			server->folder, "--save", "", "--appendonly", "yes", "--appendfsync", server->fsync, (char *)NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 6000 && !redis_server_answers(server); i++)
		(void)usleep(5000);
	assert_true(redis_server_answers(server));
}

static inline void redis_server_kill(struct redis_server *server)
{
	(void)kill(server->pid, SIGKILL);
	(void)waitpid(server->pid, NULL, 0);
	(void)unlink(server->socket);
}

/* fsync: appendfsync. Without it its data survives a kill of it all the same, but not one of the machine. */
static inline void redis_server_new(struct redis_server *server, const char *fsync)
{
	server->fsync = fsync;
	(void)snprintf(server->folder, sizeof(server->folder), "/tmp/test-redis-XXXXXX");
	assert_non_null(mkdtemp(server->folder));
	(void)snprintf(server->socket, sizeof(server->socket), "%s/socket", server->folder);
	(void)snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
	redis_server_start(server);
}

static inline void redis_server_fini(struct redis_server *server)
{
	redis_server_kill(server);
	assert_true(remove_tree(server->folder));
}
