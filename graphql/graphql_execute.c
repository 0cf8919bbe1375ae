/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_execute - a call is the field at hand; it knows the call of the object around it, which makes the path of an error.
 *
 *     call -> up -> up -> NULL         each on the stack of the one that waits for it
 *
 * `levels` are the lists that the resolver has open: the type that an item has, where the list began, how many are in it. A null where none may be
 * marks its level broken: what else is put there is nothing, and the whole level becomes null where it ends.
 */
#include "graphql/graphql_execute.h"

#include "graphql/graphql_query_priv.h"

#define LEVELS_MAX 4   /* lists of lists of lists */
#define ASK_EVERY  256 /* fields between two questions to the host */

struct state {
	struct graphql_query *query;
	const struct graphql_run *run;
	struct buf *into;
	size_t start, max;
	unsigned fields;
	const char *stopped; /* why */
};

struct level {
	const struct graphql_type_ref *type; /* of what is put here, without its "!" */
	bool non_null, broken;
	size_t start, len;
};

struct graphql_call {
	struct state *state;
	struct graphql_call *up;
	const struct graphql_selected *selected;
	struct level levels[LEVELS_MAX];
	unsigned depth; /* levels above the first */
	bool told;      /* the reason of a null is already an error */
};

/* ---- errors ---- */

/* Recursion is as deep as fields are nested. */
static void put_path(const struct graphql_call *call, struct json_writer *w)
{
	if (!call)
		return;
	put_path(call->up, w);
	json_value_str(w, call->selected->key);
	for (unsigned i = 1; i <= call->depth; i++)
		json_value_int(w, (int64_t)call->levels[i].len - 1);
}

static void complain(struct graphql_call *call, const char *message, struct str extensions)
{
	struct graphql_error *error =
		graphql_errors_add(&call->state->query->errors, call->selected->selection->at, "%s", message);
	struct json_writer w;

	if (!error)
		return;
	w = json_writer(&error->path);
	json_open_array(&w);
	put_path(call, &w);
	json_close_array(&w);
	buf_add(&error->extensions, extensions);
}

void graphql_complain(struct graphql_call *call, const char *message, struct str extensions)
{
	complain(call, message, extensions);
}

static bool is_stopped(struct state *state)
{
	if (state->stopped)
		return true;
	if (state->into->failed || state->into->len - state->start > state->max)
		state->stopped = "the answer is too large; ask for less at a time";
	else if (state->fields % ASK_EVERY == 0 && state->run->may_go_on &&
		 !state->run->may_go_on(state->run->context))
		state->stopped = "the answer takes too long; ask for less at a time";
	return state->stopped != NULL;
}

/* ---- levels ---- */

static void cut(struct buf *into, size_t len)
{
	if (len < into->len) {
		into->len = len;
		into->at[len] = 0;
	}
}

static void open_level(struct graphql_call *call, const struct graphql_type_ref *type)
{
	struct level *level = &call->levels[call->depth];

	*level = (struct level){ .type = type, .start = call->state->into->len };
	if (type->wrap == GRAPHQL_NON_NULL) {
		level->non_null = true;
		level->type = type->of;
	}
}

static void null_here(struct graphql_call *call, struct level *level)
{
	AUTO_FINI(buf) message = buf_limit(GRAPHQL_SHOWN * 4);

	if (!level->non_null) {
		buf_puts(call->state->into, "null");
		return;
	}
	if (!call->told) {
		buf_format(&message, "%s.%s has no value here, and may not be null",
			call->selected->field->owner->name.at, call->selected->field->name.at);
		complain(call, buf_text(&message), STR_NONE);
		call->told = true;
	}
	level->broken = true;
}

/* The place of the next value; NULL: nothing is to be put. In a list the item's, whose comma is written. */
static struct level *begin(struct graphql_call *call)
{
	struct level *level = &call->levels[call->depth];

	if (call->state->stopped || level->broken)
		return NULL;
	if (call->depth && level->len)
		buf_putc(call->state->into, ',');
	else if (!call->depth && level->len) {
		complain(call, "the server put two values where one is", STR_NONE);
		return NULL;
	}
	level->len++;
	if (call->depth)
		call->told = false;
	return level;
}

/* The same for a value of that kind; another one is null. */
static struct level *begin_leaf(struct graphql_call *call, bool fits)
{
	struct level *level = begin(call);

	if (level && !fits) {
		complain(call, "the server has a value of another type here", STR_NONE);
		call->told = true;
		null_here(call, level);
		return NULL;
	}
	return level;
}

