/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_others - what one request asks of the other members of a cluster, and what they answered.
 *
 *     search_answer() --a question that nobody answered yet--> here; it ends with SEARCH_ASKS
 *         |                                                     |
 *         |        search_others_ask(): bytes for each member --+--> they are asked, all at once, by whoever runs the request
 *         |        search_others_answer(), _miss() <---------------- what came; search_others_end()
 *         '--- search_answer() again: the question is the same, its answers are here. Images on top of each other need two rounds.
 *
 * A question about one repository goes to its owner alone. Where storage is isolated and the owner knows nothing of it, all are asked: one that
 * moves is where it was until its owner took it. What is of all goes to all; each tells what it owns.
 *
 * Whole   Each member gives the first items of its own list as far as the page goes, and its total; put together they are in the same order, by what is
 *         asked for, then name, tag, digest. Where two members tell of one repository, its owner's word is taken, and the other's is not counted.
 * Missing Who does not answer, or with what is not understood, is asked nothing more, and told by the field that needed it.
 * Rights  The members look at them, totals too; what came is looked at here once more.
 * Thread  one at a time: the request's loop while it waits, the pool while it is answered.
 */
#pragma once

#include "common/buf.h"
#include "proto/ring.h"

struct search_others;

/* The ring is of the request's snapshot; a reference is taken. */
struct search_cluster {
	struct ring *ring;
	int self;      /* our place; RING_NOBODY: nothing is asked of ourselves */
	bool isolated;
	uint64_t mark; /* who owns what, as cluster_ownership() says it; of no matter where storage is isolated */
};
struct search_others *search_others_new(const struct search_cluster *cluster);
void search_others_free(struct search_others *others); /* NULL is fine */
AUTO_DEFINE(search_others)

/* A round. Places are those of the ring. False: this one is asked nothing. */
#define SEARCH_ANSWER_MAX ((size_t)8 * 1024 * 1024) /* bytes of what it answers */
#define SEARCH_ASK_MAX ((size_t)4 * 1024 * 1024) /* bytes of what a member is asked */
size_t search_others_answer_max(const struct search_others *others, size_t place); /* bytes of its answer, by what it is asked; 0: nothing */
bool search_others_ask(const struct search_others *others, size_t place, struct buf *into) MUST_CHECK;
/* The bytes are taken. False: they are not understood, and the member is missing. */
bool search_others_answer(struct search_others *others, size_t place, char *bytes, size_t len, struct error *err);
void search_others_miss(struct search_others *others, size_t place);
void search_others_end(struct search_others *others);
/* True once: what it answered was not understood when it was looked at, behind the round. */
bool search_others_garbled(struct search_others *others, size_t place);
