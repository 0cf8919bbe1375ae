/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_validate.h"

#include "common/map.h"
#include "graphql/graphql_coerce.h"
#include "graphql/graphql_plan.h"

struct validation {
	const struct graphql_schema *schema;
	const struct graphql_type *root;
	struct graphql_document *document;
	struct graphql_arena *arena;
	struct graphql_errors *errors;
	struct graphql_definition *at_hand;
	struct graphql_fragment **fragments; /* by number of their name */
	struct graphql_variable **variables; /* by number, of the operation at hand */
	struct map *arguments;               /* their text to a number: which are the same */
	unsigned spread_depth;
};

static bool full(const struct validation *v)
{
	return graphql_errors_full(v->errors);
}

static void *by_number(struct validation *v, size_t size)
{
	return graphql_arena_take(v->arena, (v->document->names_len + 1) * size);
}

/* ---- values in their places ---- */

static void use_variable(
	void *arg, const struct graphql_value *variable, const struct graphql_type_ref *type, bool init)
{
	struct validation *v = arg;
	struct graphql_usage *usage = graphql_arena_new(v->arena, struct graphql_usage);

	*usage = (struct graphql_usage){ .name = variable->text,
		.id = (unsigned)variable->integer,
		.at = variable->at,
		.type = type,
		.init = init,
		.next = v->at_hand->usages };
	v->at_hand->usages = usage;
}

static bool check_inputs(struct validation *v, struct graphql_inputs inputs,
	const struct graphql_value *given, struct str owner, uint32_t at)
{
	struct graphql_coercion c = { .arena = v->arena, .errors = v->errors, .use = use_variable, .arg = v };

	return graphql_coerce_check_inputs(&c, inputs, given, owner, at);
}

/* Arguments with the same text, in the order of the schema, have the same number. */
static unsigned number_arguments(
	struct validation *v, const struct graphql_field *field, const struct graphql_value *given)
{
	AUTO_FINI(buf) text = buf_limit(GRAPHQL_TEXT_MAX * 8);
	uintptr_t number;

	if (!given)
		return 0;
	for (size_t i = 0; i < field->arguments.len; i++) {
		const struct graphql_value *value = graphql_value_find(given, field->arguments.at[i].name);

		if (!value)
			continue;
		buf_add(&text, field->arguments.at[i].name);
		buf_putc(&text, ':');
		graphql_value_print(value, &text);
		buf_putc(&text, ' ');
	}
	number = (uintptr_t)map_find(v->arguments, buf_str(&text));
	if (!number) {
		number = map_len(v->arguments) + 1;
		(void)map_put(v->arguments, buf_str(&text), (void *)number);
	}
	return (unsigned)number;
}

/* ---- directives ---- */

static void check_directive(struct validation *v, const struct graphql_directive *directive,
	const char *where, bool allowed, uint64_t *seen)
{
	const struct graphql_directive_type *type = graphql_schema_directive(v->schema, directive->name);
	uint64_t bit;

	if (!type) {
		struct graphql_hint hint = graphql_hint(directive->name, &v->schema->directives->name,
			v->schema->directives_len, sizeof(*type));

		graphql_errors_add(v->errors, directive->at, "there is no directive \"@%.*s\"%s",
			GRAPHQL_SHOWN_ARGS(directive->name), hint.text);
		return;
	}
	bit = UINT64_C(1) << (type - v->schema->directives);
	if (!allowed || !type->everywhere)
		graphql_errors_add(v->errors, directive->at, "\"@%.*s\" may not stand at %s",
			STR_ARGS(type->name), where);
	else if (*seen & bit)
		graphql_errors_add(
			v->errors, directive->at, "\"@%.*s\" is there twice", STR_ARGS(type->name));
	*seen |= bit;
	(void)check_inputs(v, type->arguments, directive->arguments, directive->name, directive->at);
}

static void check_directives(
	struct validation *v, const struct graphql_directive *directives, const char *where, bool allowed)
{
	uint64_t seen = 0;

	for (const struct graphql_directive *d = directives; d && !full(v); d = d->next)
		check_directive(v, d, where, allowed, &seen);
}

/* ---- selections ---- */

static void check_selections(
	struct validation *v, const struct graphql_type *type, struct graphql_selection *first);

static void unknown_field(
	struct validation *v, const struct graphql_type *type, const struct graphql_selection *s)
{
	struct graphql_hint hint =
		graphql_hint(s->name, &type->fields->name, type->fields_len, sizeof(*type->fields));

	graphql_errors_add(v->errors, s->at, "%.*s has no field \"%.*s\"%s", STR_ARGS(type->name),
		GRAPHQL_SHOWN_ARGS(s->name), hint.text);
}

