/* SPDX-License-Identifier: Apache-2.0 */
#include "common/supervisor.h"

#include <stddef.h>
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
