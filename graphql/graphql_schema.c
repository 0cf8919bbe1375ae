/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_types.h"

#include "common/check.h"
#include "graphql/graphql_coerce.h"
#include "graphql/graphql_introspect.h"

/* ---- looking up ---- */

const struct graphql_type *graphql_schema_find(const struct graphql_schema *schema, struct str name)
{
	for (size_t i = 0; i < schema->types_len; i++)
		if (str_equal(schema->types[i].name, name))
			return &schema->types[i];
	return NULL;
}

const struct graphql_field *graphql_schema_field(
	const struct graphql_schema *schema, const struct graphql_type *type, struct str name)
{
	for (size_t i = 0; i < type->fields_len; i++)
		if (str_equal(type->fields[i].name, name))
			return &type->fields[i];
	if (str_equal(name, schema->typename_field.name))
		return &schema->typename_field;
	if (type == schema->query && str_equal(name, schema->schema_field.name))
		return &schema->schema_field;
	if (type == schema->query && str_equal(name, schema->type_field.name))
		return &schema->type_field;
	return NULL;
}

const struct graphql_directive_type *graphql_schema_directive(
	const struct graphql_schema *schema, struct str name)
{
	for (size_t i = 0; i < schema->directives_len; i++)
		if (str_equal(schema->directives[i].name, name))
			return &schema->directives[i];
	return NULL;
}

const struct graphql_input *graphql_inputs_find(struct graphql_inputs inputs, struct str name)
{
	for (size_t i = 0; i < inputs.len; i++)
		if (str_equal(inputs.at[i].name, name))
			return &inputs.at[i];
	return NULL;
}

const struct graphql_enum_value *graphql_enum_find(const struct graphql_type *type, struct str name)
{
	for (size_t i = 0; i < type->values_len; i++)
		if (str_equal(type->values[i].name, name))
			return &type->values[i];
	return NULL;
}

struct graphql_hint graphql_hint(struct str wrong, const struct str *first, size_t n, size_t stride)
{
	struct graphql_hint hint = { "" };
	const char *names[256], *nearest;

	for (size_t i = 0; i < n && i < 256; i++)
		names[i] = ((const struct str *)(const void *)((const char *)first + i * stride))->at;
	nearest = wrong.len > GRAPHQL_SHOWN ? NULL : str_nearest(wrong, names, n < 256 ? n : 256);
	if (nearest)
		(void)snprintf(
			hint.text, sizeof(hint.text), " (did you mean \"%.*s\"?)", GRAPHQL_SHOWN, nearest);
	return hint;
}

/* ---- making ---- */

struct making {
	struct graphql_schema *schema;
	const struct graphql_row *rows;
	size_t len;
	struct error *err;
};

static bool wrong(const struct making *m, const struct graphql_row *row, const char *what)
{
	return error_set(m->err, ERROR_INVALID, NULL, "schema, row %zu (%s): %s", (size_t)(row - m->rows),
		row->name ? row->name : "without a name", what);
}

static bool is_type_row(const struct graphql_row *row)
{
	return row->kind == GRAPHQL_ROW_OBJECT || row->kind == GRAPHQL_ROW_INPUT ||
	       row->kind == GRAPHQL_ROW_ENUM || row->kind == GRAPHQL_ROW_SCALAR;
}

/* The rows of that kind from `first` on, up to the next type; those of a field, up to the next that is none. */
static size_t count_rows(
	const struct making *m, const struct graphql_row *first, enum graphql_row_kind kind, bool of_field)
{
	size_t n = 0;

	for (const struct graphql_row *row = first; row < m->rows + m->len && !is_type_row(row); row++) {
		if (of_field && row->kind != kind)
			break;
		n += row->kind == kind;
	}
	return n;
}

static bool has_errors(const struct making *m, const struct graphql_row *row, struct graphql_errors *errors)
{
	if (!errors->len)
		return false;
	(void)wrong(m, row, errors->list[0].message);
	graphql_errors_fini(errors);
	return true;
}