static void check_field(struct validation *v, const struct graphql_type *type, struct graphql_selection *s)
{
	const struct graphql_type *inner;

	s->field = graphql_schema_field(v->schema, type, s->name);
	check_directives(v, s->directives, "a field", true);
	if (!s->field) {
		unknown_field(v, type, s);
		return;
	}
	if (check_inputs(v, s->field->arguments, s->arguments, s->name, s->at))
		s->same_arguments = number_arguments(v, s->field, s->arguments);
	inner = graphql_type_ref_named(s->field->type)->type;
	if (inner->kind == GRAPHQL_TYPE_OBJECT && !s->first)
		graphql_errors_add(v->errors, s->at,
			"\"%.*s\" is an object of type %.*s: say which of its fields, in braces",
			STR_ARGS(s->name), STR_ARGS(inner->name));
	else if (inner->kind != GRAPHQL_TYPE_OBJECT && s->first)
		graphql_errors_add(v->errors, s->at, "\"%.*s\" is of type %.*s, which has no fields",
			STR_ARGS(s->name), STR_ARGS(inner->name));
	else
		check_selections(v, inner, s->first);
}

/* There are objects alone, so that a fragment has to be on the very type. NULL: an error was told. */
static const struct graphql_type *object_of(struct validation *v, struct str name, uint32_t at)
{
	const struct graphql_type *type = graphql_schema_find(v->schema, name);

	if (!type) {
		struct graphql_hint hint =
			graphql_hint(name, &v->schema->types->name, v->schema->types_len, sizeof(*type));

		graphql_errors_add(
			v->errors, at, "there is no type \"%.*s\"%s", GRAPHQL_SHOWN_ARGS(name), hint.text);
		return NULL;
	}
	if (type->kind == GRAPHQL_TYPE_OBJECT)
		return type;
	graphql_errors_add(
		v->errors, at, "a fragment is on an object, and %.*s is none", STR_ARGS(type->name));
	return NULL;
}

static void check_fits(
	struct validation *v, const struct graphql_type *here, const struct graphql_type *on, uint32_t at)
{
	if (on && on != here)
		graphql_errors_add(v->errors, at, "a fragment on %.*s never fits here, where %.*s is",
			STR_ARGS(on->name), STR_ARGS(here->name));
}

static void check_inline(struct validation *v, const struct graphql_type *type, struct graphql_selection *s)
{
	const struct graphql_type *on = s->name.len ? object_of(v, s->name, s->at) : type;

	check_directives(v, s->directives, "an inline fragment", true);
	check_fits(v, type, on, s->at);
	if (on)
		check_selections(v, on, s->first);
}

static void unknown_fragment(struct validation *v, const struct graphql_selection *s)
{
	struct str names[256];
	size_t n = 0;
	struct graphql_hint hint;

	/* Terminated, as hints want them. */
	for (struct graphql_fragment *f = v->document->fragments; f && n < 256; f = f->next)
		names[n++] = graphql_arena_str(v->arena, f->def.name);
	hint = graphql_hint(s->name, names, n, sizeof(*names));
	graphql_errors_add(
		v->errors, s->at, "there is no fragment \"%.*s\"%s", GRAPHQL_SHOWN_ARGS(s->name), hint.text);
}

static struct graphql_fragment *fragment_of(const struct validation *v, struct str name)
{
	uintptr_t id = v->document->names ? (uintptr_t)map_find(v->document->names, name) : 0;

	return id ? v->fragments[id - 1] : NULL;
}

static void check_spread(struct validation *v, const struct graphql_type *type, struct graphql_selection *s)
{
	struct graphql_spread *spread;

	check_directives(v, s->directives, "a fragment", true);
	s->fragment = fragment_of(v, s->name);
	if (!s->fragment) {
		unknown_fragment(v, s);
		return;
	}
	s->fragment->used = true;
	check_fits(v, type, s->fragment->type, s->at);
	spread = graphql_arena_new(v->arena, struct graphql_spread);
	*spread = (struct graphql_spread){ s->fragment, s->at, v->at_hand->spreads };
	v->at_hand->spreads = spread;
}

static void check_selections(
	struct validation *v, const struct graphql_type *type, struct graphql_selection *first)
{
	for (struct graphql_selection *s = first; s && !full(v); s = s->next)
		switch (s->kind) {
		case GRAPHQL_FIELD:
			check_field(v, type, s);
			break;
		case GRAPHQL_INLINE:
			check_inline(v, type, s);
			break;
		case GRAPHQL_SPREAD:
			check_spread(v, type, s);
			break;
		}
}

/* ---- fragments ---- */

