/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample - a small schema of dogs, for the tests of GraphQL and their fuzz target. Dogs have dogs, without an end. `echo` says the
 * arguments as it got them.
 */
#pragma once

#include "common/check.h"
#include "graphql/graphql_execute.h"

struct dog { const char *name; int barks; };
static const struct dog sample_pack[] = { { "Rex", 3 }, { "Bello", 7 }, { "Fifi", 1 } };

#define SAMPLE(noun) static bool sample_##noun(struct graphql_call *call, const void *object, struct error *err)
#define SAMPLE_UNUSED (void)object, (void)err, (void)call

SAMPLE(dog)
{
	struct str name = graphql_value_str(graphql_argument(call, "name"));

	SAMPLE_UNUSED;
	for (size_t i = 0; i < 3; i++)
		if (str_is(name, sample_pack[i].name))
			graphql_put_object(call, &sample_pack[i]);
	return true;
}
SAMPLE(dogs)
{
	int64_t limit = graphql_value_int(graphql_argument(call, "limit"), 3);

	SAMPLE_UNUSED;
	graphql_list_open(call);
	for (int64_t i = 0; i < limit && i < 1000 && !graphql_call_stopped(call); i++)
		graphql_put_object(call, &sample_pack[i % 3]);
	graphql_list_close(call);
	return true;
}
SAMPLE(echo)
{
	static const char *const names[] = { "i", "f", "s", "b", "id", "t", "size", "sizes", "ss", "must", "filter", "deep" };
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);

	SAMPLE_UNUSED;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct graphql_value *value = graphql_argument(call, names[i]);

		if (!value)
			continue;
		buf_format(&text, "%s%s=", text.len ? " " : "", names[i]);
		graphql_value_print(value, &text);
	}
	graphql_put_str(call, buf_str(&text));
	return true;
}
SAMPLE(fail) { SAMPLE_UNUSED; return error_set(err, ERROR_UNKNOWN, NULL, "it \"fails\""); }
SAMPLE(nothing) { SAMPLE_UNUSED; return true; }
SAMPLE(name) { SAMPLE_UNUSED; graphql_put_text(call, ((const struct dog *)object)->name); return true; }
SAMPLE(barks) { SAMPLE_UNUSED; graphql_put_int(call, ((const struct dog *)object)->barks); return true; }
SAMPLE(weight) { SAMPLE_UNUSED; graphql_put_real(call, 2.5); return true; }
SAMPLE(good) { SAMPLE_UNUSED; graphql_put_bool(call, true); return true; }
SAMPLE(size) { SAMPLE_UNUSED; graphql_put_text(call, "BIG"); return true; }
SAMPLE(root) { SAMPLE_UNUSED; graphql_put_object(call, object); return true; }
SAMPLE(wrong) { SAMPLE_UNUSED; graphql_put_text(call, "no number"); return true; }
SAMPLE(twice) { SAMPLE_UNUSED; graphql_put_int(call, 1); graphql_put_int(call, 2); return true; }
SAMPLE(no_list) { SAMPLE_UNUSED; graphql_list_open(call); graphql_put_int(call, 1); graphql_list_close(call); return true; }
SAMPLE(complains) { SAMPLE_UNUSED; graphql_complain(call, "half of it", STR("{\"members\":[\"b\"]}")); graphql_put_int(call, 1); return true; }
/* [[1,2],[3,null]] and a list that is left open. */
SAMPLE(matrix)
{
	SAMPLE_UNUSED;
	graphql_list_open(call);
	graphql_list_open(call);
	graphql_put_int(call, 1);
	graphql_put_int(call, 2);
	graphql_list_close(call);
	graphql_list_open(call);
	graphql_put_int(call, 3);
	graphql_put_null(call);
	return true;
}
/* Items that may not be null, the second of which is. */
SAMPLE(holes)
{
	SAMPLE_UNUSED;
	graphql_list_open(call);
	graphql_put_text(call, "a");
	graphql_put_text(call, NULL);
	graphql_put_text(call, "c");
	graphql_list_close(call);
	return true;
}
/* What another program answered. */
SAMPLE(done)
{
	SAMPLE_UNUSED;
	graphql_list_open(call);
	graphql_put_done(call, STR("{\"name\":\"far\"}"));
	graphql_put_object(call, &sample_pack[0]);
	graphql_list_close(call);
	return true;
}
SAMPLE(half_done)
{
	SAMPLE_UNUSED;
	graphql_list_open(call);
	graphql_put_done(call, STR("{\"name\":\"far\"}"));
	graphql_put_done(call, STR("null"));
	graphql_list_close(call);
	return true;
}

