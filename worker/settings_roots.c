/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_roots.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "proto/name.h"
#include "worker/settings_retention.h"
#include "worker/settings_s3.h"

#define ERRORS_MAX (64 * 1024)
#define KEY        "storage.subPaths"

enum sub_key { SUB_ROOT, SUB_DRIVER, SUB_DEDUPE, SUB_GC, SUB_GC_DELAY, SUB_RETENTION, SUB_SERVED };

/* Behind what is served: of no use here, then what this version does not serve. */
static const char *const names[] = { "rootDirectory", "storageDriver", "dedupe", "gc", "gcDelay", "retention",
	"commit", "remoteCache", "cacheDriver", "gcInterval", "gcTimeWindow", "redirectBlobURL",
	"hydrateBlobOnRead" };
#define NAMES_LEN   (sizeof(names) / sizeof(names[0]))
#define NAMES_LATER 9

struct reading {
	struct worker_settings *s;
	struct settings_memory *memory;
	struct buf *warnings, *errors;
};

bool settings_has_bucket(const struct worker_settings *s)
{
	bool has = s->s3_bucket != NULL;

	for (size_t i = 0; i < s->subs_len; i++)
		has = has || s->subs[i].s3_bucket;
	return has;
}

/* Those of a repository by its first component. */
const struct worker_settings *settings_of(const struct worker_settings *s, struct str name)
{
	const char *slash = memchr(name.at, '/', name.len);
	struct str first = str_from(name.at, slash ? (size_t)(slash - name.at) : 0);

	for (size_t i = 0; i < s->subs_len && slash; i++)
		if (str_is(first, s->subs[i].sub_path))
			return &s->subs[i];
	return s;
}

bool settings_collect(const struct worker_settings *s, int64_t *ret_most_ms)
{
	bool collects = s->gc;

	*ret_most_ms = s->gc ? s->gc_delay_ms : 0;
	for (size_t i = 0; i < s->subs_len; i++) {
		if (!s->subs[i].gc)
			continue;
		collects = true;
		if (s->subs[i].gc_delay_ms > *ret_most_ms)
			*ret_most_ms = s->subs[i].gc_delay_ms;
	}
	return collects;
}

/* ---- one of them ---- */

static void find_key(const struct reading *reading, struct str path, struct str key, const struct json *value,
	const struct json *at[SUB_SERVED])
{
	const char *near;
	size_t i = 0;

	while (i < NAMES_LEN && !str_is_nocase(key, names[i]))
		i++;
	if (i < SUB_SERVED) {
		at[i] = json_kind(value) == JSON_NULL ? NULL : value;
	} else if (i >= NAMES_LATER && i < NAMES_LEN) {
		buf_format(reading->warnings,
			KEY ".%.*s.%s is a zot setting that this version does not serve, ignoring it\n",
			STR_ARGS(path), names[i]);
	} else if (i == NAMES_LEN) {
		near = str_nearest(key, names, NAMES_LEN);
		buf_format(reading->errors, KEY ".%.*s.%.*s: unknown key", STR_ARGS(path), STR_ARGS(key));
		if (near)
			buf_format(reading->errors, "; did you mean \"%s\"?", near);
		buf_putc(reading->errors, '\n');
	}
}

/* Whoever read the driver called it the store's. */
static void add_errors(const struct reading *reading, struct str path, const struct buf *found)
{
	struct str rest = buf_str(found), line;

	while (str_until(&rest, '\n', &line))
		buf_format(reading->errors, KEY ".%.*s: %.*s\n", STR_ARGS(path), STR_ARGS(line));
}

static void read_bucket(
	const struct reading *reading, struct str path, const struct json *node, struct worker_settings *sub)
{
	const struct worker_settings *s = reading->s;
	AUTO_FINI(buf) errors = buf_limit(ERRORS_MAX);

	settings_s3_read(node, sub, reading->memory, reading->warnings, &errors);
	if (!sub->aws.access_key && !sub->aws.secret_key)
		sub->aws = s->aws;
	settings_s3_check(sub, reading->warnings, &errors);
	add_errors(reading, path, &errors);
}

/* A number is of ms. */
static bool read_ms(const struct json *value, int64_t *ret)
{
	struct str text;

	if (json_get_str(value, &text))
		return setting_parse_ms(text, ret) && *ret >= 0;
	return json_get_int(value, ret) && *ret >= 0;
}

