/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_log_file - opening a log, adding to it, closing it, and what becomes of one that nobody continues.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/storage/fs_log.h"

/* ---- opening ---- */

void fs_log_fini(struct fs_log *log)
{
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = -1;
}

static bool path_of_log(
	const struct store *store, const char *index_key, struct fs_path *ret, struct error *err)
{
	char key[STORE_KEY_MAX];
	size_t len = strlen(index_key) - strlen("json");

	(void)snprintf(key, sizeof(key), "%.*slog", (int)len, index_key);
	return fs_path_of(store, key, ret, err);
}

static enum fs_log_kind kind_of_mark(char mark)
{
	switch (mark) {
	case FS_LOG_MARK_OLD:
		return FS_LOG_OLD;
	case FS_LOG_MARK_OPEN:
		return FS_LOG_OPEN;
	case FS_LOG_MARK_CLOSED:
		return FS_LOG_CLOSED;
	default:
		return FS_LOG_OTHER;
	}
}

/* What its first line says, whatever generation is asked for. */
static enum fs_log_kind read_head(struct fs_log *log)
{
	char head[FS_LOG_HEAD], raw[16];
	struct str line = str_from(head, sizeof(head));

	log->generation[0] = '\0';
	log->format = FS_LOG_MARK_OLD;
	if (pread(log->fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) || !str_skip(&line, FS_LOG_WORD) ||
		line.at[1] != ' ' || !str_unhex(str_from(line.at + 2, 32), (uint8_t *)raw, sizeof(raw)))
		return FS_LOG_OTHER;
	CHECK(str_copy(str_from(line.at + 2, 32), log->generation, sizeof(log->generation)));
	log->format = line.at[0];
	return kind_of_mark(line.at[0]);
}

static bool open_file(struct fs_log *log, bool writing, struct stat *ret_st, struct error *err)
{
	log->fd = fs_at_open(log->store, log->path.text, writing ? O_RDWR : O_RDONLY, 0);
	if (log->fd < 0)
		return fs_error(err, "open", log->path.text);
	if (fstat(log->fd, ret_st) != 0)
		return fs_error(err, "stat", log->path.text);
	return S_ISREG(ret_st->st_mode) ||
	       error_set(err, ERROR_INTERNAL, NULL, "%s is not a regular file", log->path.text);
}

static bool copy_of(struct fs_log *log, uint64_t size, struct fs_temp *temp, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(STORE_LOG_MAX + FS_LOG_HEAD);
	char *at = size <= bytes.max ? buf_reserve(&bytes, (size_t)size) : NULL;

	if (!at)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "%s is over %zu bytes", log->path.text, bytes.max);
	if (pread(log->fd, at, (size_t)size, 0) != (ssize_t)size)
		return fs_error(err, "read", log->path.text);
	buf_grew(&bytes, (size_t)size);
	return fs_temp_write(log->store, &log->path, buf_str(&bytes), temp, err) && fs_temp_sync(temp, err);
}

static bool unshare(struct fs_log *log, struct stat *st, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };

	if (!copy_of(log, (uint64_t)st->st_size, &temp, err) || !fs_temp_rename(&temp, &log->path, err) ||
		!fs_sync_folder(log->store, log->path.folder, err))
		return false;
	fs_log_fini(log);
	return open_file(log, true, st, err);
}

/* A later format continues index.json by rules that are not known here: it is neither passed over nor put aside. */
static bool refuse_newer(struct fs_log *log, struct error *err)
{
	fs_log_fini(log);
	return error_set(err, ERROR_INTERNAL, NULL,
		"%s: of format %c, written by a newer zot-worker; this one (" ZOT_VERSION
		") reads %c at most: let the newer one fold it first (zot-worker fold), or run that one",
		log->path.text, log->format, FS_LOG_MARK_OPEN);
}

bool fs_log_open(struct store *store, const char *index_key, const char *generation, bool writing,
	struct fs_log *ret, struct error *err)
{
	struct error cause;
	struct stat st;

