/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file - durable writes, whole reads, trees of folders.
 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/gentle.h"
#include "common/least.h"
#include "common/log.h"

#define READ_STEP    (64u * 1024)
#define PIECE        (256u * 1024)
#define PRIVATE_MODE 0600

/* ---- reading ---- */

static ssize_t read_some(int fd, void *into, size_t len)
{
	ssize_t n;

	do
		n = read(fd, into, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* At the limit one byte more is asked for, to tell a file that just fits from one that does not. */
static bool read_whole(int fd, const char *path, struct buf *into, struct error *err)
{
	for (;;) {
		size_t left = into->max - into->len, step = left < READ_STEP ? left : READ_STEP;
		char spare, *at = step ? buf_reserve(into, step) : &spare;
		ssize_t n = at ? read_some(fd, at, step ? step : 1) : 0;

		if (!at || (step == 0 && n > 0))
			return error_set(
				err, ERROR_TOO_LARGE, NULL, "read %s: over %zu bytes", path, into->max);
		if (n < 0)
			return error_sys(err, "read %s", path);
		if (n == 0)
			return true;
		buf_grew(into, (size_t)n);
	}
}

bool file_read(const char *path, struct buf *into, struct error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t before = into->len;

	if (fd < 0)
		return error_sys(err, "open %s", path);
	if (read_whole(fd, path, into, err))
		return true;
	into->len = before;
	if (into->at)
		into->at[before] = '\0';
	return false;
}

static int ms_left(int64_t end)
{
	int64_t left = end - clock_ms();

	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

uint64_t file_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = { limit.rlim_max, limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return raised.rlim_cur;
	}
	return limit.rlim_cur;
}

bool file_wait_readable(int fd, int within_ms)
{
	int64_t end = within_ms < 0 ? 0 : clock_ms() + within_ms;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&poll_fd, 1, within_ms < 0 ? -1 : ms_left(end));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* ---- writing ---- */

bool file_write_all(int fd, const void *bytes, size_t len, struct error *err)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "write");
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool file_write_at(int fd, const void *bytes, size_t len, uint64_t offset, struct error *err)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int failed = errno;

			(void)error_sys(err, "write");
			errno = failed;
			return false;
		}
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

/* ---- private files ---- */

static void tighten(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) == PRIVATE_MODE)
		return;
	if (fchmod(fd, PRIVATE_MODE) != 0)
		log_warn("file.open_to_others",
			"path=%s mode=%04o what=\"there are secrets in it: chmod 600\"",
			log_quote(str_of(path)), (unsigned)st.st_mode & 07777);
	else if (st.st_size > 0)
		log_warn("file.tightened", "path=%s mode=%04o now=%04o", log_quote(str_of(path)),
			(unsigned)st.st_mode & 07777, PRIVATE_MODE);
}

bool file_keep_private(const char *path, struct error *err)
{
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, PRIVATE_MODE);

	if (fd < 0)
		return error_sys(err, "open %s", path);
	tighten(fd, path);
	return true;
}

void file_tighten(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		tighten(fd, path);
}

