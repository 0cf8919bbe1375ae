/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_document - what a query is made of, as it is written.
 *
 *     document -> operations -> selections -> selections ...        name, alias, arguments (a value), directives
 *              -> fragments  -> selections ...
 *
 * Everything is in the arena that it was parsed into, and points into the text. What graphql_validate.c finds out is written
 * beside: the field of the schema, which arguments are the same. Names that a query makes up have numbers, so that nothing
 * compares them twice.
 *
 * Thread  owner's.
 * Source  GraphQL, October 2021, 2.2 to 2.12.
 */
#pragma once

#include "graphql/graphql_errors.h"
#include "graphql/graphql_value.h"

struct graphql_field;
struct graphql_type;
struct map;

/* A type as it is written: T, [T] or T!. Of the schema and of variables alike. */
enum graphql_wrap { GRAPHQL_NAMED, GRAPHQL_LIST_OF, GRAPHQL_NON_NULL };
struct graphql_type_ref {
	enum graphql_wrap wrap;
	uint32_t at;
	const struct graphql_type_ref *of; /* LIST_OF, NON_NULL */
	struct str name;                   /* NAMED */
	const struct graphql_type *type;   /* NAMED: NULL until it was looked up */
};

struct graphql_directive {
	struct str name;
	uint32_t at;
	struct graphql_value *arguments; /* an object, or NULL */
	struct graphql_directive *next;
};

enum graphql_selection_kind { GRAPHQL_FIELD, GRAPHQL_SPREAD, GRAPHQL_INLINE };
struct graphql_selection {
	enum graphql_selection_kind kind;
	uint32_t at;
	struct str name;                   /* FIELD: of the field; SPREAD: of the fragment; INLINE: of the type, or nothing */
	struct str key;                    /* FIELD: the alias, or the name */
	unsigned key_id;
	struct graphql_value *arguments;   /* FIELD: an object, or NULL */
	struct graphql_directive *directives;
	struct graphql_selection *first;   /* FIELD (NULL: none), INLINE */
	struct graphql_selection *next;
	/* Validation: */
	const struct graphql_field *field; /* FIELD */
	struct graphql_fragment *fragment; /* SPREAD */
	unsigned same_arguments;           /* FIELD: equal for equal arguments */
	/* Execution, once for all places where it is merged: */
	const struct graphql_value *coerced;
	bool coerced_done, coerced_ok;
};

/* A variable in a place: validation collects them for each definition, and looks at them for each operation. */
struct graphql_usage {
	struct str name;
	unsigned id;
	uint32_t at;
	const struct graphql_type_ref *type; /* of the place */
	bool init;                           /* the place has a default that is not null */
	struct graphql_usage *next;
};
struct graphql_spread {
	struct graphql_fragment *fragment;
	uint32_t at;
	struct graphql_spread *next;
};

/* What operations and fragments share. */
struct graphql_definition {
	struct str name; /* empty: anonymous */
	unsigned id;
	uint32_t at;
	struct graphql_directive *directives;
	struct graphql_selection *first;
	/* Validation: */
	struct graphql_usage *usages;
	struct graphql_spread *spreads;
};

struct graphql_fragment {
	struct graphql_definition def;
	struct str on;
	uint32_t on_at;
	const struct graphql_type *type; /* NULL: no such */
	enum { GRAPHQL_FRESH, GRAPHQL_OPEN, GRAPHQL_SEEN } state;
	bool used;
	unsigned depth; /* spreads below it, one in another */
	unsigned stamp; /* of the operation, or of the set of fields, that it was last put into */
	struct graphql_fragment *next;
};

struct graphql_variable {
	struct str name;
	unsigned id;
	uint32_t at;
	struct graphql_type_ref *type;
	struct graphql_value *init; /* NULL: none */
	struct graphql_directive *directives;
	bool used;
	const struct graphql_value *value; /* execution: coerced; NULL: not given */
	struct graphql_variable *next;
};

struct graphql_operation {
	struct graphql_definition def;
	struct graphql_variable *variables;
	struct graphql_operation *next;
};

struct graphql_document {
	struct graphql_operation *operations;
	struct graphql_fragment *fragments;
	unsigned operations_len;
	struct map *names; /* name to its number + 1 */
	unsigned names_len;
	unsigned stamp; /* the last one that was given out */
};
void graphql_document_fini(struct graphql_document *document);

/* False: errors has what is wrong. */
bool graphql_document_parse(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_document *ret) MUST_CHECK;
/* "{ ... }" alone: one anonymous operation. */
bool graphql_document_parse_selection(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_document *ret) MUST_CHECK;
/* One type, one value without variables: of a row of a schema. */
bool graphql_document_parse_type(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_type_ref **ret) MUST_CHECK;
bool graphql_document_parse_value(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_value **ret) MUST_CHECK;

/* Appends [T!]! as it is written. */
void graphql_type_ref_print(const struct graphql_type_ref *ref, struct buf *into);
/* T of [T!]!. */
const struct graphql_type_ref *graphql_type_ref_named(const struct graphql_type_ref *ref);
