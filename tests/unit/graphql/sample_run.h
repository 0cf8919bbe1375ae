/* SPDX-License-Identifier: Apache-2.0 */
/* sample_run - a query of the sample, answered: what it says, exactly, or with what words it is refused. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/graphql/sample.h"

static inline void run(const char *text, const char *operation, const char *variables, struct buf *into)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(json_doc) *doc = NULL;
	AUTO(json_doc) *answer = NULL;
	AUTO(graphql_query) *query = NULL;
	struct graphql_run how = { 0 };

	if (variables && !json_parse(str_of(variables), &doc, NULL))
		fail_msg("not JSON: %s", variables);
	query = graphql_query_new(schema, str_of(text), str_of(operation), doc ? json_root(doc) : NULL);
	if (graphql_query_ok(query))
		(void)graphql_execute(query, &how, into);
	else
		graphql_query_refuse(query, into);
	if (!into->failed && !json_parse(buf_str(into), &answer, NULL))
		fail_msg("the answer is not JSON: %s", buf_text(into));
}

static inline void answers_op(const char *text, const char *operation, const char *variables, const char *wanted)
{
	AUTO_FINI(buf) into = buf_limit(64u * 1024 * 1024);

	run(text, operation, variables, &into);
	if (!str_is(buf_str(&into), wanted))
		fail_msg("%s\n     %s\n not %s", text, buf_text(&into), wanted);
}
static inline void answers(const char *text, const char *data)
{
	AUTO_FINI(buf) wanted = buf_limit(1024 * 1024);

	buf_format(&wanted, "{\"data\":%s}", data);
	answers_op(text, NULL, NULL, buf_text(&wanted));
}
/* {"data":{"echo":"..."}} */
static inline void echoes(const char *text, const char *variables, const char *echo)
{
	AUTO_FINI(buf) wanted = buf_limit(1024 * 1024);
	struct json_writer w = json_writer(&wanted);

	buf_puts(&wanted, "{\"data\":{\"echo\":");
	json_value_str(&w, str_of(echo));
	buf_puts(&wanted, "}}");
	answers_op(text, NULL, variables, buf_text(&wanted));
}

/* Without data, and with an error that has these words. */
static inline void refuses_op(const char *text, const char *operation, const char *variables, const char *words)
{
	AUTO_FINI(buf) into = buf_limit(64u * 1024 * 1024);
	AUTO_FINI(buf) escaped = buf_limit(4096);
	struct json_writer w = json_writer(&escaped);

	run(text, operation, variables, &into);
	json_value_str(&w, str_of(words));
	escaped.at[--escaped.len] = 0;
	if (!str_starts(buf_str(&into), "{\"errors\":[{") || !strstr(buf_text(&into), escaped.at + 1))
		fail_msg("%.300s\n     %s\n has not %s", text, buf_text(&into), words);
}
static inline void refuses(const char *text, const char *words)
{
	refuses_op(text, NULL, NULL, words);
}