static void name_fragments(struct validation *v)
{
	for (struct graphql_fragment *f = v->document->fragments; f && !full(v); f = f->next) {
		if (v->fragments[f->def.id])
			graphql_errors_add(v->errors, f->def.at, "there are two fragments \"%.*s\"",
				GRAPHQL_SHOWN_ARGS(f->def.name));
		v->fragments[f->def.id] = f;
		f->type = object_of(v, f->on, f->on_at);
	}
}

static void check_fragments(struct validation *v)
{
	for (struct graphql_fragment *f = v->document->fragments; f && !full(v); f = f->next) {
		v->at_hand = &f->def;
		check_directives(v, f->def.directives, "the definition of a fragment", false);
		if (f->type)
			check_selections(v, f->type, f->def.first);
	}
}

static void too_deep(struct validation *v, uint32_t at)
{
	graphql_errors_add(
		v->errors, at, "fragments are spread in each other more than %d deep", GRAPHQL_NESTING_MAX);
}

/* Recursion is bounded by its own limit; a chain that is walked in pieces is seen by its length. */
static void check_cycle(struct validation *v, struct graphql_fragment *fragment)
{
	fragment->state = GRAPHQL_OPEN;
	v->spread_depth++;
	for (struct graphql_spread *s = fragment->def.spreads; s && !full(v); s = s->next) {
		if (s->fragment->state == GRAPHQL_OPEN)
			graphql_errors_add(v->errors, s->at,
				"fragment \"%.*s\" spreads itself, through \"%.*s\"",
				GRAPHQL_SHOWN_ARGS(s->fragment->def.name),
				GRAPHQL_SHOWN_ARGS(fragment->def.name));
		else if (s->fragment->state == GRAPHQL_FRESH && v->spread_depth == GRAPHQL_NESTING_MAX)
			too_deep(v, s->at);
		else if (s->fragment->state == GRAPHQL_FRESH)
			check_cycle(v, s->fragment);
		if (s->fragment->depth >= fragment->depth)
			fragment->depth = s->fragment->depth + 1;
	}
	if (fragment->depth == GRAPHQL_NESTING_MAX)
		too_deep(v, fragment->def.at);
	v->spread_depth--;
	fragment->state = GRAPHQL_SEEN;
}

static void check_cycles(struct validation *v)
{
	for (struct graphql_fragment *f = v->document->fragments; f && !full(v); f = f->next) {
		if (!f->used)
			graphql_errors_add(v->errors, f->def.at, "fragment \"%.*s\" is not used",
				GRAPHQL_SHOWN_ARGS(f->def.name));
		if (f->state == GRAPHQL_FRESH)
			check_cycle(v, f);
	}
}

/* ---- variables ---- */

static void check_variable(struct validation *v, struct graphql_variable *variable)
{
	struct graphql_coercion c = { .arena = v->arena, .errors = v->errors };
	struct graphql_type_ref *named =
		(struct graphql_type_ref *)(uintptr_t)graphql_type_ref_named(variable->type);

	if (v->variables[variable->id])
		graphql_errors_add(v->errors, variable->at, "there are two variables $%.*s",
			GRAPHQL_SHOWN_ARGS(variable->name));
	v->variables[variable->id] = variable;
	check_directives(v, variable->directives, "a variable", false);
	named->type = graphql_schema_find(v->schema, named->name);
	if (!named->type) {
		struct graphql_hint hint = graphql_hint(named->name, &v->schema->types->name,
			v->schema->types_len, sizeof(*v->schema->types));

		graphql_errors_add(v->errors, named->at, "there is no type \"%.*s\"%s",
			GRAPHQL_SHOWN_ARGS(named->name), hint.text);
	} else if (!graphql_type_is_input(named->type)) {
		graphql_errors_add(v->errors, named->at,
			"a variable cannot be of type %.*s, which is an object", STR_ARGS(named->type->name));
		named->type = NULL;
	} else if (variable->init) {
		(void)graphql_coerce_check(&c, variable->type, variable->init);
	}
}

/* AreTypesCompatible(): the same, or a "!" more. */
static bool compatible(const struct graphql_type_ref *from, const struct graphql_type_ref *to)
{
	for (;;) {
		if (to->wrap == GRAPHQL_NON_NULL) {
			if (from->wrap != GRAPHQL_NON_NULL)
				return false;
			from = from->of;
			to = to->of;
		} else if (from->wrap == GRAPHQL_NON_NULL) {
			from = from->of;
		}
		if (to->wrap != from->wrap)
			return false;
		if (to->wrap == GRAPHQL_NAMED)
			return to->type == from->type;
		to = to->of;
		from = from->of;
	}
}

