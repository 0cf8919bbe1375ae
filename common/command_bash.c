/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_bash - completion of a program's command line, as bash sources it.
 *
 * The first word is a command; what follows is one of its options, or the name of a file where it takes an argument.
 */
#include <string.h>

#include "common/command_priv.h"

/* No function has a hyphen in its name. */
static void put_function(const struct command_table *table, struct buf *into)
{
	for (const char *at = table->program; *at; at++)
		buf_putc(into, *at == '-' ? '_' : *at);
}

static bool is_file(const char *value)
{
	return !strcmp(value, "FILE") || !strcmp(value, "FOLDER");
}

/* Behind an option that wants a value nothing else is offered. */
static void put_values(const struct command *row, struct buf *into)
{
	buf_puts(into, "\t\tcase $before in\n");
	for (size_t i = 0; i < row->options_len; i++)
		if (row->options[i].value)
			buf_format(into, "\t\t%s) words= files=%s ;;\n", row->options[i].name,
				is_file(row->options[i].value) ? "yes" : "");
	buf_puts(into, "\t\tesac\n");
}

static void put_row(const struct command *row, const char *before, struct buf *into)
{
	buf_format(into, "\t'%s%s')\n\t\twords='", before, row->name);
	for (size_t i = 0; i < row->options_len; i++)
		buf_format(into, "%s ", row->options[i].name);
	buf_format(into, "--help' files=%s\n", row->argument ? "yes" : "");
	if (row->options_len)
		put_values(row, into);
	buf_puts(into, "\t\t;;\n");
}

static void put_commands(const struct command_table *table, struct buf *into)
{
	buf_puts(into, "\tlocal words='");
	for (size_t i = 0; i < table->len; i++)
		buf_format(into, "%s ", table->rows[i].name);
	for (size_t i = 0; i < COMMAND_OWN; i++)
		buf_format(into, "%s --%s ", command_own[i].name, command_own[i].name);
	buf_puts(into, "' files=\n");
}

/* The word behind it is one of its table's. */
static void put_below(const struct command *row, struct buf *into)
{
	buf_format(into, "\t'%s '*) words='--help' ;;\n\t'%s')\n\t\twords='", row->name, row->name);
	for (size_t i = 0; i < row->below->len; i++)
		buf_format(into, "%s ", row->below->rows[i].name);
	buf_puts(into, "--help'\n\t\t;;\n");
}

static void put_rows(const struct command *row, struct buf *into)
{
	AUTO_FINI(buf) before = buf_limit(256);

	if (!row->below) {
		put_row(row, "", into);
		return;
	}
	buf_format(&before, "%s ", row->name);
	for (size_t i = 0; i < row->below->len; i++)
		put_row(&row->below->rows[i], buf_text(&before), into);
	put_below(row, into);
}

/* Those words at the front that name a row: two where the first one has a table. */
static void put_called(const struct command_table *table, struct buf *into)
{
	buf_puts(into, "\tlocal called=${COMP_WORDS[1]}\n");
	for (size_t i = 0; i < table->len; i++)
		if (table->rows[i].below)
			buf_format(into,
				"\t[ \"$called\" = %s ] && [ \"$COMP_CWORD\" -gt 2 ] && called=\"%s "
				"${COMP_WORDS[2]}\"\n",
				table->rows[i].name, table->rows[i].name);
}

/* "a|b|c": the words that may follow; they are no files. */
static void put_own(const struct command *row, struct buf *into)
{
	struct str choices = row->argument ? str_of(row->argument) : STR_NONE, choice;

	buf_format(into, "\t%s)\n\t\twords='", row->name);
	while (str_next(&choices, '|', &choice))
		buf_format(into, "%.*s ", STR_ARGS(choice));
	buf_puts(into, "'\n\t\t;;\n");
}

void command_bash(const struct command_table *table, struct buf *into)
{
	buf_format(into, "# Completion for bash, made by: %s help bash\n", table->program);
	put_function(table, into);
	buf_puts(into, "() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n");
	put_commands(table, into);
	put_called(table, into);
	buf_puts(into, "\tif [ \"$COMP_CWORD\" -gt 1 ]; then\n\tcase $called in\n");
	for (size_t i = 0; i < table->len; i++)
		put_rows(&table->rows[i], into);
	for (size_t i = 0; i < COMMAND_OWN; i++)
		put_own(&command_own[i], into);
	buf_puts(into, "\t*) words= ;;\n\tesac\n\tfi\n"
		       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
		       "\tif [ -n \"$files\" ]; then\n"
		       "\t\tmapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$word\")\n"
		       "\tfi\n}\ncomplete -o filenames -F ");
	put_function(table, into);
	buf_format(into, " %s\n", table->program);
}
