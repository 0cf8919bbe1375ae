/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor: what a service manager hears at its socket, and when it hears nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/supervisor.h"

static char path[64];

/* name: a path, or @ and an abstract one. */
static int listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && len < sizeof(at.sun_path));
	memcpy(at.sun_path, name, len);
	if (*name == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(
		bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void expect(int fd, const char *lines)
{
	char got[64] = "";
	ssize_t len = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(len >= 0);
	assert_string_equal(got, lines);
}

static void at_a_path(void **state)
{
	AUTO_FD fd = listen_at(path);

	(void)state;
	supervisor_tell("READY=1");
	supervisor_tell("STOPPING=1\nSTATUS=ends");
	expect(fd, "READY=1");
	expect(fd, "STOPPING=1\nSTATUS=ends");
	(void)unlink(path);
	supervisor_tell("READY=1"); /* nobody is there */
}

static void at_an_abstract_name(void **state)
{
	char name[80];

	(void)state;
	(void)snprintf(name, sizeof(name), "@%s", path);
	AUTO_FD fd = listen_at(name);
	supervisor_tell("WATCHDOG=1");
	expect(fd, "WATCHDOG=1");
}

/* A socket that nobody reads: it does not wait. */
static void nobody_reads(void **state)
{
	AUTO_FD fd = listen_at(path);

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		supervisor_tell("WATCHDOG=1");
	expect(fd, "WATCHDOG=1");
	(void)unlink(path);
}

static void no_address(void **state)
{
	char longest[200];
	const char *bad[] = { "", "/", "@", "relative", longest };

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", bad[i], 1), 0);
		supervisor_tell("READY=1");
	}
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	supervisor_tell("READY=1");
}

static int64_t watchdog(const char *us, const char *pid)
{
	assert_int_equal(us ? setenv("WATCHDOG_USEC", us, 1) : unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID"), 0);
	return supervisor_watchdog_ms();
}

static void who_is_watched(void **state)
{
	char me[16];

	(void)state;
	(void)snprintf(me, sizeof(me), "%d", (int)getpid());
	assert_int_equal(watchdog(NULL, NULL), 0);
	assert_int_equal(watchdog("30000000", NULL), 30000);
	assert_int_equal(watchdog("30000000", me), 30000);
	assert_int_equal(watchdog("30000000", "1"), 0);
	assert_int_equal(watchdog("30000000", "me"), 0);
	assert_int_equal(watchdog("often", me), 0);
	assert_int_equal(watchdog("-1", me), 0);
}

static void put_number(const char *name, long number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%ld", number);
	assert_int_equal(setenv(name, text, 1), 0);
}

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 1) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

/* In a process of its own: descriptor 3 may be somebody's here. */
static void a_port_is_kept(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (!child) {
		uint16_t port = 0, kept = 0;
		int fd = listen_somewhere(&port);
		bool ok = supervisor_listening(&kept) == -1;

		supervisor_keep_listening(fd);
		ok = ok && !(fcntl(3, F_GETFD) & FD_CLOEXEC) && supervisor_listening(&kept) == 3 &&
		     kept == port;
		ok = ok && (fcntl(3, F_GETFD) & FD_CLOEXEC) && supervisor_listening(&kept) == -1;
		/* Those of another process, more than one, and one that does not listen. */
		put_number("LISTEN_FDS", 1);
		put_number("LISTEN_PID", getppid());
		ok = ok && supervisor_listening(&kept) == -1;
		put_number("LISTEN_FDS", 2);
		put_number("LISTEN_PID", getpid());
		ok = ok && supervisor_listening(&kept) == -1;
		(void)dup2(STDERR_FILENO, 3);
		put_number("LISTEN_FDS", 1);
		put_number("LISTEN_PID", getpid());
		ok = ok && supervisor_listening(&kept) == -1;
		supervisor_keep_listening(-1);
		_exit(ok && !getenv("LISTEN_PID") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_a_path),
		cmocka_unit_test(at_an_abstract_name),
		cmocka_unit_test(nobody_reads),
		cmocka_unit_test(no_address),
		cmocka_unit_test(who_is_watched),
		cmocka_unit_test(a_port_is_kept),
	};

	(void)snprintf(path, sizeof(path), "/tmp/test_supervisor.%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
