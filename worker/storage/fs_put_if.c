/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_put_if - compare-and-swap of a file, between the threads and processes of one machine.
 *
 * The new file is written and synced first; under flock(2) of its folder the version of the old one
 * is compared, the new one is renamed over it, and the folder is synced. The kernel drops the lock of a
 * process that dies.
 *
 * A version is inode, length and times. An inode's number comes back two writes later, and
 * the clock of a file system may stand still for 4 ms, so the time of change is set by us: later than that of
 * the file that is replaced, whatever the clock says.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "worker/storage/fs_priv.h"

/* A descriptor of our own each time: flock() belongs to the open file, not to the thread. */
bool fs_lock_folder(struct store *store, const char *folder, bool wait, int *ret_fd, struct error *err)
{
	AUTO_FD fd = fs_at_open(store, folder, O_RDONLY | O_DIRECTORY, 0);
	int64_t begun = clock_us();
	int failed;

	if (fd < 0)
		return fs_error(err, "open", folder);
	do
		failed = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	while (failed && errno == EINTR);
	if (failed && !wait && errno == EWOULDBLOCK) {
		*ret_fd = -1;
		return true;
	}
	if (failed)
		return fs_error(err, "lock", folder);
	histogram_add_shared(fs_lock_waits(store), (uint64_t)(clock_us() - begun));
	*ret_fd = TAKE_FD(fd);
	return true;
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static struct timespec just_after(struct timespec t)
{
	if (++t.tv_nsec == 1000000000) {
		t.tv_nsec = 0;
		t.tv_sec++;
	}
	return t;
}

static bool set_time(struct fs_temp *temp, struct timespec time, struct error *err)
{
	const struct timespec times[2] = { time, time };

	return futimens(temp->fd, times) == 0 || fs_error(err, "set the time of", temp->path);
}

static bool write_temp(struct store *store, const struct fs_path *target, struct str bytes,
	struct fs_temp *temp, struct timespec *ret_time, struct error *err)
{
	if (!fs_temp_write(store, target, bytes, temp, err))
		return false;
	(void)clock_gettime(CLOCK_REALTIME, ret_time);
	return set_time(temp, *ret_time, err) && fs_temp_sync(temp, err);
}

bool fs_look(const struct store *store, const struct fs_path *target, struct stat *ret_st,
	struct store_version *ret, struct error *err)
{
	if (fs_at_stat(store, target->text, ret_st)) {
		fs_version_of(ret_st, ret);
		return true;
	}
	if (errno != ENOENT)
		return fs_error(err, "stat", target->text);
	*ret_st = (struct stat){ 0 };
	*ret = (struct store_version){ .text = "" };
	return true;
}

static bool swap(struct store *store, struct fs_temp *temp, const struct fs_path *target,
	struct timespec time, const struct stat *there, struct store_version *ret_version, struct error *err)
{
	struct stat st;

	if (!is_later(time, there->st_mtim) &&
		(!set_time(temp, just_after(there->st_mtim), err) || !fs_temp_sync(temp, err)))
		return false;
	if (!fs_temp_rename(temp, target, err) || !fs_sync_folder(store, target->folder, err))
		return false;
	/* Only now: a rename changes the inode's own time on some file systems. */
	if (fstat(temp->fd, &st) != 0)
		return fs_error(err, "stat", target->text);
	if (ret_version)
		fs_version_of(&st, ret_version);
	return true;
}

enum store_step fs_put_index(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, const struct store_log_place *log,
	struct store_version *ret_version, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };
	enum store_step step = STORE_OK;
	struct store_version version;
	struct fs_path target;
	struct timespec time;
	struct stat there;
	AUTO_FD lock = -1;

	if (!fs_path_of(store, key, &target, err) || !write_temp(store, &target, bytes, &temp, &time, err) ||
		!fs_lock_folder(store, target.folder, true, &lock, err) ||
		!fs_look(store, &target, &there, &version, err))
		return STORE_FAILED;
	if (expected && strcmp(expected->text, version.text) != 0)
		return STORE_CONFLICT;
	if (log)
		step = fs_log_before_fold(store, key, log, err);
	if (step != STORE_OK)
		return step;
	/* Where the folder's sync fails the log stays: it says that index.json is not known to be durable. */
	if (!swap(store, &temp, &target, time, &there, ret_version, err))
		return STORE_FAILED;
	if (log)
		fs_log_after_fold(store, key);
	return STORE_OK;
}

enum store_step fs_put_if(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version, struct error *err)
{
	return fs_put_index(store, key, bytes, expected, NULL, ret_version, err);
}
