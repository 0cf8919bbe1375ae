/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_s3.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum kind {
	KIND_TEXT,   /* const char * */
	KIND_BOOL,   /* bool; the row of its variable has the default */
	KIND_NUMBER, /* int64_t within least..most */
	KIND_OTHER,  /* read by its name below */
	KIND_NONE,   /* without meaning here, said in a warning */
};

struct key {
	const char *name;
	enum kind kind;
	size_t offset; /* of the member */
	int64_t least, most;
	bool fallback;   /* of KIND_BOOL: the row's */
	const char *why; /* of KIND_NONE */
};

#define MEMBER(name) offsetof(struct worker_settings, name)
#define MIB          (1024 * INT64_C(1024))
#define LOGS         "set ZOT_LOG_LEVEL=debug, and look at zot_s3_requests_total"

/* All that the driver of zot knows. */
static const struct key keys[] = {
	{ "name", KIND_OTHER, 0, 0, 0, false, NULL },
	{ "rootdirectory", KIND_OTHER, 0, 0, 0, false, NULL },
	{ "region", KIND_OTHER, 0, 0, 0, false, NULL },
	{ "secure", KIND_OTHER, 0, 0, 0, false, NULL },
	{ "forcepathstyle", KIND_OTHER, 0, 0, 0, false, NULL },
	{ "bucket", KIND_TEXT, MEMBER(s3_bucket), 0, 0, false, NULL },
	{ "regionendpoint", KIND_TEXT, MEMBER(s3_endpoint), 0, 0, false, NULL },
	{ "accesskey", KIND_TEXT, MEMBER(aws.access_key), 0, 0, false, NULL },
	{ "secretkey", KIND_TEXT, MEMBER(aws.secret_key), 0, 0, false, NULL },
	{ "sessiontoken", KIND_TEXT, MEMBER(aws.session_token), 0, 0, false, NULL },
	{ "skipverify", KIND_BOOL, MEMBER(s3_insecure), 0, 0, false, NULL },
	{ "encrypt", KIND_BOOL, MEMBER(s3.encrypt), 0, 0, false, NULL },
	{ "keyid", KIND_TEXT, MEMBER(s3.key_id), 0, 0, false, NULL },
	{ "v4auth", KIND_BOOL, MEMBER(s3.v4auth), 0, 0, true, NULL },
	{ "chunksize", KIND_NUMBER, MEMBER(s3.part_size), 5 * MIB, 5 * 1024 * MIB, false, NULL },
	{ "multipartcopychunksize", KIND_NUMBER, MEMBER(s3.copy_part_size), 5 * MIB, 5 * 1024 * MIB, false,
		NULL },
	{ "multipartcopymaxconcurrency", KIND_NUMBER, MEMBER(s3.copy_parallel), 1, 1000, false, NULL },
	{ "multipartcopythresholdsize", KIND_NUMBER, MEMBER(s3.copy_whole_max), 0, 5 * 1024 * MIB, false,
		NULL },
	{ "storageclass", KIND_TEXT, MEMBER(s3.storage_class), 0, 0, false, NULL },
	{ "objectacl", KIND_TEXT, MEMBER(s3.acl), 0, 0, false, NULL },
	{ "useragent", KIND_TEXT, MEMBER(s3.user_agent), 0, 0, false, NULL },
	{ "redirectendpoint", KIND_TEXT, MEMBER(s3.redirect_endpoint), 0, 0, false, NULL },
	{ "usedualstack", KIND_BOOL, MEMBER(s3.dual_stack), 0, 0, false, NULL },
	{ "accelerate", KIND_BOOL, MEMBER(s3.accelerate), 0, 0, false, NULL },
	{ "usefipsendpoint", KIND_BOOL, MEMBER(s3.fips), 0, 0, false, NULL },
	{ "loglevel", KIND_NONE, 0, 0, 0, false, LOGS },
	{ "logs3apirequests", KIND_NONE, 0, 0, 0, false, LOGS },
	{ "logs3apiresponseheaders", KIND_NONE, 0, 0, 0, false, LOGS },
	{ "multipartcombinesmallpart", KIND_NONE, 0, 0, 0, false, "parts are never small but for the last" },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

struct read {
	struct worker_settings *into;
	struct settings_memory *memory;
	struct buf *warnings, *errors;
};

static void say(struct buf *into, const char *key, const char *what)
{
	buf_format(into, "storage.storageDriver.%s: %s\n", key, what);
}

static bool take_text(const struct read *read, const struct json *node, const char *name, struct str *ret)
{
	if (json_get_str(node, ret))
		return true;
	buf_format(read->errors, "storage.storageDriver.%s: must be a text, is %s\n", name,
		json_kind_name(json_kind(node)));
	return false;
}

static bool take_bool(const struct read *read, const struct json *node, const char *name, bool *ret)
{
	struct str text;

	if (json_get_bool(node, ret))
		return true;
	if (json_get_str(node, &text) && (str_is(text, "true") || str_is(text, "false"))) {
		*ret = str_is(text, "true");
		return true;
	}
	say(read->errors, name, "must be true or false");
	return false;
}

static void take_number(
	const struct read *read, const struct json *node, const struct key *key, int64_t *into)
{
	struct str text;
	uint64_t parsed;
	int64_t value = -1;

	if (!json_get_int(node, &value) && json_get_str(node, &text) &&
		str_to_number(text, INT64_MAX, &parsed))
		value = (int64_t)parsed;
	if (value < key->least || value > key->most)
		buf_format(read->errors,
			"storage.storageDriver.%s: must be a number from %" PRId64 " to %" PRId64 "\n",
			key->name, key->least, key->most);
	else
		*into = value;
}

/* A variable that was set before beats the file. */
static void take(const struct read *read, const struct key *key, const struct json *node)
{
	char *member = (char *)read->into + key->offset;
	struct str text;

	switch (key->kind) {
	case KIND_TEXT:
		if (!*(const char **)(void *)member && take_text(read, node, key->name, &text))
			*(const char **)(void *)member = settings_memory_text(read->memory, text);
		return;
	case KIND_BOOL:
		if (*(bool *)member == key->fallback)
			(void)take_bool(read, node, key->name, (bool *)member);
		return;
	case KIND_NUMBER:
		take_number(read, node, key, (int64_t *)(void *)member);
		return;
	case KIND_NONE:
		buf_format(read->warnings, "storage.storageDriver.%s has no meaning here, ignoring it: %s\n",
			key->name, key->why);
		return;
	case KIND_OTHER:
		return;
	}
}

static void say_unknown(const struct read *read, struct str key)
{
	const char *names[KEYS];
	const char *near;

	for (size_t i = 0; i < KEYS; i++)
		names[i] = keys[i].name;
	near = str_nearest(key, names, KEYS);
	buf_format(read->errors, "storage.storageDriver.%.*s: unknown key", STR_ARGS(key));
	if (near)
		buf_format(read->errors, "; did you mean \"%s\"?", near);
	buf_putc(read->errors, '\n');
}

static void take_all(const struct read *read, const struct json *node)
{
	const struct json *value;
	struct str name;

	for (void *it = NULL; json_next(node, &it, &name, &value);) {
		size_t i = 0;

		while (i < KEYS && !str_is_nocase(name, keys[i].name))
			i++;
		if (i == KEYS)
			say_unknown(read, name);
		else if (json_kind(value) != JSON_NULL)
			take(read, &keys[i], value);
	}
}

/* ---- what several keys make together ---- */

static const struct json *find(const struct json *node, const char *name)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(node, &it, &key, &value);)
		if (str_is_nocase(key, name) && json_kind(value) != JSON_NULL)
			return value;
	return NULL;
}

