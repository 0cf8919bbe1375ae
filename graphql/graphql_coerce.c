/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_coerce - one recursion for both: `make` is NULL while literals are only looked at. It is as deep as the value is nested,
 * which its text bounds.
 */
#include "graphql/graphql_coerce.h"

#include <inttypes.h>
#include <limits.h>

typedef const struct graphql_value *value_t;

static bool coerce(struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, bool init,
	value_t *make);

static struct graphql_value *copy_of(struct graphql_coercion *c, value_t value)
{
	struct graphql_value *copy = graphql_arena_new(c->arena, struct graphql_value);

	*copy = *value;
	copy->next = NULL;
	return copy;
}

/* ---- what does not fit ---- */

static bool misfit(
	struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, const char *why)
{
	AUTO_FINI(buf) wanted = buf_limit(GRAPHQL_TEXT_MAX);
	AUTO_FINI(buf) found = buf_limit(GRAPHQL_TEXT_MAX * 8);
	struct str shown;

	graphql_type_ref_print(type, &wanted);
	graphql_value_print(value, &found);
	shown = graphql_shown(buf_str(&found));
	graphql_errors_add(c->errors, value->at, "%s%.*s%s%.*s%s is %s, no value of type %.*s%s%s",
		c->about.len ? "variable $" : "", GRAPHQL_SHOWN_ARGS(c->about), c->about.len ? ": " : "",
		STR_ARGS(shown), shown.len < found.len ? "..." : "", graphql_value_kind_name(value->kind),
		GRAPHQL_SHOWN_ARGS(buf_str(&wanted)), why ? ": " : "", why ? why : "");
	return false;
}

static bool unknown_member(
	struct graphql_coercion *c, struct graphql_inputs inputs, value_t member, struct str owner)
{
	struct graphql_hint hint =
		graphql_hint(member->name, &inputs.at->name, inputs.len, sizeof(*inputs.at));

	graphql_errors_add(c->errors, member->at, "%s%.*s%s%.*s has no \"%.*s\"%s",
		c->about.len ? "variable $" : "", GRAPHQL_SHOWN_ARGS(c->about), c->about.len ? ": " : "",
		GRAPHQL_SHOWN_ARGS(owner), GRAPHQL_SHOWN_ARGS(member->name), hint.text);
	return false;
}

static bool missing_member(
	struct graphql_coercion *c, const struct graphql_input *input, struct str owner, uint32_t at)
{
	AUTO_FINI(buf) wanted = buf_limit(GRAPHQL_TEXT_MAX);

	graphql_type_ref_print(input->type, &wanted);
	graphql_errors_add(c->errors, at, "%s%.*s%s%.*s has to have \"%.*s\", of type %.*s",
		c->about.len ? "variable $" : "", GRAPHQL_SHOWN_ARGS(c->about), c->about.len ? ": " : "",
		GRAPHQL_SHOWN_ARGS(owner), STR_ARGS(input->name), GRAPHQL_SHOWN_ARGS(buf_str(&wanted)));
	return false;
}

/* ---- scalars and enums ---- */

static bool fits_scalar(enum graphql_scalar scalar, value_t value, const char **ret_why)
{
	enum graphql_value_kind kind = value->kind;

	switch (scalar) {
	case GRAPHQL_SCALAR_INT:
		if (kind == GRAPHQL_INT && (value->integer > INT32_MAX || value->integer < INT32_MIN))
			*ret_why = "it has more than 32 bits";
		return kind == GRAPHQL_INT && !*ret_why;
	case GRAPHQL_SCALAR_FLOAT:
		return kind == GRAPHQL_INT || kind == GRAPHQL_FLOAT;
	case GRAPHQL_SCALAR_STRING:
		return kind == GRAPHQL_STRING;
	case GRAPHQL_SCALAR_BOOLEAN:
		return kind == GRAPHQL_BOOL;
	case GRAPHQL_SCALAR_ID:
		return kind == GRAPHQL_STRING || kind == GRAPHQL_INT;
	case GRAPHQL_SCALAR_OWN:
		return kind == GRAPHQL_STRING || kind == GRAPHQL_INT || kind == GRAPHQL_FLOAT ||
		       kind == GRAPHQL_BOOL;
	}
	return false;
}

static bool coerce_scalar(
	struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, value_t *make)
{
	struct graphql_value *made;
	const char *why = NULL;

	if (!fits_scalar(type->type->scalar, value, &why))
		return misfit(c, type, value, why);
	if (!make)
		return true;
	made = copy_of(c, value);
	if (type->type->scalar == GRAPHQL_SCALAR_ID)
		made->kind = GRAPHQL_STRING;
	if (type->type->scalar == GRAPHQL_SCALAR_FLOAT)
		made->kind = GRAPHQL_FLOAT;
	*make = made;
	return true;
}

