/* SPDX-License-Identifier: Apache-2.0 */
#include "backup/backup_place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/file_lock.h"
#include "s3/s3_client.h"

#define PATH_LIMIT   4096
#define LOCK_WAIT_MS 10000
#define FILE_MODE    0600
#define FOLDER_MODE  0700

struct backup_place {
	char *name;
	char *folder, *path, *lock; /* of a file; NULL: a bucket */
	struct s3_client client;
	const char *key, *acl;
	bool unquoted; /* what this server compares an ETag with: some want it without its quotes */
};

/* Making. */

static const struct {
	const char *name, *header;
} acls[] = {
	{ "private", "private" },
	{ "bucketownerread", "bucket-owner-read" },
	{ "bucketownerfullcontrol", "bucket-owner-full-control" },
	{ "bucket-owner-read", "bucket-owner-read" },
	{ "bucket-owner-full-control", "bucket-owner-full-control" },
};

const char *backup_place_acl(const char *name)
{
	for (size_t i = 0; i < sizeof(acls) / sizeof(acls[0]); i++)
		if (str_is_nocase(str_of(name), acls[i].name))
			return acls[i].header;
	return NULL;
}

static bool make_file(struct backup_place *place, const char *path, struct error *err)
{
	AUTO_FINI(buf) lock = buf_limit(PATH_LIMIT);
	struct str folder = STR("."), base = str_of(path);

	if (memchr(path, '/', base.len))
		(void)str_split_last(str_of(path), '/', &folder, &base);
	if (!base.len || base.len > 200)
		return error_set(err, ERROR_INVALID, NULL, "\"%s\" is not the path of a file", path);
	buf_format(&lock, "%.*s.lock", STR_ARGS(base));
	place->folder = folder.len ? str_dup(folder) : check_strdup("/");
	place->path = check_strdup(path);
	place->lock = buf_take(&lock, NULL);
	place->name = check_strdup(path);
	return true;
}

static bool make_bucket(struct backup_place *place, const struct backup_settings *s, struct error *err)
{
	const struct s3_settings settings = { .endpoint = s->s3_endpoint,
		.region = s->s3_region,
		.bucket = s->s3_bucket,
		.prefix = "",
		.access_key = s->s3_access_key,
		.secret_key = s->s3_secret_key,
		.session_token = s->s3_session_token,
		.identity = &s->aws,
		.v2 = !s->s3_v4auth,
		.path_style = s->s3_path_style,
		.ca_file = s->s3_ca };
	AUTO_FINI(buf) name = buf_limit(PATH_LIMIT);

	if (!s3_client_init(&place->client, &settings, err))
		return false;
	place->key = s->s3_path;
	place->acl = s->s3_acl ? backup_place_acl(s->s3_acl) : NULL;
	buf_puts(&name, place->client.endpoint.origin);
	s3_endpoint_path(&place->client.endpoint, place->key, &name);
	place->name = buf_take(&name, NULL);
	return true;
}

bool backup_place_new(
	struct backup_place **ret_place, const struct backup_settings *settings, struct error *err)
{
	AUTO(backup_place) *place = xnew(struct backup_place);
	bool ok = backup_settings_is_file(settings) ? make_file(place, settings->file, err)
						    : make_bucket(place, settings, err);

	if (ok)
		*ret_place = TAKE(place);
	return ok;
}

void backup_place_free(struct backup_place *place)
{
	if (!place)
		return;
	s3_client_fini(&place->client);
	free(place->name);
	free(place->folder);
	free(place->path);
	free(place->lock);
	free(place);
}

const char *backup_place_name(const struct backup_place *place)
{
	return place->name;
}

/* A file. */

static bool look_at_file(const struct backup_place *place, struct backup_found *ret, struct error *err)
{
	AUTO_FD fd = open(place->path, O_RDONLY | O_CLOEXEC);
	struct backup_found found = { .len = 0 };
	ssize_t got;

	if (fd < 0)
		return error_sys(err, "open %s", place->path);
	do {
		got = read(fd, found.first + found.len, sizeof(found.first) - found.len);
		if (got < 0)
			return error_sys(err, "read %s", place->path);
		found.len += (size_t)got;
	} while (got && found.len < sizeof(found.first));
	*ret = found;
	return true;
}

static bool same_begin(const struct backup_found *a, const struct backup_found *b)
{
	return a->len == b->len && !memcmp(a->first, b->first, a->len);
}

