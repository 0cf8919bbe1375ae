/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/entity_query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/entity_priv.h"
#include "proto/timestamp.h"

#define NAMES_MAX 40
#define SAID      60 /* bytes of a name that is wrong */

static int said(struct str s)
{
	return (int)(s.len < SAID ? s.len : SAID);
}

/* Fields. */

static bool is_readable(const struct field *field)
{
	return !(field->flags & FIELD_WRITE_ONLY) && !field_is_plain(field);
}

/* One of a list may be asked for by its singular: "tag" of "tags". */
static bool is_called(const struct field *field, struct str name)
{
	size_t len = strlen(field->name);

	if (str_is(name, field->name))
		return true;
	return field->type == FIELD_TEXTS && name.len && name.len + 1 == len &&
	       !memcmp(name.at, field->name, name.len) && field->name[len - 1] == 's';
}

static const struct field *find_field(const struct table *table, struct str name)
{
	for (size_t i = 0; i < table->len; i++)
		if (is_readable(&table->fields[i]) && is_called(&table->fields[i], name))
			return &table->fields[i];
	return NULL;
}

static bool unknown_field(const struct table *table, struct str name, struct error *err)
{
	const char *names[NAMES_MAX] = { "id" }, *near;
	size_t len = 1;

	for (size_t i = 0; i < table->len && len < NAMES_MAX; i++)
		if (is_readable(&table->fields[i]))
			names[len++] = table->fields[i].name;
	near = str_nearest(name, names, len);
	return error_set(err, ERROR_INVALID, NULL, "unknown field \"%.*s\"%s%s%s", said(name), name.at,
		near ? "; did you mean \"" : "; the first known is \"", near ? near : names[1],
		near ? "\"?" : "\"");
}

/* NULL for "id". */
static bool read_name(
	const struct entity_query *query, struct str name, const struct field **ret, struct error *err)
{
	const struct table *table = entity_table(query->kind);

	*ret = str_is(name, "id") ? NULL : find_field(table, name);
	return *ret || str_is(name, "id") || unknown_field(table, name, err);
}

/* Values. */

static bool read_bool(struct str text, int64_t *ret, struct error *err)
{
	*ret = str_is(text, "true");
	return *ret || str_is(text, "false") || error_set(err, ERROR_INVALID, NULL, "must be true or false");
}

static bool read_number(struct str text, int64_t *ret, struct error *err)
{
	uint64_t number;

	if (!str_to_number(text, INT64_MAX, &number))
		return error_set(err, ERROR_INVALID, NULL, "must be a whole number");
	*ret = (int64_t)number;
	return true;
}

static bool read_time(struct str text, int64_t *ret, struct error *err)
{
	return read_number(text, ret, NULL) || timestamp_parse(text, ret, err);
}

static bool read_text(struct entity_filter *filter, struct str text)
{
	filter->begins = str_ends(text, "*");
	filter->text = text;
	filter->text.len -= filter->begins;
	return true;
}

static bool read_pair(struct entity_filter *filter, struct str text)
{
	struct str rest = text;

	filter->has_value = str_until(&rest, '=', &filter->text);
	if (filter->has_value)
		filter->value = rest;
	else
		filter->text = text;
	return true;
}

static bool read_wanted(struct entity_filter *filter, struct str text, struct error *err)
{
	switch (filter->field ? filter->field->type : FIELD_TEXT) {
	case FIELD_TEXT:
	case FIELD_TEXTS:
		return read_text(filter, text);
	case FIELD_PAIRS:
		return read_pair(filter, text);
	case FIELD_BOOL:
		return read_bool(text, &filter->number, err);
	case FIELD_NUMBER:
		return read_number(text, &filter->number, err);
	case FIELD_TIME:
		return read_time(text, &filter->number, err);
	case FIELD_ROWS:
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break;
	}
	return error_set(err, ERROR_INVALID, NULL, "is a list of objects, which cannot be filtered by");
}

/* Asking. */

bool entity_query_filter(struct entity_query *query, struct str text, struct error *err)
{
	struct entity_filter filter = { 0 };
	struct str value = text, name;

	if (query->filters_len == ENTITY_QUERY_FILTERS)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "at most %d filters are taken", ENTITY_QUERY_FILTERS);
	if (!str_until(&value, ':', &name))
		return error_set(err, ERROR_INVALID, NULL, "a filter is \"<field>:<value>\"");
	if (!read_name(query, name, &filter.field, err))
		return false;
	if (!read_wanted(&filter, value, err))
		return error_add(err, "%.*s", said(name), name.at);
	query->filters[query->filters_len++] = filter;
	return true;
}

bool entity_query_words(struct entity_query *query, struct str text, struct error *err)
{
	struct str word;

	while (str_next(&text, ' ', &word)) {
		if (!word.len)
			continue;
		if (query->words_len == ENTITY_QUERY_WORDS)
			return error_set(
				err, ERROR_TOO_LARGE, NULL, "at most %d words are taken", ENTITY_QUERY_WORDS);
		query->words[query->words_len++] = word;
	}
	return true;
}

