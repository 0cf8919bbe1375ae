/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/least.h"
#include "worker/cluster/data_file.h"

bool state_file_touch(const char *path, struct error *err)
{
	return utimensat(AT_FDCWD, path, NULL, 0) == 0 || error_sys(err, "%s", path);
}

static int64_t age_of(const char *path)
{
	struct stat st;
	int64_t age;

	if (stat(path, &st) != 0)
		return 0;
	age = clock_wall_ms() - ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
	return age > 0 ? age : 0;
}

void state_file_path(const char *path, unsigned place, struct buf *into)
{
	buf_puts(into, path);
	if (place)
		buf_format(into, ".%u", place);
}

static bool rename_if_there(const char *from, const char *to, struct error *err)
{
	return rename(from, to) == 0 || errno == ENOENT || error_sys(err, "rename %s", from);
}

/* Beside it: state.bin is there all the time. */
static bool copy_to(const char *path, const char *older, struct error *err)
{
	if (unlink(older) != 0 && errno != ENOENT)
		return error_sys(err, "%s", older);
	return link(path, older) == 0 || errno == ENOENT || error_sys(err, "link %s", older);
}

/* Is the one at .1 of this history? It is read whole, which histories that change are rare enough for. */
static bool is_of(const char *older, const struct history *history)
{
	struct state_file_read read;
	struct error err;
	bool same;

	if (!state_file_read(older, &read, &err))
		return false;
	same = history_same(state_history(read.chain.state), history);
	state_free(read.chain.state);
	return same;
}

static bool is_young(const char *older)
{
	struct stat st;

	return stat(older, &st) == 0 && age_of(older) < STATE_FILE_APART_MS;
}

static bool keep_older(
	const char *path, const struct state *before, const struct state *state, struct error *err)
{
	AUTO_FINI(buf) first = buf_limit(4096);
	AUTO_FINI(buf) second = buf_limit(4096);
	bool same = history_same(state_history(before), state_history(state));

	state_file_path(path, 1, &first);
	state_file_path(path, 2, &second);
	if (!buf_check(&second, "path of the state", err))
		return false;
	if (same && is_young(buf_text(&first)))
		return true;
	if ((same || !is_of(buf_text(&first), state_history(before))) &&
		!rename_if_there(buf_text(&first), buf_text(&second), err))
		return false;
	return copy_to(path, buf_text(&first), err);
}

/* ---- writing ---- */

bool state_file_is_due(const struct state_file_end *end, int64_t now_ms)
{
	const struct state_chain *chain = &end->chain;

	return chain->bytes - chain->whole > most(chain->whole / 2, STATE_FILE_DELTAS_LEAST) ||
	       now_ms - end->whole_ms >= STATE_FILE_WHOLE_MS;
}

/* Which file it is; without an answer nothing is added to it. */
static void note_end(int fd, const struct state_chain *chain, struct state_file_end *ret_end)
{
	struct stat st;

	if (!chain->bytes || fstat(fd, &st) != 0 || (uint64_t)st.st_size != chain->bytes)
		return;
	*ret_end = (struct state_file_end){
		.chain = *chain, .device = st.st_dev, .inode = st.st_ino, .whole_ms = clock_ms()
	};
}

bool state_file_save(const char *path, const struct state *before, const struct state *state,
	struct state_file_end *ret_end, struct error *err)
{
	AUTO_FINI(buf) file = buf_limit(STATE_CHAIN_MAX);
	struct state_chain chain;
	AUTO_FD fd = -1;

	state_chain_begin(state, &file, &chain);
	if (!buf_check(&file, "state", err) || (before && !keep_older(path, before, state, err)) ||
		!file_write_durable(path, buf_str(&file), 0600, err))
		return false;
	*ret_end = (struct state_file_end){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		note_end(fd, &chain, ret_end);
	return true;
}

static bool check_ours(int fd, const struct state_file_end *end, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_sys(err, "stat");
	return (st.st_dev == end->device && st.st_ino == end->inode && st.st_nlink == 1 &&
		       (uint64_t)st.st_size == end->chain.bytes) ||
	       error_set(err, ERROR_CONFLICT, NULL, "it is not as it was left");
}

/* What did not come to its end is taken away again, if it can be; what reads it leaves it out in any case. */
static bool add_bytes(int fd, const struct state_file_end *end, struct str bytes, struct error *err)
{
	bool good = file_write_at(fd, bytes.at, bytes.len, end->chain.bytes, err) &&
		    (fdatasync(fd) == 0 || error_sys(err, "fdatasync"));

	if (!good && ftruncate(fd, (off_t)end->chain.bytes) != 0)
		return error_add(err, "and what was written cannot be taken away");
	return good;
}

static bool add_to(const char *path, const struct state_file_end *end, struct str bytes, struct error *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return error_sys(err, "open");
	return check_ours(fd, end, err) && add_bytes(fd, end, bytes, err);
}

bool state_file_add(
	const char *path, struct state_file_end *end, const struct state_delta *deltas, struct error *err)
{
	struct state_file_end was = *end;
	struct state_chain chain = was.chain;
	AUTO_FINI(buf) bytes = buf_limit(STATE_CHAIN_MAX - least(chain.bytes, STATE_CHAIN_MAX));

	*end = (struct state_file_end){ 0 };
	for (; deltas; deltas = deltas->next)
		state_chain_add(&chain, str_from(deltas->bytes, deltas->len), &bytes);
	if (!buf_check(&bytes, "deltas of the state", err) || !add_to(path, &was, buf_str(&bytes), err))
		return error_add(err, "%s", path);
	*end = was;
	end->chain = chain;
	return true;
}

/* ---- reading ---- */

/* A new format of the document is a new one of the file, by which who cannot read it knows. */
_Static_assert(STATE_FORMAT == 2, "the file needs another magic");

static bool check_magic(struct str file, const char *path, struct error *err)
{
	uint64_t format;

	if (!str_skip(&file, STATE_FILE_BEGINS) || !file.len || *file.at < '1' || *file.at > '9')
		return error_set(err, ERROR_INVALID, NULL, "%s: not a state file", path);
	format = (uint64_t)(*file.at - '0');
	return format <= STATE_CHAIN_FORMAT || data_file_newer(format, STATE_CHAIN_FORMAT, err) ||
	       error_add(err, "%s", path);
}

bool state_file_read(const char *path, struct state_file_read *ret, struct error *err)
{
	AUTO_FINI(buf) file = buf_limit(STATE_CHAIN_MAX);
	struct state_file_read read = { 0 };
	AUTO_FD fd = -1;

	file_tighten(path);
	if (!file_read(path, &file, err) || !check_magic(buf_str(&file), path, err))
		return false;
	if (!state_chain_read(buf_str(&file), &read.chain, err))
		return error_add(err, "%s", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && !read.chain.left)
		note_end(fd, &read.chain.chain, &read.end);
	read.age_ms = age_of(path);
	*ret = read;
	return true;
}
