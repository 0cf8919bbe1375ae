/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_wire - questions (search_question.h) and their answers as bytes, between members.
 *
 *     question  format, ring, most, number, {length, question}...
 *     answer    format, whether all was derived, number, {length, 0 records | 1 kind text}...
 *
 * Numbers are LEB128, a text is its length and its bytes. The ring is the mark by which the asker says who owns what, 0 where that decides nothing: one
 * who has another ring has no part. `most` is how many bytes the answer may have. What a client may see travels with the call, not in here.
 * A member of another format is one that has no part, so what is put between two versions needs another SEARCH_WIRE_FORMAT.
 *
 * Limits  What is read is bounded by the arena that it goes to, and SEARCH_QUESTIONS_MAX.
 * Errors  ERROR_INVALID: it was not made by this. ERROR_TOO_LARGE: the arena is full.
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "worker/search/search.h"
#include "worker/search/search_question.h"

#define SEARCH_WIRE_FORMAT 1u

/* One question, one answer. Their texts are copied into the arena. */
void search_wire_put_question(const struct search_question *question, struct buf *into);
bool search_wire_get_question(struct str bytes, struct arena *arena, struct search_question *ret, struct error *err) MUST_CHECK;
void search_wire_put_records(const struct search_records *records, struct buf *into);
void search_wire_put_error(const struct error *error, struct buf *into);
/* False and *ret_said: the member could not answer, and err is what it said. */
bool search_wire_get_records(struct str bytes, struct arena *arena, struct search_records *ret, bool *ret_said, struct error *err) MUST_CHECK;

/* What goes around them. */
struct search_wire_head {
	uint64_t ring, most; /* of a question */
	bool whole;          /* of an answer: all that the member owns was derived */
	size_t len;
	struct str parts[SEARCH_QUESTIONS_MAX]; /* of the bytes */
};
void search_wire_put_ask(const struct search_wire_head *head, struct buf *into);
bool search_wire_get_ask(struct str bytes, struct search_wire_head *ret, struct error *err) MUST_CHECK;
void search_wire_put_answer(const struct search_wire_head *head, struct buf *into);
bool search_wire_get_answer(struct str bytes, struct search_wire_head *ret, struct error *err) MUST_CHECK;
