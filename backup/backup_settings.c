/* SPDX-License-Identifier: Apache-2.0 */
#include "backup/backup_settings.h"

#include "backup/backup_place.h"
#include "proto/backup.h"

bool backup_settings_is_file(const struct backup_settings *settings)
{
	return settings->kind == BACKUP_KIND_FILE || (settings->kind == BACKUP_KIND_AUTO && settings->file);
}

static void check_key(const struct backup_settings *settings, struct buf *errors)
{
	AUTO(backup_key) *key = NULL;
	struct error err;

	if (settings->key && !backup_key_new(&key, str_of(settings->key), &err))
		buf_format(errors, "CLUSTER_BACKUP_KEY (cluster.backup.key): %s\n", err.text);
}

static void check_there(const char *value, const char *name, struct buf *errors)
{
	if (!value)
		buf_format(errors, "%s: set it, or CLUSTER_BACKUP_FILE for a backup in a file\n", name);
}

static void check_s3(const struct backup_settings *s, struct buf *errors)
{
	check_there(s->s3_bucket, "CLUSTER_BACKUP_S3_BUCKET (cluster.backup.s3.bucket)", errors);
	if (!s->s3_access_key != !s->s3_secret_key)
		buf_puts(errors,
			"CLUSTER_BACKUP_S3_ACCESSKEY (cluster.backup.s3.access) and "
			"CLUSTER_BACKUP_S3_SECRET (cluster.backup.s3.secret): they go together; without "
			"both, keys are taken from AWS_... as for other buckets\n");
	if (!s->s3_v4auth && !s->s3_endpoint)
		buf_puts(errors,
			"CLUSTER_BACKUP_S3_V4AUTH (cluster.backup.s3.v4auth): AWS takes signatures of "
			"version 4 alone; false needs CLUSTER_BACKUP_S3_ENDPOINT "
			"(cluster.backup.s3.endpoint)\n");
	if (s->s3_acl && !backup_place_acl(s->s3_acl))
		buf_puts(errors,
			"CLUSTER_BACKUP_S3_ACL (cluster.backup.s3.acl): needs Private, BucketOwnerRead "
			"or BucketOwnerFullControl; others would let strangers read the state\n");
	if (str_starts(str_of(s->s3_path), "/") || str_ends(str_of(s->s3_path), "/"))
		buf_puts(errors, "CLUSTER_BACKUP_S3_PATH (cluster.backup.s3.path): is the key of an object, "
				 "without a slash at an end\n");
}

/* What else the place says is wrong: the endpoint, the region, the name of the bucket. */
static void check_place(const struct backup_settings *settings, struct buf *errors)
{
	AUTO(backup_place) *place = NULL;
	struct error err;

	if (!backup_place_new(&place, settings, &err))
		buf_format(errors, "CLUSTER_BACKUP_... (cluster.backup): %s\n", err.text);
}

void backup_settings_check(const struct backup_settings *settings, struct buf *errors)
{
	size_t before = errors->len;

	if (!settings->enabled)
		return;
	check_key(settings, errors);
	if (!backup_settings_is_file(settings))
		check_s3(settings, errors);
	else if (!settings->file)
		buf_puts(errors,
			"CLUSTER_BACKUP_FILE (cluster.backup.file): CLUSTER_BACKUP_KIND=FILE needs it\n");
	if (errors->len == before)
		check_place(settings, errors);
}
