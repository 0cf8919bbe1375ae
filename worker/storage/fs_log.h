/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_log - the file index.log, and what may be done with its end.
 *
 *     ZOTLOG2 <generation, 32 hex digits>\n  entry mark  entry mark ...      frames.h: a chain that begins with this line
 *     ZOTLOGX ...                            a sync of it has failed: nothing is added any more
 *     ZOTLOG1 ...                            plain frames, as older versions wrote; read, not added to
 *     ZOTLOG3 ... ZOTLOG9                    of a newer version: refused
 *
 * An entry is a batch of plain frames. It counts when its mark stands behind it; the mark is written, without a sync, when the entry is
 * durable. The rules and the argument are in docs/storage-protocol.md.
 *
 * For fs_log*.c alone. Thread  pool. Everything that writes needs the folder's lock.
 */
#pragma once

#include <stdio.h>

#include "worker/storage/frames.h"
#include "worker/storage/fs_priv.h"

/* The first line: a word, one byte that says what it is, the generation. */
#define FS_LOG_WORD   "ZOTLOG"
#define FS_LOG_MARK_OLD    '1'
#define FS_LOG_MARK_OPEN   '2'
#define FS_LOG_MARK_CLOSED 'X'
#define FS_LOG_HEAD (sizeof(FS_LOG_WORD "2 ") - 1 + 32 + 1)

static inline void fs_log_head(const char *generation, char head[FS_LOG_HEAD + 1])
{
	(void)snprintf(head, FS_LOG_HEAD + 1, FS_LOG_WORD "%c %.32s\n", FS_LOG_MARK_OPEN, generation);
}
static inline struct frame_chain fs_log_chain_begin(const char *generation)
{
	char head[FS_LOG_HEAD + 1];

	fs_log_head(generation, head);
	return frame_chain_begin(str_of(head));
}

enum fs_log_kind {
	FS_LOG_ABSENT,
	FS_LOG_OTHER,  /* of another generation, empty or damaged: no log of the index.json at hand */
	FS_LOG_OLD,    /* of this generation, each */
	FS_LOG_OPEN,
	FS_LOG_CLOSED,
};

struct fs_log {
	struct store *store;
	struct fs_path path;
	int fd; /* -1: absent */
	enum fs_log_kind kind;
	char generation[33]; /* that its head names, "" = none */
	char format;         /* the digit in its head, where it has a generation */
	uint64_t size;       /* of the file */
};
/* How it stands to this generation. What is no regular file, or reached through a link, is ERROR_INTERNAL. `writing`: a log that has another
 * name too (a hard link, as backups make them) gets a file of its own first, so that writing changes this one alone; on what can't be written: the errno is kept in err->sys. */
/* One of a later format is ERROR_INTERNAL: the error says what to do. */
bool fs_log_open(struct store *store, const char *index_key, const char *generation, bool writing,
	struct fs_log *ret, struct error *err) MUST_CHECK;
void fs_log_fini(struct fs_log *log);

/* What lies behind a place. */
struct fs_log_tail {
	struct buf bytes;
	size_t marked; /* bytes that count */
	size_t whole;  /* up to the end of a whole entry behind them that has no mark; else the same */
	size_t pending; /* where the payload of that entry begins in `bytes` */
	struct frame_chain chain, chain_whole; /* at `marked` and at `whole` */
};
void fs_log_tail_fini(struct fs_log_tail *tail);
/* The batches that count are added to `into`. CONFLICT: this log never had such a place. */
enum store_step fs_log_tail_read(const struct fs_log *log, const struct store_log_place *place,
	struct fs_log_tail *ret, struct buf *into, struct error *err) MUST_CHECK;
/* Is there more than what counts? */
bool fs_log_tail_is_in_doubt(const struct fs_log_tail *tail);
/* The payload of the whole entry that has no mark. */
struct str fs_log_tail_pending(const struct fs_log_tail *tail);
/* Afterwards nothing is in doubt: a whole entry is written again, synced and marked (and added to `into`), what can't be read is put
 * aside and cut off. */
bool fs_log_settle(struct store *store, const struct fs_log *log, const struct store_log_place *place, struct fs_log_tail *tail,
	struct buf *into, struct error *err) MUST_CHECK;

/* One batch behind the place, which moves. The log is OPEN, the place is its end. */
enum store_step fs_log_add(const struct fs_log *log, struct store_log_place *place, struct str frames,
	struct error *err) MUST_CHECK;
/* The same, and the log begins with it. There is none. */
enum store_step fs_log_begin(struct store *store, struct fs_log *log, struct store_log_place *place, struct str frames,
	struct error *err) MUST_CHECK;
/* The names in its folder are durable: with a change of our own, so that there is something to sync whatever became of the one before. */
bool fs_log_sync_names(struct store *store, const struct fs_log *log, struct error *err) MUST_CHECK;
/* A log that is none of the index.json at `place`: when index.json holds it, it goes, else it is kept under another name and told.
 * What was renamed in the folder is durable afterwards. */
bool fs_log_dispose(
	struct store *store, struct fs_log *log, const struct store_log_place *place, struct error *err) MUST_CHECK;
