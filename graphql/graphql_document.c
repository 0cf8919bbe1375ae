/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_document.h"

#include <errno.h>

#include "common/map.h"
#include "graphql/graphql_lexer.h"

/* One token ahead. When a function returns false, errors has what was wrong. */
struct parser {
	struct graphql_lexer lexer;
	struct graphql_token token; /* the next one, not taken */
	struct graphql_arena *arena;
	struct graphql_errors *errors;
	struct graphql_document *document; /* NULL: a type or a value alone */
	unsigned nesting;
};

void graphql_document_fini(struct graphql_document *document)
{
	map_free(document->names);
	document->names = NULL;
}

/* ---- tokens ---- */

static bool advance(struct parser *p)
{
	return graphql_lexer_next(&p->lexer, &p->token);
}

static bool start(
	struct parser *p, struct str text, struct graphql_arena *arena, struct graphql_errors *errors)
{
	*p = (struct parser){ .arena = arena, .errors = errors };
	return graphql_lexer_init(&p->lexer, text, arena, errors) && advance(p);
}

static bool unexpected(struct parser *p, const char *wanted)
{
	struct str text = p->token.text;

	if (p->token.kind == GRAPHQL_T_END)
		graphql_errors_add(p->errors, p->token.at, "the query ends here; expected is %s", wanted);
	else if (p->token.kind == GRAPHQL_T_STRING)
		graphql_errors_add(p->errors, p->token.at, "a string is here; expected is %s", wanted);
	else
		graphql_errors_add(p->errors, p->token.at, "\"%.*s\" is here; expected is %s",
			GRAPHQL_SHOWN_ARGS(text), wanted);
	return false;
}

static bool is_mark(const struct parser *p, char mark)
{
	return p->token.kind == GRAPHQL_T_MARK && p->token.mark == mark;
}

static bool is_word(const struct parser *p, const char *word)
{
	return p->token.kind == GRAPHQL_T_NAME && str_is(p->token.text, word);
}

static bool take_mark(struct parser *p, char mark)
{
	char wanted[] = { '"', mark, '"', 0 };

	return is_mark(p, mark) ? advance(p) : unexpected(p, wanted);
}

static bool take_name(struct parser *p, const char *wanted, struct str *ret)
{
	if (p->token.kind != GRAPHQL_T_NAME)
		return unexpected(p, wanted);
	*ret = p->token.text;
	return advance(p);
}

static bool enter(struct parser *p)
{
	if (++p->nesting <= GRAPHQL_NESTING_MAX)
		return true;
	graphql_errors_add(
		p->errors, p->token.at, "brackets are nested more than %d deep", GRAPHQL_NESTING_MAX);
	return false;
}

static unsigned name_id(struct parser *p, struct str name)
{
	struct graphql_document *document = p->document;
	uintptr_t id;

	if (!document->names)
		document->names = map_new();
	id = (uintptr_t)map_find(document->names, name);
	if (!id) {
		id = ++document->names_len;
		(void)map_put(document->names, name, (void *)id);
	}
	return (unsigned)id - 1;
}

/* ---- types ---- */

static struct graphql_type_ref *new_ref(
	struct parser *p, enum graphql_wrap wrap, const struct graphql_type_ref *of)
{
	struct graphql_type_ref *ref = graphql_arena_new(p->arena, struct graphql_type_ref);

	*ref = (struct graphql_type_ref){ .wrap = wrap, .at = p->token.at, .of = of };
	return ref;
}

static bool parse_type(struct parser *p, struct graphql_type_ref **ret)
{
	struct graphql_type_ref *ref;
	uint32_t at = p->token.at;

	if (is_mark(p, '[')) {
		struct graphql_type_ref *of;

		if (!enter(p) || !advance(p) || !parse_type(p, &of) || !take_mark(p, ']'))
			return false;
		p->nesting--;
		ref = new_ref(p, GRAPHQL_LIST_OF, of);
	} else {
		ref = new_ref(p, GRAPHQL_NAMED, NULL);
		if (!take_name(p, "the name of a type", &ref->name))
			return false;
	}
	ref->at = at;
	if (is_mark(p, '!')) {
		if (!advance(p))
			return false;
		ref = new_ref(p, GRAPHQL_NON_NULL, ref);
		ref->at = at;
	}
	*ret = ref;
	return true;
}

/* ---- values ---- */

