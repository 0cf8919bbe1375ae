/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_schema - which types there are, as one table that the host writes.
 *
 *     static const struct graphql_row rows[] = {
 *             { .kind = GRAPHQL_ROW_OBJECT, .name = "Query" },
 *             { .kind = GRAPHQL_ROW_FIELD, .name = "Image", .type = "Image!", .resolve = image, .about = "One image." },
 *             { .kind = GRAPHQL_ROW_ARGUMENT, .name = "name", .type = "String!" },
 *             { .kind = GRAPHQL_ROW_ENUM, .name = "Order" },
 *             { .kind = GRAPHQL_ROW_VALUE, .name = "UP", .number = 1 },
 *             { .kind = GRAPHQL_ROW_INPUT, .name = "Page" },
 *             { .kind = GRAPHQL_ROW_INPUT_FIELD, .name = "limit", .type = "Int", .init = "10" },
 *             { .kind = GRAPHQL_ROW_SCALAR, .name = "Time", .about = "RFC 3339." },
 *     };
 *
 * A row belongs to the last type, an argument to the last field above it. "Query" is where queries begin. Int, Float, String,
 * Boolean, ID and the types of the introspection are there already. An object has to have fields, and a field a resolver; an
 * interface or a union does not exist. Every name, type and default is checked when the schema is made.
 *
 * Life    The rows outlive the schema, the schema all that is made with it.
 * Thread  graphql_schema_new() one; then any, nothing changes.
 * Source  GraphQL, October 2021, section 3.
 */
#pragma once

#include <stddef.h>

#include "common/error.h"

struct graphql_call;
struct graphql_schema;

/* Puts the value of a field of `object` (graphql_execute.h). False: err says why there is none. */
typedef bool graphql_resolve_f(struct graphql_call *call, const void *object, struct error *err);

enum graphql_row_kind {
	GRAPHQL_ROW_OBJECT, GRAPHQL_ROW_FIELD, GRAPHQL_ROW_ARGUMENT,
	GRAPHQL_ROW_INPUT, GRAPHQL_ROW_INPUT_FIELD,
	GRAPHQL_ROW_ENUM, GRAPHQL_ROW_VALUE,
	GRAPHQL_ROW_SCALAR,
};
struct graphql_row {
	enum graphql_row_kind kind;
	const char *name;
	const char *type;           /* FIELD, ARGUMENT, INPUT_FIELD: as GraphQL has it, "[String!]!" */
	const char *init;           /* ARGUMENT, INPUT_FIELD: the default as GraphQL has it, or NULL */
	graphql_resolve_f *resolve; /* FIELD */
	int number;                 /* FIELD, VALUE: the host's own */
	const char *about;          /* for people, or NULL */
};

/* False: err names the row and says what is wrong with it. */
bool graphql_schema_new(const struct graphql_row *rows, size_t len, struct graphql_schema **ret_schema, struct error *err) MUST_CHECK;
void graphql_schema_free(struct graphql_schema *schema);
AUTO_DEFINE(graphql_schema)
