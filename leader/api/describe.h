/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe - what a row of the route table says of itself; api/openapi.c makes GET /api/openapi.json of it.
 *
 *     const struct route_about about_usage[] = {
 *             { .method = HTTP_GET, .summary = "What keys used.", .query = true, .gives = "Usage" },
 *             { 0 },
 *     };
 *
 * One for each method and each form of the path; HEAD comes with GET. It stands beside the row's function and is named in the row (`about`).
 * A row without one, or a parameter or schema of a name that parameters.def or schemas.def does not have, is listed as x-undescribed in the
 * document, and a test fails.
 *
 * Thread  any; constant.
 */
#pragma once

#include "common/route.h"
#include "proto/entity.h"

struct route_about {
	enum http_method method;
	const char *below;      /* behind the row's path: "/{id}"; NULL: nothing */
	const char *summary;    /* NULL ends the list */
	const char *kind;       /* of entities, where the row is one for several: only for this one */
	unsigned needs;         /* ENTITY_MAY_...: only of kinds that have it */
	bool query;             /* takes the row's parameters */
	const char *takes;      /* schema of the body, NULL: none; '%' is the kind's name: "%Body" */
	const char *gives;      /* schema of the answer, NULL: it has no body */
	const char *takes_type; /* NULL: application/json */
	const char *gives_type;
	unsigned status;        /* 0: 200 */
	unsigned other;         /* another good one, with the same answer; 0: none */
	const char *condition;  /* a header that makes it conditional: "If-Match" (412), "If-None-Match" (304) */
};

/* Flag of a row: its path is another name of one that is described. */
#define DESCRIBE_ALIAS 1u
#define DESCRIBE_JSON  "application/json"

/* Is that form of the path there, for this row's kind? */
bool describe_is_for(const struct route *row, const struct route_about *about);
/* Bits of ROUTE_M(): what the row has below its path; 0: there is no such path. All its methods where nothing is described. */
unsigned describe_methods(const struct route *row, struct str rest);
/* The media type of a body. */
const char *describe_type(const struct route *row, enum http_method method);

/* api/route.c: what is described. */
struct route_table api_routes(void);
