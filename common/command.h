/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - the command line of a program: a table of what it can do, and the help made of that table.
 *
 *   program                     the help, to stderr, and status 2: nothing was said
 *   program help, --help, -h    the help; `help markdown` gives the settings alone, for the documentation
 *   program NAME --help, -h     the same
 *   program version, --version  what it is, of which commit, with which libraries
 *   program NAME [ARGUMENT]     a row
 *
 * Status: what the row's function returns; 2 for a wrong use of the command line.
 * Thread  main.
 */
#pragma once

#include <stddef.h>

#include "common/buf.h"

struct command {
	const char *name, *argument; /* "config.json"; argument NULL: it takes none */
	const char *help;            /* a line */
	int (*run)(const char *argument); /* argument NULL: it was left out */
};

struct command_table {
	const char *program, *what; /* "zot-worker", "an OCI registry, ..." */
	const struct command *rows;
	size_t len;
	void (*settings)(struct buf *into); /* what the help says behind the commands */
	void (*markdown)(struct buf *into); /* the same for the documentation */
};

int command_main(const struct command_table *table, int argc, char **argv);