	/* Not as a whole: its paths are large. */
	ret->store = store;
	ret->fd = -1;
	ret->kind = FS_LOG_ABSENT;
	ret->generation[0] = '\0';
	ret->size = 0;
	if (!path_of_log(store, index_key, &ret->path, err))
		return false;
	if (!open_file(ret, writing, &st, &cause)) {
		if (ret->fd < 0 && cause.sys == ENOENT)
			return true;
		if (err)
			*err = cause;
		return false;
	}
	if (writing && st.st_nlink > 1 && !unshare(ret, &st, err))
		return false;
	ret->size = (uint64_t)st.st_size;
	ret->kind = read_head(ret);
	if (ret->format > FS_LOG_MARK_OPEN && ret->format <= '9')
		return refuse_newer(ret, err);
	if (!generation[0] || strcmp(generation, ret->generation) != 0)
		ret->kind = FS_LOG_OTHER;
	return true;
}

/* ---- adding ---- */

static const char room_for_mark[FRAME_HEAD];

/* A mark that has its place on the disk already; it is not synced. */
static bool write_mark(
	const struct fs_log *log, struct store_log_place *place, uint64_t at, struct error *err)
{
	AUTO_FINI(buf) mark = buf_limit(FRAME_HEAD);
	struct frame_chain chain;

	memcpy(chain.sum, place->chain, sizeof(chain.sum));
	frame_chain_mark(&mark, &chain);
	if (!file_write_at(log->fd, mark.at, mark.len, at, err))
		return error_add(err, "index.log");
	memcpy(place->chain, chain.sum, sizeof(chain.sum));
	return true;
}

static void cut(const struct fs_log *log, uint64_t at)
{
	if (ftruncate(log->fd, (off_t)at) != 0)
		log_warn("index.log", "file=%s what could not be written could not be cut off either",
			log_quote(str_of(log->path.text)));
}

/* Its sync has failed: what lies in memory and what lies on the disk may differ from now on. */
static enum store_step close_log(const struct fs_log *log, uint64_t at, struct error *err)
{
	char mark = FS_LOG_MARK_CLOSED;

	(void)fs_error(err, "sync", log->path.text);
	log_error("index.log",
		"file=%s error=%s what=\"a sync failed, nothing is added to this log any more\"",
		log_quote(str_of(log->path.text)), log_quote(str_of(err ? err->text : "")));
	cut(log, at);
	if (!file_write_at(log->fd, &mark, 1, strlen(FS_LOG_WORD), NULL))
		log_warn("index.log", "file=%s could not be closed for others",
			log_quote(str_of(log->path.text)));
	return STORE_CLOSED;
}

/* `head` of the file, or nothing, then the entry and room for its mark. */
static bool format_entry(struct str head, const struct store_log_place *place, struct str frames,
	struct frame_chain *ret_chain, struct buf *into, struct error *err)
{
	memcpy(ret_chain->sum, place->chain, sizeof(ret_chain->sum));
	if (!place->at)
		*ret_chain = fs_log_chain_begin(place->generation);
	buf_add(into, head);
	frame_chain_add(into, ret_chain, frames);
	buf_append(into, room_for_mark, sizeof(room_for_mark));
	return buf_check(into, "a record of the index", err);
}

static bool finish_entry(const struct fs_log *log, struct store_log_place *place, size_t len,
	const struct frame_chain *chain, struct error *err)
{
	struct store_log_place next = *place;

	memcpy(next.chain, chain->sum, sizeof(next.chain));
	store_log_advance(&next, len, len);
	if (!write_mark(log, &next, FS_LOG_HEAD + next.at - FRAME_HEAD, err))
		return false;
	*place = next;
	return true;
}

enum store_step fs_log_add(
	const struct fs_log *log, struct store_log_place *place, struct str frames, struct error *err)
{
	AUTO_FINI(buf) entry = buf_limit(FRAME_ENTRY_MAX + 2 * FRAME_HEAD);
	uint64_t end = FS_LOG_HEAD + place->at;
	struct frame_chain chain;

	if (!format_entry(STR_NONE, place, frames, &chain, &entry, err))
		return STORE_FAILED;
	if (!file_write_at(log->fd, entry.at, entry.len, end, err)) {
		cut(log, end);
		(void)error_add(err, "index.log");
		return STORE_FAILED;
	}
	if (fdatasync(log->fd) != 0)
		return close_log(log, end, err);
	if (!finish_entry(log, place, entry.len, &chain, err)) {
		cut(log, end);
		return STORE_FAILED;
	}
	return STORE_OK;
}

