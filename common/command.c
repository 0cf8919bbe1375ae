/* SPDX-License-Identifier: Apache-2.0 */
#include "common/command.h"

#include <stdio.h>
#include <string.h>

#include "common/version.h"

#define HELP_MAX    (1024 * 1024)
#define WRONG_USE   2
#define NAME_COLUMN 36

static void put_row(const struct command_table *table, const char *name, const char *argument,
	const char *help, struct buf *into)
{
	size_t begun = into->len;

	buf_format(into, "  %s %s", table->program, name);
	if (argument)
		buf_format(into, " [%s]", argument);
	do
		buf_putc(into, ' ');
	while (into->len - begun < NAME_COLUMN);
	buf_format(into, "%s\n", help);
}

static void put_help(const struct command_table *table, bool whole, struct buf *into)
{
	buf_format(into, "%s " ZOT_VERSION ": %s\n\n", table->program, table->what);
	for (size_t i = 0; i < table->len; i++)
		put_row(table, table->rows[i].name, table->rows[i].argument, table->rows[i].help, into);
	put_row(table, "version", NULL, "what this is, of which commit, with which libraries", into);
	put_row(table, "help", NULL, "this text and all settings", into);
	buf_puts(into,
		"\nIt ends with 0 when all went well, with 2 when the command line is wrong, else with 1.\n");
	if (whole) {
		buf_putc(into, '\n');
		table->settings(into);
	}
}

static int say_help(const struct command_table *table, FILE *to, int status)
{
	AUTO_FINI(buf) text = buf_limit(HELP_MAX);

	put_help(table, to == stdout, &text);
	return fputs(buf_text(&text), to) < 0 ? 1 : status;
}

static int say_markdown(const struct command_table *table)
{
	AUTO_FINI(buf) text = buf_limit(HELP_MAX);

	table->markdown(&text);
	return fputs(buf_text(&text), stdout) < 0;
}

static int say_version(const struct command_table *table)
{
	AUTO_FINI(buf) text = buf_limit(4096);

	version_format(table->program, &text);
	return fputs(buf_text(&text), stdout) < 0;
}

static bool is_any(const char *text, const char *a, const char *b, const char *c)
{
	return text && (!strcmp(text, a) || !strcmp(text, b) || (c && !strcmp(text, c)));
}

static int wrong(const struct command_table *table, const char *what, const char *text)
{
	(void)fprintf(stderr, "%s: %s%s%s\n\n", table->program, what, text ? ": " : "", text ? text : "");
	return say_help(table, stderr, WRONG_USE);
}

static int run_row(
	const struct command_table *table, const struct command *row, const char *argument, bool more)
{
	if (is_any(argument, "--help", "-h", NULL))
		return say_help(table, stdout, 0);
	if (more || (argument && !row->argument))
		return wrong(table, "too many arguments for", row->name);
	if (argument && *argument == '-')
		return wrong(table, "there is no option", argument);
	return row->run(argument);
}

int command_main(const struct command_table *table, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL, *argument = argc > 2 ? argv[2] : NULL;

	if (!name)
		return wrong(table, "what is to be done?", NULL);
	for (size_t i = 0; i < table->len; i++)
		if (!strcmp(name, table->rows[i].name))
			return run_row(table, &table->rows[i], argument, argc > 3);
	if (argc == 3 && !strcmp(name, "help") && !strcmp(argument, "markdown"))
		return say_markdown(table);
	if (argc == 2 && is_any(name, "help", "--help", "-h"))
		return say_help(table, stdout, 0);
	if (argc == 2 && is_any(name, "version", "--version", NULL))
		return say_version(table);
	return wrong(table, "there is no such command, or not with this argument", name);
}
