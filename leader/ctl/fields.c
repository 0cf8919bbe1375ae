/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/fields.h"

#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "common/json.h"

#define PIECE 4096

struct field {
	struct str object, name, value; /* object: of "metadata.team", else empty */
};

static bool read_all(int fd, struct buf *into, struct error *err)
{
	ssize_t got = 1;

	while (got > 0) {
		char piece[PIECE];

		got = read(fd, piece, sizeof(piece));
		if (got < 0)
			return error_sys(err, "standard input");
		buf_append(into, piece, (size_t)got);
	}
	return buf_check(into, "standard input", err);
}

bool fields_read(const char *path, struct buf *into, struct error *err)
{
	return str_is(str_of(path), "-") ? read_all(STDIN_FILENO, into, err) : file_read(path, into, err);
}

static bool read_field(const char *text, struct field *ret, struct error *err)
{
	struct str rest = str_of(text), name;

	if (!str_until(&rest, '=', &name) || !name.len)
		return error_set(err, ERROR_INVALID, NULL, "\"%.60s\": needs the form field=value", text);
	*ret = (struct field){ .name = name, .value = rest };
	if (str_until(&name, '.', &ret->object))
		ret->name = name;
	return true;
}

/* The first line of a file. */
static bool put_file(struct json_writer *w, struct str path, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(4096);
	AUTO_FINI(buf) text = buf_limit(FIELDS_BODY_MAX);
	struct str rest, line;
	bool ok;

	buf_add(&name, path);
	ok = fields_read(buf_text(&name), &text, err);
	rest = buf_str(&text);
	if (ok)
		json_value_str(w, str_until(&rest, '\n', &line) ? line : rest);
	if (text.at)
		explicit_bzero(text.at, text.room);
	return ok;
}

/* A JSON text alone is no document of the parser's, so it gets a place in one. */
static bool put_json(struct json_writer *w, struct str value)
{
	AUTO_FINI(buf) text = buf_limit(FIELDS_BODY_MAX);
	AUTO(json_doc) *doc = NULL;

	buf_putc(&text, '[');
	buf_add(&text, value);
	buf_putc(&text, ']');
	if (text.failed || !json_parse(buf_str(&text), &doc, NULL) || json_len(json_root(doc)) != 1)
		return false;
	json_value_node(w, json_at(json_root(doc), 0));
	return true;
}

static bool put_value(struct json_writer *w, struct str value, struct error *err)
{
	if (value.len && *value.at == '@')
		return put_file(w, str_from(value.at + 1, value.len - 1), err);
	if (!put_json(w, value))
		json_value_str(w, value);
	return true;
}

/* Fields of one object lie together. */
static bool put_object(
	struct json_writer *w, struct str object, const struct field *fields, size_t len, struct error *err)
{
	json_key(w, object);
	json_open_object(w);
	for (size_t i = 0; i < len; i++) {
		if (!str_equal(fields[i].object, object))
			continue;
		json_key(w, fields[i].name);
		if (!put_value(w, fields[i].value, err))
			return false;
	}
	json_close_object(w);
	return true;
}

static bool is_first(const struct field *fields, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (str_equal(fields[i].object, fields[at].object))
			return false;
	return true;
}

static bool put_fields(struct json_writer *w, const struct field *fields, size_t len, struct error *err)
{
	for (size_t i = 0; i < len; i++) {
		if (fields[i].object.len) {
			if (is_first(fields, i) && !put_object(w, fields[i].object, fields, len, err))
				return false;
			continue;
		}
		json_key(w, fields[i].name);
		if (!put_value(w, fields[i].value, err))
			return false;
	}
	return true;
}

bool fields_body(const char *id, const char *const *fields, size_t len, struct buf *into, struct error *err)
{
	struct field read[64];
	struct json_writer w = json_writer(into);

	CHECK(len <= sizeof(read) / sizeof(read[0]));
	for (size_t i = 0; i < len; i++)
		if (!read_field(fields[i], &read[i], err))
			return false;
	json_open_object(&w);
	json_put_text(&w, "id", id);
	if (!put_fields(&w, read, len, err))
		return false;
	json_close_object(&w);
	return buf_check(into, "the body", err);
}
