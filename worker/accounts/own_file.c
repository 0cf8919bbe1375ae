/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_file.h"

#include "common/file.h"

static bool prepare(struct sqlite *db, const struct own_file *file, struct error *err)
{
	int64_t format;

	if (!sqlite_format(db, &format, err))
		return false;
	if (format > file->format)
		return error_set(err, ERROR_INVALID, NULL,
			"made by a newer zot-worker (format %d, this one reads %d): start that one again",
			(int)format, file->format);
	return format ||
	       (sqlite_begin(db, err) && sqlite_exec(db, file->schema, err) && sqlite_commit(db, err));
}

bool own_file_error(const char *folder, const struct own_file *file, struct error *err)
{
	return error_add(err, "%s/%s", folder, file->name);
}

bool own_file_open(struct sqlite **ret_db, const char *folder, const struct own_file *file, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO(sqlite) *db = NULL;

	buf_format(&path, "%s/%s", folder, file->name);
	if (!buf_check(&path, "the path", err))
		return false;
	if (!file_keep_private(buf_text(&path), err) || !sqlite_open(&db, buf_text(&path), err) ||
		!prepare(db, file, err))
		return own_file_error(folder, file, err);
	*ret_db = TAKE(db);
	return true;
}

bool own_file_decode(struct str bytes, struct entity **ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;

	return pack_parse(bytes, &doc, err) && entity_decode(pack_root(doc), ret, err);
}
