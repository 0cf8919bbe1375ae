/* SPDX-License-Identifier: Apache-2.0 */
#include "common/command_priv.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/settings.h"
#include "common/str.h"
#include "common/version.h"

#define HELP_MAX    (1024 * 1024)
#define WRONG_USE   2
#define NAME_COLUMN 36

static void put_column(size_t begun, const char *help, struct buf *into)
{
	do
		buf_putc(into, ' ');
	while (into->len - begun < NAME_COLUMN);
	buf_format(into, "%s\n", help);
}

static void put_row(const struct command_table *table, const struct command *row, struct buf *into)
{
	size_t begun = into->len;

	buf_format(into, "  %s %s", table->program, row->name);
	if (row->options_len)
		buf_puts(into, " [--...]");
	if (row->argument)
		buf_format(into, " [%s]", row->argument);
	put_column(begun, row->help, into);
}

const struct command command_own[COMMAND_OWN] = {
	{ .name = "version", .help = "what this is, of which commit, with which libraries" },
	{ .name = "help", .argument = "markdown|man|bash", .help = "this text and all settings" },
};
const char command_status[] =
	"It ends with 0 when all went well, with 2 when the command line is wrong, else with 1.";

static void put_help(const struct command_table *table, bool whole, struct buf *into)
{
	buf_format(into, "%s " ZOT_VERSION ": %s\n\n", table->program, table->what);
	for (size_t i = 0; i < table->len; i++)
		put_row(table, &table->rows[i], into);
	for (size_t i = 0; table->settings && i < COMMAND_OWN; i++)
		put_row(table, &command_own[i], into);
	buf_format(into, "\n%s\n", table->status ? table->status : command_status);
	if (whole && table->settings) {
		buf_putc(into, '\n');
		settings_help(table->settings, into);
	}
}

static int say_help(const struct command_table *table, FILE *to, int status)
{
	AUTO_FINI(buf) text = buf_limit(HELP_MAX);

	put_help(table, to == stdout, &text);
	return fputs(buf_text(&text), to) < 0 ? 1 : status;
}

static void put_markdown(const struct command_table *table, struct buf *into)
{
	settings_markdown(table->settings, into);
}

/* -1: there is no such text. */
static int say_text(const struct command_table *table, const char *name)
{
	static const struct {
		const char *name;
		command_text_f *put;
	} texts[] = { { "markdown", put_markdown }, { "man", command_man }, { "bash", command_bash } };
	AUTO_FINI(buf) text = buf_limit(HELP_MAX);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].name, name) != 0)
			continue;
		texts[i].put(table, &text);
		return fputs(buf_text(&text), stdout) < 0;
	}
	return -1;
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

/* ---- one row ---- */

const char *command_option(const struct command_call *call, const char *name)
{
	for (size_t i = 0; i < call->row->options_len; i++) {
		if (!strcmp(call->row->options[i].name, name))
			return call->values[i];
	}
	CHECK(false && "an option of the row");
	return NULL;
}

static void put_option(const struct command_option *option, struct buf *into)
{
	size_t begun = into->len;

	buf_format(into, "    %s%s%s", option->name, option->value ? " " : "",
		option->value ? option->value : "");
	put_column(begun, option->help, into);
}

static int say_row(const struct command_table *table, const struct command *row)
{
	AUTO_FINI(buf) text = buf_limit(HELP_MAX);

	if (!row->options_len)
		return say_help(table, stdout, 0);
	put_row(table, row, &text);
	for (size_t i = 0; i < row->options_len; i++)
		put_option(&row->options[i], &text);
	return fputs(buf_text(&text), stdout) < 0;
}

/* Is it "--name", or "--name=value"? */
static bool is_option(const struct command_option *option, const char *text, const char **ret_value)
{
	struct str rest = str_of(text);

	*ret_value = NULL;
	if (!str_skip(&rest, option->name))
		return false;
	if (rest.len && *rest.at == '=' && option->value)
		*ret_value = rest.at + 1;
	return !rest.len || *ret_value;
}

