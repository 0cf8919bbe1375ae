/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_query - a query that was read, found right, and is ready to run.
 *
 *     graphql_query_new()       parse, validate, choose the operation, coerce variables, merge fields, coerce arguments
 *         |
 *         +-- graphql_query_root(): the host walks the fields, and gathers from others what their resolvers will need
 *         |
 *     graphql_execute()         (graphql_execute.h)
 *
 * What is walked is the tree of fields as they will be answered: fragments are put in, fields of the same key are one, @skip and
 * @include are decided, variables have their values. graphql_selected_print() is a part of it as text, which another program
 * with the same schema reads by graphql_query_new_selection(), runs for its objects, and gives back as JSON.
 *
 * Limits  graphql_limits.h. A query over one has an error, as one that is wrong.
 * Thread  one at a time.
 * Source  GraphQL, October 2021, sections 5 and 6.
 */
#pragma once

#include "common/json.h"
#include "graphql/graphql_errors.h"
#include "graphql/graphql_schema.h"
#include "graphql/graphql_value.h"

struct graphql_query;
struct graphql_selected; /* a field as it will be answered */

/* Never NULL: whether it may run says graphql_query_ok(). The texts are copied. operation may be empty; variables: an object, NULL or null. */
struct graphql_query *graphql_query_new(const struct graphql_schema *schema, struct str text, struct str operation,
	const struct json *variables);
/* "{ ... }", of the fields of that object. */
struct graphql_query *graphql_query_new_selection(const struct graphql_schema *schema, struct str type, struct str text);
void graphql_query_free(struct graphql_query *query);
AUTO_DEFINE(graphql_query)
bool graphql_query_ok(const struct graphql_query *query);
/* While it is not ok: what is wrong. While it runs: what went wrong so far. */
const struct graphql_errors *graphql_query_errors(const struct graphql_query *query);
/* {"errors":[...]}, of one that is not ok. */
void graphql_query_refuse(const struct graphql_query *query, struct buf *into);

/* Walk: the first field, NULL when there is none; the one behind. */
const struct graphql_selected *graphql_query_root(const struct graphql_query *query);
const struct graphql_selected *graphql_selected_next(const struct graphql_selected *selected);
const struct graphql_selected *graphql_selected_first(const struct graphql_selected *selected); /* of the fields in it */
struct str graphql_selected_key(const struct graphql_selected *selected);  /* of the answer: the alias or the name */
struct str graphql_selected_name(const struct graphql_selected *selected); /* of the schema */
int        graphql_selected_number(const struct graphql_selected *selected); /* of its row; 0 for what the introspection has */
/* Is a field of that name in it, under whatever key? NULL: no. The first one. */
const struct graphql_selected *graphql_selected_find(const struct graphql_selected *selected, const char *name);
/* Coerced. NULL: not given and without a default, or none such. Arguments that could not be coerced (null in a variable where it is no
 * value) are all NULL; the field's error is in the answer. */
const struct graphql_value *graphql_selected_argument(const struct graphql_selected *selected, const char *name);
/* Appends "{...}", the fields in it; nothing when it has none. */
void graphql_selected_print(const struct graphql_selected *selected, struct buf *into);