static struct str text_of(const struct read *read, const struct json *node, const char *name)
{
	const struct json *value = find(node, name);
	struct str text = STR_NONE;

	return value && take_text(read, value, name, &text) ? text : STR_NONE;
}

static bool bool_of(const struct read *read, const struct json *node, const char *name, bool fallback)
{
	const struct json *value = find(node, name);

	if (value)
		(void)take_bool(read, value, name, &fallback);
	return fallback;
}

/* "/zot" and "/tmp/zot" give "zot/tmp/zot". */
static const char *join_prefix(struct str driver_root, struct str root, struct settings_memory *memory)
{
	AUTO_FINI(buf) prefix = buf_limit(1024);
	struct str parts[] = { driver_root, root };

	for (size_t i = 0; i < 2; i++) {
		struct str rest = parts[i], part;
		while (str_next(&rest, '/', &part)) {
			if (!part.len)
				continue;
			if (prefix.len)
				buf_putc(&prefix, '/');
			buf_add(&prefix, part);
		}
	}
	return settings_memory_text(memory, buf_str(&prefix));
}

static const char *with_scheme(const char *endpoint, bool secure, struct settings_memory *memory)
{
	AUTO_FINI(buf) url = buf_limit(1024);

	if (!endpoint || strstr(endpoint, "://"))
		return endpoint;
	buf_format(&url, "%s://%s", secure ? "https" : "http", endpoint);
	return settings_memory_text(memory, buf_str(&url));
}

