/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_who - when and by whom something was pushed. A name is in memory once, however many pushes are his.
 *
 * As text, in an annotation of index.json: "1763740000123 ann", "1763740000123" where nobody logged in, "0": not known.
 * Bounds: names of INDEX_WHO_MAX bytes; a longer one is as if there were none. What is no time that a clock of ours can have said is not known.
 * Thread  any.
 */
#pragma once

#include "common/buf.h"
#include "common/cleanup.h"

#define INDEX_WHO_MAX 255u

struct index_who;
/* A reference. NULL: there is none to be kept. */
struct index_who *index_who_get(struct str name);
struct index_who *index_who_ref(struct index_who *who);
void index_who_free(struct index_who *who); /* drops a reference; NULL is fine */
const char *index_who_text(const struct index_who *who); /* "": nobody */

struct index_push {
	int64_t at_ms;         /* store_clock_ms(); 0: not known */
	struct index_who *who; /* counted */
};
/* ms 0: not known, whoever it is. */
struct index_push index_push_new(int64_t ms, struct str name);
struct index_push index_push_ref(const struct index_push *push);
void index_push_fini(struct index_push *push);
bool index_push_equal(const struct index_push *a, const struct index_push *b);
void index_push_write(const struct index_push *push, struct buf *into);
/* NULL, and what is damaged: not known. */
struct index_push index_push_read(const char *text);
