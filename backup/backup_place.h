/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_place - where the newest backup lies: a file, or an object in a bucket.
 *
 * Several leaders may write. Who writes says what he replaces; where that is not there any more nothing is written:
 *
 *     file    compared and replaced under a lock beside it (flock on <file>.lock); temp, fsync, rename, fsync of the folder
 *     bucket  one PUT with If-Match of the ETag, or If-None-Match where there was nothing
 *
 * A PUT that is answered with 2xx is durable. One whose answer is lost may have been done: who looks again sees it.
 *
 * Thread  pool, or a command's main: all of it waits for disk or network; a bucket that does not answer for some seconds (the
 *         s3 room's patience). One at a time.
 */
#pragma once

#include "backup/backup_settings.h"
#include "proto/backup.h"

struct backup_place;
/* The texts of the settings are borrowed until its end. */
bool backup_place_new(struct backup_place **ret_place, const struct backup_settings *settings, struct error *err) MUST_CHECK;
void backup_place_free(struct backup_place *place);
AUTO_DEFINE(backup_place)
/* "/srv/state.backup" or "https://host/bucket/key": for the log. */
const char *backup_place_name(const struct backup_place *place);
/* What S3 calls a canned ACL: "private" of "Private"; NULL: it is none, or one for strangers. */
const char *backup_place_acl(const char *name);

/* The begin of what is there, and a mark of its version. */
struct backup_found {
	char first[BACKUP_HEAD_MAX];
	size_t len;
	char version[160];
};
/* ERROR_UNKNOWN: there is nothing. */
bool backup_place_look(struct backup_place *place, struct backup_found *ret, struct error *err) MUST_CHECK;
/* All of it; ERROR_UNKNOWN as before. */
bool backup_place_read(struct backup_place *place, struct buf *into, struct error *err) MUST_CHECK;
/* In the place of `replaced` (NULL: of nothing). ERROR_CONFLICT: something else is there by now. */
bool backup_place_write(struct backup_place *place, const struct backup_found *replaced, struct str bytes,
			struct error *err) MUST_CHECK;
