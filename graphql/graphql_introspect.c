/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_introspect.h"

#include "common/check.h"
#include "graphql/graphql_execute.h"

/* What the objects are: of __Type a type as it is written, of the others the structs of graphql_types.h. */
#define RESOLVER(name) static bool name(struct graphql_call *call, const void *object, struct error *err)
#define UNUSED_ERR     (void)err

/* ---- __Schema ---- */

RESOLVER(schema_types)
{
	const struct graphql_schema *schema = object;

	UNUSED_ERR;
	graphql_list_open(call);
	for (size_t i = 0; i < schema->types_len; i++)
		graphql_put_object(call, &schema->types[i].ref);
	graphql_list_close(call);
	return true;
}

RESOLVER(schema_query)
{
	UNUSED_ERR;
	graphql_put_object(call, &((const struct graphql_schema *)object)->query->ref);
	return true;
}

RESOLVER(schema_directives)
{
	const struct graphql_schema *schema = object;

	UNUSED_ERR;
	graphql_list_open(call);
	for (size_t i = 0; i < schema->directives_len; i++)
		graphql_put_object(call, &schema->directives[i]);
	graphql_list_close(call);
	return true;
}

RESOLVER(nothing)
{
	(void)object;
	UNUSED_ERR;
	graphql_put_null(call);
	return true;
}

RESOLVER(no)
{
	(void)object;
	UNUSED_ERR;
	graphql_put_bool(call, false);
	return true;
}

/* ---- __Type ---- */

/* NULL: a list, or one that may not be null. */
static const struct graphql_type *named(const void *object)
{
	const struct graphql_type_ref *ref = object;

	return ref->wrap == GRAPHQL_NAMED ? ref->type : NULL;
}

RESOLVER(type_kind)
{
	static const char *const kinds[] = { [GRAPHQL_TYPE_SCALAR] = "SCALAR",
		[GRAPHQL_TYPE_OBJECT] = "OBJECT",
		[GRAPHQL_TYPE_INPUT] = "INPUT_OBJECT",
		[GRAPHQL_TYPE_ENUM] = "ENUM" };
	const struct graphql_type_ref *ref = object;

	UNUSED_ERR;
	if (ref->wrap == GRAPHQL_NAMED)
		graphql_put_text(call, kinds[ref->type->kind]);
	else
		graphql_put_text(call, ref->wrap == GRAPHQL_LIST_OF ? "LIST" : "NON_NULL");
	return true;
}

RESOLVER(type_name)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	graphql_put_text(call, type ? type->name.at : NULL);
	return true;
}

RESOLVER(type_about)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	graphql_put_text(call, type ? type->about : NULL);
	return true;
}

RESOLVER(type_fields)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	if (!type || type->kind != GRAPHQL_TYPE_OBJECT)
		return true;
	graphql_list_open(call);
	for (size_t i = 0; i < type->fields_len; i++)
		graphql_put_object(call, &type->fields[i]);
	graphql_list_close(call);
	return true;
}

RESOLVER(type_interfaces)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	if (!type || type->kind != GRAPHQL_TYPE_OBJECT)
		return true;
	graphql_list_open(call);
	graphql_list_close(call);
	return true;
}

RESOLVER(type_values)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	if (!type || type->kind != GRAPHQL_TYPE_ENUM)
		return true;
	graphql_list_open(call);
	for (size_t i = 0; i < type->values_len; i++)
		graphql_put_object(call, &type->values[i]);
	graphql_list_close(call);
	return true;
}

static void put_inputs(struct graphql_call *call, struct graphql_inputs inputs)
{
	graphql_list_open(call);
	for (size_t i = 0; i < inputs.len; i++)
		graphql_put_object(call, &inputs.at[i]);
	graphql_list_close(call);
}

RESOLVER(type_inputs)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	if (type && type->kind == GRAPHQL_TYPE_INPUT)
		put_inputs(call, type->inputs);
	return true;
}

