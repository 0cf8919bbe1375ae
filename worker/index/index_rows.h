/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_rows - a sorted array of pointers in chunks that copies share: a copy of 100,000 rows costs 400 pointers, and a
 * change of the copy one chunk.
 *
 *   rows --> [chunk] [chunk] [chunk]     chunks of up to 256 items, counted; who changes one that
 *              ^       ^                 somebody else holds too changes a copy of it
 *   copy ------'-------'---> [chunk']
 *
 * A chunk holds a reference of each item, through `kind`; items without references have NULL there.
 * Thread  none of its own: rows that nobody changes may be read by all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

struct index_chunk;
struct index_rows_kind {
	void (*ref)(void *item);   /* or NULL */
	void (*unref)(void *item); /* or NULL */
};
struct index_rows {
	const struct index_rows_kind *kind;
	struct index_chunk **chunks;
	size_t *before;            /* items before each chunk */
	size_t chunks_len, chunks_room;
	size_t len;
};
/* <0, 0, >0: the item is before the key, has it, is behind it. */
typedef int index_rows_compare_f(const void *item, const void *key);

void  index_rows_fini(struct index_rows *rows);
/* into is empty. */
void  index_rows_copy(struct index_rows *into, const struct index_rows *from);
/* From sorted items; takes their references. rows is empty, with its kind set. */
void  index_rows_build(struct index_rows *rows, void *const *items, size_t len);
void *index_rows_at(const struct index_rows *rows, size_t at);
/* The first place whose item is not before the key (or, `past`, is behind it). */
size_t index_rows_place(const struct index_rows *rows, index_rows_compare_f *compare, const void *key, bool past);
/* The item with this key, or NULL. *ret_at: its place, or where it belongs. */
void *index_rows_find(const struct index_rows *rows, index_rows_compare_f *compare, const void *key, size_t *ret_at);
/* From these places on: how many items the two have in one chunk that they share. 0: they have to be looked at. */
size_t index_rows_shared(const struct index_rows *a, size_t at_a, const struct index_rows *b, size_t at_b);

/* Changes. insert and set take the caller's reference; set and remove give back that of the old item. */
void  index_rows_insert(struct index_rows *rows, size_t at, void *item);
void *index_rows_set(struct index_rows *rows, size_t at, void *item) MUST_CHECK;
void *index_rows_remove(struct index_rows *rows, size_t at) MUST_CHECK;

size_t index_rows_bytes(const struct index_rows *rows); /* of memory, shared chunks counted whole */
