/* SPDX-License-Identifier: Apache-2.0 */
#include "common/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include "common/buf.h"
#include "common/clock.h"

#define PAUSE_MS 5

bool file_lock_try(int fd, int64_t within_ms)
{
	int64_t end = clock_ms() + within_ms;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || clock_ms() >= end)
			return false;
		(void)poll(NULL, 0, PAUSE_MS);
	}
	return true;
}

bool file_lock_folder(const char *folder, const char *name, int64_t within_ms, int *ret_fd, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO_FD fd = -1;

	buf_format(&path, "%s/%s", folder, name);
	if (!buf_check(&path, "the path", err))
		return false;
	fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_sys(err, "open %s", buf_text(&path));
	if (file_lock_try(fd, within_ms)) {
		*ret_fd = TAKE_FD(fd);
		return true;
	}
	if (errno == EWOULDBLOCK)
		return error_set(err, ERROR_CONFLICT, NULL, "%s is in use by another process", folder);
	(void)error_sys(err, "lock %s", buf_text(&path));
	if (err)
		err->kind = ERROR_UNAVAILABLE;
	*ret_fd = -1;
	return false;
}
