/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "worker/cluster/data_file.h"

#define FILE_WORD  "ZOTSTATE"
#define FILE_MAGIC FILE_WORD "1"
#define MAGIC_LEN  (sizeof(FILE_MAGIC) - 1)
#define HEAD_LEN   (MAGIC_LEN + 32)

bool state_file_save(const char *path, const struct state *state, struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(STATE_BYTES_MAX);
	AUTO_FINI(buf) file = buf_limit(STATE_BYTES_MAX);
	uint8_t digest[HASH_MAX];

	state_encode_full(state, &body);
	hash_bytes(HASH_SHA256, body.at, body.len, digest);
	buf_puts(&file, FILE_MAGIC);
	buf_append(&file, digest, 32);
	buf_add(&file, buf_str(&body));
	return buf_check(&body, "state", err) && buf_check(&file, "state", err) &&
	       file_write_durable(path, buf_str(&file), 0600, err);
}

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

/* A new format of the document is a new one of the file, by which who cannot read it knows. */
_Static_assert(STATE_FORMAT == 2, "the file needs another magic");

static bool check_magic(struct str file, const char *path, struct error *err)
{
	uint64_t format;

	if (!str_skip(&file, FILE_WORD) || !file.len || *file.at < '1' || *file.at > '9')
		return error_set(err, ERROR_INVALID, NULL, "%s: not a state file", path);
	format = (uint64_t)(*file.at - '0');
	return format == 1 || data_file_newer(format, 1, err) || error_add(err, "%s", path);
}

bool state_file_load(const char *path, struct state **ret_state, int64_t *ret_age_ms, struct error *err)
{
	AUTO_FINI(buf) file = buf_limit(STATE_BYTES_MAX);
	uint8_t digest[HASH_MAX];
	struct str body;

	file_tighten(path);
	if (!file_read(path, &file, err))
		return false;
	*ret_age_ms = age_of(path);
	if (!check_magic(buf_str(&file), path, err))
		return false;
	if (file.len < HEAD_LEN)
		return error_set(err, ERROR_INVALID, NULL, "%s: damaged, it is cut off", path);
	body = str_from(file.at + HEAD_LEN, file.len - HEAD_LEN);
	hash_bytes(HASH_SHA256, body.at, body.len, digest);
	if (memcmp(digest, file.at + MAGIC_LEN, 32) != 0)
		return error_set(err, ERROR_INVALID, NULL, "%s: damaged, its digest does not match", path);
	return state_apply(body, NULL, ret_state, err) || error_add(err, "%s", path);
}
