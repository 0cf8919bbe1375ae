/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_priv - what the command line and the texts that are made of it share.
 */
#pragma once

#include "common/command.h"

/* Rows that every program has; their run is NULL. */
#define COMMAND_OWN 2
extern const struct command command_own[COMMAND_OWN];

extern const char command_status[];

/* A text about the whole table: `help NAME`. */
typedef void command_text_f(const struct command_table *table, struct buf *into);
command_text_f command_man;  /* a page for man(1): roff */
command_text_f command_bash; /* a script that bash sources, to complete words */
