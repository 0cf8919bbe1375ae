/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/name_lines.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void name_lines_fini(struct name_lines *lines)
{
	free(lines->at);
	free(lines->text);
	*lines = (struct name_lines){ 0 };
}

void name_lines_put(struct buf *into, struct str name)
{
	char *at = buf_reserve(into, name.len + 1);

	if (!at)
		return;
	memcpy(at, name.at, name.len);
	at[name.len] = '\n';
	buf_grew(into, name.len + 1);
}

void name_lines_put_more(struct buf *into)
{
	buf_putc(into, '\n');
}

static size_t count_lines(const char *text, size_t len)
{
	const char *end = text + len, *newline;
	size_t count = 0;

	while (text < end && (newline = memchr(text, '\n', (size_t)(end - text)))) {
		text = newline + 1;
		count++;
	}
	return count;
}

typedef bool line_f(struct str line, const char *before, struct error *err);

static bool split(char *text, size_t len, const char *before, line_f *check, struct name_lines *lines,
	struct error *err)
{
	char *end = text + len;

	while (text < end) {
		char *newline = memchr(text, '\n', (size_t)(end - text));
		struct str line;

		if (!newline)
			return error_set(err, ERROR_INVALID, NULL,
				"it is no list of names with a newline behind each");
		line = str_from(text, (size_t)(newline - text));
		if (!line.len && newline + 1 == end && lines->len) {
			lines->more = true;
			return true;
		}
		*newline = '\0';
		if (check && !check(line, before, err))
			return false;
		lines->at[lines->len++] = before = text;
		text = newline + 1;
	}
	return true;
}

bool name_lines_take(struct buf *from, struct name_lines *ret, struct error *err)
{
	struct name_lines lines = { 0 };
	size_t len;

	if (!buf_check(from, "names of repositories", err))
		return false;
	lines.text = buf_take(from, &len);
	lines.at = xnew_array(const void *, count_lines(lines.text, len) + 1);
	CHECK(split(lines.text, len, NULL, NULL, &lines, err));
	*ret = lines;
	return true;
}

static bool is_next_name(struct str line, const char *before, struct error *err)
{
	struct name name;

	if (!name_parse(line, &name, err))
		return error_set(err, ERROR_INVALID, NULL, "it names what is no repository");
	if (strcmp(before, line.at) >= 0)
		return error_set(err, ERROR_INVALID, NULL, "its names are not in order behind the last one");
	return true;
}

bool name_lines_parse(
	char **text, size_t len, const char *after, size_t n, struct name_lines *ret, struct error *err)
{
	size_t count = count_lines(*text, len);
	struct name_lines lines = { 0 };

	if (count > n + 1)
		return error_set(err, ERROR_INVALID, NULL, "it names more than %zu", n);
	lines.at = xnew_array(const void *, count + 1);
	if (!split(*text, len, after, is_next_name, &lines, err) ||
		(lines.len > n && !error_set(err, ERROR_INVALID, NULL, "it names more than %zu", n))) {
		free(lines.at);
		return false;
	}
	lines.text = TAKE(*text);
	*ret = lines;
	return true;
}
