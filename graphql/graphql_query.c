/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_query.h"

#include "common/check.h"
#include "graphql/graphql_coerce.h"
#include "graphql/graphql_query_priv.h"
#include "graphql/graphql_validate.h"

/* ---- variables ---- */

static bool coerce_variable(
	struct graphql_query *query, struct graphql_variable *variable, const struct json *given)
{
	struct graphql_coercion c = { .arena = &query->arena, .errors = &query->errors };
	struct graphql_value *value;

	if (!given) {
		if (variable->init)
			variable->value = graphql_coerce(&c, variable->type, variable->init);
		else if (variable->type->wrap == GRAPHQL_NON_NULL)
			graphql_errors_add(&query->errors, variable->at, "variable $%.*s is not given",
				GRAPHQL_SHOWN_ARGS(variable->name));
		return !query->errors.len;
	}
	c.about = variable->name;
	value = graphql_coerce_json(given, &query->arena);
	value->at = variable->at;
	variable->value = graphql_coerce(&c, variable->type, value);
	return variable->value != NULL;
}

/* As JSON has it, also with a key that is no string of C. */
static const struct json *find_given(const struct json *variables, struct str name)
{
	const struct json *value;
	struct str key;

	if (json_kind(variables) != JSON_OBJECT)
		return NULL;
	for (void *it = NULL; json_next(variables, &it, &key, &value);)
		if (str_equal(key, name))
			return value;
	return NULL;
}

static bool coerce_variables(
	struct graphql_query *query, const struct graphql_operation *operation, const struct json *variables)
{
	bool ok = true;

	for (struct graphql_variable *v = operation->variables; v && !graphql_errors_full(&query->errors);
		v = v->next)
		ok &= coerce_variable(query, v, find_given(variables, v->name));
	return ok;
}

/* ---- making ---- */

static struct graphql_operation *choose(struct graphql_query *query, struct str name)
{
	struct graphql_operation *first = query->document.operations;

	if (!name.len) {
		if (!first->next)
			return first;
		graphql_errors_add(&query->errors, GRAPHQL_NOWHERE,
			"the query has %u operations: operationName has to say which",
			query->document.operations_len);
		return NULL;
	}
	for (struct graphql_operation *o = first; o; o = o->next)
		if (str_equal(o->def.name, name))
			return o;
	graphql_errors_add(&query->errors, GRAPHQL_NOWHERE, "the query has no operation \"%.*s\"",
		GRAPHQL_SHOWN_ARGS(name));
	return NULL;
}

static bool plan(struct graphql_query *query, const struct graphql_operation *operation)
{
	size_t names = query->document.names_len + 1;
	const struct graphql_variable **variables =
		graphql_arena_take(&query->arena, names * sizeof(*variables));
	struct graphql_planning planning = { .schema = query->schema,
		.arena = &query->arena,
		.errors = &query->errors,
		.variables = variables,
		.stamp = &query->document.stamp,
		.slots = graphql_arena_take(&query->arena, names * sizeof(*planning.slots)) };

	for (const struct graphql_variable *v = operation->variables; v; v = v->next)
		variables[v->id] = v;
	return graphql_plan(&planning, operation->def.first, &query->first);
}

static bool prepare(struct graphql_query *query, struct str operation_name, const struct json *variables)
{
	struct graphql_operation *operation;

	if (!graphql_validate(query->schema, query->root, &query->document, &query->arena, &query->errors))
		return false;
	operation = choose(query, operation_name);
	return operation && coerce_variables(query, operation, variables) && plan(query, operation);
}

static struct graphql_query *new_query(const struct graphql_schema *schema, const struct graphql_type *root)
{
	struct graphql_query *query = xnew(struct graphql_query);

	query->schema = schema;
	query->root = root;
	return query;
}

/* A text that is too long is refused by the lexer, and need not be copied for that. */
static struct str keep(struct graphql_query *query, struct str text)
{
	return text.len > GRAPHQL_TEXT_MAX ? text : graphql_arena_str(&query->arena, text);
}

