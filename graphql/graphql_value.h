/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_value - a value that a client wrote: in a query, in its variables as JSON, or either after it was coerced to a type.
 *
 * A coerced value has the kind of its type: an Int is GRAPHQL_INT, a Float GRAPHQL_FLOAT, a list always GRAPHQL_LIST, an input
 * object has its fields in the order of the schema, those with a default always. GRAPHQL_VARIABLE is no more in it.
 * The getters cope with NULL, so a chain of them needs no check on its way.
 *
 * Life    of the query or the schema that it is of; borrowed.
 * Thread  any; values do not change.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "graphql/graphql_arena.h"

enum graphql_value_kind {
	GRAPHQL_NULL, GRAPHQL_INT, GRAPHQL_FLOAT, GRAPHQL_STRING, GRAPHQL_BOOL, GRAPHQL_ENUM, GRAPHQL_LIST, GRAPHQL_OBJECT,
	GRAPHQL_VARIABLE,
};

struct graphql_value {
	enum graphql_value_kind kind;
	bool json;                          /* it came in the variables: a string may be an enum's value */
	bool boolean;
	uint32_t at;                        /* offset in the text, or GRAPHQL_NOWHERE */
	struct str text;                    /* INT, FLOAT: as written; STRING: its bytes; ENUM, VARIABLE: the name */
	int64_t integer;                    /* INT; ENUM: the number of its row */
	double real;                        /* INT, FLOAT */
	struct str name;                    /* inside an object or a list of arguments: of this one */
	struct graphql_value *first, *next; /* of a list, an object; the one behind this one */
};

/* The field of an object; NULL when it is not there. */
const struct graphql_value *graphql_value_find(const struct graphql_value *object, struct str name);
/* What is not there, or null, is `otherwise`. */
struct str graphql_value_str(const struct graphql_value *value); /* STR_NONE */
int64_t    graphql_value_int(const struct graphql_value *value, int64_t otherwise); /* also the number of an enum's row */
double     graphql_value_real(const struct graphql_value *value, double otherwise);
bool       graphql_value_bool(const struct graphql_value *value, bool otherwise);
static inline bool graphql_value_given(const struct graphql_value *value) { return value && value->kind != GRAPHQL_NULL; }

/* As a query would have it, on one line. A list of arguments is an object: graphql_value_print_members() is it without braces. */
void graphql_value_print(const struct graphql_value *value, struct buf *into);
void graphql_value_print_members(const struct graphql_value *object, struct buf *into);
const char *graphql_value_kind_name(enum graphql_value_kind kind); /* "an Int", "a list", ... */
