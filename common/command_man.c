/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_man - the page of a program for man(1).
 */
#include "common/command_priv.h"
#include "common/roff.h"
#include "common/settings.h"

static void put_text(const char *text, struct buf *into)
{
	roff_put(str_of(text), into);
}

static void put_upper(const char *text, struct buf *into)
{
	for (; *text; text++) {
		char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;

		roff_put(str_from(&c, 1), into);
	}
}

static void put_head(const struct command_table *table, struct buf *into)
{
	buf_puts(into, ".TH \"");
	put_upper(table->program, into);
	buf_puts(into, "\" 1 \"\" \"");
	put_text(table->program, into);
	buf_puts(into, " " ZOT_VERSION "\"\n.SH NAME\n");
	put_text(table->program, into);
	buf_puts(into, " \\- ");
	put_text(table->what, into);
	buf_puts(into, "\n.SH SYNOPSIS\n.B ");
	put_text(table->program, into);
	buf_puts(into, "\n.I command\n.RI [ option ]...\n.RI [ argument ]\n.SH COMMANDS\n");
}

/* "name [ARGUMENT]" and what it is. */
static void put_term(const char *name, const char *before, const char *argument, const char *after,
	const char *help, struct buf *into)
{
	buf_puts(into, ".TP\n\\fB");
	put_text(name, into);
	buf_puts(into, "\\fR");
	if (argument) {
		buf_format(into, " %s\\fI", before);
		put_text(argument, into);
		buf_format(into, "\\fR%s", after);
	}
	buf_putc(into, '\n');
	put_text(help, into);
	buf_putc(into, '\n');
}

static void put_row(const struct command *row, const char *before, struct buf *into)
{
	AUTO_FINI(buf) name = buf_limit(256);

	buf_format(&name, "%s%s", before, row->name);
	put_term(buf_text(&name), "[", row->argument, "]", row->help, into);
	if (!row->options_len)
		return;
	buf_puts(into, ".RS\n");
	for (size_t i = 0; i < row->options_len; i++)
		put_term(row->options[i].name, "", row->options[i].value, "", row->options[i].help, into);
	buf_puts(into, ".RE\n");
}

/* A row, or those of the table that it has. */
static void put_rows(const struct command *row, struct buf *into)
{
	AUTO_FINI(buf) before = buf_limit(256);

	if (!row->below)
		put_row(row, "", into);
	buf_format(&before, "%s ", row->name);
	for (size_t i = 0; row->below && i < row->below->len; i++)
		put_row(&row->below->rows[i], buf_text(&before), into);
}

static void put_status(const struct command *row, struct buf *into)
{
	if (!row->below || !row->below->status)
		return;
	put_text(row->name, into);
	buf_puts(into, ": ");
	put_text(row->below->status, into);
	buf_putc(into, '\n');
}

void command_man(const struct command_table *table, struct buf *into)
{
	put_head(table, into);
	for (size_t i = 0; i < table->len; i++)
		put_rows(&table->rows[i], into);
	for (size_t i = 0; i < COMMAND_OWN; i++)
		put_row(&command_own[i], "", into);
	buf_puts(into, ".SH SETTINGS\n");
	settings_man(table->settings, into);
	buf_puts(into, ".SH EXIT STATUS\n0 when all went well, 2 when the command line is wrong, else 1.\n");
	for (size_t i = 0; i < table->len; i++)
		put_status(&table->rows[i], into);
}
