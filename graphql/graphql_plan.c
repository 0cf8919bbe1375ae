/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_plan.h"

#include "graphql/graphql_coerce.h"

struct graphql_occurrence {
	struct graphql_selection *selections;
	struct graphql_occurrence *next;
};

/* The set of fields that is being made. */
struct set {
	struct graphql_planning *planning;
	struct graphql_selected **end;
	unsigned stamp, lists;
};

static bool refuse(struct graphql_planning *planning, uint32_t at, const char *what)
{
	graphql_errors_add(planning->errors, at, "%s", what);
	return false;
}

/* ---- @skip, @include ---- */

static bool condition(struct graphql_planning *planning, const struct graphql_directive *directive, bool *ret)
{
	struct graphql_coercion c = {
		.arena = planning->arena, .errors = planning->errors, .variables = planning->variables
	};
	const struct graphql_directive_type *type =
		graphql_schema_directive(planning->schema, directive->name);
	const struct graphql_value *made = graphql_coerce_inputs(
		&c, type->arguments, directive->arguments, directive->name, directive->at);

	*ret = graphql_value_bool(graphql_value_find(made, STR("if")), false);
	return made != NULL;
}

static bool is_in(struct graphql_planning *planning, const struct graphql_selection *selection, bool *ret_in)
{
	*ret_in = true;
	if (!planning->variables)
		return true;
	for (const struct graphql_directive *d = selection->directives; d; d = d->next) {
		bool value;

		if (!condition(planning, d, &value))
			return false;
		if (str_is(d->name, "skip") == value)
			*ret_in = false;
	}
	return true;
}

/* ---- one set ---- */

static void add_occurrence(struct graphql_planning *planning, struct graphql_selected *selected,
	struct graphql_selection *selection)
{
	struct graphql_occurrence *occurrence;

	if (!selection->first)
		return;
	occurrence = graphql_arena_new(planning->arena, struct graphql_occurrence);
	occurrence->selections = selection->first;
	*selected->occurrences_end = occurrence;
	selected->occurrences_end = &occurrence->next;
}

static bool conflict(struct graphql_planning *planning, const struct graphql_selection *a,
	const struct graphql_selection *b)
{
	const char *how = a->field != b->field ? "of different fields" : "with different arguments";

	graphql_errors_add(planning->errors, b->at,
		"\"%.*s\" is there twice, %s; name one of them otherwise (other: %.*s)",
		GRAPHQL_SHOWN_ARGS(b->key), how, GRAPHQL_SHOWN_ARGS(b->name));
	return false;
}

/* Arguments do not depend on where a field is merged, so they are made once. */
static void coerce_arguments(struct graphql_planning *planning, struct graphql_selected *selected)
{
	struct graphql_selection *selection = selected->selection;
	struct graphql_coercion c = {
		.arena = planning->arena, .errors = planning->errors, .variables = planning->variables
	};

	if (!selection->coerced_done) {
		selection->coerced_done = true;
		selection->coerced = graphql_coerce_inputs(&c, selection->field->arguments,
			selection->arguments, selection->name, selection->at);
	}
	selected->arguments = selection->coerced;
}

static bool add_field(struct set *set, struct graphql_selection *selection)
{
	struct graphql_planning *planning = set->planning;
	struct graphql_slot *slot = &planning->slots[selection->key_id];
	struct graphql_selected *selected = slot->selected;

	if (++planning->visits > GRAPHQL_VISITS_MAX)
		return refuse(planning, selection->at, "the query's fragments are spread too often");
	if (slot->stamp == set->stamp) {
		if (selected->field != selection->field ||
			selected->selection->same_arguments != selection->same_arguments)
			return conflict(planning, selected->selection, selection);
		add_occurrence(planning, selected, selection);
		return true;
	}
	if (++planning->fields > GRAPHQL_FIELDS_MAX)
		return refuse(planning, selection->at,
			"the query asks for too many fields, of all its fragments together");
	selected = graphql_arena_new(planning->arena, struct graphql_selected);
	selected->key = selection->key;
	selected->selection = selection;
	selected->field = selection->field;
	selected->occurrences_end = &selected->occurrences;
	selected->lists = set->lists + selection->field->widens;
	if (selected->lists > GRAPHQL_LISTS_MAX)
		return refuse(planning, selection->at,
			"the introspection asks for members of types of members too deep");
	*slot = (struct graphql_slot){ set->stamp, selected };
	if (planning->variables)
		coerce_arguments(planning, selected);
	add_occurrence(planning, selected, selection);
	*set->end = selected;
	set->end = &selected->next;
	return true;
}

/* Recursion: inline fragments are as deep as the text, named ones as validation lets them be (GRAPHQL_NESTING_MAX each). */
static bool add_selections(struct set *set, struct graphql_selection *selections)
{
	for (struct graphql_selection *s = selections; s; s = s->next) {
		bool in, ok = true;

		if (!is_in(set->planning, s, &in))
			return false;
		if (!in)
			continue;
		switch (s->kind) {
		case GRAPHQL_FIELD:
			ok = add_field(set, s);
			break;
		case GRAPHQL_INLINE:
			ok = add_selections(set, s->first);
			break;
		case GRAPHQL_SPREAD:
			if (++set->planning->visits > GRAPHQL_VISITS_MAX)
				return refuse(
					set->planning, s->at, "the query's fragments are spread too often");
			if (s->fragment->stamp == set->stamp)
				break;
			s->fragment->stamp = set->stamp;
			ok = add_selections(set, s->fragment->def.first);
			break;
		}
		if (!ok)
			return false;
	}
	return true;
}

/* ---- the tree ---- */

static bool plan_fields_of(struct graphql_planning *planning, struct graphql_selected *parent, unsigned depth)
{
	struct set set = { .planning = planning,
		.end = &parent->first,
		.stamp = ++*planning->stamp,
		.lists = parent->lists };

	for (struct graphql_occurrence *o = parent->occurrences; o; o = o->next)
		if (!add_selections(&set, o->selections))
			return false;
	for (struct graphql_selected *s = parent->first; s; s = s->next) {
		if (depth == GRAPHQL_DEPTH_MAX && s->occurrences) {
			graphql_errors_add(planning->errors, s->selection->at,
				"fields are nested more than %d deep", GRAPHQL_DEPTH_MAX);
			return false;
		}
		if (s->occurrences && !plan_fields_of(planning, s, depth + 1))
			return false;
	}
	return true;
}

bool graphql_plan(struct graphql_planning *planning, struct graphql_selection *selections,
	struct graphql_selected **ret_first)
{
	struct graphql_occurrence all = { .selections = selections };
	struct graphql_selected root = { .occurrences = &all };

	if (!plan_fields_of(planning, &root, 1))
		return false;
	*ret_first = root.first;
	return true;
}
