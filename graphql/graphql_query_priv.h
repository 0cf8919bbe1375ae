/* SPDX-License-Identifier: Apache-2.0 */
/* graphql_query_priv - what who runs a query knows of it. */
#pragma once

#include "graphql/graphql_plan.h"
#include "graphql/graphql_query.h"

struct graphql_query {
	const struct graphql_schema *schema;
	const struct graphql_type *root;
	struct graphql_arena arena;
	struct graphql_document document;
	struct graphql_errors errors;
	struct graphql_selected *first;
	bool ok;
};
