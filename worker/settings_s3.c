/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_s3.h"

#include <string.h>

enum key {
	KEY_NAME,
	KEY_BUCKET,
	KEY_REGION,
	KEY_ENDPOINT,
	KEY_ROOT,
	KEY_ACCESS,
	KEY_SECRET,
	KEY_SECURE,
	KEY_SKIPVERIFY,
	KEY_PATH_STYLE,
	KEY_KNOWN,
};

/* Behind the first ten: what the distribution driver knows and we have no use for. */
static const char *const names[] = {
	"name",
	"bucket",
	"region",
	"regionendpoint",
	"rootdirectory",
	"accesskey",
	"secretkey",
	"secure",
	"skipverify",
	"forcepathstyle",
	"encrypt",
	"keyid",
	"v4auth",
	"chunksize",
	"multipartcopychunksize",
	"multipartcopymaxconcurrency",
	"multipartcopythresholdsize",
	"storageclass",
	"useragent",
	"objectacl",
	"usedualstack",
	"accelerate",
	"usefipsendpoint",
	"loglevel",
	"redirectendpoint",
};

struct driver {
	const struct json *at[KEY_KNOWN];
};

static void find_keys(const struct json *node, struct driver *driver, struct buf *errors)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		size_t i = 0;
		while (i < sizeof(names) / sizeof(names[0]) && !str_is_nocase(key, names[i]))
			i++;
		if (i < KEY_KNOWN) {
			driver->at[i] = value;
		} else if (i == sizeof(names) / sizeof(names[0])) {
			const char *near = str_nearest(key, names, i);
			buf_format(errors, "storage.storageDriver.%.*s: unknown key", STR_ARGS(key));
			if (near)
				buf_format(errors, "; did you mean \"%s\"?", near);
			buf_putc(errors, '\n');
		}
	}
}

static void take_text(const struct driver *driver, enum key key, const char **into,
	struct settings_memory *memory, struct buf *errors)
{
	const struct json *node = driver->at[key];
	struct str text;

	if (!node || *into)
		return;
	if (!json_get_str(node, &text)) {
		buf_format(errors, "storage.storageDriver.%s: must be a text, is %s\n", names[key],
			json_kind_name(json_kind(node)));
		return;
	}
	*into = settings_memory_text(memory, text);
}

static bool take_bool(const struct driver *driver, enum key key, bool fallback, struct buf *errors)
{
	const struct json *node = driver->at[key];
	bool value = fallback;
	struct str text;

	if (!node || json_get_bool(node, &value))
		return value;
	if (json_get_str(node, &text) && (str_is(text, "true") || str_is(text, "false")))
		return str_is(text, "true");
	buf_format(errors, "storage.storageDriver.%s: must be true or false\n", names[key]);
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

void settings_s3_read(const struct json *node, struct worker_settings *s, struct settings_memory *memory,
	struct buf *errors)
{
	struct driver driver = { 0 };
	const char *name = NULL, *driver_root = NULL, *region = NULL;

	if (json_kind(node) != JSON_OBJECT) {
		buf_puts(errors, "storage.storageDriver: must be an object\n");
		return;
	}
	find_keys(node, &driver, errors);
	take_text(&driver, KEY_NAME, &name, memory, errors);
	if (!name || strcmp(name, "s3") != 0) {
		buf_format(errors, "storage.storageDriver.name: \"%s\" is not served; only \"s3\" is\n",
			name ? name : "");
		return;
	}
	take_text(&driver, KEY_BUCKET, &s->s3_bucket, memory, errors);
	take_text(&driver, KEY_ENDPOINT, &s->s3_endpoint, memory, errors);
	take_text(&driver, KEY_ACCESS, &s->s3_access_key, memory, errors);
	take_text(&driver, KEY_SECRET, &s->s3_secret_key, memory, errors);
	take_text(&driver, KEY_ROOT, &driver_root, memory, errors);
	take_text(&driver, KEY_REGION, &region, memory, errors);
	if (region)
		s->s3_region = region;
	if (!s->s3_bucket)
		buf_puts(errors, "storage.storageDriver.bucket: missing\n");
	s->s3_endpoint = with_scheme(s->s3_endpoint, take_bool(&driver, KEY_SECURE, true, errors), memory);
	s->s3_insecure = take_bool(&driver, KEY_SKIPVERIFY, false, errors);
	s->s3_path_style = take_bool(&driver, KEY_PATH_STYLE, s->s3_endpoint != NULL, errors);
	if (!s->s3_prefix)
		s->s3_prefix = join_prefix(str_of(driver_root), str_of(s->root), memory);
}