static bool check_replaced(
	const struct backup_place *place, const struct backup_found *replaced, struct error *err)
{
	struct backup_found found;
	struct error look;
	bool there = look_at_file(place, &found, &look);

	if (!there && look.kind != ERROR_UNKNOWN) {
		if (err)
			*err = look;
		return false;
	}
	return (replaced ? there && same_begin(&found, replaced) : !there) ||
	       error_set(err, ERROR_CONFLICT, NULL, "%s: another leader has written it", place->path);
}

static bool write_file(const struct backup_place *place, const struct backup_found *replaced,
	struct str bytes, struct error *err)
{
	AUTO_FD lock = -1;

	return file_make_folders(place->folder, FOLDER_MODE, err) &&
	       file_lock_folder(place->folder, place->lock, LOCK_WAIT_MS, &lock, err) &&
	       check_replaced(place, replaced, err) && file_write_durable(place->path, bytes, FILE_MODE, err);
}

/* A bucket. */

static bool send(
	struct backup_place *place, const struct s3_call *call, struct http_result *result, struct error *err)
{
	if (!s3_client_send(&place->client, call, result, err))
		return false;
	return s3_client_expect_ok(&place->client, call, result, err);
}

static bool look_at_object(struct backup_place *place, struct backup_found *ret, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct backup_found found = { .len = 0 };
	struct s3_call call = { .method = "GET", .key = place->key };
	const char *tag;

	call.headers[0] = (struct s3_header){ "Range", "bytes=0-511" };
	if (!send(place, &call, &result, err))
		return false;
	tag = http_headers_find(result.headers, "ETag");
	if (!tag || !str_copy(str_of(tag), found.version, sizeof(found.version)))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "%s: no ETag came with it", place->name);
	found.len = result.body.len < sizeof(found.first) ? result.body.len : sizeof(found.first);
	memcpy(found.first, buf_text(&result.body), found.len);
	*ret = found;
	return true;
}

static bool read_object(struct backup_place *place, struct buf *into, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	const struct s3_call call = {
		.method = "GET", .key = place->key, .patient = true, .answer_max = into->max
	};

	if (!send(place, &call, &result, err))
		return false;
	buf_add(into, buf_str(&result.body));
	return buf_check(into, "backup", err);
}

static void put_condition(
	const struct backup_place *place, const struct backup_found *replaced, struct buf *into)
{
	struct str tag = str_of(replaced->version);

	if (place->unquoted && tag.len > 1 && tag.at[0] == '"')
		tag = str_from(tag.at + 1, tag.len - 2);
	buf_add(into, tag);
}

static bool is_refused(const struct http_result *result)
{
	return result->status == 412 || result->status == 409;
}

static bool put_object(struct backup_place *place, const struct backup_found *replaced, struct str bytes,
	struct http_result *result, struct error *err)
{
	AUTO_FINI(buf) condition = buf_limit(sizeof(replaced->version));
	struct s3_call call = { .method = "PUT", .key = place->key, .body = bytes, .has_body = true };

	if (replaced)
		put_condition(place, replaced, &condition);
	call.headers[0] = replaced ? (struct s3_header){ "If-Match", buf_text(&condition) }
				   : (struct s3_header){ "If-None-Match", "*" };
	if (place->acl)
		call.headers[1] = (struct s3_header){ "x-amz-acl", place->acl };
	return s3_client_send(&place->client, &call, result, err) &&
	       (is_refused(result) || s3_client_expect_ok(&place->client, &call, result, err));
}

/* Refused in one form of the ETag it is tried in the other: the condition stays the same. */
static bool write_object(
	struct backup_place *place, const struct backup_found *replaced, struct str bytes, struct error *err)
{
	for (unsigned form = 0; form < (replaced ? 2 : 1); form++) {
		AUTO_FINI(http_result) result = { 0 };

		if (!put_object(place, replaced, bytes, &result, err))
			return false;
		if (!is_refused(&result))
			return true;
		place->unquoted ^= replaced != NULL;
	}
	return error_set(err, ERROR_CONFLICT, NULL, "%s: another leader has written it", place->name);
}

/* Either. */

bool backup_place_look(struct backup_place *place, struct backup_found *ret, struct error *err)
{
	return place->path ? look_at_file(place, ret, err) : look_at_object(place, ret, err);
}

bool backup_place_read(struct backup_place *place, struct buf *into, struct error *err)
{
	return place->path ? file_read(place->path, into, err) : read_object(place, into, err);
}

bool backup_place_write(
	struct backup_place *place, const struct backup_found *replaced, struct str bytes, struct error *err)
{
	return place->path ? write_file(place, replaced, bytes, err)
			   : write_object(place, replaced, bytes, err);
}