RESOLVER(type_of)
{
	UNUSED_ERR;
	graphql_put_object(call, ((const struct graphql_type_ref *)object)->of);
	return true;
}

RESOLVER(type_one_of)
{
	const struct graphql_type *type = named(object);

	UNUSED_ERR;
	if (type && type->kind == GRAPHQL_TYPE_INPUT)
		graphql_put_bool(call, false);
	return true;
}

/* ---- __Field, __InputValue, __EnumValue, __Directive ---- */

RESOLVER(field_name)
{
	UNUSED_ERR;
	graphql_put_str(call, ((const struct graphql_field *)object)->name);
	return true;
}

RESOLVER(field_about)
{
	UNUSED_ERR;
	graphql_put_text(call, ((const struct graphql_field *)object)->about);
	return true;
}

RESOLVER(field_arguments)
{
	UNUSED_ERR;
	put_inputs(call, ((const struct graphql_field *)object)->arguments);
	return true;
}

RESOLVER(field_type)
{
	UNUSED_ERR;
	graphql_put_object(call, ((const struct graphql_field *)object)->type);
	return true;
}

RESOLVER(input_name)
{
	UNUSED_ERR;
	graphql_put_str(call, ((const struct graphql_input *)object)->name);
	return true;
}

RESOLVER(input_about)
{
	UNUSED_ERR;
	graphql_put_text(call, ((const struct graphql_input *)object)->about);
	return true;
}

RESOLVER(input_type)
{
	UNUSED_ERR;
	graphql_put_object(call, ((const struct graphql_input *)object)->type);
	return true;
}

RESOLVER(input_init)
{
	UNUSED_ERR;
	graphql_put_text(call, ((const struct graphql_input *)object)->init_text);
	return true;
}

RESOLVER(value_name)
{
	UNUSED_ERR;
	graphql_put_str(call, ((const struct graphql_enum_value *)object)->name);
	return true;
}

RESOLVER(value_about)
{
	UNUSED_ERR;
	graphql_put_text(call, ((const struct graphql_enum_value *)object)->about);
	return true;
}

RESOLVER(directive_name)
{
	UNUSED_ERR;
	graphql_put_str(call, ((const struct graphql_directive_type *)object)->name);
	return true;
}

RESOLVER(directive_about)
{
	UNUSED_ERR;
	graphql_put_text(call, ((const struct graphql_directive_type *)object)->about);
	return true;
}

RESOLVER(directive_locations)
{
	const struct graphql_directive_type *directive = object;

	UNUSED_ERR;
	graphql_list_open(call);
	for (const char *const *at = directive->locations; *at; at++)
		graphql_put_text(call, *at);
	graphql_list_close(call);
	return true;
}

RESOLVER(directive_arguments)
{
	UNUSED_ERR;
	put_inputs(call, ((const struct graphql_directive_type *)object)->arguments);
	return true;
}

/* ---- the three fields; the object of the first is a type, of the others the schema ---- */

RESOLVER(typename_of)
{
	UNUSED_ERR;
	graphql_put_str(call, ((const struct graphql_type *)object)->name);
	return true;
}

RESOLVER(schema_itself)
{
	UNUSED_ERR;
	graphql_put_object(call, object);
	return true;
}

RESOLVER(type_by_name)
{
	const struct graphql_type *type =
		graphql_schema_find(object, graphql_value_str(graphql_argument(call, "name")));

	UNUSED_ERR;
	graphql_put_object(call, type ? &type->ref : NULL);
	return true;
}

/* ---- rows ---- */

#define OBJECT(n, a)                                                                                         \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_OBJECT, .name = n, .about = a                                            \
	}
#define FIELD(n, t, r)                                                                                       \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_FIELD, .name = n, .type = t, .resolve = r                                \
	}
#define ARGUMENT(n, t, i)                                                                                    \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_ARGUMENT, .name = n, .type = t, .init = i                                \
	}
#define SCALAR(n, a)                                                                                         \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_SCALAR, .name = n, .about = a                                            \
	}
