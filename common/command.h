/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - the command line of a program: a table of what it can do, and the help made of that table.
 *
 *   program                     the help, to stderr, and status 2: nothing was said
 *   program help, --help, -h    the help
 *   program help markdown       the settings alone, for the documentation
 *   program help man            the page for man(1)
 *   program help bash           completion for bash; `cmake --install` puts both where they are looked for
 *   program NAME --help, -h     the same; of a row with options these, and its own line
 *   program version, --version  what it is, of which commit, with which libraries
 *   program NAME [--option VALUE | --option=VALUE]... [ARGUMENT]   a row; it may take several arguments
 *   program NAME ...            a row that has a table of its own: what follows is a row of that one
 *
 * Behind "--" everything is an argument.
 *
 * Status: what the row's function returns; 2 for a wrong use of the command line.
 * Thread  main.
 */
#pragma once

#include <stddef.h>

#include "common/buf.h"

struct settings_table;

#define COMMAND_OPTIONS_MAX 16
#define COMMAND_ARGUMENTS_MAX 64

struct command_option {
	const char *name;     /* "--from-worker" */
	const char *value;    /* what follows it, for the help: "NAME"; "FILE" or "FOLDER" is completed as one; NULL: nothing does, it is a flag */
	const char *help;     /* a line */
};

/* A row as it was called; texts are those of argv. */
struct command_call {
	const struct command *row;
	const char *argument; /* NULL: it was left out */
	const char *arguments[COMMAND_ARGUMENTS_MAX]; /* all of them; the first is `argument` */
	size_t arguments_len;
	const char *values[COMMAND_OPTIONS_MAX]; /* of the row's options, in their order; NULL: not given */
};
/* The value of one of the row's options, "" of a flag; NULL: it was not given. */
const char *command_option(const struct command_call *call, const char *name);

struct command {
	const char *name, *argument; /* "config.json"; argument NULL: it takes none */
	const char *help;            /* a line */
	int (*run)(const struct command_call *call);
	const struct command_option *options;
	size_t options_len;          /* COMMAND_OPTIONS_MAX at the most */
	size_t arguments_most;       /* 0: one, where it takes any; COMMAND_ARGUMENTS_MAX at the most */
	const struct command_table *below; /* a table of its own; then it has no run */
};

struct command_table {
	const char *program, *what; /* "zot-worker", "an OCI registry, ..." */
	const struct command *rows;
	size_t len;
	const struct settings_table *settings; /* what the help says behind the commands; NULL: nothing, as below another one */
	const char *status;          /* how it ends, a sentence; NULL: 0, 2 where the command line is wrong, else 1 */
};

/* Each line to stderr, behind "<word>: ". */
void command_say(const char *word, const struct buf *lines);

int command_main(const struct command_table *table, int argc, char **argv);
