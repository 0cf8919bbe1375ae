/* SPDX-License-Identifier: Apache-2.0 */
/* graphql_limits - what one query may be and cost. Whoever passes one is told which. */
#pragma once

#define GRAPHQL_TEXT_MAX       (64 * 1024)         /* bytes of a query, and of its variables as JSON */
#define GRAPHQL_BODY_MAX       (256 * 1024)        /* bytes of a POST: both, escaped */
#define GRAPHQL_TOKENS_MAX     10000
#define GRAPHQL_NESTING_MAX    64                  /* brackets in brackets, fragments in fragments */
#define GRAPHQL_DEPTH_MAX      15                  /* fields in fields, after fragments are put in; the full introspection has 15 */
#define GRAPHQL_FIELDS_MAX     2000                /* of all operations, after fragments are merged */
#define GRAPHQL_VISITS_MAX     20000               /* times that one of them is written, wherever its fragment is spread */
#define GRAPHQL_OPERATIONS_MAX 50
#define GRAPHQL_LISTS_MAX      3                   /* lists of members of __Type in each other: types of fields of types ... */
#define GRAPHQL_ERRORS_MAX     20                  /* that are told */
#define GRAPHQL_OUTPUT_MAX     (32 * 1024 * 1024)  /* bytes of an answer, unless the host says otherwise */
