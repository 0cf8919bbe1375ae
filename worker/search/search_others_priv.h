/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_others_priv - what is asked and what came, as search_others.c keeps it for search_gather.c.
 *
 * Thread  that of the request.
 */
#pragma once

#include "worker/search/search.h"
#include "worker/search/search_others.h"

#define SEARCH_ALL        RING_NOBODY /* whom a question is for */
#define SEARCH_DEEP_MEMBERS 32u       /* of so many members pieces of a page are asked for */
#define SEARCH_ASKED_MOST   (SEARCH_QUESTIONS_MAX * (SEARCH_DEEP_MEMBERS + 2)) /* questions of one request */

/* A question, known by its bytes. */
struct search_asked {
	char *bytes;
	size_t len;
	int target;
	size_t most;       /* bytes of a member's answer */
	bool ended;        /* it was asked */
	struct str *parts; /* of each member; at NULL: none came */
};

struct search_member {
	bool missing;
	bool partial; /* it has not read all that it owns */
	bool garbled; /* what it said is nothing, and nobody was told yet */
};

struct search_others {
	struct search_cluster cluster;
	size_t members_len;
	struct search_member *members;
	struct search_asked asked[SEARCH_ASKED_MOST];
	size_t asked_len;
	char **bodies; /* that parts point into */
	size_t bodies_len;
};

/* Has this member a part in the answer? Who owns nothing has none, unless it holds what its owner has not taken yet. */
bool search_others_is_for(const struct search_others *others, const struct search_asked *asked, size_t place);
struct search_asked *search_others_find(struct search_others *others, struct str bytes, int target);
/* NULL: too many. */
struct search_asked *search_others_add(struct search_others *others, struct str bytes, int target, size_t most_bytes);