static bool is_sortable(const struct field *field)
{
	return !field || field->type == FIELD_TEXT || field->type == FIELD_BOOL ||
	       field->type == FIELD_NUMBER || field->type == FIELD_TIME;
}

bool entity_query_sort(struct entity_query *query, struct str text, struct error *err)
{
	const struct field *field;
	bool descending = str_skip(&text, "-");

	if (!read_name(query, text, &field, err))
		return false;
	if (!is_sortable(field))
		return error_set(err, ERROR_INVALID, NULL,
			"\"%s\" has several values: nothing is sorted by it", field->name);
	query->sort = field;
	query->descending = descending;
	return true;
}

bool entity_query_is_plain(const struct entity_query *query)
{
	return !query->filters_len && !query->words_len && !query->sort && !query->descending;
}

/* Matching. */

static bool is_text(const struct entity_filter *filter, struct str text)
{
	if (!filter->begins)
		return str_equal(text, filter->text);
	return text.len >= filter->text.len && !memcmp(text.at, filter->text.at, filter->text.len);
}

static bool has_text(const struct entity_filter *filter, const struct texts *texts)
{
	for (size_t i = 0; i < texts->len; i++)
		if (is_text(filter, str_of(texts->at[i])))
			return true;
	return false;
}

static bool has_pair(const struct entity_filter *filter, const struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->len; i++)
		if (str_is(filter->text, pairs->at[i].key) &&
			(!filter->has_value || str_is(filter->value, pairs->at[i].value)))
			return true;
	return false;
}

static bool holds(const struct entity_filter *filter, const struct entity *entity)
{
	const void *body = entity_body(entity);
	const struct field *field = filter->field;

	if (!field)
		return is_text(filter, entity_id(entity));
	switch (field->type) {
	case FIELD_TEXT:
		return is_text(filter, str_of(field_text(field, body)));
	case FIELD_TEXTS:
		return has_text(filter, field_texts(field, body));
	case FIELD_PAIRS:
		return has_pair(filter, field_pairs(field, body));
	case FIELD_BOOL:
		return field_bool(field, body) == (filter->number != 0);
	case FIELD_NUMBER:
	case FIELD_TIME:
		return field_number(field, body) == filter->number;
	case FIELD_ROWS:
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break;
	}
	return false;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins_with(struct str text, struct str word)
{
	for (size_t i = 0; i < word.len; i++)
		if (i == text.len || lower(text.at[i]) != lower(word.at[i]))
			return false;
	return true;
}

static bool contains(struct str text, struct str word)
{
	for (; text.len >= word.len; text.at++, text.len--)
		if (begins_with(text, word))
			return true;
	return false;
}

static bool has_word(const struct entity *entity, const struct field *label, struct str word)
{
	return contains(entity_id(entity), word) ||
	       (label && contains(str_of(field_text(label, entity_body(entity))), word));
}

/* What people call it. */
static const struct field *label_of(enum entity_kind kind)
{
	const struct field *label = table_find(entity_table(kind), STR("label"));

	return label ? label : table_find(entity_table(kind), STR("description"));
}

bool entity_query_matches(const struct entity_query *query, const struct entity *entity)
{
	const struct field *label = query->words_len ? label_of(query->kind) : NULL;

	for (size_t i = 0; i < query->filters_len; i++)
		if (!holds(&query->filters[i], entity))
			return false;
	for (size_t i = 0; i < query->words_len; i++)
		if (!has_word(entity, label, query->words[i]))
			return false;
	return true;
}

/* The order. */

struct entity_place entity_query_place(const struct entity_query *query, const struct entity *entity)
{
	struct entity_place place = { .id = entity_id(entity) };
	const struct field *field = query->sort;

	if (!field)
		return place;
	if (field->type == FIELD_TEXT)
		place.text = str_of(field_text(field, entity_body(entity)));
	else if (field->type == FIELD_BOOL)
		place.number = field_bool(field, entity_body(entity));
	else
		place.number = field_number(field, entity_body(entity));
	return place;
}

bool entity_query_place_of(const struct entity_query *query, struct str value, struct str id,
	struct entity_place *ret, struct error *err)
{
	struct entity_place place = { .id = id };

	if (query->sort && query->sort->type == FIELD_TEXT)
		place.text = value;
	else if (query->sort && !read_number(value, &place.number, err))
		return false;
	*ret = place;
	return true;
}

void entity_query_value(const struct entity_query *query, const struct entity_place *place, struct buf *into)
{
	if (query->sort && query->sort->type == FIELD_TEXT)
		buf_add(into, place->text);
	else
		buf_format(into, "%" PRId64, place->number);
}

int entity_query_compare(
	const struct entity_query *query, const struct entity_place *a, const struct entity_place *b)
{
	int order = (a->number > b->number) - (a->number < b->number);

	if (!order)
		order = str_compare(a->text, b->text);
	if (!order)
		order = str_compare(a->id, b->id);
	return query->descending ? -order : order;
}