static bool is_scalar(const struct graphql_call *call, enum graphql_scalar a, enum graphql_scalar b)
{
	const struct graphql_type_ref *type = call->levels[call->depth].type;

	return type->wrap == GRAPHQL_NAMED && type->type->kind == GRAPHQL_TYPE_SCALAR &&
	       (type->type->scalar == a || type->type->scalar == b ||
		       type->type->scalar == GRAPHQL_SCALAR_OWN);
}

static bool is_kind(const struct graphql_call *call, enum graphql_type_kind kind)
{
	const struct graphql_type_ref *type = call->levels[call->depth].type;

	return type->wrap == GRAPHQL_NAMED && type->type->kind == kind;
}

/* ---- values ---- */

void graphql_put_null(struct graphql_call *call)
{
	struct level *level = begin(call);

	if (level)
		null_here(call, level);
}

void graphql_put_str(struct graphql_call *call, struct str value)
{
	struct json_writer w = json_writer(call->state->into);

	if (begin_leaf(call, is_scalar(call, GRAPHQL_SCALAR_STRING, GRAPHQL_SCALAR_ID) ||
				     is_kind(call, GRAPHQL_TYPE_ENUM)))
		json_value_str(&w, value);
}

void graphql_put_text(struct graphql_call *call, const char *value)
{
	if (value)
		graphql_put_str(call, str_of(value));
	else
		graphql_put_null(call);
}

void graphql_put_int(struct graphql_call *call, int64_t value)
{
	struct json_writer w = json_writer(call->state->into);

	if (begin_leaf(call, is_scalar(call, GRAPHQL_SCALAR_INT, GRAPHQL_SCALAR_FLOAT)))
		json_value_int(&w, value);
}

void graphql_put_real(struct graphql_call *call, double value)
{
	struct level *level = begin_leaf(call, is_scalar(call, GRAPHQL_SCALAR_FLOAT, GRAPHQL_SCALAR_FLOAT));

	if (!level)
		return;
	if (value - value != 0)
		null_here(call, level);
	else
		buf_format(call->state->into, "%.17g", value);
}

void graphql_put_bool(struct graphql_call *call, bool value)
{
	if (begin_leaf(call, is_scalar(call, GRAPHQL_SCALAR_BOOLEAN, GRAPHQL_SCALAR_BOOLEAN)))
		buf_puts(call->state->into, value ? "true" : "false");
}

void graphql_list_open(struct graphql_call *call)
{
	struct level *level = &call->levels[call->depth];
	const struct graphql_type_ref *item = level->type->wrap == GRAPHQL_LIST_OF ? level->type->of : NULL;

	if (!item || call->depth + 1 == LEVELS_MAX)
		(void)begin_leaf(call, false);
	else if (begin(call)) {
		size_t start = call->state->into->len;

		buf_putc(call->state->into, '[');
		call->depth++;
		open_level(call, item);
		call->levels[call->depth].start = start;
		return;
	}
	/* What is put until the list is closed goes nowhere. */
	if (call->depth + 1 < LEVELS_MAX) {
		call->depth++;
		call->levels[call->depth] =
			(struct level){ .type = level->type, .broken = true, .len = SIZE_MAX };
	}
}

void graphql_list_close(struct graphql_call *call)
{
	struct level *level = &call->levels[call->depth];

	if (!call->depth)
		return;
	call->depth--;
	if (level->len == SIZE_MAX)
		return;
	if (!level->broken) {
		buf_putc(call->state->into, ']');
		return;
	}
	cut(call->state->into, level->start);
	null_here(call, &call->levels[call->depth]);
}

/* ---- objects ---- */

static bool put_fields(struct state *state, struct graphql_call *up, const struct graphql_selected *first,
	const void *object, const void *const *roots);

void graphql_put_object(struct graphql_call *call, const void *object)
{
	struct level *level;
	size_t start;

	if (!object) {
		graphql_put_null(call);
		return;
	}
	level = begin_leaf(call, is_kind(call, GRAPHQL_TYPE_OBJECT));
	start = call->state->into->len;
	if (!level || put_fields(call->state, call, call->selected->first, object, NULL))
		return;
	cut(call->state->into, start);
	call->told = true;
	null_here(call, level);
}

void graphql_put_done(struct graphql_call *call, struct str json)
{
	struct level *level;

	if (str_is(json, "null")) {
		graphql_put_null(call);
		return;
	}
	level = begin_leaf(call, is_kind(call, GRAPHQL_TYPE_OBJECT));
	if (level)
		buf_add(call->state->into, json);
}

