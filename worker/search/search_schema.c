/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/search/search_priv.h"

#define AT(type, member) (int)offsetof(struct type, member)
#define TYPE(k, n, a)    { .kind = GRAPHQL_ROW_##k, .name = n, .about = a },
#define FIELD(n, t, r, i, a)                                                                                 \
	{ .kind = GRAPHQL_ROW_FIELD, .name = n, .type = t, .resolve = search_##r, .number = i, .about = a },
#define ARGUMENT(n, t)    { .kind = GRAPHQL_ROW_ARGUMENT, .name = n, .type = t },
#define INPUT_FIELD(n, t) { .kind = GRAPHQL_ROW_INPUT_FIELD, .name = n, .type = t },
#define VALUE(n, i)       { .kind = GRAPHQL_ROW_VALUE, .name = n, .number = i },

static const struct graphql_row rows[] = {
#include "worker/search/search_schema.def"
};

bool search_schema_new(struct graphql_schema **ret, struct error *err)
{
	return graphql_schema_new(rows, sizeof(rows) / sizeof(rows[0]), ret, err);
}