#define S_OBJECT(n) { .kind = GRAPHQL_ROW_OBJECT, .name = n }
#define S_FIELD(n, t, r) { .kind = GRAPHQL_ROW_FIELD, .name = n, .type = t, .resolve = sample_##r, .about = "About " n "." }
#define S_ARGUMENT(n, t, i) { .kind = GRAPHQL_ROW_ARGUMENT, .name = n, .type = t, .init = i }
#define S_INPUT(n) { .kind = GRAPHQL_ROW_INPUT, .name = n }
#define S_INPUT_FIELD(n, t, i) { .kind = GRAPHQL_ROW_INPUT_FIELD, .name = n, .type = t, .init = i }
#define S_VALUE(n, i) { .kind = GRAPHQL_ROW_VALUE, .name = n, .number = i }

static const struct graphql_row sample_rows[] = {
	S_OBJECT("Query"),
	S_FIELD("dog", "Dog", dog), S_ARGUMENT("name", "String", "\"Rex\""), S_ARGUMENT("size", "Size", NULL),
	S_FIELD("dogs", "[Dog!]!", dogs), S_ARGUMENT("limit", "Int", NULL),
	S_FIELD("echo", "String", echo), S_ARGUMENT("i", "Int", NULL), S_ARGUMENT("f", "Float", NULL), S_ARGUMENT("s", "String", NULL),
	S_ARGUMENT("b", "Boolean", NULL), S_ARGUMENT("id", "ID", NULL), S_ARGUMENT("t", "Time", NULL), S_ARGUMENT("size", "Size", NULL),
	S_ARGUMENT("sizes", "[Size!]", NULL), S_ARGUMENT("ss", "[String]", NULL), S_ARGUMENT("must", "Int!", "7"),
	S_ARGUMENT("filter", "Filter", NULL), S_ARGUMENT("deep", "[[Int]]", NULL),
	S_FIELD("need", "String", echo), S_ARGUMENT("i", "Int!", NULL),
	S_FIELD("fail", "String", fail), S_FIELD("failHard", "Int!", fail), S_FIELD("nothing", "String", nothing),
	S_FIELD("mine", "Dog", root), S_FIELD("matrix", "[[Int]]", matrix), S_FIELD("holes", "[String!]", holes),
	S_FIELD("done", "[Dog!]!", done), S_FIELD("halfDone", "[Dog!]", half_done), S_FIELD("wrong", "Int", wrong),
	S_FIELD("twice", "Int", twice), S_FIELD("noList", "Int", no_list), S_FIELD("complains", "Int", complains),
	S_OBJECT("Dog"),
	S_FIELD("name", "String!", name), S_FIELD("barks", "Int", barks), S_FIELD("weight", "Float", weight), S_FIELD("good", "Boolean", good),
	S_FIELD("born", "Time", nothing), S_FIELD("size", "Size", size), S_FIELD("nope", "String!", nothing), S_FIELD("fail", "Int", fail),
	S_FIELD("friend", "Dog", root), S_FIELD("sure", "Dog!", root),
	S_FIELD("dogs", "[Dog]", dogs), S_ARGUMENT("limit", "Int", "2"),
	{ .kind = GRAPHQL_ROW_ENUM, .name = "Size", .about = "How large." },
	S_VALUE("SMALL", 1), S_VALUE("BIG", 2),
	S_INPUT("Filter"),
	S_INPUT_FIELD("Os", "[String]", NULL), S_INPUT_FIELD("limit", "Int", "10"), S_INPUT_FIELD("must", "Boolean!", NULL),
	S_INPUT_FIELD("inner", "Filter", NULL),
	{ .kind = GRAPHQL_ROW_SCALAR, .name = "Time" },
};

static inline struct graphql_schema *sample_schema(void)
{
	struct graphql_schema *schema;
	struct error err;
	bool made = graphql_schema_new(sample_rows, sizeof(sample_rows) / sizeof(sample_rows[0]), &schema, &err);

	CHECK(made);
	return schema;
}
