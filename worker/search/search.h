/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search - zot's search: GraphQL about repositories and images, answered from what was derived of them.
 *
 *     request --graphql_request.h--> query --graphql_query.h--> its fields --search_queries.c--> metadata.h --> JSON
 *
 * The schema is search_schema.def. What the client may not read does not exist here, in totals neither. An order is always total: what is asked for, then
 * name, tag, digest. Queries about vulnerabilities say that they are not served.
 *
 * Limits  Of a query: graphql_limits.h, and SEARCH_QUESTIONS_MAX questions to the metadata. Of an answer: SEARCH_ARENA_MAX of records for each question,
 *         SEARCH_OUTPUT_MAX bytes, SEARCH_TIME_MS. SEARCH_AT_ONCE at a time; who comes then is told to come again.
 * Errors  What is wrong with a query is in the answer, as GraphQL has it.
 * Thread  search_new(), search_free(): main. search_answer(): pool, any number at once.
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
	bool others;              /* there are members that were not asked: each answer says so, as an error beside it */
	bool (*may_delete)(void *arg, struct str repository); /* of the who's arg; NULL: none */
};
/* Appends JSON. The status it goes with: 200; 400: this is no request; 422: the query is wrong; 503: too many at once, come again. */
unsigned search_answer(struct search *search, const struct search_ask *ask, struct buf *into);
