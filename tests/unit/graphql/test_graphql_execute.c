/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_execute - values, lists, nulls that move up, errors with their paths, limits. */
#include "tests/unit/graphql/sample_run.h"

static void values(void **state)
{
	(void)state;
	answers("{dog(name:\"Bello\"){barks name weight good born size __typename} __typename}",
		"{\"dog\":{\"barks\":7,\"name\":\"Bello\",\"weight\":2.5,\"good\":true,\"born\":null,"
		"\"size\":\"BIG\","
		"\"__typename\":\"Dog\"},\"__typename\":\"Query\"}");
	answers("{dogs(limit:2){n:name} dog(name:\"nobody\"){name} nothing}",
		"{\"dogs\":[{\"n\":\"Rex\"},{\"n\":\"Bello\"}],\"dog\":null,\"nothing\":null}");
	answers("{dogs(limit:1){dogs{name}} matrix}", "{\"dogs\":[{\"dogs\":[{\"name\":\"Rex\"},{\"name\":"
						      "\"Bello\"}]}],\"matrix\":[[1,2],[3,null]]}");
	answers("{done{name}}", "{\"done\":[{\"name\":\"far\"},{\"name\":\"Rex\"}]}");
}

static void errors(void **state)
{
	(void)state;
	answers_op("{fail dog{name f:fail}}", NULL, NULL,
		"{\"data\":{\"fail\":null,\"dog\":{\"name\":\"Rex\",\"f\":null}},\"errors\":["
		"{\"message\":\"it "
		"\\\"fails\\\"\",\"locations\":[{\"line\":1,\"column\":2}],\"path\":[\"fail\"]},"
		"{\"message\":\"it "
		"\\\"fails\\\"\",\"locations\":[{\"line\":1,\"column\":16}],\"path\":[\"dog\",\"f\"]}]}");
	answers_op("{complains}", NULL, NULL,
		"{\"data\":{\"complains\":1},\"errors\":[{\"message\":\"half of "
		"it\",\"locations\":[{\"line\":1,\"column\":2}],"
		"\"path\":[\"complains\"],\"extensions\":{\"members\":[\"b\"]}}]}");
}

#define NOPE(column, path)                                                                                   \
	"{\"message\":\"Dog.nope has no value here, and may not be "                                         \
	"null\",\"locations\":[{\"line\":1,\"column\":" column "}],\"path\":" path "}"

/* 6.4.4: null where it may not be goes up to what may be null. */
static void nulls_move_up(void **state)
{
	(void)state;
	answers_op("{dog{name nope} nothing}", NULL, NULL,
		"{\"data\":{\"dog\":null,\"nothing\":null},\"errors\":[" NOPE(
			"11", "[\"dog\",\"nope\"]") "]}");
	answers_op("{dog{dogs(limit:2){nope}}}", NULL, NULL,
		"{\"data\":{\"dog\":{\"dogs\":[null,null]}},\"errors\":[" NOPE(
			"20", "[\"dog\",\"dogs\",0,\"nope\"]") "," NOPE("20",
			"[\"dog\",\"dogs\",1,\"nope\"]") "]}");
	answers_op("{nothing dogs{nope}}", NULL, NULL,
		"{\"data\":null,\"errors\":[" NOPE("15", "[\"dogs\",0,\"nope\"]") "]}");
	answers_op("{failHard}", NULL, NULL,
		"{\"data\":null,\"errors\":[{\"message\":\"it "
		"\\\"fails\\\"\",\"locations\":[{\"line\":1,\"column\":2}],"
		"\"path\":[\"failHard\"]}]}");
	answers_op("{dog{friend{sure{nope}} name}}", NULL, NULL,
		"{\"data\":{\"dog\":{\"friend\":null,\"name\":\"Rex\"}},\"errors\":[" NOPE(
			"18", "[\"dog\",\"friend\",\"sure\",\"nope\"]") "]}");
	answers_op("{nothing holes halfDone{name}}", NULL, NULL,
		"{\"data\":{\"nothing\":null,\"holes\":null,\"halfDone\":null},\"errors\":["
		"{\"message\":\"Query.holes has no value here, and may not be "
		"null\",\"locations\":[{\"line\":1,\"column\":10}],\"path\":[\"holes\",1]},"
		"{\"message\":\"Query.halfDone has no value here, and may not be "
		"null\",\"locations\":[{\"line\":1,\"column\":16}],\"path\":[\"halfDone\",1]}]}");
}

/* A resolver that is wrong harms its own field alone. */
static void wrong_resolvers(void **state)
{
	AUTO_FINI(buf) into = buf_limit(64 * 1024);

	(void)state;
	run("{wrong noList twice nothing}", NULL, NULL, &into);
	assert_true(str_starts(
		buf_str(&into), "{\"data\":{\"wrong\":null,\"noList\":null,\"twice\":1,\"nothing\":null},"));
	assert_non_null(strstr(buf_text(&into), "a value of another type"));
	assert_non_null(strstr(buf_text(&into), "two values where one is"));
}