static bool parse_value(struct parser *p, bool constant, struct graphql_value **ret);

static struct graphql_value *new_value(struct parser *p, enum graphql_value_kind kind)
{
	struct graphql_value *value = graphql_arena_new(p->arena, struct graphql_value);

	value->kind = kind;
	value->at = p->token.at;
	value->text = p->token.text;
	return value;
}

/* An integer over 64 bits is a Float to what follows. */
static bool parse_number(struct parser *p, struct graphql_value **ret)
{
	struct graphql_value *value =
		new_value(p, p->token.kind == GRAPHQL_T_INT ? GRAPHQL_INT : GRAPHQL_FLOAT);
	struct str digits = value->text;
	bool minus = str_skip(&digits, "-");
	char text[400];
	uint64_t number;

	if (!str_copy(value->text, text, sizeof(text))) {
		graphql_errors_add(p->errors, value->at, "this number has %zu digits", value->text.len);
		return false;
	}
	value->real = strtod(text, NULL);
	if (value->real - value->real != 0) {
		graphql_errors_add(p->errors, value->at, "this number is too large");
		return false;
	}
	if (value->kind == GRAPHQL_INT && !str_to_number(digits, INT64_MAX, &number))
		value->kind = GRAPHQL_FLOAT;
	else if (value->kind == GRAPHQL_INT)
		value->integer = minus ? -(int64_t)number : (int64_t)number;
	*ret = value;
	return advance(p);
}

static bool parse_name_value(struct parser *p, struct graphql_value **ret)
{
	struct graphql_value *value = new_value(p, GRAPHQL_ENUM);

	if (str_is(value->text, "null")) {
		value->kind = GRAPHQL_NULL;
	} else if (str_is(value->text, "true") || str_is(value->text, "false")) {
		value->kind = GRAPHQL_BOOL;
		value->boolean = str_is(value->text, "true");
	}
	*ret = value;
	return advance(p);
}

static bool parse_variable_value(struct parser *p, bool constant, struct graphql_value **ret)
{
	struct graphql_value *value = new_value(p, GRAPHQL_VARIABLE);

	if (constant)
		return unexpected(p, "a value without variables");
	*ret = value;
	if (!advance(p) || !take_name(p, "the name of a variable", &value->text))
		return false;
	value->integer = name_id(p, value->text);
	return true;
}

static bool parse_list(struct parser *p, bool constant, struct graphql_value **ret)
{
	struct graphql_value *list = new_value(p, GRAPHQL_LIST), **end = &list->first;

	if (!enter(p) || !advance(p))
		return false;
	for (; !is_mark(p, ']'); end = &(*end)->next)
		if (!parse_value(p, constant, end))
			return false;
	p->nesting--;
	*ret = list;
	return advance(p);
}

/* Fields of an object, and arguments: the same but for their brackets. */
static bool parse_members(struct parser *p, bool constant, char close, struct graphql_value **ret)
{
	struct graphql_value *object = new_value(p, GRAPHQL_OBJECT), **end = &object->first;

	if (!enter(p) || !advance(p))
		return false;
	for (; !is_mark(p, close); end = &(*end)->next) {
		struct str name;
		uint32_t at = p->token.at;

		if (!take_name(p,
			    close == '}' ? "the name of a field, or \"}\""
					 : "the name of an argument, or \")\"",
			    &name) ||
			!take_mark(p, ':') || !parse_value(p, constant, end))
			return false;
		(*end)->name = name;
		if ((*end)->kind != GRAPHQL_VARIABLE)
			(*end)->at = at;
	}
	p->nesting--;
	*ret = object;
	return advance(p);
}

static bool parse_value(struct parser *p, bool constant, struct graphql_value **ret)
{
	switch (p->token.kind) {
	case GRAPHQL_T_INT:
	case GRAPHQL_T_FLOAT:
		return parse_number(p, ret);
	case GRAPHQL_T_NAME:
		return parse_name_value(p, ret);
	case GRAPHQL_T_STRING:
		*ret = new_value(p, GRAPHQL_STRING);
		return advance(p);
	case GRAPHQL_T_MARK:
		if (p->token.mark == '$')
			return parse_variable_value(p, constant, ret);
		if (p->token.mark == '[')
			return parse_list(p, constant, ret);
		if (p->token.mark == '{')
			return parse_members(p, constant, '}', ret);
		break;
	case GRAPHQL_T_SPREAD:
	case GRAPHQL_T_END:
		break;
	}
	return unexpected(p, "a value");
}

