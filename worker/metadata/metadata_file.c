/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_file - search.db: its tables, and that it is there. Nothing is synced: after a power cut it may be damaged, and is made anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/metadata/metadata_priv.h"

#define FORMAT 2

/*
 * repository  which there are, and what each was derived from
 * manifest    facts NULL: nothing can be told of it. chain: the first 8 bytes of each layer's digest, in their order. blobs: of config and layers the same
 *             with the size, 8 bytes each. fresh: derived, and what follows from it for others is not
 * member      manifests of indexes
 * content     which manifests have a blob, are one, by metadata_head()
 * tag         pulls and pushes are the manifest's
 * signature   what a layer of a manifest proves that signs something, number nth; with which keys it was looked at says manifest.judged
 */
static const char schema[] =
	"CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation TEXT NOT "
	"NULL, "
	"at INTEGER NOT NULL, object TEXT NOT NULL, changes INTEGER NOT NULL, size INTEGER NOT NULL, vendors "
	"TEXT NOT NULL);"
	"CREATE TABLE manifest (id INTEGER PRIMARY KEY, repository INTEGER NOT NULL, digest BLOB NOT NULL, "
	"kind INTEGER NOT NULL, "
	"media_type TEXT NOT NULL, artifact_type TEXT NOT NULL, size INTEGER NOT NULL, pulls INTEGER NOT "
	"NULL, pulled_ms INTEGER NOT NULL, "
	"pushed_ms INTEGER NOT NULL, pushed_by TEXT NOT NULL, subject BLOB, signs INTEGER NOT NULL, layers "
	"INTEGER NOT NULL, fresh INTEGER, "
	"chain BLOB, blobs BLOB, facts BLOB, judged INTEGER, UNIQUE (repository, digest));"
	"CREATE INDEX manifest_subject ON manifest (repository, subject) WHERE subject IS NOT NULL;"
	"CREATE INDEX manifest_fresh ON manifest (repository) WHERE fresh IS NOT NULL;"
	"CREATE INDEX manifest_chain ON manifest (chain) WHERE chain IS NOT NULL;"
	"CREATE TABLE member (repository INTEGER NOT NULL, child BLOB NOT NULL, parent INTEGER NOT NULL, "
	"PRIMARY KEY (repository, child, parent)) WITHOUT ROWID;"
	"CREATE TABLE content (head INTEGER NOT NULL, manifest INTEGER NOT NULL, PRIMARY KEY (head, "
	"manifest)) WITHOUT ROWID;"
	"CREATE TABLE tag (repository INTEGER NOT NULL, name TEXT NOT NULL, manifest INTEGER NOT NULL, shown "
	"INTEGER NOT NULL, "
	"tagged_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, is_signed INTEGER NOT NULL, platforms TEXT "
	"NOT NULL, "
	"vendor TEXT NOT NULL, PRIMARY KEY (repository, name)) WITHOUT ROWID;"
	"CREATE INDEX tag_manifest ON tag (manifest);"
	"CREATE INDEX manifest_signs ON manifest (repository) WHERE signs;"
	"CREATE TABLE signature (manifest INTEGER NOT NULL, nth INTEGER NOT NULL, target BLOB NOT NULL, "
	"author TEXT NOT NULL, from_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (manifest, "
	"nth)) WITHOUT ROWID;"
	"PRAGMA user_version = 2;";

static bool prepare(struct sqlite *db, struct error *err)
{
	int64_t format;

	if (!sqlite_never_durable(db, err) || !sqlite_format(db, &format, err))
		return false;
	if (format && format != FORMAT)
		return error_set(err, ERROR_INVALID, NULL,
			"it is of format %" PRId64 ", this zot-worker's is %d", format, FORMAT);
	return format || (sqlite_begin(db, err) && sqlite_exec(db, schema, err) && sqlite_commit(db, err));
}

static void remove_file(const struct metadata *md)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
	char path[4200];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", md->path, ends[i]);
		(void)unlink(path);
	}
}