/* IsVariableUsageAllowed(): a default, of the variable or of the place, stands in for a "!". */
static bool allowed(const struct graphql_variable *variable, const struct graphql_usage *usage)
{
	bool init = variable->init && variable->init->kind != GRAPHQL_NULL;

	if (usage->type->wrap == GRAPHQL_NON_NULL && variable->type->wrap != GRAPHQL_NON_NULL)
		return (init || usage->init) && compatible(variable->type, usage->type->of);
	return compatible(variable->type, usage->type);
}

static void check_usages(struct validation *v, const struct graphql_usage *usages)
{
	for (const struct graphql_usage *u = usages; u && !full(v); u = u->next) {
		AUTO_FINI(buf) is = buf_limit(GRAPHQL_TEXT_MAX);
		AUTO_FINI(buf) wanted = buf_limit(GRAPHQL_TEXT_MAX);
		struct graphql_variable *variable = v->variables[u->id];

		if (!variable) {
			graphql_errors_add(v->errors, u->at, "the operation has no variable $%.*s",
				GRAPHQL_SHOWN_ARGS(u->name));
			continue;
		}
		variable->used = true;
		if (!graphql_type_ref_named(variable->type)->type || allowed(variable, u))
			continue;
		graphql_type_ref_print(variable->type, &is);
		graphql_type_ref_print(u->type, &wanted);
		graphql_errors_add(v->errors, u->at, "variable $%.*s is of type %.*s, where %.*s is wanted",
			GRAPHQL_SHOWN_ARGS(u->name), GRAPHQL_SHOWN_ARGS(buf_str(&is)),
			GRAPHQL_SHOWN_ARGS(buf_str(&wanted)));
	}
}

/* Of a definition and all that it spreads; recursion as deep as fragments may be spread in each other. */
static void check_usages_of(struct validation *v, const struct graphql_definition *def, unsigned stamp)
{
	check_usages(v, def->usages);
	for (struct graphql_spread *s = def->spreads; s && !full(v); s = s->next) {
		if (s->fragment->stamp == stamp)
			continue;
		s->fragment->stamp = stamp;
		check_usages_of(v, &s->fragment->def, stamp);
	}
}

static void check_variables(struct validation *v, struct graphql_operation *operation, unsigned stamp)
{
	v->variables = by_number(v, sizeof(*v->variables));
	for (struct graphql_variable *variable = operation->variables; variable && !full(v);
		variable = variable->next)
		check_variable(v, variable);
	check_usages_of(v, &operation->def, stamp);
	for (struct graphql_variable *variable = operation->variables; variable && !full(v);
		variable = variable->next)
		if (!variable->used)
			graphql_errors_add(v->errors, variable->at, "variable $%.*s is not used",
				GRAPHQL_SHOWN_ARGS(variable->name));
}

/* ---- operations ---- */

static void check_operations(struct validation *v)
{
	bool *named = by_number(v, sizeof(*named));

	for (struct graphql_operation *o = v->document->operations; o && !full(v); o = o->next) {
		if (!o->def.name.len && v->document->operations_len > 1)
			graphql_errors_add(
				v->errors, o->def.at, "an operation without a name has to be the only one");
		if (o->def.name.len && named[o->def.id])
			graphql_errors_add(v->errors, o->def.at, "there are two operations \"%.*s\"",
				GRAPHQL_SHOWN_ARGS(o->def.name));
		if (o->def.name.len)
			named[o->def.id] = true;
		v->at_hand = &o->def;
		check_directives(v, o->def.directives, "an operation", false);
		check_selections(v, v->root, o->def.first);
	}
}

static void check_merges(struct validation *v)
{
	struct graphql_planning planning = { .schema = v->schema,
		.arena = v->arena,
		.errors = v->errors,
		.slots = by_number(v, sizeof(struct graphql_slot)),
		.stamp = &v->document->stamp };
	struct graphql_selected *first;

	for (struct graphql_operation *o = v->document->operations; o; o = o->next)
		if (!graphql_plan(&planning, o->def.first, &first))
			return;
}

bool graphql_validate(const struct graphql_schema *schema, const struct graphql_type *root,
	struct graphql_document *document, struct graphql_arena *arena, struct graphql_errors *errors)
{
	AUTO(map) *arguments = map_new();
	struct validation v = { .schema = schema,
		.root = root,
		.document = document,
		.arena = arena,
		.errors = errors,
		.arguments = arguments };

	v.fragments = by_number(&v, sizeof(struct graphql_fragment *));
	name_fragments(&v);
	check_operations(&v);
	check_fragments(&v);
	if (errors->len)
		return false;
	check_cycles(&v);
	if (errors->len)
		return false;
	for (struct graphql_operation *o = document->operations; o && !full(&v); o = o->next)
		check_variables(&v, o, ++document->stamp);
	if (!errors->len)
		check_merges(&v);
	return !errors->len;
}
