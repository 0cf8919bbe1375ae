/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_types - a schema as it was made of its rows; inside this room only.
 *
 * Thread  any; nothing changes once it is made.
 */
#pragma once

#include "graphql/graphql_arena.h"
#include "graphql/graphql_document.h"
#include "graphql/graphql_schema.h"

enum graphql_type_kind { GRAPHQL_TYPE_SCALAR, GRAPHQL_TYPE_OBJECT, GRAPHQL_TYPE_INPUT, GRAPHQL_TYPE_ENUM };
/* Which values a scalar has; one of the host's own has any that is no list and no object. */
enum graphql_scalar { GRAPHQL_SCALAR_OWN, GRAPHQL_SCALAR_INT, GRAPHQL_SCALAR_FLOAT, GRAPHQL_SCALAR_STRING, GRAPHQL_SCALAR_BOOLEAN,
	GRAPHQL_SCALAR_ID };

/* An argument, or a field of an input. */
struct graphql_input {
	struct str name;
	const char *about;
	const char *init_text;
	const struct graphql_type_ref *type;
	const struct graphql_value *init; /* coerced; NULL: none */
};
struct graphql_inputs {
	const struct graphql_input *at;
	size_t len;
};

struct graphql_field {
	struct str name;
	const char *about;
	const struct graphql_type *owner;
	const struct graphql_type_ref *type;
	struct graphql_inputs arguments;
	graphql_resolve_f *resolve;
	int number;
	bool widens; /* introspection: a list of members of a type, which have types themselves */
};

struct graphql_enum_value {
	struct str name;
	const char *about;
	int number;
};

struct graphql_type {
	enum graphql_type_kind kind;
	enum graphql_scalar scalar;
	struct str name;
	const char *about;
	struct graphql_type_ref ref; /* to itself */
	struct graphql_field *fields; /* OBJECT */
	size_t fields_len;
	struct graphql_inputs inputs; /* INPUT */
	struct graphql_enum_value *values; /* ENUM */
	size_t values_len;
};

struct graphql_directive_type {
	struct str name;
	const char *about;
	const char *const *locations; /* as the introspection says them */
	struct graphql_inputs arguments;
	bool everywhere; /* in a query: at fields, spreads and inline fragments; else nowhere */
};

struct graphql_schema {
	struct graphql_arena arena;
	struct graphql_type *types; /* in the order of the rows */
	size_t types_len;
	const struct graphql_type *query;
	struct graphql_directive_type *directives;
	size_t directives_len;
	struct graphql_field typename_field, schema_field, type_field; /* __typename, __schema, __type */
};

const struct graphql_type *graphql_schema_find(const struct graphql_schema *schema, struct str name);
/* Also __typename, and of the query __schema and __type. */
const struct graphql_field *graphql_schema_field(const struct graphql_schema *schema, const struct graphql_type *type, struct str name);
const struct graphql_directive_type *graphql_schema_directive(const struct graphql_schema *schema, struct str name);
const struct graphql_input *graphql_inputs_find(struct graphql_inputs inputs, struct str name);
const struct graphql_enum_value *graphql_enum_find(const struct graphql_type *type, struct str name);
static inline bool graphql_type_is_input(const struct graphql_type *type) { return type->kind != GRAPHQL_TYPE_OBJECT; }

/* " (did you mean "x"?)" or nothing, for a message. The names are those of n things, `stride` bytes from each other, whose name is
 * at `first`. */
struct graphql_hint { char text[GRAPHQL_SHOWN + 24]; };
struct graphql_hint graphql_hint(struct str wrong, const struct str *first, size_t n, size_t stride);
