/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search - zot's search: GraphQL about repositories and images, answered from what was derived of them.
 *
 *     request --graphql_request.h--> query --graphql_query.h--> its fields --search_queries.c--> questions (search_question.h) --> JSON
 *                                                                                     answered by metadata.h, and other members (search_others.h)
 *
 * The schema is search_schema.def. What the client may not read does not exist here, in totals neither. An order is always total: what is asked for, then
 * name, tag, digest. Queries about vulnerabilities say that they are not served.
 *
 * Limits  Of a query: graphql_limits.h, and SEARCH_QUESTIONS_MAX questions to the metadata. Of an answer: SEARCH_ARENA_MAX of records for each question,
 *         SEARCH_OUTPUT_MAX bytes, SEARCH_TIME_MS. SEARCH_AT_ONCE at a time; who comes then is told to come again. One that has waited for other members
 *         is not: how many wait is bounded by who asks them.
 * Errors  What is wrong with a query is in the answer, as GraphQL has it.
 * Thread  search_new(), search_free(): main. search_answer(), search_part(): pool, any number at once.
 */
#pragma once

#include "common/http.h"
#include "worker/metadata/metadata.h"

#define SEARCH_QUESTIONS_MAX 20u
#define SEARCH_AT_ONCE       8u
#define SEARCH_TIME_MS       10000
#define SEARCH_ARENA_MAX     ((size_t)32 * 1024 * 1024)
#define SEARCH_OUTPUT_MAX    ((size_t)32 * 1024 * 1024)

struct search;
struct search_others;

/* metadata is borrowed. */
struct search *search_new(struct metadata *metadata);
void search_free(struct search *search);
AUTO_DEFINE(search)

/* What somebody asks. Texts are borrowed until the answer is there. */
struct search_ask {
	enum http_method method;
	struct str query;         /* of the URL, raw */
	const char *content_type; /* or NULL */
	struct str body;
	struct metadata_who who;
	struct search_others *others; /* whom else to ask; NULL: this worker answers alone */
	bool (*may_delete)(void *arg, struct str repository); /* of the who's arg; NULL: none */
};
/* Appends JSON. The status it goes with: 200; 400: this is no request; 422: the query is wrong; 503: too many at once, come again. Or SEARCH_ASKS, with nothing
 * appended: the others are to be asked, then it is called once more with the same ask. */
#define SEARCH_ASKS 0u
unsigned search_answer(struct search *search, const struct search_ask *ask, struct buf *into);

/* What another member asks (search_others_ask()), for `who` asks there. ring: as we say who owns what, 0 where storage is isolated. Appends what search_others_answer()
 * reads. ERROR_INVALID: this is no question of this version. ERROR_CONFLICT: the asker has another ring. */
bool search_part(struct search *search, struct str body, const struct metadata_who *who, uint64_t ring, struct buf *into,
		 struct error *err) MUST_CHECK;
