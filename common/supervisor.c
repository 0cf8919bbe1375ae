/* SPDX-License-Identifier: Apache-2.0 */
#include "common/supervisor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"

/* An abstract name begins with a zero byte and has no end but its length. */
static bool address_of(const char *name, struct sockaddr_un *into, socklen_t *ret_len)
{
	size_t len = strlen(name);

	if ((*name != '/' && *name != '@') || len < 2 || len >= sizeof(into->sun_path))
		return false;
	*into = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(into->sun_path, name, len);
	if (*name == '@')
		into->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

void supervisor_tell(const char *lines)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to;
	socklen_t len;
	AUTO_FD fd = -1;

	if (!name || !address_of(name, &to, &len))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&to, len);
}

static bool read_number(const char *variable, uint64_t *ret)
{
	const char *text = getenv(variable);

	return text && str_to_number(str_of(text), INT64_MAX, ret);
}

int64_t supervisor_watchdog_ms(void)
{
	uint64_t us, pid = 0;

	if (!read_number("WATCHDOG_USEC", &us))
		return 0;
	if (getenv("WATCHDOG_PID") && (!read_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	return (int64_t)(us / 1000);
}

/* Ports. */

#define KEPT_FD 3

void supervisor_keep_listening(int fd)
{
	char pid[24];

	if (fd < 0)
		return;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (fd == KEPT_FD ? fcntl(fd, F_SETFD, 0) != 0 : dup2(fd, KEPT_FD) < 0)
		return;
	(void)setenv("LISTEN_FDS", "1", 1);
	(void)setenv("LISTEN_PID", pid, 1);
}

static bool listens(int fd, uint16_t *ret_port)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address), int_len = sizeof(int);
	int is = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &int_len) != 0 || !is ||
		getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		return false;
	if (address.ss_family == AF_INET6)
		*ret_port = ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	else if (address.ss_family == AF_INET)
		*ret_port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
	return address.ss_family == AF_INET6 || address.ss_family == AF_INET;
}

int supervisor_listening(uint16_t *ret_port)
{
	uint64_t pid = 0, fds = 0;
	bool ours = read_number("LISTEN_PID", &pid) && pid == (uint64_t)getpid() &&
		    read_number("LISTEN_FDS", &fds) && fds == 1 && listens(KEPT_FD, ret_port);

	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	return ours && fcntl(KEPT_FD, F_SETFD, FD_CLOEXEC) == 0 ? KEPT_FD : -1;
}