static void resolve(struct graphql_call *call, const void *object)
{
	struct level *level = &call->levels[0];
	struct error err = { .kind = ERROR_INTERNAL };

	if (!call->selected->arguments) { /* why not was told when they were made */
		call->told = true;
		null_here(call, level);
		return;
	}
	if (call->selected->field->resolve(call, object, &err)) {
		while (call->depth)
			graphql_list_close(call);
		if (!level->len)
			graphql_put_null(call);
		return;
	}
	call->depth = 0;
	complain(call, err.text, STR_NONE);
	call->told = true;
	cut(call->state->into, level->start);
	level->broken = false;
	null_here(call, level);
}

/* What the fields of the introspection are of: __typename of the type around it, the others of the schema. */
static const void *object_of(const struct state *state, const struct graphql_call *up,
	const struct graphql_field *field, const void *object)
{
	const struct graphql_schema *schema = state->query->schema;

	if (field == &schema->typename_field)
		return up ? graphql_type_ref_named(up->selected->field->type)->type : state->query->root;
	return field == &schema->schema_field || field == &schema->type_field ? schema : object;
}

/* False: it is null, and may not be. */
static bool put_field(struct state *state, struct graphql_call *up, const struct graphql_selected *selected,
	const void *object)
{
	struct graphql_call call = { .state = state, .up = up, .selected = selected };
	struct json_writer w = json_writer(state->into);

	state->fields++;
	if (is_stopped(state))
		return true;
	json_value_str(&w, selected->key);
	buf_putc(state->into, ':');
	open_level(&call, selected->field->type);
	resolve(&call, object_of(state, up, selected->field, object));
	return !call.levels[0].broken;
}

static bool put_fields(struct state *state, struct graphql_call *up, const struct graphql_selected *first,
	const void *object, const void *const *roots)
{
	buf_putc(state->into, '{');
	for (const struct graphql_selected *s = first; s && !state->stopped; s = s->next) {
		if (s != first)
			buf_putc(state->into, ',');
		if (!put_field(state, up, s, roots ? *roots++ : object))
			return false;
	}
	buf_putc(state->into, '}');
	return true;
}

/* ---- from outside ---- */

static struct state start(struct graphql_query *query, const struct graphql_run *run, struct buf *into)
{
	return (struct state){ .query = query,
		.run = run,
		.into = into,
		.start = into->len,
		.max = run->output_max ? run->output_max : GRAPHQL_OUTPUT_MAX };
}

static void put_stopped(struct state *state)
{
	struct json_writer w = json_writer(state->into);

	cut(state->into, state->start);
	state->into->failed = false;
	buf_puts(state->into, "{\"errors\":[");
	json_open_object(&w);
	json_put_text(&w, "message", state->stopped);
	json_close_object(&w);
	buf_puts(state->into, "],\"data\":null}");
}

bool graphql_execute(struct graphql_query *query, const struct graphql_run *run, struct buf *into)
{
	struct state state = start(query, run, into);
	size_t data;

	buf_puts(into, "{\"data\":");
	data = into->len;
	if (!put_fields(&state, NULL, query->first, NULL, run->roots)) {
		cut(into, data);
		buf_puts(into, "null");
	}
	if (query->errors.len) {
		buf_puts(into, ",\"errors\":");
		graphql_errors_print(&query->errors, into);
	}
	buf_putc(into, '}');
	if (!is_stopped(&state))
		return true;
	put_stopped(&state);
	return false;
}

bool graphql_execute_object(
	struct graphql_query *query, const struct graphql_run *run, const void *object, struct buf *into)
{
	struct state state = start(query, run, into);

	if (!put_fields(&state, NULL, query->first, object, NULL)) {
		cut(into, state.start);
		buf_puts(into, "null");
	}
	if (!is_stopped(&state))
		return true;
	cut(into, state.start);
	return false;
}

void *graphql_call_context(const struct graphql_call *call)
{
	return call->state->run->context;
}

int graphql_call_number(const struct graphql_call *call)
{
	return call->selected->field->number;
}

const struct graphql_value *graphql_argument(const struct graphql_call *call, const char *name)
{
	return graphql_selected_argument(call->selected, name);
}

const struct graphql_selected *graphql_call_selected(const struct graphql_call *call)
{
	return call->selected;
}

bool graphql_call_stopped(const struct graphql_call *call)
{
	return is_stopped(call->state);
}
