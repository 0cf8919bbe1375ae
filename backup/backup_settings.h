/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_settings - CLUSTER_BACKUP_...: where backups of the state (proto/backup.h) lie, and who reads and writes them. The
 * rows that leader and worker have in common are in backup_settings.def; both put them in a member `backup`.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "s3/s3_identity.h"

enum { BACKUP_KIND_AUTO, BACKUP_KIND_S3, BACKUP_KIND_FILE };

struct backup_settings {
	bool enabled, can_read;
	bool can_write;          /* leaders */
	int64_t every_ms;        /* leaders: between two writes */
	int64_t max_age_ms;      /* workers: an older one is not taken */
	int kind;                /* BACKUP_KIND_... */
	const char *file;        /* or NULL */
	const char *key;         /* sealed with; or NULL */
	const char *s3_bucket, *s3_endpoint, *s3_region, *s3_access_key, *s3_secret_key, *s3_session_token, *s3_path, *s3_ca;
	const char *s3_acl;      /* or NULL */
	bool s3_path_style, s3_v4auth;
	struct s3_identity aws;  /* where the bucket has no keys of its own */
};
/* Whether it is a file, or an object in a bucket. */
bool backup_settings_is_file(const struct backup_settings *settings);
/* What is missing or wrong, one a line; nothing where it is not enabled. */
void backup_settings_check(const struct backup_settings *settings, struct buf *errors);
