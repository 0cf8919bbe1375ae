/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_table - entity_fields.def turned into constant tables.
 */
#include "proto/entity_table.h"

#include "common/check.h"
#include "proto/entity_priv.h"
#include "proto/retention.h"
#include "proto/tenants.h"
#include "proto/trust_key.h"

#define FIELDS_MAX 32

/* clang-format off: the columns are the point. */
#define TABLE(noun) static const struct field noun##_fields[] = {
#define FIELD(noun, member_, name_, type_, flags_, ...)                                                      \
	{ .name = (name_),                                                                                   \
		.type = (type_),                                                                             \
		.flags = (flags_),                                                                           \
		.offset = offsetof(struct noun, member_),                                                    \
		__VA_ARGS__ },
#define TEXT(noun, member, name, flags, min_, max_, fallback, choices_, check_, about_)                      \
	FIELD(noun, member, name, FIELD_TEXT, flags, .min = (min_), .max = (max_), .text = (fallback),       \
		.choices = (choices_), .check = (check_), .about = (about_))
#define TEXTS(noun, member, name, flags, min_, max_, choices_, check_, about_)                               \
	FIELD(noun, member, name, FIELD_TEXTS, flags, .min = (min_), .max = (max_), .choices = (choices_),   \
		.check = (check_), .about = (about_))
#define BOOL(noun, member, name, flags, fallback, about_)                                                    \
	FIELD(noun, member, name, FIELD_BOOL, flags, .number = (fallback), .about = (about_))
#define NUMBER(noun, member, name, flags, min_, max_, fallback, about_)                                      \
	FIELD(noun, member, name, FIELD_NUMBER, flags, .min = (min_), .max = (max_), .number = (fallback),   \
		.about = (about_))
#define TIME(noun, member, name, flags, about_)                                                              \
	FIELD(noun, member, name, FIELD_TIME, flags, .min = 0, .max = 253402300799, .about = (about_))
#define PAIRS(noun, member, name, flags, about_)                                                             \
	FIELD(noun, member, name, FIELD_PAIRS, flags, .min = 0, .max = ENTITY_TEXT_MAX, .about = (about_))
#define ROWS(noun, member, name, flags, row, about_)                                                         \
	FIELD(noun, member, name, FIELD_ROWS, flags, .len_offset = offsetof(struct noun, member##_len),      \
		.rows = &row##_table, .about = (about_))
#define PLAIN(noun, member, name, flags, type, about_)                                                       \
	FIELD(noun, member, name, type, flags, .about = (about_))
#define END(noun)                                                                                            \
	}                                                                                                    \
	;                                                                                                    \
	static const struct table noun##_table = { noun##_fields,                                            \
		sizeof(noun##_fields) / sizeof(noun##_fields[0]), sizeof(struct noun) };                     \
	_Static_assert(sizeof(noun##_fields) / sizeof(noun##_fields[0]) <= FIELDS_MAX, "too many fields");
/* clang-format on */
#include "proto/entity_fields.def"

const struct table *entity_table(enum entity_kind kind)
{
	static const struct table *const tables[ENTITY_KINDS] = {
#define KIND(constant, name, plural, noun, ...) &noun##_table,
#include "proto/entity_kinds.def"
#undef KIND
	};

	CHECK((unsigned)kind < ENTITY_KINDS);
	return tables[kind];
}

const struct field *table_find(const struct table *table, struct str name)
{
	for (size_t i = 0; i < table->len; i++) {
		if (str_is(name, table->fields[i].name))
			return &table->fields[i];
	}
	return NULL;
}

const char *table_nearest(const struct table *table, struct str name)
{
	const char *names[FIELDS_MAX];

	for (size_t i = 0; i < table->len; i++)
		names[i] = table->fields[i].name;
	return str_nearest(name, names, table->len);
}

void field_default(const struct field *field, void *body)
{
	void *into = field_into(field, body);

	switch (field->type) {
	case FIELD_TEXT:
		*(const char **)into = field->text;
		break;
	case FIELD_BOOL:
		*(bool *)into = field->number != 0;
		break;
	case FIELD_NUMBER:
	case FIELD_TIME:
		*(int64_t *)into = field->number;
		break;
	case FIELD_TEXTS:
		*(struct texts *)into = (struct texts){ 0 };
		break;
	case FIELD_PAIRS:
		*(struct pairs *)into = (struct pairs){ 0 };
		break;
	case FIELD_ROWS:
		field_set_rows(field, body, NULL, 0);
		break;
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break; /* another row's */
	}
}

void table_defaults(const struct table *table, void *body)
{
	memset(body, 0, table->size);
	for (size_t i = 0; i < table->len; i++)
		field_default(&table->fields[i], body);
}

/* Each row type has a pointer type of its own, so the pointer goes through memcpy. */
const void *field_row(const struct field *field, const void *body, size_t at)
{
	const char *rows;

	memcpy(&rows, field_at(field, body), sizeof(rows));
	return rows + at * field->rows->size;
}

void field_set_rows(const struct field *field, void *body, void *rows, size_t len)
{
	memcpy(field_into(field, body), &rows, sizeof(rows));
	*(size_t *)(void *)((char *)body + field->len_offset) = len;
}