/* As a text it outlives the document. NULL: there is none, or it is wrong. */
static const char *read_retention(const struct reading *reading, struct str path, const struct json *node)
{
	AUTO_FINI(buf) text = buf_limit(SETTINGS_RETENTION_MAX);
	struct json_writer writer = json_writer(&text);

	if (!node)
		return NULL;
	json_value_node(&writer, node);
	if (json_kind(node) == JSON_OBJECT && !text.failed)
		return settings_memory_text(reading->memory, buf_str(&text));
	buf_format(reading->errors, KEY ".%.*s.retention: must be an object of %zu bytes at most\n",
		STR_ARGS(path), SETTINGS_RETENTION_MAX);
	return NULL;
}

static void read_sub(
	const struct reading *reading, struct str path, const struct json *node, struct worker_settings *sub)
{
	const struct json *at[SUB_SERVED] = { NULL }, *value;
	struct str key, root = STR_NONE;

	for (void *it = NULL; json_next(node, &it, &key, &value);)
		find_key(reading, path, key, value, at);
	if (at[SUB_ROOT] && !json_get_str(at[SUB_ROOT], &root))
		buf_format(reading->errors, KEY ".%.*s.rootDirectory: must be a text\n", STR_ARGS(path));
	else if (root.len)
		sub->root = settings_memory_text(reading->memory, root);
	sub->dedupe = true;
	if (at[SUB_DEDUPE] && !json_get_bool(at[SUB_DEDUPE], &sub->dedupe))
		buf_format(reading->errors, KEY ".%.*s.dedupe: must be true or false\n", STR_ARGS(path));
	if (at[SUB_GC] && !json_get_bool(at[SUB_GC], &sub->gc))
		buf_format(reading->errors, KEY ".%.*s.gc: must be true or false\n", STR_ARGS(path));
	if (at[SUB_GC_DELAY] && !read_ms(at[SUB_GC_DELAY], &sub->gc_delay_ms))
		buf_format(reading->errors, KEY ".%.*s.gcDelay: must be a duration, like \"1h30m\"\n",
			STR_ARGS(path));
	sub->retention_text = read_retention(reading, path, at[SUB_RETENTION]);
	if (at[SUB_DRIVER])
		read_bucket(reading, path, at[SUB_DRIVER], sub);
	else if (!root.len)
		buf_format(reading->errors, KEY ".%.*s.rootDirectory: needed, or a storageDriver\n",
			STR_ARGS(path));
}

/* "/a": the first component of names. Case does not count, as zot reads it. */
static bool read_path(const struct reading *reading, struct str path, struct worker_settings *sub)
{
	char *component;
	struct name valid;

	component = settings_memory_new(reading->memory, path.len + 1, 1);
	for (size_t i = 1; i < path.len; i++)
		component[i - 1] = (char)tolower((unsigned char)path.at[i]);
	sub->sub_path = component;
	if (path.len > 1 && path.at[0] == '/' && name_parse(str_of(component), &valid, NULL)) {
		if (strchr(component, '/'))
			buf_format(reading->warnings,
				KEY ".%.*s: only the first component of a repository's name is looked at, so "
				    "nothing will lie there\n",
				STR_ARGS(path));
		return true;
	}
	buf_format(reading->errors,
		KEY ".%.*s: must be \"/\" and the first component of names, like \"/infra\"\n",
		STR_ARGS(path));
	return false;
}

/* ---- all of them ---- */

static void clear_storage(struct worker_settings *sub)
{
	sub->sub_paths = sub->retention = NULL;
	sub->retention_text = NULL;
	sub->subs = NULL;
	sub->subs_len = 0;
	sub->root = sub->s3_bucket = sub->s3_endpoint = sub->s3_prefix = NULL;
	sub->aws = sub->backup.aws; /* what the variables say, but for keys: its own come first */
	sub->aws.access_key = sub->aws.secret_key = sub->aws.session_token = NULL;
	memset(&sub->s3, 0, sizeof(sub->s3));
	sub->s3.v4auth = true;
	sub->s3_path_style = true;
	sub->s3_insecure = false;
}

static void add_sub(const struct reading *reading, struct str path, const struct json *node)
{
	struct worker_settings *s = reading->s, *sub = &s->subs[s->subs_len];

	*sub = *s;
	clear_storage(sub);
	if (!read_path(reading, path, sub))
		return;
	if (json_kind(node) != JSON_OBJECT) {
		buf_format(reading->errors, KEY ".%.*s: must be an object, is %s\n", STR_ARGS(path),
			json_kind_name(json_kind(node)));
		return;
	}
	for (size_t i = 0; i < s->subs_len; i++)
		if (!strcmp(s->subs[i].sub_path, sub->sub_path))
			buf_format(reading->errors, KEY ".%.*s: is there twice\n", STR_ARGS(path));
	read_sub(reading, path, node, sub);
	s->subs_len++;
}

