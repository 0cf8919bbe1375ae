/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_file - a SQLite file in the data folder of a worker that has no leaders, of entities as they are encoded.
 *
 * Its format is in PRAGMA user_version. A file that is damaged, or of a newer version, is an error: it is never begun anew.
 *
 * Thread  main, at the start.
 */
#pragma once

#include "common/sqlite.h"
#include "proto/entity.h"

struct own_file {
	const char *name;   /* in the folder */
	const char *schema; /* statements that make it, and set user_version to: */
	int format;
};
/* Every error names the file. */
bool own_file_open(struct sqlite **ret_db, const char *folder, const struct own_file *file, struct error *err) MUST_CHECK;
/* The same of one that was found later. */
bool own_file_error(const char *folder, const struct own_file *file, struct error *err);
/* The body of a row. */
bool own_file_decode(struct str bytes, struct entity **ret, struct error *err) MUST_CHECK;
