/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_value.h"

#include "common/json.h"

const struct graphql_value *graphql_value_find(const struct graphql_value *object, struct str name)
{
	if (!object || object->kind != GRAPHQL_OBJECT)
		return NULL;
	for (const struct graphql_value *member = object->first; member; member = member->next)
		if (str_equal(member->name, name))
			return member;
	return NULL;
}

struct str graphql_value_str(const struct graphql_value *value)
{
	return value && (value->kind == GRAPHQL_STRING || value->kind == GRAPHQL_ENUM) ? value->text
										       : STR_NONE;
}

int64_t graphql_value_int(const struct graphql_value *value, int64_t otherwise)
{
	return value && (value->kind == GRAPHQL_INT || value->kind == GRAPHQL_ENUM) ? value->integer
										    : otherwise;
}

double graphql_value_real(const struct graphql_value *value, double otherwise)
{
	return value && (value->kind == GRAPHQL_FLOAT || value->kind == GRAPHQL_INT) ? value->real
										     : otherwise;
}

bool graphql_value_bool(const struct graphql_value *value, bool otherwise)
{
	return value && value->kind == GRAPHQL_BOOL ? value->boolean : otherwise;
}

static void print_list(const struct graphql_value *list, struct buf *into)
{
	for (const struct graphql_value *item = list->first; item; item = item->next) {
		if (item != list->first)
			buf_putc(into, ' ');
		graphql_value_print(item, into);
	}
}

void graphql_value_print_members(const struct graphql_value *object, struct buf *into)
{
	for (const struct graphql_value *member = object->first; member; member = member->next) {
		if (member != object->first)
			buf_putc(into, ' ');
		buf_add(into, member->name);
		buf_putc(into, ':');
		graphql_value_print(member, into);
	}
}

/* Recursion is bounded by the nesting of the text that the value is of. The escapes of JSON are GraphQL's. */
void graphql_value_print(const struct graphql_value *value, struct buf *into)
{
	struct json_writer w = json_writer(into);

	switch (value->kind) {
	case GRAPHQL_NULL:
		buf_puts(into, "null");
		break;
	case GRAPHQL_BOOL:
		buf_puts(into, value->boolean ? "true" : "false");
		break;
	case GRAPHQL_STRING:
		json_value_str(&w, value->text);
		break;
	case GRAPHQL_VARIABLE:
		buf_putc(into, '$');
		buf_add(into, value->text);
		break;
	case GRAPHQL_INT:
	case GRAPHQL_FLOAT:
	case GRAPHQL_ENUM:
		buf_add(into, value->text);
		break;
	case GRAPHQL_LIST:
		buf_putc(into, '[');
		print_list(value, into);
		buf_putc(into, ']');
		break;
	case GRAPHQL_OBJECT:
		buf_putc(into, '{');
		graphql_value_print_members(value, into);
		buf_putc(into, '}');
		break;
	}
}

const char *graphql_value_kind_name(enum graphql_value_kind kind)
{
	static const char *const names[] = { "null", "an integer", "a number", "a string", "a boolean",
		"a name", "a list", "an object", "a variable" };

	return names[kind];
}
