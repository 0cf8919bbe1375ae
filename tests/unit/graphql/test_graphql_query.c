/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_query - what a host sees of a query before it is answered. */
#include "tests/unit/graphql/sample_run.h"

static void walks(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(json_doc) *doc = NULL;
	AUTO(graphql_query) *query = NULL;
	const struct graphql_selected *at;

	(void)state;
	assert_true(json_parse(STR("{\"n\":\"Fifi\",\"no\":true}"), &doc, NULL));
	query = graphql_query_new(schema,
		STR("query A($n:String,$no:Boolean!){x:dog(name:$n){...F} fail @skip(if:$no) dogs{name} ...G}"
		    "fragment F on Dog{friend{name}} fragment G on Query{x:dog(name:$n){b:barks dogs "
		    "@skip(if:$no){name}}}"),
		STR("A"), json_root(doc));
	assert_true(graphql_query_ok(query));
	at = graphql_query_root(query);
	assert_true(str_is(graphql_selected_key(at), "x"));
	assert_true(str_is(graphql_selected_name(at), "dog"));
	assert_true(str_is(graphql_value_str(graphql_selected_argument(at, "name")), "Fifi"));
	assert_null(graphql_selected_argument(at, "size"));
	assert_null(graphql_selected_argument(at, "other"));
	assert_non_null(graphql_selected_find(at, "friend"));
	assert_true(str_is(graphql_selected_key(graphql_selected_find(at, "barks")), "b"));
	assert_null(graphql_selected_find(at, "b"));
	assert_null(graphql_selected_find(at, "dogs"));
	at = graphql_selected_next(at);
	assert_true(str_is(graphql_selected_name(at), "dogs"));
	assert_null(graphql_selected_argument(at, "limit"));
	assert_true(str_is(graphql_selected_name(graphql_selected_first(at)), "name"));
	assert_null(graphql_selected_next(at));
}

static void prints(void **state)
{
	static const char wanted[] = "{a:dog(name:\"x\\\"y\" size:BIG){name} echo(ss:[\"linux\" null] must:7 "
				     "filter:{Os:[\"\"] limit:10 must:true})}";
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(json_doc) *doc = NULL;
	AUTO(graphql_query) *query = NULL;
	AUTO(graphql_query) *again = NULL;
	struct graphql_query *both[2];

	(void)state;
	assert_true(json_parse(STR("{\"v\":\"x\\\"y\",\"s\":\"BIG\",\"o\":\"linux\"}"), &doc, NULL));
	query = graphql_query_new(schema,
		STR("query($v:String,$s:Size,$o:String){a:dog(size:$s,name:$v){...{name}} "
		    "echo(filter:{Os:\"\",must:true},ss:[$o,null])}"),
		STR_NONE, json_root(doc));
	again = graphql_query_new_selection(schema, STR("Query"), STR(wanted));
	both[0] = query;
	both[1] = again;
	for (unsigned i = 0; i < 2; i++) {
		AUTO_FINI(buf) text = buf_limit(4096);

		assert_true(graphql_query_ok(both[i]));
		buf_putc(&text, '{');
		for (const struct graphql_selected *at = graphql_query_root(both[i]); at;
			at = graphql_selected_next(at)) {
			AUTO_FINI(buf) inner = buf_limit(4096);

			graphql_selected_print(at, &inner);
			assert_true(str_is(buf_str(&inner), graphql_selected_first(at) ? "{name}" : ""));
		}
	}
}

/* The arguments of a part, through a field around it. */
static void prints_arguments(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(graphql_query) *query = graphql_query_new(schema,
		STR("query($n:Int=4){dog{friend{d:dogs(limit:$n){name @include(if:true)} barks "
		    "@skip(if:true) ...F}}} fragment F on Dog{d:dogs(limit:$n){good}}"),
		STR_NONE, NULL);
	AUTO_FINI(buf) text = buf_limit(4096);

	(void)state;
	assert_true(graphql_query_ok(query));
	graphql_selected_print(graphql_query_root(query), &text);
	assert_string_equal(buf_text(&text), "{friend{d:dogs(limit:4){name good}}}");
}

static void refuses_other_selections(void **state)
{
	static const char *const texts[] = { "", "name", "{name} {name}", "{nix}", "{...A}", "query{name}",
		"{dogs(limit:$a){name}}" };
	AUTO(graphql_schema) *schema = sample_schema();
	AUTO(graphql_query) *none = graphql_query_new_selection(schema, STR("Filter"), STR("{limit}"));

	(void)state;
	assert_false(graphql_query_ok(none));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		AUTO(graphql_query) *query =
			graphql_query_new_selection(schema, STR("Dog"), str_of(texts[i]));

		assert_false(graphql_query_ok(query));
		assert_int_equal(graphql_query_errors(query)->len, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks),
		cmocka_unit_test(prints),
		cmocka_unit_test(prints_arguments),
		cmocka_unit_test(refuses_other_selections),
	};

	return cmocka_run_group_tests_name("graphql_query", tests, NULL, NULL);
}