#define ENUM(n, a)                                                                                           \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_ENUM, .name = n, .about = a                                              \
	}
#define VALUE(n)                                                                                             \
	{                                                                                                    \
		.kind = GRAPHQL_ROW_VALUE, .name = n                                                         \
	}
#define DEPRECATED ARGUMENT("includeDeprecated", "Boolean", "false")

static const struct graphql_row own_rows[] = {
	SCALAR("Int", "A whole number."),
	SCALAR("Float", "A number."),
	SCALAR("String", "Text, UTF-8."),
	SCALAR("Boolean", "true or false."),
	SCALAR("ID", "A name that is not for people; a string or a whole number, answered as a string."),
	OBJECT("__Schema", "Which types and directives there are."),
	FIELD("description", "String", nothing),
	FIELD("types", "[__Type!]!", schema_types),
	FIELD("queryType", "__Type!", schema_query),
	FIELD("mutationType", "__Type", nothing),
	FIELD("subscriptionType", "__Type", nothing),
	FIELD("directives", "[__Directive!]!", schema_directives),
	OBJECT("__Type", "A type, or a list of one, or one that is never null."),
	FIELD("kind", "__TypeKind!", type_kind),
	FIELD("name", "String", type_name),
	FIELD("description", "String", type_about),
	FIELD("specifiedByURL", "String", nothing),
	FIELD("fields", "[__Field!]", type_fields),
	DEPRECATED,
	FIELD("interfaces", "[__Type!]", type_interfaces),
	FIELD("possibleTypes", "[__Type!]", nothing),
	FIELD("enumValues", "[__EnumValue!]", type_values),
	DEPRECATED,
	FIELD("inputFields", "[__InputValue!]", type_inputs),
	DEPRECATED,
	FIELD("ofType", "__Type", type_of),
	FIELD("isOneOf", "Boolean", type_one_of),
	OBJECT("__Field", "A field of an object."),
	FIELD("name", "String!", field_name),
	FIELD("description", "String", field_about),
	FIELD("args", "[__InputValue!]!", field_arguments),
	DEPRECATED,
	FIELD("type", "__Type!", field_type),
	FIELD("isDeprecated", "Boolean!", no),
	FIELD("deprecationReason", "String", nothing),
	OBJECT("__InputValue", "An argument, or a field of an input."),
	FIELD("name", "String!", input_name),
	FIELD("description", "String", input_about),
	FIELD("type", "__Type!", input_type),
	FIELD("defaultValue", "String", input_init),
	FIELD("isDeprecated", "Boolean!", no),
	FIELD("deprecationReason", "String", nothing),
	OBJECT("__EnumValue", "A value of an enum."),
	FIELD("name", "String!", value_name),
	FIELD("description", "String", value_about),
	FIELD("isDeprecated", "Boolean!", no),
	FIELD("deprecationReason", "String", nothing),
	OBJECT("__Directive", "What may be written behind an @."),
	FIELD("name", "String!", directive_name),
	FIELD("description", "String", directive_about),
	FIELD("isRepeatable", "Boolean!", no),
	FIELD("locations", "[__DirectiveLocation!]!", directive_locations),
	FIELD("args", "[__InputValue!]!", directive_arguments),
	DEPRECATED,
	ENUM("__TypeKind", "What a type is."),
	VALUE("SCALAR"),
	VALUE("OBJECT"),
	VALUE("INTERFACE"),
	VALUE("UNION"),
	VALUE("ENUM"),
	VALUE("INPUT_OBJECT"),
	VALUE("LIST"),
	VALUE("NON_NULL"),
	ENUM("__DirectiveLocation", "Where a directive may stand."),
	VALUE("QUERY"),
	VALUE("MUTATION"),
	VALUE("SUBSCRIPTION"),
	VALUE("FIELD"),
	VALUE("FRAGMENT_DEFINITION"),
	VALUE("FRAGMENT_SPREAD"),
	VALUE("INLINE_FRAGMENT"),
	VALUE("VARIABLE_DEFINITION"),
	VALUE("SCHEMA"),
	VALUE("SCALAR"),
	VALUE("OBJECT"),
	VALUE("FIELD_DEFINITION"),
	VALUE("ARGUMENT_DEFINITION"),
	VALUE("INTERFACE"),
	VALUE("UNION"),
	VALUE("ENUM"),
	VALUE("ENUM_VALUE"),
	VALUE("INPUT_OBJECT"),
	VALUE("INPUT_FIELD_DEFINITION"),
};

