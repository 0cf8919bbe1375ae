/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_graphql - a query of the dogs, and behind a NUL its variables: it is refused with a reason, or answered with JSON within its bound. What is
 * printed of a field is read again, and prints the same.
 */
#include "tests/unit/graphql/sample.h"

static void check_json(const struct buf *text)
{
	AUTO(json_doc) *doc = NULL;

	CHECK(json_parse(buf_str(text), &doc, NULL));
}

static void check_print(const struct graphql_schema *schema, const struct graphql_selected *at)
{
	AUTO_FINI(buf) first = buf_limit(64u * 1024 * 1024);
	AUTO_FINI(buf) second = buf_limit(64u * 1024 * 1024);
	AUTO(graphql_query) *query = NULL;

	graphql_selected_print(at, &first);
	if (!first.len || !str_is(graphql_selected_name(at), "dogs"))
		return;
	query = graphql_query_new_selection(schema, STR("Dog"), buf_str(&first));
	/* Coerced arguments can have more than the text that they came of: defaults, variables. */
	if (!graphql_query_ok(query)) {
		CHECK(first.len > 1024);
		return;
	}
	buf_putc(&second, '{');
	for (const struct graphql_selected *s = graphql_query_root(query); s; s = graphql_selected_next(s))
		graphql_selected_print(s, &second);
	CHECK(second.len <= first.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct graphql_schema *schema;
	static const void *const roots[GRAPHQL_FIELDS_MAX];
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	struct str text = str_from(data, nul ? (size_t)(nul - data) : size);
	struct graphql_run how = { .roots = roots, .output_max = 64 * 1024 };
	AUTO_FINI(buf) into = buf_limit(1024 * 1024);
	AUTO(json_doc) *doc = NULL;
	AUTO(graphql_query) *query = NULL;

	if (!schema)
		schema = sample_schema();
	if (nul && !json_parse(str_from(nul + 1, size - text.len - 1), &doc, NULL))
		return 0;
	query = graphql_query_new(schema, text, STR_NONE, doc ? json_root(doc) : NULL);
	if (graphql_query_ok(query)) {
		for (const struct graphql_selected *at = graphql_query_root(query); at;
			at = graphql_selected_next(at))
			check_print(schema, at);
		(void)graphql_execute(query, &how, &into);
	} else {
		CHECK(graphql_query_errors(query)->len);
		graphql_query_refuse(query, &into);
	}
	CHECK(into.failed || into.len);
	if (!into.failed)
		check_json(&into);
	return 0;
}
