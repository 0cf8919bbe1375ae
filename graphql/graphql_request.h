/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_request - a query as it comes over HTTP.
 *
 *     GET  ?query={...}&variables={...}&operationName=x          a body counts for nothing
 *     POST Content-Type: application/json      {"query":"...","variables":{...},"operationName":"..."}
 *     POST Content-Type: application/graphql   the query alone; variables and operationName may be in the URL
 *
 * Other keys of the JSON are passed over ("extensions" is one that clients send). Several queries in one array are refused.
 *
 * Limits  GRAPHQL_TEXT_MAX each for query and variables, GRAPHQL_BODY_MAX for a body.
 * Source  GraphQL over HTTP, as far as clients of zot go.
 * Thread  any; pure.
 */
#pragma once

#include "common/http.h"
#include "common/json.h"

struct graphql_request {
	struct str text, operation;   /* borrowed of what is below */
	const struct json *variables; /* NULL: none */
	struct buf query, name;
	struct json_doc *doc; /* of the body, or of the variables */
};
void graphql_request_fini(struct graphql_request *request);

/* query: of the URL, without "?". content_type may be NULL. request is zeroed, and to be given back also after an error.
 * False: ERROR_INVALID, or ERROR_TOO_LARGE. */
bool graphql_request_read(enum http_method method, struct str query, const char *content_type, struct str body,
	struct graphql_request *request, struct error *err) MUST_CHECK;