static bool make_type_ref(const struct making *m, const struct graphql_row *row, bool input,
	const struct graphql_type_ref **ret)
{
	struct graphql_errors errors = { .len = 0 };
	struct graphql_type_ref *ref = NULL, *named;

	if (!row->type)
		return wrong(m, row, "it has no type");
	if (!graphql_document_parse_type(str_of(row->type), &m->schema->arena, &errors, &ref))
		return !has_errors(m, row, &errors);
	for (named = ref; named->wrap != GRAPHQL_NAMED;) /* what was just made here may be written */
		named = (struct graphql_type_ref *)(uintptr_t)named->of;
	named->type = graphql_schema_find(m->schema, named->name);
	if (!named->type)
		return wrong(m, row, "its type is no row");
	if (input && !graphql_type_is_input(named->type))
		return wrong(m, row, "an object cannot be an input");
	if (!input && named->type->kind == GRAPHQL_TYPE_INPUT)
		return wrong(m, row, "an input cannot be an answer");
	*ret = ref;
	return true;
}

static bool make_input(const struct making *m, const struct graphql_row *row, struct graphql_input *input)
{
	input->name = str_of(row->name);
	input->about = row->about;
	input->init_text = row->init;
	return make_type_ref(m, row, true, &input->type);
}

static bool make_inputs(const struct making *m, const struct graphql_row *row, enum graphql_row_kind kind,
	bool of_field, struct graphql_inputs *ret)
{
	size_t n = count_rows(m, row, kind, of_field), len = 0;
	struct graphql_input *inputs = graphql_arena_take(&m->schema->arena, (n + 1) * sizeof(*inputs));

	for (; len < n; row++) {
		for (size_t i = 0; i < len; i++)
			if (str_is(inputs[i].name, row->name))
				return wrong(m, row, "it is there twice");
		if (!make_input(m, row, &inputs[len++]))
			return false;
	}
	*ret = (struct graphql_inputs){ inputs, n };
	return true;
}

static bool make_object(const struct making *m, const struct graphql_row *row, struct graphql_type *type)
{
	size_t n = count_rows(m, row + 1, GRAPHQL_ROW_FIELD, false);
	struct graphql_field *fields = graphql_arena_take(&m->schema->arena, (n + 1) * sizeof(*fields));

	type->fields = fields;
	for (const struct graphql_row *at = row + 1; type->fields_len < n; at++) {
		struct graphql_field *field = &fields[type->fields_len];

		if (at->kind != GRAPHQL_ROW_FIELD)
			continue;
		for (size_t i = 0; i < type->fields_len; i++)
			if (str_is(fields[i].name, at->name))
				return wrong(m, at, "it is there twice");
		if (!at->resolve)
			return wrong(m, at, "it has no resolver");
		*field = (struct graphql_field){ .name = str_of(at->name),
			.about = at->about,
			.owner = type,
			.resolve = at->resolve,
			.number = at->number };
		if (!make_type_ref(m, at, false, &field->type) ||
			!make_inputs(m, at + 1, GRAPHQL_ROW_ARGUMENT, true, &field->arguments))
			return false;
		type->fields_len++;
	}
	return n ? true : wrong(m, row, "an object has to have fields");
}

static bool make_enum(const struct making *m, const struct graphql_row *row, struct graphql_type *type)
{
	size_t n = count_rows(m, row + 1, GRAPHQL_ROW_VALUE, false);

	type->values = graphql_arena_take(&m->schema->arena, (n + 1) * sizeof(*type->values));
	for (const struct graphql_row *at = row + 1; type->values_len < n; at++) {
		if (graphql_enum_find(type, str_of(at->name)))
			return wrong(m, at, "it is there twice");
		type->values[type->values_len++] =
			(struct graphql_enum_value){ str_of(at->name), at->about, at->number };
	}
	return n ? true : wrong(m, row, "an enum has to have values");
}