/* Nothing is there yet, so what fails leaves nothing. */
static enum store_step begin(struct store *store, const struct fs_log *log, struct store_log_place *place,
	struct str frames, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(FRAME_ENTRY_MAX + FS_LOG_HEAD + 2 * FRAME_HEAD);
	char head[FS_LOG_HEAD + 1];
	struct frame_chain chain;

	fs_log_head(place->generation, head);
	if (!format_entry(str_of(head), place, frames, &chain, &text, err))
		return STORE_FAILED;
	if (!file_write_at(log->fd, text.at, text.len, 0, err)) {
		(void)error_add(err, "index.log");
		return STORE_FAILED;
	}
	if (fdatasync(log->fd) != 0) {
		(void)fs_error(err, "sync", log->path.text);
		return STORE_CLOSED;
	}
	if (!fs_sync_folder(store, log->path.folder, err) ||
		!finish_entry(log, place, text.len - FS_LOG_HEAD, &chain, err))
		return STORE_FAILED;
	return STORE_OK;
}

enum store_step fs_log_begin(struct store *store, struct fs_log *log, struct store_log_place *place,
	struct str frames, struct error *err)
{
	enum store_step step;

	log->fd = fs_at_open(store, log->path.text, O_RDWR | O_CREAT | O_EXCL, FS_FILE_MODE);
	if (log->fd < 0) {
		(void)fs_error(err, "create", log->path.text);
		return STORE_FAILED;
	}
	step = begin(store, log, place, frames, err);
	if (step != STORE_OK)
		(void)fs_at_unlink(store, log->path.text);
	return step;
}

/* ---- what nobody continues ---- */

bool fs_log_sync_names(struct store *store, const struct fs_log *log, struct error *err)
{
	AUTO_FINI(fs_temp) temp = { .fd = -1 };

	return fs_temp_new(store, &log->path, &temp, err) && fs_sync_folder(store, log->path.folder, err);
}

/* Bytes that count, of whatever generation it is. */
static bool length_of(const struct fs_log *log, uint64_t *ret, struct error *err)
{
	AUTO_FINI(fs_log_tail) tail = { .marked = 0 };
	AUTO_FINI(buf) batches = buf_limit(STORE_LOG_MAX);
	struct store_log_place start = { .at = 0 };
	struct fs_log own = *log;

	memcpy(start.generation, log->generation, sizeof(start.generation));
	own.kind = read_head(&own);
	if (fs_log_tail_read(&own, &start, &tail, &batches, err) != STORE_OK)
		return false;
	*ret = tail.whole > tail.marked ? tail.whole + FRAME_HEAD : tail.marked;
	return true;
}

static bool keep_orphan(const struct fs_log *log, struct error *err)
{
	char name[sizeof(log->path.text) + 64], random[9];

	random_hex(random, 4);
	(void)snprintf(name, sizeof(name), "%s.orphan-%s-%s", log->path.text,
		log->generation[0] ? log->generation : "damaged", random);
	if (!fs_at_rename(log->store, log->path.text, name, 0))
		return fs_error(err, "rename", log->path.text);
	log_error("index.orphan",
		"kept=%s what=\"index.json was replaced by somebody who did not read the log beside it; what "
		"this "
		"log holds and index.json does not is not served\"",
		log_quote(str_of(name)));
	return fs_sync_one(log->store, log->path.folder, err);
}

bool fs_log_dispose(
	struct store *store, struct fs_log *log, const struct store_log_place *place, struct error *err)
{
	bool held = log->size == 0;
	uint64_t len = 0;

	if (!fs_log_sync_names(store, log, err))
		return false;
	if (!held && log->generation[0] && !length_of(log, &len, err))
		return false;
	if (!held && log->generation[0])
		held = len == 0 || (!strcmp(log->generation, place->held) && len <= place->held_at);
	if (!held && !keep_orphan(log, err))
		return false;
	if (held && !fs_at_unlink(store, log->path.text) && errno != ENOENT)
		return fs_error(err, "remove", log->path.text);
	fs_log_fini(log);
	log->kind = FS_LOG_ABSENT;
	return true;
}