static bool check_name(struct str name, struct buf *errors)
{
	if (str_is(name, "s3"))
		return true;
	buf_format(errors, "storage.storageDriver.name: \"%.*s\" is not served; only \"s3\" is",
		(int)(name.len < 64 ? name.len : 64), name.at ? name.at : "");
	if (str_is(name, "gcs"))
		buf_puts(errors, ". Google's buckets take conditional writes by x-goog-if-generation-match "
				 "alone, not as S3 does; name an S3 store, or a folder "
				 "(storage.rootDirectory)");
	if (str_is(name, "azure"))
		buf_puts(errors, ". Azure's containers have no interface of S3; name an S3 store, or a "
				 "folder (storage.rootDirectory)");
	buf_putc(errors, '\n');
	return false;
}

void settings_s3_read(const struct json *node, struct worker_settings *s, struct settings_memory *memory,
	struct buf *warnings, struct buf *errors)
{
	const struct read read = { s, memory, warnings, errors };
	struct str region;
	bool secure;

	if (json_kind(node) != JSON_OBJECT) {
		buf_puts(errors, "storage.storageDriver: must be an object\n");
		return;
	}
	take_all(&read, node);
	if (!check_name(text_of(&read, node, "name"), errors))
		return;
	region = text_of(&read, node, "region");
	if (region.len)
		s->s3_region = settings_memory_text(memory, region);
	if (!s->s3_bucket)
		say(errors, "bucket", "missing");
	secure = bool_of(&read, node, "secure", true);
	s->s3_endpoint = with_scheme(s->s3_endpoint, secure, memory);
	s->s3.redirect_endpoint = with_scheme(s->s3.redirect_endpoint, secure, memory);
	if (s->s3_path_style)
		s->s3_path_style = bool_of(&read, node, "forcepathstyle", s->s3_endpoint != NULL);
	if (!s->s3_prefix)
		s->s3_prefix = join_prefix(text_of(&read, node, "rootdirectory"), str_of(s->root), memory);
}

/* ---- whether it can be, of a file or of variables ---- */

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (str_is(str_of(text), *list))
			return true;
	return false;
}

static void check_class(struct worker_settings *s, struct buf *errors)
{
	static const char *const classes[] = { "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA",
		"INTELLIGENT_TIERING", "GLACIER_IR", "OUTPOSTS", NULL };

	if (!s->s3.storage_class)
		return;
	if (str_is(str_of(s->s3.storage_class), "NONE"))
		s->s3.storage_class = NULL;
	else if (!is_one_of(s->s3.storage_class, classes))
		buf_puts(errors, "S3_STORAGE_CLASS (storage.storageDriver.storageclass): must be STANDARD, "
				 "REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, "
				 "GLACIER_IR, OUTPOSTS or NONE; from others blobs cannot be read at once\n");
}

static void check_acl(const struct worker_settings *s, struct buf *warnings, struct buf *errors)
{
	static const char *const acls[] = { "private", "public-read", "public-read-write", "aws-exec-read",
		"authenticated-read", "bucket-owner-read", "bucket-owner-full-control", NULL };

	if (!s->s3.acl)
		return;
	if (!is_one_of(s->s3.acl, acls))
		buf_puts(errors, "S3_ACL (storage.storageDriver.objectacl): must be private, public-read, "
				 "public-read-write, aws-exec-read, authenticated-read, bucket-owner-read or "
				 "bucket-owner-full-control\n");
	else if (str_starts(str_of(s->s3.acl), "public") || str_starts(str_of(s->s3.acl), "authenticated"))
		buf_format(warnings,
			"S3_ACL (storage.storageDriver.objectacl): %s lets others read what this registry "
			"guards, past it\n",
			s->s3.acl);
}

void settings_s3_check(struct worker_settings *s, struct buf *warnings, struct buf *errors)
{
	if (s->redirect && !s->s3_bucket)
		buf_puts(warnings, "storage.redirectBlobURL (ZOT_REDIRECT_BLOBS): a folder has no URL, blobs "
				   "are sent from here; it needs a bucket\n");
	if (!s->s3_bucket)
		return;
	if (!s->aws.access_key != !s->aws.secret_key)
		buf_puts(errors,
			"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
			"(storage.storageDriver.accesskey, secretkey): they go together; without both, "
			"keys are looked for where AWS' own tools look\n");
	if (s->s3.key_id && !s->s3.encrypt)
		buf_puts(errors, "S3_KMS_KEY (storage.storageDriver.keyid): needs S3_ENCRYPT=true "
				 "(storage.storageDriver.encrypt)\n");
	if (!s->s3.v4auth && !s->s3_endpoint)
		buf_puts(errors,
			"S3_V4AUTH (storage.storageDriver.v4auth): AWS takes signatures of version 4 "
			"alone; false needs S3_ENDPOINT (regionendpoint)\n");
	if (s->s3_insecure && s->s3_ca)
		buf_puts(errors, "S3_SKIP_VERIFY (storage.storageDriver.skipverify): verifies nothing, so "
				 "S3_CA has no meaning; set one of them\n");
	check_class(s, errors);
	check_acl(s, warnings, errors);
}
