/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_validate - is this document right for this schema?
 *
 * Each definition is looked at once, whatever spreads it; what depends on the operation (variables) is looked at from lists that
 * this collected. Afterwards selections have their fields, spreads their fragments, types of variables their types.
 *
 * Cost    The text's, times the operations (50 at most) for variables, and the visits of graphql_plan.h.
 * Source  GraphQL, October 2021, section 5. There are no interfaces, unions or subscriptions, so that a fragment fits one type alone.
 * Thread  owner's of the document.
 */
#pragma once

#include "graphql/graphql_types.h"

/* Which object the operations are of: the schema's query, or that of a selection. False: errors says what is wrong. */
bool graphql_validate(const struct graphql_schema *schema, const struct graphql_type *root, struct graphql_document *document,
	struct graphql_arena *arena, struct graphql_errors *errors) MUST_CHECK;