static bool parse_arguments(struct parser *p, bool constant, struct graphql_value **ret)
{
	if (!is_mark(p, '('))
		return true;
	if (!parse_members(p, constant, ')', ret))
		return false;
	if ((*ret)->first)
		return true;
	graphql_errors_add(
		p->errors, (*ret)->at, "these brackets are empty; leave them out, or name an argument");
	return false;
}

static bool parse_directives(struct parser *p, bool constant, struct graphql_directive **end)
{
	for (; is_mark(p, '@'); end = &(*end)->next) {
		*end = graphql_arena_new(p->arena, struct graphql_directive);
		(*end)->at = p->token.at;
		if (!advance(p) || !take_name(p, "the name of a directive", &(*end)->name) ||
			!parse_arguments(p, constant, &(*end)->arguments))
			return false;
	}
	return true;
}

/* ---- selections ---- */

static bool parse_selections(struct parser *p, struct graphql_selection **ret);

static bool parse_field(struct parser *p, struct graphql_selection *field)
{
	field->kind = GRAPHQL_FIELD;
	if (!take_name(p, "the name of a field, \"...\" or \"}\"", &field->name))
		return false;
	field->key = field->name;
	if (is_mark(p, ':') && (!advance(p) || !take_name(p, "the name of a field", &field->name)))
		return false;
	field->key_id = name_id(p, field->key);
	return parse_arguments(p, false, &field->arguments) &&
	       parse_directives(p, false, &field->directives) &&
	       (!is_mark(p, '{') || parse_selections(p, &field->first));
}

static bool parse_spread(struct parser *p, struct graphql_selection *spread)
{
	if (!advance(p))
		return false;
	if (p->token.kind == GRAPHQL_T_NAME && !is_word(p, "on")) {
		spread->kind = GRAPHQL_SPREAD;
		return take_name(p, "the name of a fragment", &spread->name) &&
		       parse_directives(p, false, &spread->directives);
	}
	spread->kind = GRAPHQL_INLINE;
	if (is_word(p, "on") && (!advance(p) || !take_name(p, "the name of a type", &spread->name)))
		return false;
	return parse_directives(p, false, &spread->directives) && parse_selections(p, &spread->first);
}

static bool parse_selections(struct parser *p, struct graphql_selection **end)
{
	if (!enter(p) || !take_mark(p, '{'))
		return false;
	do {
		*end = graphql_arena_new(p->arena, struct graphql_selection);
		(*end)->at = p->token.at;
		if (!(p->token.kind == GRAPHQL_T_SPREAD ? parse_spread(p, *end) : parse_field(p, *end)))
			return false;
		end = &(*end)->next;
	} while (!is_mark(p, '}'));
	p->nesting--;
	return advance(p);
}

/* ---- definitions ---- */

static bool parse_variables(struct parser *p, struct graphql_variable **end)
{
	if (!is_mark(p, '('))
		return true;
	if (!advance(p))
		return false;
	do {
		struct graphql_variable *variable = *end =
			graphql_arena_new(p->arena, struct graphql_variable);

		variable->at = p->token.at;
		if (!take_mark(p, '$') || !take_name(p, "the name of a variable", &variable->name) ||
			!take_mark(p, ':') || !parse_type(p, &variable->type))
			return false;
		variable->id = name_id(p, variable->name);
		if (is_mark(p, '=') && (!advance(p) || !parse_value(p, true, &variable->init)))
			return false;
		if (!parse_directives(p, true, &variable->directives))
			return false;
		end = &variable->next;
	} while (!is_mark(p, ')'));
	return advance(p);
}

static bool parse_operation(struct parser *p, struct graphql_operation *operation)
{
	operation->def.at = p->token.at;
	if (++p->document->operations_len > GRAPHQL_OPERATIONS_MAX) {
		graphql_errors_add(p->errors, p->token.at, "the query has more than %d operations",
			GRAPHQL_OPERATIONS_MAX);
		return false;
	}
	if (is_mark(p, '{'))
		return parse_selections(p, &operation->def.first);
	if (!advance(p))
		return false;
	if (p->token.kind == GRAPHQL_T_NAME) {
		operation->def.id = name_id(p, p->token.text);
		if (!take_name(p, "a name", &operation->def.name))
			return false;
	}
	return parse_variables(p, &operation->variables) &&
	       parse_directives(p, false, &operation->def.directives) &&
	       parse_selections(p, &operation->def.first);
}