/* Tags of a repository, into one that has none. */
bool metadata_load_locked(struct metadata *md, struct list_repository *repository, struct error *err)
{
	struct sql q = sql_of(md->db, "SELECT t.name, t.platforms, t.updated_ms, CASE t.tagged_ms WHEN 0 "
				      "THEN m.pushed_ms ELSE t.tagged_ms END, "
				      "m.pulls, t.is_signed FROM tag t JOIN manifest m ON m.id = t.manifest "
				      "WHERE t.repository = ? AND t.shown ORDER BY t.name");
	bool fits = true;

	sql_int(&q, repository->id);
	while (fits && sql_next(&q)) {
		const struct list_tag tag = { .updated_ms = sql_column_int(&q, 2),
			.tagged_ms = sql_column_int(&q, 3),
			.pulls = sql_column_count(&q, 4),
			.is_signed = sql_column_int(&q, 5) };

		fits = list_repository_add(
			repository, sql_column_bytes(&q, 0), str_of(sql_column_text(&q, 1)), &tag);
	}
	if (!sql_end(&q, err))
		return false;
	list_repository_close(repository);
	return fits || error_set(err, ERROR_TOO_LARGE, NULL, "%s has over 4 GiB of tags", repository->name);
}

static bool load_stamp(struct sql *q, struct list_repository *into)
{
	into->version.at = sql_column_count(q, 3);
	into->changes = sql_column_count(q, 5);
	into->size = sql_column_count(q, 6);
	return str_copy(str_of(sql_column_text(q, 2)), into->version.generation,
		       sizeof(into->version.generation)) &&
	       str_copy(str_of(sql_column_text(q, 4)), into->version.object.text,
		       sizeof(into->version.object.text));
}

static bool load_names(struct metadata *md, struct list_repository ***ret, size_t *ret_len, struct error *err)
{
	struct sql q = sql_of(md->db,
		"SELECT id, name, generation, at, object, changes, size FROM repository ORDER BY name");
	struct list_repository **all = NULL;
	size_t len = 0, room = 0;
	bool good = true;

	while (good && sql_next(&q)) {
		struct list_repository *one =
			list_repository_new(sql_column_bytes(&q, 1), sql_column_int(&q, 0));

		good = load_stamp(&q, one);
		if (len == room) {
			room = room ? 2 * room : 64;
			all = realloc(all, room * sizeof(struct list_repository *));
			CHECK(all);
		}
		all[len++] = one;
	}
	*ret = all;
	*ret_len = len;
	return sql_end(&q, err) && (good || error_set(err, ERROR_INVALID, NULL, "a row is damaged"));
}

static bool load_all(struct metadata *md, struct error *err)
{
	struct list_repository **all;
	size_t len;
	bool ok = load_names(md, &all, &len, err);

	for (size_t i = 0; i < len; i++) {
		ok = ok && metadata_load_locked(md, all[i], err);
		if (ok)
			image_list_put(md->list, all[i]);
		else
			list_repository_free(all[i]);
	}
	free(all);
	return ok;
}

static bool look(struct metadata *md, struct stat *st)
{
	return stat(md->path, st) == 0;
}

static void forget_list(struct metadata *md)
{
	image_list_free(md->list);
	md->list = image_list_new();
}

static void close_file(struct metadata *md)
{
	sqlite_free(TAKE(md->db));
	forget_list(md);
}

static bool open_file(struct metadata *md, struct error *err)
{
	struct stat st;

	if (!file_make_folders(md->folder, 0700, err) || !file_keep_private(md->path, err))
		return false;
	if (!sqlite_open(&md->db, md->path, err))
		return false;
	if (!prepare(md->db, err) || !load_all(md, err)) {
		close_file(md);
		return false;
	}
	if (!look(md, &st)) {
		close_file(md);
		return error_set(err, ERROR_UNAVAILABLE, NULL, "%s is not there any more", md->path);
	}
	md->device = st.st_dev;
	md->inode = st.st_ino;
	return true;
}