/* ---- two in one place ---- */

/* As it is or would be: what is there of it without links, and the rest. */
static void real_path(const char *path, char into[PATH_MAX])
{
	char copy[PATH_MAX], real[PATH_MAX];
	size_t len;

	if (!str_copy(str_of(path), copy, sizeof(copy)))
		copy[0] = '\0';
	for (len = strlen(copy); len;) {
		copy[len] = '\0';
		if (realpath(copy, real))
			break;
		while (len && copy[len - 1] == '/')
			len--;
		while (len && copy[len - 1] != '/')
			len--;
	}
	if (!len && !realpath(*path == '/' ? "/" : ".", real))
		real[0] = '\0';
	if (snprintf(into, PATH_MAX, "%s/%s", !strcmp(real, "/") ? "" : real, path + len) >= PATH_MAX)
		into[0] = '\0';
	for (len = strlen(into); len > 1 && into[len - 1] == '/';)
		into[--len] = '\0';
}

/* One is the other, or lies in it; texts are compared by whole components. */
static bool is_within(const char *a, const char *b)
{
	size_t len = strlen(a);

	return !len || !strcmp(a, "/") || (!strncmp(a, b, len) && (b[len] == '/' || !b[len]));
}

static bool is_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool share_place(const struct worker_settings *a, const struct worker_settings *b)
{
	char first[PATH_MAX], second[PATH_MAX];
	const char *x = a->s3_prefix, *y = b->s3_prefix;

	if (!a->s3_bucket != !b->s3_bucket)
		return false;
	if (a->s3_bucket)
		return is_text(a->s3_bucket, b->s3_bucket) && is_text(a->s3_endpoint, b->s3_endpoint) &&
		       (is_within(x ? x : "", y ? y : "") || is_within(y ? y : "", x ? x : ""));
	real_path(a->root, first);
	real_path(b->root, second);
	return is_within(first, second) || is_within(second, first);
}

static void check_places(const struct reading *reading)
{
	const struct worker_settings *s = reading->s;

	for (size_t i = 0; i < s->subs_len; i++) {
		if (share_place(s, &s->subs[i]))
			buf_format(reading->errors,
				KEY
				"./%s: its place is that of storage itself, or one lies in the other; each "
				"needs a folder or a prefix of its own\n",
				s->subs[i].sub_path);
		for (size_t j = 0; j < i; j++)
			if (share_place(&s->subs[j], &s->subs[i]))
				buf_format(reading->errors,
					KEY
					"./%s: its place is that of \"/%s\", or one lies in the other; each "
					"needs a folder or a prefix of its own\n",
					s->subs[i].sub_path, s->subs[j].sub_path);
	}
}

static void read_all(const struct reading *reading, const struct json *node)
{
	size_t n = json_len(node), before = reading->errors->len;
	const struct json *value;
	struct str path;

	if (json_kind(node) != JSON_OBJECT) {
		buf_format(reading->errors, KEY " (ZOT_SUBPATHS): must be an object, is %s\n",
			json_kind_name(json_kind(node)));
		return;
	}
	if (n > SETTINGS_SUBS_MAX) {
		buf_format(reading->errors, KEY " (ZOT_SUBPATHS): %zu are too many, at most %d\n", n,
			SETTINGS_SUBS_MAX);
		return;
	}
	reading->s->subs = settings_memory_new(reading->memory, n + 1, sizeof(*reading->s->subs));
	for (void *it = NULL; json_next(node, &it, &path, &value);)
		add_sub(reading, path, value);
	if (reading->errors->len == before && (reading->s->root || reading->s->s3_bucket))
		check_places(reading);
}

void settings_roots_read(
	struct worker_settings *s, struct settings_memory *memory, struct buf *warnings, struct buf *errors)
{
	const struct reading reading = { s, memory, warnings, errors };
	AUTO(json_doc) *doc = NULL;
	struct error err;

	if (s->sub_paths_text) {
		if (json_parse(str_of(s->sub_paths_text), &doc, &err))
			read_all(&reading, json_root(doc));
		else
			buf_format(errors, KEY " (ZOT_SUBPATHS): %s\n", err.text);
	} else if (s->sub_paths && json_kind(s->sub_paths) != JSON_NULL) {
		read_all(&reading, s->sub_paths);
	}
}
