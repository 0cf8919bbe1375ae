/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_schema - a row that is wrong is named when the schema is made. */
#include "tests/unit/graphql/sample_run.h"

#define LEN(rows) (sizeof(rows) / sizeof((rows)[0]))

static void makes(void **state)
{
	AUTO(graphql_schema) *schema = sample_schema();

	(void)state;
	assert_non_null(schema);
}

static void expect(const struct graphql_row *extra, size_t len, const char *words)
{
	struct graphql_row rows[16] = { S_OBJECT("Query"), S_FIELD("a", "String", nothing) };
	struct graphql_schema *schema = NULL;
	struct error err;

	memcpy(rows + 2, extra, len * sizeof(*extra));
	if (graphql_schema_new(rows, len + 2, &schema, &err)) {
		graphql_schema_free(schema);
		fail_msg("made, and should have been refused: %s", words);
	}
	if (!strstr(err.text, words))
		fail_msg("\"%s\" has not \"%s\"", err.text, words);
	assert_null(schema);
}
#define EXPECT(words, ...)                                                                                   \
	do {                                                                                                 \
		const struct graphql_row extra[] = { __VA_ARGS__ };                                          \
		expect(extra, LEN(extra), words);                                                            \
	} while (0)

static void refuses_each(void **state)
{
	struct graphql_schema *schema;
	struct error err;
	const struct graphql_row none[] = { S_OBJECT("Dog"), S_FIELD("a", "String", nothing) };

	(void)state;
	EXPECT("row 2 (b): its type is no row", S_FIELD("b", "Strin", nothing));
	EXPECT("row 2 (b): it has no type", S_FIELD("b", NULL, nothing));
	EXPECT("expected is \"]\"", S_FIELD("b", "[String", nothing));
	EXPECT("row 2 (a): it is there twice", S_FIELD("a", "String", nothing));
	EXPECT("row 2 (b): it has no resolver", { .kind = GRAPHQL_ROW_FIELD, .name = "b", .type = "String" });
	EXPECT("row 2 (b-c): this is no name", S_FIELD("b-c", "String", nothing));
	EXPECT("(without a name): this is no name", { .kind = GRAPHQL_ROW_SCALAR });
	EXPECT("names with __ are the introspection's", S_OBJECT("__Mine"));
	EXPECT("row 2 (Query): it is there twice", S_OBJECT("Query"));
	EXPECT("row 2 (Empty): an object has to have fields", S_OBJECT("Empty"));
	EXPECT("row 2 (Empty): an input has to have fields", S_INPUT("Empty"));
	EXPECT("row 2 (Empty): an enum has to have values", { .kind = GRAPHQL_ROW_ENUM, .name = "Empty" });
	EXPECT("row 2 (x): it stands below nothing", S_INPUT_FIELD("x", "Int", NULL));
	EXPECT("row 2 (X): it stands below nothing", S_VALUE("X", 1));
	EXPECT("row 3 (x): it stands below nothing", S_INPUT("I"), S_ARGUMENT("x", "Int", NULL));
	EXPECT("row 3 (x): it stands below nothing", S_OBJECT("O"), S_ARGUMENT("x", "Int", NULL));
	EXPECT("row 3 (x): an object cannot be an input", S_FIELD("b", "Int", nothing),
		S_ARGUMENT("x", "Query", NULL));
	EXPECT("row 2 (b): an input cannot be an answer", S_FIELD("b", "I", nothing), S_INPUT("I"),
		S_INPUT_FIELD("x", "Int", NULL));
	EXPECT("row 4 (x): it is there twice", S_FIELD("b", "Int", nothing), S_ARGUMENT("x", "Int", NULL),
		S_ARGUMENT("x", "Int", NULL));
	EXPECT("default of x in b: \"y\" is a string, no value of type Int", S_FIELD("b", "Int", nothing),
		S_ARGUMENT("x", "Int", "\"y\""));
	EXPECT("default of x in b: the query ends here", S_FIELD("b", "Int", nothing),
		S_ARGUMENT("x", "[Int]", "[1"));
	EXPECT("row 2 (I): an input that has to have itself", S_INPUT("I"), S_INPUT_FIELD("j", "J!", NULL),
		S_INPUT("J"), S_INPUT_FIELD("i", "I!", NULL));
	assert_false(graphql_schema_new(none, LEN(none), &schema, &err));
	assert_string_equal(err.text, "schema: there is no object \"Query\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes),
		cmocka_unit_test(refuses_each),
	};

	return cmocka_run_group_tests_name("graphql_schema", tests, NULL, NULL);
}