/* All of it, or false. */
static bool read_at(int fd, char *into, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, into + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

bool file_equal(int a, int b, uint64_t len)
{
	AUTO_STR *bytes = xnew_array(char, 2 * (size_t)READ_STEP);
	bool same = true;

	for (uint64_t at = 0; at < len && same; at += READ_STEP) {
		size_t step = len - at < READ_STEP ? (size_t)(len - at) : READ_STEP;

		same = read_at(a, bytes, step, at) && read_at(b, bytes + READ_STEP, step, at) &&
		       memcmp(bytes, bytes + READ_STEP, step) == 0;
	}
	return same;
}

#define TRY_BYTES 4096

/* On a read-only file system, a full one, or where a quota ends, this is what fails. */
static bool try_file(const char *path, struct error *err)
{
	static const char zeros[TRY_BYTES];
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return error_sys(err, "create %s", path);
	ok = file_write_all(fd, zeros, sizeof(zeros), err) || error_add(err, "%s", path);
	(void)unlink(path);
	return ok;
}

static bool has_room(const char *folder, uint64_t least, struct error *err)
{
	struct statvfs fs;
	uint64_t all, left;

	if (statvfs(folder, &fs) != 0)
		return error_sys(err, "look at %s", folder);
	all = (uint64_t)fs.f_blocks * fs.f_frsize;
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	least = least < all / 16 ? least : all / 16;
	if (left < least)
		return error_set(err, ERROR_FULL, NULL,
			"the disk of %s has %" PRIu64 " KiB left, less than %" PRIu64 " KiB", folder,
			left / 1024, least / 1024);
	return true;
}

bool file_try_folder(const char *folder, uint64_t least, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX);
	char random[17];

	random_hex(random, 8);
	buf_format(&path, "%s/.tmp-try-%s", folder, random);
	if (!buf_check(&path, "the path", err))
		return false;
	if (has_room(folder, least, err) && try_file(buf_text(&path), err))
		return true;
	if (err && err->kind != ERROR_FULL)
		err->kind = ERROR_UNAVAILABLE;
	return false;
}

bool file_sync_folder(const char *path, struct error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, "open folder %s", path);
	/* File systems that keep folders durable by themselves say EINVAL. */
	if (fsync(fd) != 0 && errno != EINVAL)
		return error_sys(err, "sync folder %s", path);
	return true;
}

/* The folder that holds the last component of `path`. */
static struct str parent_of(struct str path)
{
	struct str head, tail;

	while (path.len > 1 && path.at[path.len - 1] == '/')
		path.len--;
	if (!str_split_last(path, '/', &head, &tail))
		return STR(".");
	return head.len ? head : STR("/");
}

bool file_sync_parent(struct str path, struct error *err)
{
	AUTO_STR *parent = str_dup(parent_of(path));

	return file_sync_folder(parent, err);
}

/* In pieces, for a thread that is gentle. */
static bool write_pieces(int fd, struct str bytes, struct error *err)
{
	for (size_t at = 0, piece; at < bytes.len; at += piece) {
		piece = least(bytes.len - at, PIECE);
		if (!file_write_all(fd, bytes.at + at, piece, err))
			return false;
		gentle_step();
	}
	return true;
}

static bool write_temp(int fd, const char *temp, struct str bytes, mode_t mode, struct error *err)
{
	if (fchmod(fd, mode) != 0)
		return error_sys(err, "set the mode of %s", temp);
	if (!write_pieces(fd, bytes, err))
		return error_add(err, "%s", temp);
	if (fsync(fd) != 0)
		return error_sys(err, "sync %s", temp);
	return true;
}

bool file_write_durable(const char *path, struct str bytes, mode_t mode, struct error *err)
{
	AUTO_FINI(buf) temp = buf_limit(PATH_MAX);
	AUTO_FD fd = -1;

	buf_format(&temp, "%s.XXXXXX", path);
	if (!buf_check(&temp, "the path", err))
		return false;
	fd = mkostemp(temp.at, O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "create %s", temp.at);
	if (!write_temp(fd, temp.at, bytes, mode, err)) {
		(void)unlink(temp.at);
		return false;
	}
	if (rename(temp.at, path) != 0) {
		(void)error_sys(err, "rename to %s", path);
		(void)unlink(temp.at);
		return false;
	}
	return file_sync_parent(str_of(path), err);
}

/* ---- folders ---- */

static bool make_folder(const char *path, mode_t mode, struct error *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return file_sync_parent(str_of(path), err);
	if (errno == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return true;
		errno = ENOTDIR;
	}
	return error_sys(err, "make folder %s", path);
}

bool file_make_folders(const char *path, mode_t mode, struct error *err)
{
	AUTO_STR *copy = check_strdup(path);

	if (!*copy)
		return error_set(err, ERROR_INVALID, NULL, "make folder: the path is empty");
	for (char *at = copy + 1; *at; at++) {
		if (*at != '/' || at[-1] == '/')
			continue;
		*at = '\0';
		if (!make_folder(copy, mode, err))
			return false;
		*at = '/';
	}
	return make_folder(copy, mode, err);
}
