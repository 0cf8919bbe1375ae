/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_introspect - what a schema tells of itself, as clients ask for it. */
#include "tests/unit/graphql/sample_run.h"

/* As explorers in browsers and code generators send it: nine types in each other, 15 fields deep. */
static const char full[] = "query IntrospectionQuery { __schema { description queryType { name } "
			   "mutationType { name } subscriptionType { name } "
			   "types { ...FullType } directives { name description isRepeatable locations "
			   "args(includeDeprecated: true) { ...InputValue } } } } "
			   "fragment FullType on __Type { kind name description specifiedByURL "
			   "fields(includeDeprecated: true) { name description "
			   "args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated "
			   "deprecationReason } "
			   "inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef } "
			   "enumValues(includeDeprecated: true) { name description isDeprecated "
			   "deprecationReason } possibleTypes { ...TypeRef } } "
			   "fragment InputValue on __InputValue { name description type { ...TypeRef } "
			   "defaultValue isDeprecated deprecationReason } "
			   "fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name "
			   "ofType { kind name ofType { kind name ofType { "
			   "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind "
			   "name } } } } } } } } } }";

static const struct json *type_of(const struct json *schema, const char *name)
{
	const struct json *types = json_find(schema, "types");

	for (size_t i = 0; i < json_len(types); i++)
		if (str_is(json_str(json_find(json_at(types, i), "name")), name))
			return json_at(types, i);
	fail_msg("no type %s", name);
	return NULL;
}

static void answers_all_of_it(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024 * 1024);
	AUTO(json_doc) *doc = NULL;
	const struct json *schema, *dog, *name, *filter;

	(void)state;
	run(full, "IntrospectionQuery", NULL, &into);
	assert_true(json_parse(buf_str(&into), &doc, NULL));
	assert_null(json_find(json_root(doc), "errors"));
	schema = json_find(json_find(json_root(doc), "data"), "__schema");
	assert_true(str_is(json_str(json_find(json_find(schema, "queryType"), "name")), "Query"));
	assert_int_equal(json_kind(json_find(schema, "mutationType")), JSON_NULL);
	assert_int_equal(json_len(json_find(schema, "types")), 5 + 5 + 8);
	assert_int_equal(json_len(json_find(schema, "directives")), 4);
	dog = type_of(schema, "Dog");
	assert_true(str_is(json_str(json_find(dog, "kind")), "OBJECT"));
	assert_int_equal(json_kind(json_find(dog, "inputFields")), JSON_NULL);
	assert_int_equal(json_len(json_find(dog, "fields")), 11);
	name = json_at(json_find(dog, "fields"), 0);
	assert_true(str_is(json_str(json_find(json_find(name, "type"), "kind")), "NON_NULL"));
	assert_true(
		str_is(json_str(json_find(json_find(json_find(name, "type"), "ofType"), "name")), "String"));
	filter = type_of(schema, "Filter");
	assert_true(str_is(json_str(json_find(filter, "kind")), "INPUT_OBJECT"));
	assert_true(str_is(
		json_str(json_find(json_at(json_find(filter, "inputFields"), 1), "defaultValue")), "10"));
	assert_int_equal(json_len(json_find(type_of(schema, "Size"), "enumValues")), 2);
	assert_true(str_is(json_str(json_find(type_of(schema, "Time"), "kind")), "SCALAR"));
}

/* What zli asks before anything else: names and their order. */
static void answers_zli(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024 * 1024);

	(void)state;
	run("{__schema{queryType{fields{name args{name} type{name kind}} __typename} types{name "
	    "fields{name}}}}",
		NULL, NULL, &into);
	assert_true(
		str_starts(buf_str(&into), "{\"data\":{\"__schema\":{\"queryType\":{\"fields\":[{\"name\":"
					   "\"dog\",\"args\":[{\"name\":\"name\"},{\"name\":\"size\"}],"
					   "\"type\":{\"name\":\"Dog\",\"kind\":\"OBJECT\"}},{\"name\":"
					   "\"dogs\",\"args\":[{\"name\":\"limit\"}],"
					   "\"type\":{\"name\":null,\"kind\":\"NON_NULL\"}},"));
	assert_non_null(strstr(buf_text(&into), "],\"__typename\":\"__Type\"},\"types\":[{\"name\":\"Query\","
						"\"fields\":[{\"name\":\"dog\"},"));
	assert_null(strstr(buf_text(&into), "\"errors\""));
}

static void one_type(void **state)
{
	(void)state;
	answers("{__type(name:\"Size\"){name description kind enumValues{name}} "
		"no:__type(name:\"Nix\"){name}}",
		"{\"__type\":{\"name\":\"Size\",\"description\":\"How "
		"large.\",\"kind\":\"ENUM\",\"enumValues\":[{\"name\":\"SMALL\"},{\"name\":\"BIG\"}]},\"no\":"
		"null}");
	answers("{__type(name:\"Filter\"){fields{name} interfaces{name} isOneOf inputFields{name type{kind "
		"name ofType{name}}}}}",
		"{\"__type\":{\"fields\":null,\"interfaces\":null,\"isOneOf\":false,\"inputFields\":["
		"{\"name\":\"Os\",\"type\":{\"kind\":\"LIST\",\"name\":null,\"ofType\":{\"name\":\"String\"}}"
		"},"
		"{\"name\":\"limit\",\"type\":{\"kind\":\"SCALAR\",\"name\":\"Int\",\"ofType\":null}},"
		"{\"name\":\"must\",\"type\":{\"kind\":\"NON_NULL\",\"name\":null,\"ofType\":{\"name\":"
		"\"Boolean\"}}},"
		"{\"name\":\"inner\",\"type\":{\"kind\":\"INPUT_OBJECT\",\"name\":\"Filter\",\"ofType\":null}"
		"}]}}");
	refuses("{__type{name}}", "__type has to have \"name\"");
}

static void not_forever(void **state)
{
	(void)state;
	refuses("{__schema{types{fields{type{fields{type{fields{type{fields{name}}}}}}}}}}",
		"members of types of members too deep");
	refuses("{__schema{types{...T}}} fragment T on __Type{fields{type{...U}}} fragment U on "
		"__Type{fields{type{fields{type{inputFields{name}}}}}}",
		"members of types of members too deep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_all_of_it),
		cmocka_unit_test(answers_zli),
		cmocka_unit_test(one_type),
		cmocka_unit_test(not_forever),
	};

	return cmocka_run_group_tests_name("graphql_introspect", tests, NULL, NULL);
}