enum taken { TAKEN_ONE, TAKEN_TWO, TAKEN_NOT_OPTION, TAKEN_NO_VALUE };

static enum taken take_option(struct command_call *call, const char *text, const char *next)
{
	const struct command_option *options = call->row->options;
	const char *value;

	for (size_t i = 0; i < call->row->options_len; i++) {
		if (!is_option(&options[i], text, &value))
			continue;
		call->values[i] = value ? value : options[i].value ? next : "";
		if (value || !options[i].value)
			return TAKEN_ONE;
		return next ? TAKEN_TWO : TAKEN_NO_VALUE;
	}
	return TAKEN_NOT_OPTION;
}

/* -1: go on. */
static int take_argument(const struct command_table *table, struct command_call *call, const char *text)
{
	size_t most = call->row->arguments_most ? call->row->arguments_most : call->row->argument != NULL;

	if (call->arguments_len == most)
		return wrong(table, "too many arguments for", call->row->name);
	call->arguments[call->arguments_len++] = text;
	call->argument = call->arguments[0];
	return -1;
}

/* No option of the row. -1: go on. */
static int take_word(const struct command_table *table, struct command_call *call, const char *text)
{
	if (is_any(text, "--help", "-h", NULL))
		return say_row(table, call->row);
	if (*text == '-')
		return wrong(table, "there is no option", text);
	return take_argument(table, call, text);
}

/* -1: go on, behind *at. */
static int take_next(
	const struct command_table *table, struct command_call *call, char **argv, int *at, int argc)
{
	const char *text = argv[*at];

	switch (take_option(call, text, *at + 1 < argc ? argv[*at + 1] : NULL)) {
	case TAKEN_TWO:
		++*at;
		return -1;
	case TAKEN_NO_VALUE:
		return wrong(table, "a value is missing behind", text);
	case TAKEN_NOT_OPTION:
		return take_word(table, call, text);
	case TAKEN_ONE:
		break;
	}
	return -1;
}

static int run_row(const struct command_table *table, const struct command *row, int argc, char **argv)
{
	struct command_call call = { .row = row };
	bool rest = false;
	int status = -1;

	CHECK(row->options_len <= COMMAND_OPTIONS_MAX && row->arguments_most <= COMMAND_ARGUMENTS_MAX);
	for (int i = 0; i < argc && status < 0; i++) {
		if (rest)
			status = take_argument(table, &call, argv[i]);
		else if (!strcmp(argv[i], "--"))
			rest = true;
		else
			status = take_next(table, &call, argv, &i, argc);
	}
	return status < 0 ? row->run(&call) : status;
}

void command_say(const char *word, const struct buf *lines)
{
	struct str rest = buf_str(lines), line;

	while (str_until(&rest, '\n', &line))
		(void)fprintf(stderr, "%s: %.*s\n", word, STR_ARGS(line));
	if (rest.len)
		(void)fprintf(stderr, "%s: %.*s\n", word, STR_ARGS(rest));
}

int command_main(const struct command_table *table, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	int status;

	if (!name)
		return wrong(table, "what is to be done?", NULL);
	for (size_t i = 0; i < table->len; i++)
		if (!strcmp(name, table->rows[i].name))
			return table->rows[i].below ? command_main(table->rows[i].below, argc - 1, argv + 1)
						    : run_row(table, &table->rows[i], argc - 2, argv + 2);
	if (table->settings && argc == 3 && !strcmp(name, "help") && (status = say_text(table, argv[2])) >= 0)
		return status;
	if (argc == 2 && is_any(name, "help", "--help", "-h"))
		return say_help(table, stdout, 0);
	if (table->settings && argc == 2 && is_any(name, "version", "--version", NULL))
		return say_version(table);
	return wrong(table, "there is no such command, or not with this argument", name);
}
