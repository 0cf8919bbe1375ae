/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_log_tail - what lies behind a place of a log: what counts, what is in doubt, and how the doubt ends.
 */
#include <fcntl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/storage/fs_log.h"

void fs_log_tail_fini(struct fs_log_tail *tail)
{
	buf_fini(&tail->bytes);
}

static bool read_from(const struct fs_log *log, uint64_t from, struct buf *into, struct error *err)
{
	size_t len = (size_t)(log->size - from);

	if (!buf_reserve(into, len))
		return buf_check(into, "index.log", err);
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(log->fd, into->at + into->len, len - done, (off_t)(from + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fs_error(err, "read", log->path.text);
		if (n == 0)
			break;
		into->len += (size_t)n;
		done += (size_t)n;
	}
	return true;
}

/* ---- reading ---- */

/* Plain frames, as older versions wrote them: what is whole counts. */
static void parse_old(struct fs_log_tail *tail, struct buf *into)
{
	tail->marked = tail->whole = frames_len(buf_str(&tail->bytes));
	buf_add(into, str_from(tail->bytes.at, tail->marked));
}

static void parse_chain(struct fs_log_tail *tail, struct buf *into)
{
	struct frame_chain chain = tail->chain;
	struct str rest = buf_str(&tail->bytes), payload = STR_NONE, pending = STR_NONE;
	enum frame_kind kind;

	while ((kind = frame_chain_next(&rest, &chain, &payload)) != FRAME_NONE) {
		/* Two entries, or two marks, in a row are nobody's. */
		if ((kind == FRAME_MARK) != (pending.len > 0))
			return;
		if (kind == FRAME_ENTRY) {
			pending = payload;
			tail->pending = (size_t)(payload.at - tail->bytes.at);
			tail->whole = tail->bytes.len - rest.len;
			tail->chain_whole = chain;
			continue;
		}
		buf_add(into, pending);
		pending = STR_NONE;
		tail->marked = tail->whole = tail->bytes.len - rest.len;
		tail->chain = chain;
	}
}

/* Does the mark that we know still stand before our place? It leaves `bytes`. */
static bool check_place(const struct store_log_place *place, struct fs_log_tail *tail)
{
	memcpy(tail->chain.sum, place->chain, sizeof(tail->chain.sum));
	if (tail->bytes.len < FRAME_HEAD || !frame_chain_is_at(&tail->chain, tail->bytes.at))
		return false;
	tail->bytes.len -= FRAME_HEAD;
	memmove(tail->bytes.at, tail->bytes.at + FRAME_HEAD, tail->bytes.len);
	return true;
}

enum store_step fs_log_tail_read(const struct fs_log *log, const struct store_log_place *place,
	struct fs_log_tail *ret, struct buf *into, struct error *err)
{
	bool chained = log->kind != FS_LOG_OLD;
	size_t lead = chained && place->at ? FRAME_HEAD : 0;

	*ret = (struct fs_log_tail){ .bytes = buf_limit(STORE_LOG_MAX) };
	if (log->size < FS_LOG_HEAD + place->at)
		return STORE_CONFLICT;
	if (!read_from(log, FS_LOG_HEAD + place->at - lead, &ret->bytes, err))
		return STORE_FAILED;
	if (!chained) {
		parse_old(ret, into);
	} else {
		if (lead && !check_place(place, ret))
			return STORE_CONFLICT;
		if (!lead)
			ret->chain = fs_log_chain_begin(place->generation);
		parse_chain(ret, into);
	}
	return buf_check(into, "index.log", err) ? STORE_OK : STORE_FAILED;
}

bool fs_log_tail_is_in_doubt(const struct fs_log_tail *tail)
{
	return tail->bytes.len > tail->marked;
}

struct str fs_log_tail_pending(const struct fs_log_tail *tail)
{
	if (tail->whole == tail->marked)
		return STR_NONE;
	return str_from(tail->bytes.at + tail->pending, tail->whole - tail->pending);
}

/* ---- settling ---- */

/* Durably, under a name that nothing has. */
static bool write_beside(const struct fs_log *log, const char *path, struct str bytes, struct error *err)
{
	AUTO_FD fd = fs_at_open(log->store, path, O_WRONLY | O_CREAT | O_EXCL, FS_FILE_MODE);

	if (fd < 0)
		return fs_error(err, "create", path);
	return file_write_all(fd, bytes.at, bytes.len, err) &&
	       (fsync(fd) == 0 || fs_error(err, "sync", path)) &&
	       fs_sync_one(log->store, log->path.folder, err);
}

static bool put_aside(
	const struct fs_log *log, const struct store_log_place *place, struct str bytes, struct error *err)
{
	char name[sizeof(log->path.text) + 96], random[9];

	random_hex(random, 4);
	(void)snprintf(name, sizeof(name), "%s.cut-%s-%" PRIu64 "-%s", log->path.text, log->generation,
		place->at, random);
	if (!write_beside(log, name, bytes, err))
		return error_add(err, "what can't be read of index.log is put aside");
	log_error("index.cut",
		"kept=%s bytes=%zu what=\"the end of a log can't be read; it was not acknowledged, or is "
		"damaged\"",
		log_quote(str_of(name)), bytes.len);
	return true;
}

/* Where a sync has failed before, the pages only look as if they were on the disk: they are written again. */
static bool write_again(const struct fs_log *log, uint64_t at, struct str entry, struct error *err)
{
	static const char room[FRAME_HEAD];

	if (!file_write_at(log->fd, entry.at, entry.len, at, err) ||
		!file_write_at(log->fd, room, sizeof(room), at + entry.len, err))
		return error_add(err, "index.log");
	return fdatasync(log->fd) == 0 || fs_error(err, "sync", log->path.text);
}

static bool adopt(const struct fs_log *log, uint64_t base, struct fs_log_tail *tail, struct buf *into,
	struct error *err)
{
	struct str entry = str_from(tail->bytes.at + tail->marked, tail->whole - tail->marked);
	AUTO_FINI(buf) mark = buf_limit(FRAME_HEAD);
	struct frame_chain chain = tail->chain_whole;

	frame_chain_mark(&mark, &chain);
	if (!write_again(log, base + tail->marked, entry, err) ||
		!file_write_at(log->fd, mark.at, mark.len, base + tail->whole, err))
		return false;
	buf_add(into, fs_log_tail_pending(tail));
	tail->chain = chain;
	tail->marked = tail->whole += FRAME_HEAD;
	return buf_check(into, "index.log", err);
}

/* The mark of a whole entry may be there in part. */
static struct str damaged(const struct fs_log_tail *tail)
{
	struct str rest = str_from(tail->bytes.at + tail->whole, tail->bytes.len - tail->whole);

	if (tail->whole > tail->marked && rest.len <= FRAME_HEAD)
		return STR_NONE;
	return rest;
}

bool fs_log_settle(struct store *store, const struct fs_log *log, const struct store_log_place *place,
	struct fs_log_tail *tail, struct buf *into, struct error *err)
{
	uint64_t base = FS_LOG_HEAD + place->at;
	struct str rest = damaged(tail);

	if (!fs_log_tail_is_in_doubt(tail))
		return true;
	if (rest.len && !put_aside(log, place, rest, err))
		return false;
	if (ftruncate(log->fd, (off_t)(base + tail->whole)) != 0)
		return fs_error(err, "cut", log->path.text);
	tail->bytes.len = tail->whole;
	if (tail->whole == tail->marked)
		return true;
	/* Who began this log may have died before its name was durable. */
	if (!place->at && !tail->marked && !fs_log_sync_names(store, log, err))
		return false;
	return adopt(log, base, tail, into, err);
}