struct graphql_query *graphql_query_new(const struct graphql_schema *schema, struct str text,
	struct str operation, const struct json *variables)
{
	struct graphql_query *query = new_query(schema, schema->query);

	if (variables && json_kind(variables) != JSON_OBJECT && json_kind(variables) != JSON_NULL)
		graphql_errors_add(&query->errors, GRAPHQL_NOWHERE,
			"the variables are %s, and have to be an object",
			json_kind_name(json_kind(variables)));
	else
		query->ok = graphql_document_parse(
				    keep(query, text), &query->arena, &query->errors, &query->document) &&
			    prepare(query, operation, variables);
	return query;
}

struct graphql_query *graphql_query_new_selection(
	const struct graphql_schema *schema, struct str type, struct str text)
{
	const struct graphql_type *root = graphql_schema_find(schema, type);
	struct graphql_query *query = new_query(schema, root);

	if (!root || root->kind != GRAPHQL_TYPE_OBJECT)
		graphql_errors_add(&query->errors, GRAPHQL_NOWHERE, "there is no object \"%.*s\"",
			GRAPHQL_SHOWN_ARGS(type));
	else
		query->ok = graphql_document_parse_selection(
				    keep(query, text), &query->arena, &query->errors, &query->document) &&
			    prepare(query, STR_NONE, NULL);
	return query;
}

void graphql_query_free(struct graphql_query *query)
{
	if (!query)
		return;
	graphql_document_fini(&query->document);
	graphql_errors_fini(&query->errors);
	graphql_arena_fini(&query->arena);
	free(query);
}

bool graphql_query_ok(const struct graphql_query *query)
{
	return query->ok;
}

const struct graphql_errors *graphql_query_errors(const struct graphql_query *query)
{
	return &query->errors;
}

void graphql_query_refuse(const struct graphql_query *query, struct buf *into)
{
	buf_puts(into, "{\"errors\":");
	graphql_errors_print(&query->errors, into);
	buf_putc(into, '}');
}

/* ---- walk ---- */

const struct graphql_selected *graphql_query_root(const struct graphql_query *query)
{
	return query->first;
}

const struct graphql_selected *graphql_selected_next(const struct graphql_selected *selected)
{
	return selected->next;
}

const struct graphql_selected *graphql_selected_first(const struct graphql_selected *selected)
{
	return selected->first;
}

struct str graphql_selected_key(const struct graphql_selected *selected)
{
	return selected->key;
}

struct str graphql_selected_name(const struct graphql_selected *selected)
{
	return selected->field->name;
}

int graphql_selected_number(const struct graphql_selected *selected)
{
	return selected->field->number;
}

const struct graphql_selected *graphql_selected_find(
	const struct graphql_selected *selected, const char *name)
{
	for (const struct graphql_selected *s = selected->first; s; s = s->next)
		if (str_is(s->field->name, name))
			return s;
	return NULL;
}

const struct graphql_value *graphql_selected_argument(
	const struct graphql_selected *selected, const char *name)
{
	return graphql_value_find(selected->arguments, str_of(name));
}

/* Recursion is as deep as fields may be nested. */
void graphql_selected_print(const struct graphql_selected *selected, struct buf *into)
{
	if (!selected->first)
		return;
	buf_putc(into, '{');
	for (const struct graphql_selected *s = selected->first; s; s = s->next) {
		if (s != selected->first)
			buf_putc(into, ' ');
		buf_add(into, s->key);
		if (!str_equal(s->key, s->field->name)) {
			buf_putc(into, ':');
			buf_add(into, s->field->name);
		}
		if (s->arguments && s->arguments->first) {
			buf_putc(into, '(');
			graphql_value_print_members(s->arguments, into);
			buf_putc(into, ')');
		}
		graphql_selected_print(s, into);
	}
	buf_putc(into, '}');
}
