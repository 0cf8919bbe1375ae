/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_plan - the fields of an operation as they will be answered, in a tree; inside this room only.
 *
 *     { a: x { b }  ...F }   fragment F on Query { a: x { c } }    ->    a: x { b c }
 *
 * The same walk validates and plans. As validation it takes every field, whatever @skip says, and finds fields of one key that cannot be
 * one. As a plan it decides the directives. A set of fields is made whole before those in it are looked at, and takes each
 * fragment once, so that the work is that of the visits counted (GRAPHQL_VISITS_MAX).
 *
 * Thread  owner's of the document.
 * Source  GraphQL, October 2021, 5.3.2, 6.3.2, 6.4.3.
 */
#pragma once

#include "graphql/graphql_types.h"

struct graphql_selected {
	struct str key;
	struct graphql_selection *selection; /* the first of those that were merged */
	const struct graphql_field *field;
	const struct graphql_value *arguments; /* coerced, an object; NULL: could not be */
	struct graphql_occurrence *occurrences, **occurrences_end;
	struct graphql_selected *first, *next;
	unsigned lists; /* fields that widen, from the root to here */
};

struct graphql_planning {
	const struct graphql_schema *schema;
	struct graphql_arena *arena;
	struct graphql_errors *errors;
	const struct graphql_variable *const *variables; /* by number; NULL: validation */
	struct graphql_slot *slots;                      /* as many as the document has names, zeroed */
	unsigned *stamp;                                 /* the document's: each set has another */
	unsigned fields, visits;                         /* so far, of all plans of one kind */
};
struct graphql_slot {
	unsigned stamp;
	struct graphql_selected *selected;
};

/* The fields of the selections, in their order; *ret_first is NULL when all are skipped. False: errors has it. */
bool graphql_plan(struct graphql_planning *planning, struct graphql_selection *selections, struct graphql_selected **ret_first) MUST_CHECK;
