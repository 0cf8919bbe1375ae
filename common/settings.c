/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - defaults, then the file, then the environment, each over the one before.
 *
 * The file is walked by its own keys: one that is a row's path is that row's value, one that is the
 * beginning of a row's path is walked into, any other is unknown. A null counts as absent, as does an
 * empty variable.
 */
#include "common/settings.h"

#include <stdio.h>
#include <strings.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"
#include "common/settings_priv.h"

#define FILE_MAX     (1024u * 1024)
#define PATH_LEN_MAX 256

/* ---- memory ---- */

struct chunk {
	struct chunk *next;
	max_align_t bytes[];
};

struct settings_memory {
	struct chunk *chunks;
	struct json_doc *doc;
};

void settings_memory_free(struct settings_memory *memory)
{
	if (!memory)
		return;
	for (struct chunk *chunk = memory->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	json_doc_free(memory->doc);
	free(memory);
}

void *settings_memory_new(struct settings_memory *memory, size_t n, size_t size)
{
	struct chunk *chunk;

	CHECK(size && n < SIZE_MAX / 2 / size);
	chunk = check_alloc(1, sizeof(*chunk) + n * size);
	chunk->next = memory->chunks;
	memory->chunks = chunk;
	return chunk->bytes;
}

const char *settings_memory_text(struct settings_memory *memory, struct str text)
{
	char *copy = settings_memory_new(memory, text.len + 1, 1);

	CHECK(str_copy(text, copy, text.len + 1));
	return copy;
}

/* ---- saying ---- */

void settings_say(struct settings_load *load, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vformat(load->errors, format, args);
	va_end(args);
	buf_putc(load->errors, '\n');
	load->failed = true;
}

static void warn_later(struct settings_load *load, struct str name)
{
	buf_format(load->warnings, "%s is a zot setting that this version does not serve, ignoring it\n",
		log_quote(name));
}

/* ---- the nearest known name ---- */

struct nearest {
	struct str wanted, found;
	unsigned distance;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void consider(struct nearest *nearest, struct str candidate)
{
	char a[PATH_LEN_MAX], b[PATH_LEN_MAX];
	struct str wanted = nearest->wanted;
	unsigned distance;

	if (nearest->distance == 0 || wanted.len > sizeof(a) || candidate.len > sizeof(b))
		return;
	for (size_t i = 0; i < wanted.len; i++)
		a[i] = lower(wanted.at[i]);
	for (size_t i = 0; i < candidate.len; i++)
		b[i] = lower(candidate.at[i]);
	distance = str_distance(str_from(a, wanted.len), str_from(b, candidate.len), nearest->distance - 1);
	if (distance >= nearest->distance)
		return;
	nearest->distance = distance;
	nearest->found = candidate;
}

static struct nearest nearest_start(struct str wanted)
{
	return (struct nearest){ wanted, STR_NONE,
		(unsigned)(wanted.len < PATH_LEN_MAX ? wanted.len / 2 : 0) + 2 };
}

/* A path and all that it begins with up to a dot. */
static struct str nearest_path(const struct settings_table *table, struct str wanted)
{
	struct nearest nearest = nearest_start(wanted);

	for (size_t i = 0; i < table->len; i++) {
		struct str path = str_of(table->rows[i].path), last;

		do
			consider(&nearest, path);
		while (str_split_last(path, '.', &path, &last));
	}
	return nearest.found;
}

static struct str nearest_variable(const struct settings_table *table, struct str wanted)
{
	struct nearest nearest = nearest_start(wanted);

	for (size_t i = 0; i < table->len; i++) {
		struct str names = str_of(table->rows[i].env), name;

		while (str_next(&names, '|', &name))
			consider(&nearest, name);
	}
	return nearest.found;
}

static void say_unknown(struct settings_load *load, const char *what, struct str name, struct str nearest)
{
	if (nearest.len)
		settings_say(load, "%s is an unknown %s; the nearest known one is \"%.*s\"", log_quote(name),
			what, STR_ARGS(nearest));
	else
		settings_say(load, "%s is an unknown %s", log_quote(name), what);
}

/* ---- the file ---- */

static const struct setting *row_at(const struct settings_table *table, struct str path)
{
	for (size_t i = 0; i < table->len; i++) {
		if (table->rows[i].path && str_is_nocase(path, table->rows[i].path))
			return &table->rows[i];
	}
	return NULL;
}

void settings_wrong(
	const struct settings_table *table, const char *path, struct buf *errors, const char *format, ...)
{
	const struct setting *row = row_at(table, str_of(path));
	struct str names, name;
	const char *separator = " (";
	va_list args;

	CHECK(row);
	buf_puts(errors, path);
	for (names = str_of(row->env); str_next(&names, '|', &name); separator = ", ")
		buf_format(errors, "%s%.*s", separator, STR_ARGS(name));
	buf_puts(errors, row->env ? "): " : ": ");
	va_start(args, format);
	buf_vformat(errors, format, args);
	va_end(args);
	buf_putc(errors, '\n');
}

static bool is_folder(const struct settings_table *table, struct str path)
{
	for (size_t i = 0; i < table->len; i++) {
		struct str row = str_of(table->rows[i].path);

		if (row.len > path.len && row.at[path.len] == '.' &&
			strncasecmp(row.at, path.at, path.len) == 0)
			return true;
	}
	return false;
}

static bool is_group(const struct json *value)
{
	const struct json *member;
	void *it = NULL;
	struct str key;

	while (json_next(value, &it, &key, &member)) {
		if (json_kind(member) != JSON_OBJECT)
			return false;
	}
	return json_len(value) > 0;
}

/* A group of features (an object of objects only) is named feature by feature. */
static void file_later(struct settings_load *load, struct str path, const struct json *value)
{
	const struct json *member;
	void *it = NULL;
	struct str key;

	if (!is_group(value)) {
		warn_later(load, path);
		return;
	}
	while (json_next(value, &it, &key, &member)) {
		AUTO_FINI(buf) name = buf_limit(2 * PATH_LEN_MAX);

		buf_format(&name, "%.*s.%.*s", STR_ARGS(path), STR_ARGS(key));
		warn_later(load, name.failed ? path : buf_str(&name));
	}
}

static void file_value(
	struct settings_load *load, const struct setting *row, struct str path, const struct json *value)
{
	bool *given = &load->given[row - load->table->rows];
	char where[PATH_LEN_MAX + 3];

	if (*given) {
		settings_say(load, "%s is there twice: keys are compared without case", log_quote(path));
		return;
	}
	*given = true;
	if (row->type == SETTING_LATER)
		file_later(load, path, value);
	if (row->type == SETTING_LATER || row->type == SETTING_IGNORED)
		return;
	(void)snprintf(where, sizeof(where), "\"%.*s\"", STR_ARGS(path));
	setting_take_json(load, row, where, value);
}

static void file_object(struct settings_load *load, struct buf *path, const struct json *object);

static void file_member(struct settings_load *load, struct buf *path, bool dotted, const struct json *value)
{
	const struct setting *row = dotted ? NULL : row_at(load->table, buf_str(path));

	if (row) {
		if (json_kind(value) != JSON_NULL)
			file_value(load, row, buf_str(path), value);
	} else if (!dotted && is_folder(load->table, buf_str(path))) {
		if (json_kind(value) == JSON_OBJECT)
			file_object(load, path, value);
		else if (json_kind(value) != JSON_NULL)
			settings_say(load, "%s is %s; allowed is an object", log_quote(buf_str(path)),
				json_kind_name(json_kind(value)));
	} else {
		say_unknown(load, "setting", buf_str(path), nearest_path(load->table, buf_str(path)));
	}
}

/* Recursion ends with the longest path of the table: only beginnings of rows are walked into. A key
 * with a dot in it is no path, however much it looks like one. */
static void file_object(struct settings_load *load, struct buf *path, const struct json *object)
{
	size_t before = path->len;
	const struct json *value;
	void *it = NULL;
	struct str key;

	while (json_next(object, &it, &key, &value)) {
		bool dotted = key.len && memchr(key.at, '.', key.len);

		if (before)
			buf_putc(path, '.');
		buf_add(path, key);
		if (path->failed)
			settings_say(load, "%s in \"%.*s\" is an unknown setting", log_quote(key),
				(int)before, buf_text(path));
		else
			file_member(load, path, dotted, value);
		path->failed = false;
		path->len = before;
	}
}

static void load_file(struct settings_load *load, const char *file_path)
{
	AUTO_FINI(buf) text = buf_limit(FILE_MAX);
	AUTO_FINI(buf) path = buf_limit(PATH_LEN_MAX);
	struct error err;

	if (!file_read(file_path, &text, &err)) {
		settings_say(load, "%s", err.text);
		return;
	}
	if (!json_parse(buf_str(&text), &load->memory->doc, &err)) {
		settings_say(load, "%s: %s", file_path, err.text);
		return;
	}
	if (json_kind(json_root(load->memory->doc)) != JSON_OBJECT) {
		settings_say(load, "%s is an array; allowed is an object", file_path);
		return;
	}
	file_object(load, &path, json_root(load->memory->doc));
}

/* ---- the environment ---- */

const char *settings_variable(char *const *environment, struct str name)
{
	for (; environment && *environment; environment++) {
		struct str entry = str_of(*environment);

		if (entry.len > name.len && entry.at[name.len] == '=' &&
			memcmp(entry.at, name.at, name.len) == 0)
			return entry.at + name.len + 1;
	}
	return NULL;
}

/* A text given as file://path is the file's content without its last line end. */
static void take_from_file(
	struct settings_load *load, const struct setting *row, const char *where, const char *path)
{
	AUTO_FINI(buf) text = buf_limit(SETTING_TEXT_MAX);
	struct error err;
	struct str s;

	if (!file_read(path, &text, &err)) {
		settings_say(load, "%s: %s", where, err.text);
		return;
	}
	s = buf_str(&text);
	if (s.len && s.at[s.len - 1] == '\n')
		s.len--;
	if (s.len && s.len < text.len && s.at[s.len - 1] == '\r')
		s.len--;
	if (s.len && memchr(s.at, '\0', s.len))
		settings_say(load, "%s: %s is no text", where, path);
	else
		setting_take_text(load, row, where, s);
}

static void take_variable(
	struct settings_load *load, const struct setting *row, const char *where, const char *value)
{
	struct str text = str_of(value);

	if (row->type == SETTING_LATER)
		warn_later(load, str_of(where));
	else if (text.len > SETTING_TEXT_MAX)
		settings_say(load, "%s is over %u bytes", where, SETTING_TEXT_MAX);
	else if ((row->type == SETTING_TEXT || row->type == SETTING_SECRET) && str_skip(&text, "file://"))
		take_from_file(load, row, where, text.at);
	else
		setting_take_text(load, row, where, text);
}

static void load_row_environment(struct settings_load *load, const struct setting *row)
{
	struct str names = str_of(row->env), name;

	while (str_next(&names, '|', &name)) {
		const char *value = settings_variable(load->environment, name);
		char where[PATH_LEN_MAX];

		if (!value || !*value)
			continue;
		CHECK(str_copy(name, where, sizeof(where)));
		take_variable(load, row, where, value);
		return;
	}
}

static bool is_known_variable(const struct settings_table *table, struct str wanted)
{
	for (size_t i = 0; i < table->len; i++) {
		struct str names = str_of(table->rows[i].env), name;

		while (str_next(&names, '|', &name)) {
			if (str_equal(name, wanted))
				return true;
		}
	}
	return false;
}

static bool has_our_prefix(const struct settings_table *table, struct str name)
{
	for (const char *const *prefix = table->env_prefixes; prefix && *prefix; prefix++) {
		if (str_starts(name, *prefix))
			return true;
	}
	return false;
}

/* Kubernetes gives each container NAME_SERVICE_HOST, NAME_PORT=tcp://..., NAME_PORT_80_TCP_ADDR and so
 * on for each service; one whose service is called like us is no mistake of the operator. */
static bool is_service_link(struct str name, struct str value)
{
	return str_ends(name, "_SERVICE_HOST") || memmem(name.at, name.len, "_SERVICE_PORT", 13) ||
	       (memmem(name.at, name.len, "_PORT", 5) &&
		       (str_starts(value, "tcp://") || str_starts(value, "udp://") ||
			       memmem(name.at, name.len, "_TCP_", 5) ||
			       memmem(name.at, name.len, "_UDP_", 5)));
}

static void check_unknown_variables(struct settings_load *load)
{
	for (char *const *entry = load->environment; entry && *entry; entry++) {
		struct str value = str_of(*entry), name;

		if (!str_until(&value, '=', &name) || !has_our_prefix(load->table, name) ||
			is_known_variable(load->table, name) || is_service_link(name, value))
			continue;
		say_unknown(load, "variable", name, nearest_variable(load->table, name));
	}
}

/* ---- all of it ---- */

static size_t member_size(const struct setting *row)
{
	switch (row->type) {
	case SETTING_TEXT:
	case SETTING_SECRET:
	case SETTING_NODE:
		return sizeof(void *);
	case SETTING_NUMBER:
	case SETTING_MS:
	case SETTING_BYTES:
		return sizeof(int64_t);
	case SETTING_BOOL:
		return sizeof(bool);
	case SETTING_ENUM:
		return sizeof(int);
	case SETTING_LIST:
		return sizeof(struct setting_list);
	case SETTING_IGNORED:
	case SETTING_LATER:
		return 0;
	}
	return 0;
}

static void clear_members(const struct settings_load *load)
{
	for (size_t i = 0; i < load->table->len; i++)
		memset(load->base + load->table->rows[i].offset, 0, member_size(&load->table->rows[i]));
}

static void load_defaults(struct settings_load *load)
{
	clear_members(load);
	for (size_t i = 0; i < load->table->len; i++) {
		const struct setting *row = &load->table->rows[i];

		if (row->fallback)
			setting_take_text(load, row, row->path ? row->path : row->env, str_of(row->fallback));
	}
	CHECK(!load->failed);
}

bool settings_load(const struct settings_table *table, const char *file_path, char *const *environment,
	void *ret_struct, struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors)
{
	AUTO(settings_memory) *memory = xnew(struct settings_memory);
	struct settings_load load = { .table = table,
		.environment = environment,
		.base = ret_struct,
		.memory = memory,
		.warnings = warnings,
		.errors = errors,
		.given = xnew_array(bool, table->len) };

	load_defaults(&load);
	if (file_path)
		load_file(&load, file_path);
	for (size_t i = 0; i < table->len; i++)
		load_row_environment(&load, &table->rows[i]);
	check_unknown_variables(&load);
	free(load.given);
	if (load.failed) {
		clear_members(&load);
		return false;
	}
	*ret_memory = TAKE(memory);
	return true;
}