const struct graphql_row *graphql_introspect_rows(size_t *ret_len)
{
	*ret_len = sizeof(own_rows) / sizeof(own_rows[0]);
	return own_rows;
}

/* ---- what is no row ---- */

static const struct graphql_type_ref *ref_of(struct graphql_schema *schema, const char *name, bool non_null)
{
	const struct graphql_type *type = graphql_schema_find(schema, str_of(name));
	struct graphql_type_ref *ref;

	CHECK(type);
	if (!non_null)
		return &type->ref;
	ref = graphql_arena_new(&schema->arena, struct graphql_type_ref);
	*ref = (struct graphql_type_ref){ .wrap = GRAPHQL_NON_NULL, .of = &type->ref };
	return ref;
}

static struct graphql_inputs one_input(
	struct graphql_schema *schema, const char *name, const char *type, bool non_null, const char *about)
{
	struct graphql_input *input = graphql_arena_new(&schema->arena, struct graphql_input);

	*input = (struct graphql_input){
		.name = str_of(name), .about = about, .type = ref_of(schema, type, non_null)
	};
	return (struct graphql_inputs){ input, 1 };
}

static void add_directives(struct graphql_schema *schema)
{
	static const char *const query[] = { "FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT", NULL };
	static const char *const gone[] = { "FIELD_DEFINITION", "ENUM_VALUE", NULL };
	static const char *const scalar[] = { "SCALAR", NULL };
	const struct graphql_directive_type directives[] = {
		{ STR("include"), "The field or fragment is there when this is true.", query,
			one_input(schema, "if", "Boolean", true, "Whether it is there."), true },
		{ STR("skip"), "The field or fragment is not there when this is true.", query,
			one_input(schema, "if", "Boolean", true, "Whether it is left out."), true },
		{ STR("deprecated"), "Of a field or value of the schema: what to use instead.", gone,
			one_input(schema, "reason", "String", false, "What to use instead."), false },
		{ STR("specifiedBy"), "Of a scalar of the schema: where it is described.", scalar,
			one_input(schema, "url", "String", true, "Where it is described."), false },
	};

	schema->directives_len = sizeof(directives) / sizeof(directives[0]);
	schema->directives = graphql_arena_take(&schema->arena, sizeof(directives));
	memcpy(schema->directives, directives, sizeof(directives));
}

void graphql_introspect_add(struct graphql_schema *schema)
{
	struct graphql_type *type =
		(struct graphql_type *)(uintptr_t)graphql_schema_find(schema, STR("__Type"));

	for (size_t i = 0; i < type->fields_len; i++)
		type->fields[i].widens =
			str_is(type->fields[i].name, "fields") || str_is(type->fields[i].name, "inputFields");
	schema->typename_field = (struct graphql_field){ .name = STR("__typename"),
		.owner = schema->query,
		.type = ref_of(schema, "String", true),
		.resolve = typename_of };
	schema->schema_field = (struct graphql_field){ .name = STR("__schema"),
		.owner = schema->query,
		.type = ref_of(schema, "__Schema", true),
		.resolve = schema_itself };
	schema->type_field = (struct graphql_field){ .name = STR("__type"),
		.owner = schema->query,
		.type = ref_of(schema, "__Type", false),
		.resolve = type_by_name,
		.arguments = one_input(schema, "name", "String", true, NULL) };
	add_directives(schema);
}
