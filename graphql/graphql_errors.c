/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_errors.h"

#include "common/json.h"

#define NOTE_MAX ((size_t)4096) /* bytes of a path, and of extensions */

void graphql_errors_fini(struct graphql_errors *errors)
{
	for (unsigned i = 0; i < errors->len; i++) {
		buf_fini(&errors->list[i].path);
		buf_fini(&errors->list[i].extensions);
	}
	errors->len = 0;
}

static bool starts_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/* CR, LF and CR LF end a line, each once. */
static void place(struct graphql_error *error, struct str text, uint32_t at)
{
	error->line = error->column = 1;
	for (size_t i = 0; i < at && i < text.len; i++) {
		char c = text.at[i];

		if (c == '\n' || (c == '\r' && !(i + 1 < text.len && text.at[i + 1] == '\n'))) {
			error->line++;
			error->column = 1;
		} else if (starts_character(c)) {
			error->column++;
		}
	}
}

struct graphql_error *graphql_errors_add(struct graphql_errors *errors, uint32_t at, const char *format, ...)
{
	struct graphql_error *error = &errors->list[errors->len];
	va_list args;

	if (graphql_errors_full(errors))
		return NULL;
	errors->len++;
	*error = (struct graphql_error){ .path = buf_limit(NOTE_MAX), .extensions = buf_limit(NOTE_MAX) };
	va_start(args, format);
	(void)vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	if (at != GRAPHQL_NOWHERE)
		place(error, errors->text, at);
	return error;
}

static void put_note(struct json_writer *w, const char *key, const struct buf *json)
{
	if (!json->len || json->failed)
		return;
	json_key(w, str_of(key));
	buf_add(w->into, buf_str(json));
	w->keyed = false;
	w->comma = true;
}

static void put_error(struct json_writer *w, const struct graphql_error *error)
{
	json_open_object(w);
	json_put_text(w, "message", error->message);
	if (error->line) {
		json_key(w, STR("locations"));
		json_open_array(w);
		json_open_object(w);
		json_put_int(w, "line", error->line);
		json_put_int(w, "column", error->column);
		json_close_object(w);
		json_close_array(w);
	}
	put_note(w, "path", &error->path);
	put_note(w, "extensions", &error->extensions);
	json_close_object(w);
}

void graphql_errors_print(const struct graphql_errors *errors, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_array(&w);
	for (unsigned i = 0; i < errors->len; i++)
		put_error(&w, &errors->list[i]);
	json_close_array(&w);
}

struct str graphql_shown(struct str word)
{
	if (word.len <= GRAPHQL_SHOWN)
		return word;
	word.len = GRAPHQL_SHOWN;
	while (word.len && !starts_character(word.at[word.len]))
		word.len--;
	return word;
}
