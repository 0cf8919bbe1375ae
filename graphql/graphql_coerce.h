/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_coerce - does a value fit a type, and which value of that type is it?
 *
 * One value where a list is wanted is a list of it. Enums are names in a query, strings in variables. Null is a value of every
 * type without "!". Before the query is run its literals are looked at (graphql_coerce_check), with a word for each variable;
 * when it runs they are made (graphql_coerce_inputs).
 *
 * Source  GraphQL, October 2021, 3.5 to 3.12 (input coercion), 5.6, 6.1.2, 6.4.1.
 * Thread  owner's of the arena.
 */
#pragma once

#include "common/json.h"
#include "graphql/graphql_types.h"

struct graphql_coercion {
	struct graphql_arena *arena;
	struct graphql_errors *errors;
	const struct graphql_variable *const *variables; /* by the number of their name; NULL where the operation has none */
	/* Checking: a variable is in a place of that type. NULL while values are made. */
	void (*use)(void *arg, const struct graphql_value *variable, const struct graphql_type_ref *type, bool init);
	void *arg;
	struct str about; /* of variables as JSON: the variable, for messages */
};

/* False, and errors has what was wrong: a literal does not fit. */
bool graphql_coerce_check(struct graphql_coercion *c, const struct graphql_type_ref *type, const struct graphql_value *value);
/* The same of arguments, which may be NULL: none. `owner` and `at` are for messages. */
bool graphql_coerce_check_inputs(struct graphql_coercion *c, struct graphql_inputs inputs, const struct graphql_value *given,
	struct str owner, uint32_t at) MUST_CHECK;
/* NULL, and errors has it: the value does not fit. */
const struct graphql_value *graphql_coerce(struct graphql_coercion *c, const struct graphql_type_ref *type,
	const struct graphql_value *value) MUST_CHECK;
const struct graphql_value *graphql_coerce_inputs(struct graphql_coercion *c, struct graphql_inputs inputs,
	const struct graphql_value *given, struct str owner, uint32_t at) MUST_CHECK;
const struct graphql_value *graphql_coerce_constant(const struct graphql_type_ref *type, const struct graphql_value *value,
	struct graphql_arena *arena, struct graphql_errors *errors) MUST_CHECK;

/* A value out of variables: what JSON has, as if it were written. */
struct graphql_value *graphql_coerce_json(const struct json *node, struct graphql_arena *arena);
