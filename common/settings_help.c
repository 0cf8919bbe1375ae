/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_help - the table for people: --help, and a page of the documentation.
 */
#include "common/roff.h"
#include "common/settings_priv.h"

static bool is_served(const struct setting *row)
{
	return row->type != SETTING_IGNORED && row->type != SETTING_LATER;
}

static void put_names(const char *env, const char *separator, struct buf *into)
{
	struct str names = str_of(env), name;

	for (bool first = true; str_next(&names, '|', &name); first = false) {
		if (!first)
			buf_puts(into, separator);
		buf_add(into, name);
	}
}

static void put_default(const struct setting *row, struct buf *into)
{
	if (row->type == SETTING_TEXT || row->type == SETTING_ENUM)
		buf_format(into, "\"%s\"", row->fallback);
	else
		buf_puts(into, row->fallback);
}

static void help_row(const struct setting *row, struct buf *into)
{
	buf_puts(into, "  ");
	if (row->path)
		buf_puts(into, row->path);
	if (row->path && row->env)
		buf_puts(into, ", ");
	put_names(row->env, " or ", into);
	buf_puts(into, "\n      ");
	if (row->help)
		buf_format(into, "%s\n      ", row->help);
	setting_describe(row, into);
	if (row->fallback) {
		buf_puts(into, "; default ");
		put_default(row, into);
	}
	buf_putc(into, '\n');
}

void settings_help(const struct settings_table *table, struct buf *into)
{
	buf_puts(into, "Settings: path in the JSON file, environment variable. A variable beats the file.\n");
	for (size_t i = 0; i < table->len; i++) {
		if (is_served(&table->rows[i]))
			help_row(&table->rows[i], into);
	}
}

static void man_row(const struct setting *row, struct buf *into)
{
	AUTO_FINI(buf) text = buf_limit(SETTING_TEXT_MAX);

	if (row->path)
		buf_format(&text, "%s%s", row->path, row->env ? ", " : "");
	put_names(row->env, ", ", &text);
	buf_puts(into, ".TP\n.B ");
	if (row->help)
		buf_format(&text, "\n%s", row->help);
	roff_put(buf_str(&text), into);
	buf_puts(into, row->help ? "\n.br\n" : "\n");
	buf_clear(&text);
	setting_describe(row, &text);
	if (row->fallback && *row->fallback)
		buf_format(&text, "; default %s", row->fallback);
	buf_puts(&text, ".\n");
	roff_put(buf_str(&text), into);
}

void settings_man(const struct settings_table *table, struct buf *into)
{
	buf_puts(into, "Path in the JSON file, environment variable. A variable beats the file.\n");
	for (size_t i = 0; i < table->len; i++) {
		if (is_served(&table->rows[i]))
			man_row(&table->rows[i], into);
	}
}

/* A bar would end the cell. */
static void put_cell(const char *text, struct buf *into)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_putc(into, '\\');
		buf_putc(into, *text);
	}
}

static void markdown_row(const struct setting *row, struct buf *into)
{
	AUTO_FINI(buf) allowed = buf_limit(1024);

	setting_describe(row, &allowed);
	if (row->path)
		buf_format(into, "| `%s` | ", row->path);
	else
		buf_puts(into, "| | ");
	if (row->env) {
		buf_putc(into, '`');
		put_names(row->env, "` or `", into);
		buf_puts(into, "` ");
	}
	buf_format(into, "| %s | ", buf_text(&allowed));
	if (row->fallback && *row->fallback)
		buf_format(into, "`%s` ", row->fallback);
	buf_puts(into, "| ");
	put_cell(row->help ? row->help : "", into);
	buf_puts(into, " |\n");
}

static void markdown_names(
	const struct settings_table *table, enum setting_type type, const char *title, struct buf *into)
{
	const char *separator = title;

	for (size_t i = 0; i < table->len; i++) {
		const struct setting *row = &table->rows[i];

		if (row->type != type)
			continue;
		buf_format(into, "%s`", separator);
		if (row->path)
			buf_puts(into, row->path);
		if (row->path && row->env)
			buf_puts(into, "`, `");
		if (row->env)
			put_names(row->env, "`, `", into);
		buf_putc(into, '`');
		separator = ", ";
	}
	if (separator != title)
		buf_puts(into, ".\n");
}

void settings_markdown(const struct settings_table *table, struct buf *into)
{
	buf_puts(into, "| In the file | Variable | Allowed | Default | Meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < table->len; i++) {
		if (is_served(&table->rows[i]))
			markdown_row(&table->rows[i], into);
	}
	markdown_names(table, SETTING_LATER, "\nNot served by this version, accepted with a warning: ", into);
	markdown_names(table, SETTING_IGNORED, "\nAccepted in silence, without meaning here: ", into);
}