static bool parse_fragment(struct parser *p, struct graphql_fragment *fragment)
{
	fragment->def.at = p->token.at;
	if (!advance(p))
		return false;
	if (is_word(p, "on"))
		return unexpected(p, "the name of a fragment, which is not \"on\"");
	if (p->token.kind == GRAPHQL_T_NAME)
		fragment->def.id = name_id(p, p->token.text);
	if (!take_name(p, "the name of a fragment", &fragment->def.name))
		return false;
	if (!is_word(p, "on"))
		return unexpected(p, "\"on\" and a type");
	if (!advance(p))
		return false;
	fragment->on_at = p->token.at;
	return take_name(p, "the name of a type", &fragment->on) &&
	       parse_directives(p, false, &fragment->def.directives) &&
	       parse_selections(p, &fragment->def.first);
}

static bool parse_definition(
	struct parser *p, struct graphql_operation ***operations, struct graphql_fragment ***fragments)
{
	if (is_word(p, "mutation") || is_word(p, "subscription")) {
		graphql_errors_add(p->errors, p->token.at, "there are only queries here, and no %.*s",
			STR_ARGS(p->token.text));
		return false;
	}
	if (is_mark(p, '{') || is_word(p, "query")) {
		**operations = graphql_arena_new(p->arena, struct graphql_operation);
		if (!parse_operation(p, **operations))
			return false;
		*operations = &(**operations)->next;
		return true;
	}
	if (!is_word(p, "fragment"))
		return unexpected(p, "\"{\", \"query\" or \"fragment\"");
	**fragments = graphql_arena_new(p->arena, struct graphql_fragment);
	if (!parse_fragment(p, **fragments))
		return false;
	*fragments = &(**fragments)->next;
	return true;
}

bool graphql_document_parse(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_document *document)
{
	struct graphql_operation **operations = &document->operations;
	struct graphql_fragment **fragments = &document->fragments;
	struct parser p;

	*document = (struct graphql_document){ 0 };
	if (!start(&p, text, arena, errors))
		return false;
	p.document = document;
	do {
		if (!parse_definition(&p, &operations, &fragments))
			return false;
	} while (p.token.kind != GRAPHQL_T_END);
	if (document->operations)
		return true;
	graphql_errors_add(errors, 0, "the query has fragments alone, and no operation");
	return false;
}

bool graphql_document_parse_selection(struct str text, struct graphql_arena *arena,
	struct graphql_errors *errors, struct graphql_document *document)
{
	struct parser p;

	*document =
		(struct graphql_document){ .operations = graphql_arena_new(arena, struct graphql_operation),
			.operations_len = 1 };
	if (!start(&p, text, arena, errors))
		return false;
	p.document = document;
	if (!parse_selections(&p, &document->operations->def.first))
		return false;
	return p.token.kind == GRAPHQL_T_END || unexpected(&p, "nothing more");
}

bool graphql_document_parse_type(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_type_ref **ret)
{
	struct parser p;

	return start(&p, text, arena, errors) && parse_type(&p, ret) &&
	       (p.token.kind == GRAPHQL_T_END || unexpected(&p, "nothing more"));
}

bool graphql_document_parse_value(struct str text, struct graphql_arena *arena, struct graphql_errors *errors,
	struct graphql_value **ret)
{
	struct parser p;

	return start(&p, text, arena, errors) && parse_value(&p, true, ret) &&
	       (p.token.kind == GRAPHQL_T_END || unexpected(&p, "nothing more"));
}

void graphql_type_ref_print(const struct graphql_type_ref *ref, struct buf *into)
{
	switch (ref->wrap) {
	case GRAPHQL_NAMED:
		buf_add(into, ref->name);
		break;
	case GRAPHQL_LIST_OF:
		buf_putc(into, '[');
		graphql_type_ref_print(ref->of, into);
		buf_putc(into, ']');
		break;
	case GRAPHQL_NON_NULL:
		graphql_type_ref_print(ref->of, into);
		buf_putc(into, '!');
		break;
	}
}

const struct graphql_type_ref *graphql_type_ref_named(const struct graphql_type_ref *ref)
{
	while (ref->wrap != GRAPHQL_NAMED)
		ref = ref->of;
	return ref;
}
