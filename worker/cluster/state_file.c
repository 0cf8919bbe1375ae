/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
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
	AUTO(state) *state = NULL;
	struct error err;
	int64_t age;

	return state_file_load(older, &state, &age, &err) && history_same(state_history(state), history);
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

bool state_file_save(
	const char *path, const struct state *before, const struct state *state, struct error *err)
{
	AUTO_FINI(buf) file = buf_limit(STATE_BYTES_MAX);

	state_seal(state, &file);
	return buf_check(&file, "state", err) && (!before || keep_older(path, before, state, err)) &&
	       file_write_durable(path, buf_str(&file), 0600, err);
}

/* A new format of the document is a new one of the file, by which who cannot read it knows. */
_Static_assert(STATE_FORMAT == 2, "the file needs another magic");

static bool check_magic(struct str file, const char *path, struct error *err)
{
	uint64_t format;

	if (!str_skip(&file, STATE_FILE_BEGINS) || !file.len || *file.at < '1' || *file.at > '9')
		return error_set(err, ERROR_INVALID, NULL, "%s: not a state file", path);
	format = (uint64_t)(*file.at - '0');
	return format == 1 || data_file_newer(format, 1, err) || error_add(err, "%s", path);
}

bool state_file_load(const char *path, struct state **ret_state, int64_t *ret_age_ms, struct error *err)
{
	AUTO_FINI(buf) file = buf_limit(STATE_BYTES_MAX);

	file_tighten(path);
	if (!file_read(path, &file, err))
		return false;
	*ret_age_ms = age_of(path);
	return check_magic(buf_str(&file), path, err) &&
	       (state_unseal(buf_str(&file), ret_state, err) || error_add(err, "%s", path));
}
