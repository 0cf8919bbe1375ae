/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weigh_rows - what each repository had when it was weighed last, so that only the index of one that was changed since is looked at again.
 *
 *     weigh_rows_begin() --> of each: same? --no--> weigh_rows_open() --> the index --> weigh_rows_set() --> weigh_rows_end()
 *
 * A row is of a hash of the name and takes 32 bytes, so a table of 100,000 takes 8 MiB with the room in it. It has WEIGH_ROWS_MAX rows at most: what
 * has none is looked at with each walk. Rows that a whole walk did not open or find the same go with weigh_rows_end().
 *
 * Thread  any; a lock of its own, which is held for a look.
 */
#pragma once

#include "common/cleanup.h"
#include "common/str.h"

#define WEIGH_ROWS_MAX (768u * 1024)

struct store_usage;
struct weigh_row { uint64_t bytes, blobs, manifests, tags; };

struct weigh_rows;
struct weigh_rows *weigh_rows_new(void);
void weigh_rows_free(struct weigh_rows *rows); /* NULL is fine */
AUTO_DEFINE(weigh_rows)

/* A walk begins. again: no row is believed any more, until it is set. */
void weigh_rows_begin(struct weigh_rows *rows, bool again);
/* The index is what it was: nothing was told of it since, and the files are as many and as large. */
bool weigh_rows_same(struct weigh_rows *rows, struct str name, const struct store_usage *usage, struct weigh_row *ret);
/* Its index is about to be looked at: what is changed from now on makes the row one that is not believed. */
void weigh_rows_open(struct weigh_rows *rows, struct str name);
void weigh_rows_set(struct weigh_rows *rows, struct str name, const struct weigh_row *row);
/* The walk came to its end. */
void weigh_rows_end(struct weigh_rows *rows);
/* Its index was changed. */
void weigh_rows_changed(struct weigh_rows *rows, struct str name);
/* As it was set last. */
bool weigh_rows_find(struct weigh_rows *rows, struct str name, struct weigh_row *ret);