static bool coerce_enum(
	struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, value_t *make)
{
	const struct graphql_enum_value *found;
	struct graphql_value *made;

	if (value->kind != GRAPHQL_ENUM && !(value->json && value->kind == GRAPHQL_STRING))
		return misfit(c, type, value,
			value->kind == GRAPHQL_STRING ? "an enum's value has no quotes" : NULL);
	found = graphql_enum_find(type->type, value->text);
	if (!found) {
		struct graphql_hint hint = graphql_hint(
			value->text, &type->type->values->name, type->type->values_len, sizeof(*found));

		graphql_errors_add(c->errors, value->at, "%s%.*s%s%.*s is no value of %.*s%s",
			c->about.len ? "variable $" : "", GRAPHQL_SHOWN_ARGS(c->about),
			c->about.len ? ": " : "", GRAPHQL_SHOWN_ARGS(value->text), STR_ARGS(type->name),
			hint.text);
		return false;
	}
	if (!make)
		return true;
	made = copy_of(c, value);
	made->kind = GRAPHQL_ENUM;
	made->text = found->name;
	made->integer = found->number;
	*make = made;
	return true;
}

/* ---- lists and objects ---- */

static bool coerce_list(
	struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, value_t *make)
{
	struct graphql_value list = { .kind = GRAPHQL_LIST, .json = value->json, .at = value->at },
			     **end = &list.first;
	bool single = value->kind != GRAPHQL_LIST, ok = true;

	for (value_t item = single ? value : value->first; item && !graphql_errors_full(c->errors);
		item = single ? NULL : item->next) {
		value_t made = NULL;

		ok &= coerce(c, type->of, item, false, make ? &made : NULL);
		if (!make || !made)
			continue;
		*end = copy_of(c, made);
		end = &(*end)->next;
	}
	if (ok && make)
		*make = copy_of(c, &list);
	return ok;
}

/* The variable's value, or NULL: there is none. */
static value_t value_of(const struct graphql_coercion *c, value_t variable)
{
	const struct graphql_variable *found = c->variables ? c->variables[variable->integer] : NULL;

	return found ? found->value : NULL;
}

static void put_member(
	struct graphql_coercion *c, struct graphql_value ***end, struct str name, value_t value)
{
	**end = copy_of(c, value);
	(**end)->name = name;
	*end = &(**end)->next;
}

/* What was given for that input, NULL when nothing. A variable without a value counts as nothing given. */
static bool coerce_input(struct graphql_coercion *c, const struct graphql_input *input, value_t given,
	struct str owner, uint32_t at, struct graphql_value ***end)
{
	value_t made = NULL;

	if (given && end && given->kind == GRAPHQL_VARIABLE && !value_of(c, given))
		given = NULL;
	if (!given) {
		if (input->init && end)
			put_member(c, end, input->name, input->init);
		return input->init_text || input->type->wrap != GRAPHQL_NON_NULL ||
		       missing_member(c, input, owner, at);
	}
	if (!coerce(c, input->type, given, input->init_text && !str_is(str_of(input->init_text), "null"),
		    end ? &made : NULL))
		return false;
	if (end)
		put_member(c, end, input->name, made);
	return true;
}

/* Every member given is known and there once, so that what follows is a lookup for each input. */
static bool check_members(struct graphql_coercion *c, struct graphql_inputs inputs, value_t given,
	struct str owner, value_t *found)
{
	bool ok = true;

	for (value_t member = given ? given->first : NULL; member && !graphql_errors_full(c->errors);
		member = member->next) {
		const struct graphql_input *input = graphql_inputs_find(inputs, member->name);

		if (!input) {
			ok = unknown_member(c, inputs, member, owner);
		} else if (found[input - inputs.at]) {
			graphql_errors_add(c->errors, member->at, "%.*s has \"%.*s\" twice",
				GRAPHQL_SHOWN_ARGS(owner), STR_ARGS(input->name));
			ok = false;
		} else {
			found[input - inputs.at] = member;
		}
	}
	return ok;
}

static bool coerce_members(struct graphql_coercion *c, struct graphql_inputs inputs, value_t given,
	struct str owner, uint32_t at, value_t *make)
{
	struct graphql_value object = { .kind = GRAPHQL_OBJECT, .at = at }, **end = &object.first;
	value_t *found = graphql_arena_take(c->arena, (inputs.len + 1) * sizeof(*found));
	bool ok = check_members(c, inputs, given, owner, found);

	for (size_t i = 0; i < inputs.len && !graphql_errors_full(c->errors); i++)
		ok &= coerce_input(c, &inputs.at[i], found[i], owner, at, make ? &end : NULL);
	if (ok && make)
		*make = copy_of(c, &object);
	return ok;
}

static bool coerce_null(struct graphql_coercion *c, value_t value, value_t *make)
{
	if (make)
		*make = copy_of(c, value);
	return true;
}