/* What is derived is gone: all is to be looked at. */
static void begin_anew(struct metadata *md)
{
	close_file(md);
	remove_file(md);
	md->rebuilt++;
	lock_take(&md->due_lock);
	md->due_all = true;
	lock_drop(&md->due_lock);
}

bool metadata_file_is_there_locked(struct metadata *md)
{
	struct stat st;

	lock_assert(&md->lock);
	if (!look(md, &st) || st.st_dev != md->device || st.st_ino != md->inode)
		return false;
	md->file_bytes = (uint64_t)st.st_size;
	return true;
}

static void tell(struct metadata *md, const struct error *why)
{
	if (few_take(&md->said, 10, 600000, clock_ms()))
		log_warn("metadata.anew",
			"file=%s error=%s what=\"it is made anew, a search lacks what is not derived yet\"",
			log_quote(str_of(md->path)), log_quote(str_of(why->text)));
}

void metadata_file_broke_locked(struct metadata *md, const struct error *why)
{
	lock_assert(&md->lock);
	if (!md->db)
		return;
	tell(md, why);
	begin_anew(md);
}

bool metadata_file_ready_locked(struct metadata *md, struct error *err)
{
	struct error why = { .text = "" };

	lock_assert(&md->lock);
	if (md->db && metadata_file_is_there_locked(md))
		return true;
	if (md->db) {
		(void)error_set(&why, ERROR_UNKNOWN, NULL, "it was removed");
		metadata_file_broke_locked(md, &why);
	}
	if (open_file(md, &why))
		return true;
	/* To remove it would help nobody, or take it from a process that is about to end. */
	if (why.kind == ERROR_FULL || why.sys == EBUSY)
		return error_set(err, why.kind, NULL, "%s", why.text);
	tell(md, &why);
	begin_anew(md);
	return open_file(md, err) || error_add(err, "%s", md->path);
}

/* One repository goes. */

/* Contents are found by what each manifest has. */
static bool delete_contents(struct metadata *md, int64_t id, struct error *err)
{
	struct sql q = sql_of(md->db, "SELECT id, digest, blobs FROM manifest WHERE repository = ?");
	bool ok = true;

	sql_int(&q, id);
	while (ok && sql_next(&q))
		ok = metadata_delete_content_locked(
			md, sql_column_int(&q, 0), sql_column_bytes(&q, 1), sql_column_bytes(&q, 2), err);
	return sql_end(&q, ok ? err : NULL) && ok;
}

static bool delete_of(struct sql q, int64_t id, struct error *err)
{
	sql_int(&q, id);
	return sql_run(&q, err);
}

static bool delete_rows(struct metadata *md, int64_t id, struct error *err)
{
	return delete_contents(md, id, err) &&
	       delete_of(sql_of(md->db, "DELETE FROM tag WHERE repository = ?"), id, err) &&
	       delete_of(sql_of(md->db, "DELETE FROM member WHERE repository = ?"), id, err) &&
	       delete_of(sql_of(md->db, "DELETE FROM signature WHERE manifest IN (SELECT id FROM manifest "
					"WHERE repository = ?)"),
		       id, err) &&
	       delete_of(sql_of(md->db, "DELETE FROM manifest WHERE repository = ?"), id, err) &&
	       delete_of(sql_of(md->db, "DELETE FROM repository WHERE id = ?"), id, err);
}

bool metadata_delete_locked(struct metadata *md, struct str name, struct error *err)
{
	const struct list_repository *repository = image_list_find(md->list, name);

	lock_assert(&md->lock);
	if (!repository)
		return true;
	if (!sqlite_begin(md->db, err))
		return false;
	if (!delete_rows(md, repository->id, err)) {
		sqlite_rollback(md->db);
		return false;
	}
	if (!sqlite_commit(md->db, err))
		return false;
	image_list_drop(md->list, name);
	return true;
}