static bool make_members(const struct making *m, const struct graphql_row *row, struct graphql_type *type)
{
	switch (type->kind) {
	case GRAPHQL_TYPE_OBJECT:
		return make_object(m, row, type);
	case GRAPHQL_TYPE_ENUM:
		return make_enum(m, row, type);
	case GRAPHQL_TYPE_INPUT:
		if (!make_inputs(m, row + 1, GRAPHQL_ROW_INPUT_FIELD, false, &type->inputs))
			return false;
		return type->inputs.len ? true : wrong(m, row, "an input has to have fields");
	case GRAPHQL_TYPE_SCALAR:
		break;
	}
	return true;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

static bool is_name(const char *name)
{
	return name && *name && strchr(LETTERS, *name) && strspn(name, LETTERS "0123456789") == strlen(name);
}

/* Which row may stand where: members below their type, arguments below a field. */
static bool check_order(const struct making *m)
{
	const struct graphql_row *type = NULL;
	bool field = false;

	for (const struct graphql_row *row = m->rows; row < m->rows + m->len; row++) {
		static const enum graphql_row_kind owner[] = { [GRAPHQL_ROW_FIELD] = GRAPHQL_ROW_OBJECT,
			[GRAPHQL_ROW_ARGUMENT] = GRAPHQL_ROW_OBJECT,
			[GRAPHQL_ROW_INPUT_FIELD] = GRAPHQL_ROW_INPUT,
			[GRAPHQL_ROW_VALUE] = GRAPHQL_ROW_ENUM };

		if (!is_name(row->name))
			return wrong(m, row, "this is no name");
		if (is_type_row(row)) {
			type = row;
			field = false;
			continue;
		}
		if (!type || type->kind != owner[row->kind] || (row->kind == GRAPHQL_ROW_ARGUMENT && !field))
			return wrong(m, row, "it stands below nothing that has such rows");
		field |= row->kind == GRAPHQL_ROW_FIELD;
	}
	return true;
}

static bool make_types(const struct making *m, const struct graphql_row **row_of)
{
	static const enum graphql_type_kind kinds[] = { [GRAPHQL_ROW_OBJECT] = GRAPHQL_TYPE_OBJECT,
		[GRAPHQL_ROW_INPUT] = GRAPHQL_TYPE_INPUT,
		[GRAPHQL_ROW_ENUM] = GRAPHQL_TYPE_ENUM,
		[GRAPHQL_ROW_SCALAR] = GRAPHQL_TYPE_SCALAR };
	static const char *const scalars[] = { [GRAPHQL_SCALAR_INT] = "Int",
		[GRAPHQL_SCALAR_FLOAT] = "Float",
		[GRAPHQL_SCALAR_STRING] = "String",
		[GRAPHQL_SCALAR_BOOLEAN] = "Boolean",
		[GRAPHQL_SCALAR_ID] = "ID" };
	struct graphql_schema *schema = m->schema;

	for (const struct graphql_row *row = m->rows; row < m->rows + m->len; row++) {
		struct graphql_type *type = &schema->types[schema->types_len];

		if (!is_type_row(row))
			continue;
		if (graphql_schema_find(schema, str_of(row->name)))
			return wrong(m, row, "it is there twice");
		*type = (struct graphql_type){
			.kind = kinds[row->kind], .name = str_of(row->name), .about = row->about
		};
		for (enum graphql_scalar s = GRAPHQL_SCALAR_INT; s <= GRAPHQL_SCALAR_ID; s++)
			if (str_is(type->name, scalars[s]))
				type->scalar = s;
		type->ref =
			(struct graphql_type_ref){ .wrap = GRAPHQL_NAMED, .name = type->name, .type = type };
		row_of[schema->types_len++] = row;
	}
	return true;
}

/* Defaults are coerced when all types are there. */
static bool make_init(
	struct graphql_schema *schema, struct graphql_inputs inputs, const char *owner, struct error *err)
{
	for (size_t i = 0; i < inputs.len; i++) {
		struct graphql_input *input = (struct graphql_input *)(uintptr_t)&inputs.at[i];
		struct graphql_errors errors = { .len = 0 };
		struct graphql_value *value = NULL;

		if (!input->init_text)
			continue;
		if (graphql_document_parse_value(str_of(input->init_text), &schema->arena, &errors, &value))
			input->init = graphql_coerce_constant(input->type, value, &schema->arena, &errors);
		if (errors.len) {
			(void)error_set(err, ERROR_INVALID, NULL, "schema, default of %s in %s: %s",
				input->name.at, owner, errors.list[0].message);
			graphql_errors_fini(&errors);
			return false;
		}
	}
	return true;
}

static bool make_inits(struct graphql_schema *schema, struct error *err)
{
	for (size_t t = 0; t < schema->types_len; t++) {
		struct graphql_type *type = &schema->types[t];

		if (!make_init(schema, type->inputs, type->name.at, err))
			return false;
		for (size_t f = 0; f < type->fields_len; f++)
			if (!make_init(schema, type->fields[f].arguments, type->fields[f].name.at, err))
				return false;
	}
	return true;
}

/* An input that has to have itself can never be given. */
static bool check_input_cycle(
	const struct graphql_type *from, const struct graphql_type *type, unsigned depth)
{
	for (size_t i = 0; i < type->inputs.len; i++) {
		const struct graphql_type_ref *ref = type->inputs.at[i].type;

		if (ref->wrap != GRAPHQL_NON_NULL || ref->of->wrap != GRAPHQL_NAMED)
			continue;
		if (ref->of->type == from || depth == GRAPHQL_NESTING_MAX ||
			!check_input_cycle(from, ref->of->type, depth + 1))
			return false;
	}
	return true;
}

static bool make(struct graphql_schema *schema, const struct graphql_row *rows, size_t len, struct error *err)
{
	struct making m = { schema, rows, len, err };
	const struct graphql_row **row_of = graphql_arena_take(&schema->arena, (len + 1) * sizeof(*row_of));

	schema->types = graphql_arena_take(&schema->arena, (len + 1) * sizeof(*schema->types));
	if (!check_order(&m) || !make_types(&m, row_of))
		return false;
	for (size_t i = 0; i < schema->types_len; i++)
		if (!make_members(&m, row_of[i], &schema->types[i]))
			return false;
	for (size_t i = 0; i < schema->types_len; i++)
		if (!check_input_cycle(&schema->types[i], &schema->types[i], 0))
			return wrong(&m, row_of[i], "an input that has to have itself");
	schema->query = graphql_schema_find(schema, STR("Query"));
	if (!schema->query || schema->query->kind != GRAPHQL_TYPE_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "schema: there is no object \"Query\"");
	graphql_introspect_add(schema);
	return make_inits(schema, err);
}

bool graphql_schema_new(
	const struct graphql_row *rows, size_t len, struct graphql_schema **ret_schema, struct error *err)
{
	AUTO(graphql_schema) *schema = xnew(struct graphql_schema);
	size_t own_len;
	const struct graphql_row *own = graphql_introspect_rows(&own_len);
	struct graphql_row *all;

	for (size_t i = 0; i < len; i++)
		if (rows[i].name && str_starts(str_of(rows[i].name), "__"))
			return error_set(err, ERROR_INVALID, NULL,
				"schema, row %zu (%s): names with __ are the introspection's", i,
				rows[i].name);
	all = graphql_arena_take(&schema->arena, (len + own_len) * sizeof(*all));
	if (len)
		memcpy(all, rows, len * sizeof(*all));
	memcpy(all + len, own, own_len * sizeof(*all));
	if (!make(schema, all, len + own_len, err))
		return false;
	*ret_schema = TAKE(schema);
	return true;
}

void graphql_schema_free(struct graphql_schema *schema)
{
	if (!schema)
		return;
	graphql_arena_fini(&schema->arena);
	free(schema);
}