/* In a list a variable without a value is null. */
static bool coerce_variable(struct graphql_coercion *c, const struct graphql_type_ref *type, value_t variable,
	bool init, value_t *make)
{
	static const struct graphql_value none = { .kind = GRAPHQL_NULL, .at = GRAPHQL_NOWHERE };
	value_t value;

	if (!make) {
		c->use(c->arg, variable, type, init);
		return true;
	}
	value = value_of(c, variable);
	value = value ? value : &none;
	if (value->kind == GRAPHQL_NULL && type->wrap == GRAPHQL_NON_NULL) {
		graphql_errors_add(c->errors, variable->at, "variable $%.*s is null, where that is no value",
			GRAPHQL_SHOWN_ARGS(variable->text));
		return false;
	}
	/* Validation made sure that the variable's type is that of the place. */
	*make = value;
	return true;
}

static bool coerce(struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value, bool init,
	value_t *make)
{
	if (value->kind == GRAPHQL_VARIABLE)
		return coerce_variable(c, type, value, init, make);
	if (type->wrap == GRAPHQL_NON_NULL)
		return value->kind == GRAPHQL_NULL ? misfit(c, type, value, NULL)
						   : coerce(c, type->of, value, init, make);
	if (value->kind == GRAPHQL_NULL)
		return coerce_null(c, value, make);
	if (type->wrap == GRAPHQL_LIST_OF)
		return coerce_list(c, type, value, make);
	switch (type->type->kind) {
	case GRAPHQL_TYPE_SCALAR:
		return coerce_scalar(c, type, value, make);
	case GRAPHQL_TYPE_ENUM:
		return coerce_enum(c, type, value, make);
	case GRAPHQL_TYPE_INPUT:
		if (value->kind != GRAPHQL_OBJECT)
			return misfit(c, type, value, NULL);
		return coerce_members(c, type->type->inputs, value, type->name, value->at, make);
	case GRAPHQL_TYPE_OBJECT:
		break;
	}
	return misfit(c, type, value, "this type is no input");
}

/* ---- from outside ---- */

bool graphql_coerce_check(struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value)
{
	return coerce(c, type, value, false, NULL);
}

bool graphql_coerce_check_inputs(struct graphql_coercion *c, struct graphql_inputs inputs, value_t given,
	struct str owner, uint32_t at)
{
	return coerce_members(c, inputs, given, owner, at, NULL);
}

value_t graphql_coerce(struct graphql_coercion *c, const struct graphql_type_ref *type, value_t value)
{
	value_t made = NULL;

	return coerce(c, type, value, false, &made) ? made : NULL;
}

value_t graphql_coerce_inputs(struct graphql_coercion *c, struct graphql_inputs inputs, value_t given,
	struct str owner, uint32_t at)
{
	value_t made = NULL;

	return coerce_members(c, inputs, given, owner, at, &made) ? made : NULL;
}

value_t graphql_coerce_constant(const struct graphql_type_ref *type, value_t value,
	struct graphql_arena *arena, struct graphql_errors *errors)
{
	struct graphql_coercion c = { .arena = arena, .errors = errors };

	return graphql_coerce(&c, type, value);
}

/* ---- JSON ---- */

static void number_of(const struct json *node, struct graphql_value *value, struct graphql_arena *arena)
{
	AUTO_FINI(buf) text = buf_limit(64);
	struct json_writer w = json_writer(&text);

	json_value_node(&w, node);
	value->text = graphql_arena_str(arena, buf_str(&text));
	value->real = strtod(value->text.at, NULL);
	value->kind = json_get_int(node, &value->integer) ? GRAPHQL_INT : GRAPHQL_FLOAT;
}

static void members_of(const struct json *node, struct graphql_value *value, struct graphql_arena *arena)
{
	struct graphql_value **end = &value->first;
	const struct json *member;
	struct str key;

	for (void *it = NULL; json_next(node, &it, &key, &member); end = &(*end)->next) {
		*end = graphql_coerce_json(member, arena);
		(*end)->name = key;
	}
}

/* Recursion is bounded: documents are. Strings are the document's. */
struct graphql_value *graphql_coerce_json(const struct json *node, struct graphql_arena *arena)
{
	struct graphql_value *value = graphql_arena_new(arena, struct graphql_value), **end = &value->first;

	value->at = GRAPHQL_NOWHERE;
	value->json = true;
	switch (json_kind(node)) {
	case JSON_NONE:
	case JSON_NULL:
		value->kind = GRAPHQL_NULL;
		break;
	case JSON_BOOL:
		value->kind = GRAPHQL_BOOL;
		(void)json_get_bool(node, &value->boolean);
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		number_of(node, value, arena);
		break;
	case JSON_STRING:
		value->kind = GRAPHQL_STRING;
		value->text = json_str(node);
		break;
	case JSON_ARRAY:
		value->kind = GRAPHQL_LIST;
		for (size_t i = 0; i < json_len(node); i++, end = &(*end)->next)
			*end = graphql_coerce_json(json_at(node, i), arena);
		break;
	case JSON_OBJECT:
		value->kind = GRAPHQL_OBJECT;
		members_of(node, value, arena);
		break;
	}
	return value;
}
