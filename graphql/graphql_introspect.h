/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_introspect - a schema tells of itself: __schema, __type and __typename, and the scalars and directives that all have.
 *
 * They are rows as those of the host. Of later editions it knows what clients ask for without looking: isOneOf, and includeDeprecated where only
 * later ones have it. Nothing is deprecated here.
 *
 * Source  GraphQL, October 2021, section 4.
 * Thread  any.
 */
#pragma once

#include "graphql/graphql_types.h"

const struct graphql_row *graphql_introspect_rows(size_t *ret_len);
/* The directives, and the three fields; of a schema whose types are made. */
void graphql_introspect_add(struct graphql_schema *schema);
