/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_errors - what is wrong with a query or its answer, as clients are told it.
 *
 *     {"message":"...","locations":[{"line":1,"column":3}],"path":["a",0],"extensions":{...}}
 *
 * The first GRAPHQL_ERRORS_MAX are kept.
 *
 * Source  GraphQL, October 2021, 7.1.2.
 * Thread  owner's.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "graphql/graphql_limits.h"

#define GRAPHQL_NOWHERE UINT32_MAX /* the error is at no place of the text */
#define GRAPHQL_SHOWN   64         /* bytes of a client's own word that a message repeats */

struct graphql_error {
	char message[ERROR_TEXT_MAX + 160];
	unsigned line, column; /* from 1; 0: nowhere. Columns count characters. */
	struct buf path;       /* a JSON array, or empty */
	struct buf extensions; /* a JSON object, or empty */
};

struct graphql_errors {
	struct str text; /* what positions are in; borrowed */
	struct graphql_error list[GRAPHQL_ERRORS_MAX];
	unsigned len;
};
void graphql_errors_fini(struct graphql_errors *errors);
static inline bool graphql_errors_full(const struct graphql_errors *errors) { return errors->len == GRAPHQL_ERRORS_MAX; }

/* `at` is an offset in the text. The new one, or NULL when there is no room; returned so that a path can be added. */
struct graphql_error *graphql_errors_add(struct graphql_errors *errors, uint32_t at, const char *format, ...) PRINTF(3, 4);
/* Appends the array. */
void graphql_errors_print(const struct graphql_errors *errors, struct buf *into);

/* For "%.*s": a client's word, at most GRAPHQL_SHOWN bytes of it and never half a character. */
struct str graphql_shown(struct str word);
#define GRAPHQL_SHOWN_ARGS(word) STR_ARGS(graphql_shown(word))
