/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grid - rows of texts in columns, for people.
 *
 *     ID       OWNER  ENABLED
 *     a1b2c3   ann    yes
 *
 * On a terminal that is too narrow the widest columns are cut, and end in "..."; elsewhere nothing is cut. Whatever would control a
 * terminal is shown as "?": the texts are others'.
 *
 * Thread  main.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/cleanup.h"

#define GRID_COLUMNS_MAX 16

struct grid;
/* heads: NULL ended, GRID_COLUMNS_MAX at the most; they outlive it. */
struct grid *grid_new(const char *const *heads);
void grid_free(struct grid *grid);
AUTO_DEFINE(grid)
/* The next text of the row; behind the last column another row begins. */
void grid_put(struct grid *grid, struct str text);
/* All that was put, then it is empty. The heads come with the first one. */
void grid_print(struct grid *grid, FILE *to);
/* *into gets the text as it may be shown. */
void grid_clean(struct str text, struct buf *into);