static void errors_are_bounded(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024 * 1024);
	unsigned n = 0;

	(void)state;
	run("{dogs(limit:100){fail}}", NULL, NULL, &into);
	for (const char *at = buf_text(&into); (at = strstr(at, "message")); at++)
		n++;
	assert_int_equal(n, GRAPHQL_ERRORS_MAX);
}

static bool not_any_more(void *context)
{
	return --*(int *)context > 0;
}

static void stops(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(graphql_query) *query =
		graphql_query_new(schema, STR("{dogs(limit:1000){dogs(limit:1000){name}}}"), STR_NONE, NULL);
	AUTO_FINI(buf) into = buf_limit(4096);
	int turns = 5;
	struct graphql_run how = { .context = &turns, .may_go_on = not_any_more };

	(void)state;
	assert_true(graphql_query_ok(query));
	assert_false(graphql_execute(query, &how, &into));
	assert_string_equal(buf_text(&into), "{\"errors\":[{\"message\":\"the answer is too large; ask for "
					     "less at a time\"}],\"data\":null}");
	buf_fini(&into);
	into = buf_limit(1024 * 1024);
	turns = 5;
	assert_false(graphql_execute(query, &how, &into));
	assert_int_equal(turns, 0);
	assert_string_equal(buf_text(&into), "{\"errors\":[{\"message\":\"the answer takes too long; ask for "
					     "less at a time\"}],\"data\":null}");
	buf_clear(&into);
	how = (struct graphql_run){ .output_max = 1000 };
	assert_false(graphql_execute(query, &how, &into));
	assert_true(into.len < 1000);
}

/* What one program prints another runs, and the first takes as it is. */
static void parts(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(graphql_query) *query = graphql_query_new(schema,
		STR("query($n:Int){all:dogs{...F} } fragment F on Dog{name few:dogs(limit:$n){barks}}"),
		STR_NONE, NULL);
	AUTO(graphql_query) *part = NULL;
	AUTO_FINI(buf) text = buf_limit(4096);
	AUTO_FINI(buf) into = buf_limit(4096);
	struct graphql_run how = { 0 };

	(void)state;
	assert_true(graphql_query_ok(query));
	graphql_selected_print(graphql_query_root(query), &text);
	assert_string_equal(buf_text(&text), "{name few:dogs(limit:2){barks}}");
	part = graphql_query_new_selection(schema, STR("Dog"), buf_str(&text));
	assert_true(graphql_query_ok(part));
	assert_true(graphql_execute_object(part, &how, &sample_pack[2], &into));
	assert_true(graphql_execute_object(part, &how, &sample_pack[1], &into));
	assert_string_equal(buf_text(&into), "{\"name\":\"Fifi\",\"few\":[{\"barks\":3},{\"barks\":7}]}{"
					     "\"name\":\"Bello\",\"few\":[{\"barks\":3},{\"barks\":7}]}");
	graphql_query_free(TAKE(part));
	part = graphql_query_new_selection(schema, STR("Dog"), STR("{name nope __typename}"));
	buf_clear(&into);
	assert_true(graphql_execute_object(part, &how, &sample_pack[2], &into));
	assert_string_equal(buf_text(&into), "null");
	assert_int_equal(graphql_query_errors(part)->len, 1);
	graphql_query_free(TAKE(part));
	part = graphql_query_new_selection(schema, STR("Dog"), STR("{__typename}"));
	buf_clear(&into);
	assert_true(graphql_execute_object(part, &how, &sample_pack[2], &into));
	assert_string_equal(buf_text(&into), "{\"__typename\":\"Dog\"}");
}

static void roots(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(graphql_query) *query = graphql_query_new(
		schema, STR("{a:mine{name} nothing b:mine{name} c:mine{name}}"), STR_NONE, NULL);
	const void *const objects[] = { &sample_pack[2], NULL, &sample_pack[0], NULL };
	AUTO_FINI(buf) into = buf_limit(4096);
	struct graphql_run how = { .roots = objects };

	(void)state;
	assert_true(graphql_execute(query, &how, &into));
	assert_string_equal(buf_text(&into), "{\"data\":{\"a\":{\"name\":\"Fifi\"},\"nothing\":null,\"b\":{"
					     "\"name\":\"Rex\"},\"c\":null}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(errors),
		cmocka_unit_test(nulls_move_up),
		cmocka_unit_test(wrong_resolvers),
		cmocka_unit_test(errors_are_bounded),
		cmocka_unit_test(stops),
		cmocka_unit_test(parts),
		cmocka_unit_test(roots),
	};

	return cmocka_run_group_tests_name("graphql_execute", tests, NULL, NULL);
}
